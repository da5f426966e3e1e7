from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.intake.answers import answers
from integration.terminology import ConceptMap

LOCAL = "urn:site:answers"
SITE = ConceptMap(
    url="urn:x",
    targets={(LOCAL, "often"): ("4",), (LOCAL, "1"): ("2",), (LOCAL, "either"): ("2", "3"), (LOCAL, "na"): ("x",)},
)
NO_SITE = ConceptMap(url="urn:x", targets={})
COLUMNS = (
    "value_integer",
    "value_decimal",
    "value_string",
    "value_system",
    "value_code",
    "item_weight",
    "ordinal_value",
)


def row(link_id: str | None = "7", has_value: bool = True, **value: Any) -> tuple[Any, ...]:
    return ("r", link_id, has_value, *(value.get(column) for column in COLUMNS))


def understood(site: ConceptMap = NO_SITE, **value: Any) -> int | None:
    ((found,),) = answers([row(**value)], site).values()
    return found


SPELLINGS: list[Any] = [
    lambda n: {"value_integer": n},
    lambda n: {"value_decimal": Decimal(n)},
    lambda n: {"value_decimal": Decimal(f"{n}.00")},
    lambda n: {"value_string": str(n)},
    lambda n: {"value_system": LOCAL, "value_code": str(n)},
    lambda n: {"value_code": str(n)},
    lambda n: {"value_system": LOCAL, "value_code": "x", "item_weight": Decimal(n)},
    lambda n: {"value_system": LOCAL, "value_code": "x", "ordinal_value": Decimal(f"{n}.0")},
]


@given(number=st.integers(0, 9), spelling=st.sampled_from(SPELLINGS))
def test_an_answer_is_the_same_number_however_it_is_spelled(number: int, spelling: Any) -> None:
    assert understood(**spelling(number)) == number


@pytest.mark.parametrize(
    "value",
    [
        {"value_decimal": Decimal("2.5")},
        {"value_decimal": Decimal("1E+400")},
        {"value_decimal": Decimal("NaN")},
        {"value_decimal": Decimal("Infinity")},
        {"value_string": ""},
        {"value_string": " 3"},
        {"value_string": "3.0"},
        {"value_string": "-3"},
        {"value_string": "three"},
        {"value_string": "\u0663"},
        {"value_string": "\u00b3"},
        {"value_string": "1" * 5000},
        {"value_system": LOCAL, "value_code": "often"},
        {"value_system": LOCAL},
        {"item_weight": Decimal("2.5"), "value_code": "3"},
        {},
    ],
)
def test_anything_else_is_not_understood(value: dict[str, Any]) -> None:
    """A value of any other type (boolean, quantity, date) has none of these columns filled."""
    assert understood(**value) is None


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ({"value_code": "1", "item_weight": Decimal(4)}, 4),
        ({"value_code": "1", "ordinal_value": Decimal(4)}, 4),
        ({"item_weight": Decimal(4), "ordinal_value": Decimal(2)}, 4),
        ({"value_system": LOCAL, "value_code": "1", "item_weight": Decimal(4)}, 4),
        ({"value_system": LOCAL, "value_code": "1"}, 2),
        ({"value_system": LOCAL, "value_code": "often"}, 4),
        ({"value_system": LOCAL, "value_code": "3"}, 3),
        ({"value_system": "urn:another", "value_code": "1"}, 1),
    ],
    ids=[
        "weight over code", "ordinal over code", "weight over ordinal", "weight over map", "map over code", "map",
        "code", "map of one system",
    ],
)  # fmt: skip
def test_the_weight_goes_before_the_sites_map_and_that_before_the_code(value: dict[str, Any], number: int) -> None:
    assert understood(SITE, **value) == number


@pytest.mark.parametrize("code", ["either", "na"])
def test_a_map_that_gives_no_single_number_is_not_understood(code: str) -> None:
    assert understood(SITE, value_system=LOCAL, value_code=code) is None


@pytest.mark.parametrize("link_id", ["0", "30", "01", "1.0", " 1", "item-1", "", None])
def test_only_items_1_to_29_count(link_id: str | None) -> None:
    assert answers([row(link_id, value_integer=3)], NO_SITE) == {}


def test_an_answer_without_a_value_is_no_answer() -> None:
    assert answers([row(has_value=False)], NO_SITE) == {}


def test_all_answers_to_an_item_are_kept_also_from_two_places() -> None:
    rows = [row("1", value_integer=2), row("2", value_integer=5), row("1", value_integer=2), row("1")]

    assert answers(rows, NO_SITE) == {1: [2, 2, None], 2: [5]}


@given(st.data())
def test_the_order_of_the_items_does_not_matter(data: st.DataObject) -> None:
    rows = [row(str(item), value_integer=item % 5 + 1) for item in range(1, 30)]

    assert answers(data.draw(st.permutations(rows)), NO_SITE) == answers(rows, NO_SITE)
