"""Where the official suite is silent: each case as dicts and as texts, as rows and as batches."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from integration.errors import ViewError
from integration.views import compile_view

Json = dict[str, Any]
Rows = Callable[..., list[Json]]


def columns(**paths: str) -> list[Json]:
    return [{"name": name, "path": path} for name, path in paths.items()]


def response(*items: Json, **more: Any) -> Json:
    return {"resourceType": "QuestionnaireResponse", "id": "r", "item": list(items), **more}


def test_repeat_goes_into_the_items_of_answers(rows_in_every_form: Rows) -> None:
    inner = {"linkId": "3", "answer": [{"item": [{"linkId": "4"}]}, {"item": [{"linkId": "5"}]}]}
    given = response({"linkId": "1", "item": [{"linkId": "2", "answer": [{"valueInteger": 1, "item": [inner]}]}]})

    rows = rows_in_every_form([{"repeat": ["item", "answer.item"], "column": columns(link="linkId")}], given)

    assert [row["link"] for row in rows] == ["1", "2", "3", "4", "5"]


def test_repeat_over_answers_items_alone_starts_at_no_item(rows_in_every_form: Rows) -> None:
    given = response({"linkId": "1", "answer": [{"item": [{"linkId": "2", "answer": [{"item": [{"linkId": "3"}]}]}]}]})

    rows = rows_in_every_form(
        [{"repeat": ["item.answer.item", "answer.item"], "column": columns(link="linkId")}], given
    )

    assert [row["link"] for row in rows] == ["2", "3"]


@pytest.mark.parametrize("name", [{}, {"name": []}])
def test_an_empty_list_is_as_a_missing_one(rows_in_every_form: Rows, name: Json) -> None:
    given = {"resourceType": "Patient", "id": "p", **name}
    select = [
        {
            "column": [
                *columns(some="name.exists()", none="name.empty()", n="name.count()", first="name.first().family"),
                *columns(joined="name.family.join(',')", same="name = contact.name"),
                {"name": "all", "path": "name.family", "collection": True},
            ]
        },
        {"forEachOrNull": "name", "column": columns(family="family", row="%rowIndex")},
    ]
    none: Json = {"some": False, "none": True, "n": 0, "first": None, "joined": "", "same": None, "all": []}

    assert rows_in_every_form(select, given) == [{**none, "family": None, "row": 0}]
    assert rows_in_every_form([{"forEach": "name", "column": columns(family="family")}], given) == []


def test_a_choice_of_two_types_in_one_file_goes_to_two_columns(rows_in_every_form: Rows) -> None:
    values: list[Json] = [{"valueString": "3"}, {"valueInteger": 3}, {"valueQuantity": {"value": 3}}, {}]
    given = [{"resourceType": "Observation", **value} for value in values]
    select = columns(
        text="value.ofType(string)",
        number="value.ofType(integer)",
        amount="value.ofType(Quantity).value",
        is_there="value.exists()",
    )

    rows = rows_in_every_form([{"column": select}], *given)

    assert [tuple(row.values()) for row in rows] == [
        ("3", None, None, True),
        (None, 3, None, True),
        (None, None, Decimal(3), True),
        (None, None, None, False),
    ]


@pytest.mark.parametrize("form", ["rows", "batches"])
def test_decimals_are_kept_exactly(form: str) -> None:
    """As text only: a dict may hold a float, which is no longer what was written."""
    view = compile_view(
        {"resource": "Observation", "select": [{"column": columns(value="value.ofType(Quantity).value")}]}
    )
    written = ["0.1", "1.50", "100", "1e2", "-0.000000000000000001", "12345678901234567890.123456789012345678"]
    texts = [b'{"resourceType":"Observation","valueQuantity":{"value":%s}}' % each.encode() for each in written]

    if form == "rows":
        assert [str(row["value"]) for row in view.rows(texts)] == [str(Decimal(each)) for each in written]
    else:
        [batch] = view.batches(texts)
        assert batch.column("value").to_pylist() == [Decimal(each) for each in written]


def test_a_dict_may_hold_decimals() -> None:
    view = compile_view(
        {"resource": "Observation", "select": [{"column": columns(value="value.ofType(Quantity).value")}]}
    )
    given = {"resourceType": "Observation", "valueQuantity": {"value": Decimal("1.50")}}

    [row] = view.rows([given])

    assert str(row["value"]) == "1.50"


@pytest.mark.parametrize(
    ("written", "before", "same"),
    [
        ("2020-06-01T10:00:00Z", True, False),
        ("2020-06-01T12:00:00+02:00", True, False),
        ("2020-06-01T12:00:00", None, None),
        ("2020-07-03T12:00:00", False, False),
        ("2020-06-01", None, None),
        ("2020-06", None, None),
        ("2020-05", True, False),
        ("2020", None, None),
        ("2019", True, False),
        ("2020-06-01T12:30:00.0Z", False, True),
        ("2020-06-01T12:30Z", None, None),
    ],
)
def test_dates_are_compared_as_far_as_they_say(rows_in_every_form: Rows, written: str, before: Any, same: Any) -> None:
    given = {"resourceType": "Condition", "recordedDate": written, "onsetDateTime": "2020-06-01T12:30:00Z"}
    select = columns(
        written="recordedDate",
        before="recordedDate < @2020-06-01T12:30:00Z",
        same="recordedDate = @2020-06-01T12:30:00Z",
        as_elements="recordedDate = onset.ofType(dateTime)",
    )

    [row] = rows_in_every_form([{"column": select}], given)

    assert row == {"written": written, "before": before, "same": same, "as_elements": same}


def test_a_resource_may_be_nested_deeply(rows_in_every_form: Rows) -> None:
    item: Json = {"linkId": "150"}
    for depth in range(149, 0, -1):
        item = (
            {"linkId": str(depth), "answer": [{"item": [item]}]}
            if depth % 2
            else {"linkId": str(depth), "item": [item]}
        )

    rows = rows_in_every_form(
        [{"repeat": ["item", "answer.item"], "column": columns(link="linkId", row="%rowIndex")}], response(item)
    )

    assert [row["link"] for row in rows] == [str(depth) for depth in range(1, 151)]
    assert rows[-1]["row"] == 149


def test_a_view_may_be_nested_deeply(rows_in_every_form: Rows) -> None:
    select: Json = {"column": columns(url="url", row="%rowIndex")}
    extension: list[Json] = [{"url": "a"}, {"url": "b"}]
    for depth in range(25):
        select = {"forEach": "extension", "select": [select]}
        extension = [{"url": "u", "extension": extension}] if depth else extension

    rows = rows_in_every_form([select], {"resourceType": "Patient", "extension": extension})

    assert rows == [{"url": "a", "row": 0}, {"url": "b", "row": 1}]


@pytest.mark.parametrize(
    ("value", "is_there"),
    [
        ({"valueBoolean": False}, True),
        ({"valueInteger": 0}, True),
        ({"valueString": ""}, True),
        ({"valueCoding": {}}, True),
        ({"valueQuantity": {"value": 1.5}}, True),
        ({"_valueString": {"extension": [{"url": "u", "valueCode": "unknown"}]}}, True),
        ({"valueString": None}, False),
        ({"item": []}, False),
        ({}, False),
    ],
)
def test_a_value_is_there_whatever_its_type(rows_in_every_form: Rows, value: Json, is_there: bool) -> None:
    select = [{"forEach": "item.answer", "column": columns(there="value.exists()", absent="value.empty()")}]

    rows = rows_in_every_form(select, response({"linkId": "1", "answer": [value]}))

    assert rows == [{"there": is_there, "absent": not is_there}]
    assert rows_in_every_form(
        [{"column": columns(link="item.where(answer.value.exists()).linkId")}],
        response({"linkId": "1", "answer": [value]}),
    ) == [{"link": "1" if is_there else None}]


CONTAINED = [
    {"resourceType": "Organization", "id": "o", "name": "Org"},
    {"resourceType": "Patient", "id": "c", "name": [{"family": "C"}]},
    {"resourceType": "Organization", "id": "o2", "name": "Org 2"},
]


def test_contained_resources_are_read_by_type(rows_in_every_form: Rows) -> None:
    given = {"resourceType": "Observation", "contained": CONTAINED}
    select = columns(
        family="contained.ofType(Patient).name.family",
        first="contained.ofType(Organization).first().name",
        absent="contained.ofType(Device).id",
    )
    each = {"forEach": "contained.ofType(Organization)", "column": columns(key="getResourceKey()", name="name")}

    assert rows_in_every_form([{"column": select}, each], given) == [
        {"family": "C", "first": "Org", "absent": None, "key": "o", "name": "Org"},
        {"family": "C", "first": "Org", "absent": None, "key": "o2", "name": "Org 2"},
    ]


def test_a_bundles_entries_are_read_by_type(rows_in_every_form: Rows) -> None:
    entries: list[Json] = [{"resource": each} for each in CONTAINED]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{}, *entries, {"fullUrl": "urn:x"}]}
    select = {"forEach": "entry.resource.ofType(Organization)", "column": columns(key="id", name="name")}

    assert rows_in_every_form([select], bundle) == [{"key": "o", "name": "Org"}, {"key": "o2", "name": "Org 2"}]
    assert rows_in_every_form([{"column": columns(n="entry.resource.ofType(Patient).count()")}], bundle) == [{"n": 1}]


@pytest.mark.parametrize(
    ("inner", "below"),
    [
        (None, ""),
        (3, ""),
        ([], ""),
        ({"id": "x"}, ""),
        ({"resourceType": 3}, ".resourceType"),
        ({"resourceType": "Patient", "name": {}}, ".name"),
        ({"resourceType": "Patient", "name": [{"family": []}]}, ".name[0].family"),
    ],
)
def test_a_resource_inside_that_is_broken_breaks_the_one_around_it(inner: Any, below: str) -> None:
    cases = [
        ("contained", {"resourceType": "Patient", "id": "p", "contained": [inner]}),
        ("entry.resource", {"resourceType": "Bundle", "id": "b", "entry": [{"resource": inner}]}),
    ]
    for place, given in cases:
        path = f"{place}.ofType(Patient).name.family"
        view = compile_view({"resource": given["resourceType"], "select": [{"column": columns(family=path)}]})
        errors: list[ViewError] = []

        assert list(view.rows([given, json.dumps(given)], on_error=errors.append)) == []
        assert list(view.batches([given, json.dumps(given)], on_error=errors.append)) == []
        assert [error.path for error in errors] == [f"{place}{below}"] * 4


def test_other_resource_types_in_a_file_give_no_row_whatever_they_hold(rows_in_every_form: Rows) -> None:
    others = [
        {"resourceType": "Claim", "item": {"linkId": 3}},
        {"resourceType": "Questionnaire", "item": [{"linkId": 1, "answer": "x"}], "id": 7},
        {"resourceType": "NoSuchType", "item": None},
        {"id": "q", "item": [{}], "resourceType": "Invoice"},
    ]

    rows = rows_in_every_form(
        [{"forEach": "item", "column": columns(link="linkId")}],
        response({"linkId": "1"}),
        *others,
        response({"linkId": "2"}),
    )

    assert [row["link"] for row in rows] == ["1", "2"]


WRONG = [
    (response(item=None), "item"),
    (response({"linkId": "1"}, {"linkId": "2", "answer": None}), "item[1].answer"),
    (response(item=[None]), "item[0]"),
    (response(item={"linkId": "1"}), "item"),
    (response(item="1"), "item"),
    (response(item=[[]]), "item[0]"),
    (response({"linkId": 1}), "item[0].linkId"),
    (response({"linkId": ["1"]}), "item[0].linkId"),
    (response({"linkId": "1", "answer": [{"valueInteger": 2**31}]}), "item[0].answer[0].valueInteger"),
    (response({"linkId": "1", "answer": [{"valueInteger": 10**30}]}), "item[0].answer[0].valueInteger"),
    (response({"linkId": "1", "answer": [{"valueInteger": "1"}]}), "item[0].answer[0].valueInteger"),
    (response({"linkId": "1", "answer": [{"valueDecimal": "1"}]}), "item[0].answer[0].valueDecimal"),
    (response({"linkId": "1", "answer": [{"valueDecimal": [1]}]}), "item[0].answer[0].valueDecimal"),
]


@pytest.mark.parametrize(("wrong", "path"), WRONG)
@pytest.mark.parametrize("form", ["dicts", "bytes"])
@pytest.mark.parametrize("run", ["rows", "batches"])
def test_what_has_the_wrong_type_is_rejected_by_its_path(wrong: Json, path: str, form: str, run: str) -> None:
    select = columns(link="linkId", number="answer.value.ofType(integer)", decimal="answer.value.ofType(decimal)")
    view = compile_view({"resource": "QuestionnaireResponse", "select": [{"forEach": "item", "column": select}]})
    given: list[Any] = [response({"linkId": "before"}), wrong, response({"linkId": "after"})]
    given = [json.dumps(each).encode() for each in given] if form == "bytes" else given
    errors: list[ViewError] = []

    if run == "rows":
        links = [row["link"] for row in view.rows(given, on_error=errors.append)]
    else:
        links = [row["link"] for batch in view.batches(given, on_error=errors.append) for row in batch.to_pylist()]

    assert links == ["before", "after"]
    assert [(error.reference, error.path) for error in errors] == [("QuestionnaireResponse/r", path)]


def test_the_branches_of_a_union_share_their_columns_names(rows_in_every_form: Rows) -> None:
    branches = [
        {"forEach": "name", "column": columns(text="family")},
        {"forEach": "contact", "select": [{"column": columns(text="name.family")}]},
        {"unionAll": [{"column": columns(text="id")}, {"column": columns(text="gender")}]},
    ]
    given = {
        "resourceType": "Patient",
        "id": "p",
        "gender": "other",
        "name": [{"family": "A"}],
        "contact": [{"name": {"family": "B"}}, {}],
    }

    rows = rows_in_every_form([{"unionAll": branches}, {"column": columns(key="id")}], given)

    assert rows == [{"text": text, "key": "p"} for text in ("A", "B", None, "p", "other")]


@pytest.mark.parametrize(
    ("select", "path"),
    [
        (
            [{"column": columns(a="id"), "unionAll": [{"column": columns(a="id")}]}],
            "select[0].unionAll[0].column[0].name",
        ),
        (
            [{"unionAll": [{"column": columns(a="id")}]}, {"unionAll": [{"column": columns(a="id")}]}],
            "select[1].unionAll[0].column[0].name",
        ),
        ([{"unionAll": [{"column": columns(a="id") * 2}] * 2}], "select[0].unionAll[0].column[1].name"),
        (
            [{"unionAll": [{"column": columns(a="id")}, {"column": columns(a="id") * 2}]}],
            "select[0].unionAll[1]",
        ),
    ],
)
def test_a_name_twice_in_one_row_is_refused_where_it_stands(select: list[Json], path: str) -> None:
    with pytest.raises(ViewError) as caught:
        compile_view({"resource": "Patient", "select": select})

    assert caught.value.path == path
