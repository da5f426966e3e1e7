"""`=` on elements with children, by the rules of http://hl7.org/fhirpath/N1/#equals."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.errors import ViewError
from integration.views import CompiledView, compile_view, compile_views

Json = dict[str, Any]
Column = Callable[..., Any]

UCUM = "http://unitsofmeasure.org"
ANNA: Json = {"family": "A", "given": ["b", "c"], "period": {"start": "2010"}}


def patient(name: Any, other: Any) -> Json:
    """Give a patient with a name and a contact with another; None for nothing."""
    contact = {} if other is None else {"name": other}
    return {"resourceType": "Patient", "id": "p", **({} if name is None else {"name": [name]}), "contact": [contact]}


@pytest.mark.parametrize(
    ("name", "other", "equal"),
    [
        (ANNA, ANNA, True),
        (ANNA, dict(reversed(ANNA.items())), True),
        (ANNA, {**ANNA, "given": ["c", "b"]}, False),
        (ANNA, {**ANNA, "given": ["b"]}, False),
        (ANNA, {**ANNA, "use": "usual"}, False),
        (ANNA, {**ANNA, "family": None}, False),
        (ANNA, {**ANNA, "suffix": []}, True),
        (ANNA, {**ANNA, "text": None}, True),
        (ANNA, {**ANNA, "nickname": "not an element"}, True),
        (ANNA, {**ANNA, "id": "1"}, False),
        ({**ANNA, "id": "1"}, {**ANNA, "id": "1"}, True),
        (ANNA, {**ANNA, "_family": {}, "_given": [None, {"extension": []}]}, True),
        (ANNA, {**ANNA, "_family": {"id": "1"}}, False),
        ({**ANNA, "_family": {"id": "1"}}, {**ANNA, "_family": {"id": "1"}}, True),
        (ANNA, {**ANNA, "_family": {"extension": [{"url": "u", "valueCode": "c"}]}}, False),
        (ANNA, {**ANNA, "extension": [{"url": "u"}]}, False),
        (ANNA, {**ANNA, "period": {"start": "2011"}}, False),
        (ANNA, {**ANNA, "period": {"start": "2010-01"}}, None),
        (ANNA, {**ANNA, "period": {"start": "2010-01"}, "use": "usual"}, False),
        (ANNA, {**ANNA, "family": "B", "period": {"start": "2010-01"}}, False),
        (
            {"period": {"start": "2010-01-01T10:00:00Z"}},
            {"period": {"start": "2010-01-01T12:00:00.0+02:00"}},
            True,
        ),
        ({"given": [None, "b"]}, {"given": ["b"]}, True),
        ({"given": ["b"], "_given": [None, {"id": "1"}]}, {"given": ["b"]}, False),
        ({"given": ["b", None], "_given": [None, {"id": "1"}]}, {"given": ["b"], "_given": [None, {"id": "1"}]}, True),
        ({}, {}, True),
        ({}, ANNA, False),
        (None, ANNA, None),
        (ANNA, None, None),
        (None, None, None),
    ],
)
def test_elements_are_equal_if_all_their_children_are(column: Column, name: Any, other: Any, equal: Any) -> None:
    given = patient(name, other)

    assert column("name = contact.name", given) is equal
    assert column("name.first() = contact.name.last()", given) is equal
    assert column("contact.name = name", given) is equal
    assert column("name.first() != contact.name.first()", given) is (None if equal is None else not equal)
    assert column("name.where($this = %resource.contact.name).exists()", given) is (equal is True)
    # The same where parts of the elements are read by themselves, too.
    assert column("(name.given.exists() or true) and name.first() = contact.name", given) is equal
    assert column("name.period.start.exists().not() and false or contact.name = name", given) is equal


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ([{"family": "A"}, {"family": "B"}], [{"family": "A"}, {"family": "B"}], True),
        ([{"family": "A"}, {"family": "B"}], [{"family": "B"}, {"family": "A"}], False),
        ([{"family": "A"}], [{"family": "A"}, {"family": "A"}], False),
        ([], [{"family": "A"}], None),
    ],
)
def test_collections_of_elements_are_equal_in_order(column: Column, left: Any, right: Any, equal: Any) -> None:
    given = {"resourceType": "Patient", "name": left, "contact": [{"name": each} for each in right]}

    assert column("name = contact.name", given) is equal


def observation(value: Any, other: Any) -> Json:
    components = [{"code": {}, "valueQuantity": other}]
    return {"resourceType": "Observation", "valueQuantity": value, "component": components}


def mg(value: float, **more: Any) -> Json:
    return {"value": value, "system": UCUM, "code": "mg", **more}


@pytest.mark.parametrize(
    ("value", "other", "equal"),
    [
        (mg(5), mg(5), True),
        (mg(5), mg(5.0), True),
        (mg(5), mg(6), False),
        (mg(5, unit="milligram"), mg(5, unit="mg"), True),
        (mg(5, id="1"), mg(5), True),
        (mg(5), mg(0.005, code="g"), None),
        (mg(5), {"value": 5, "unit": "mg"}, None),
        (mg(5), {"value": 5}, None),
        (mg(5), mg(5, system="urn:local"), None),
        (mg(5, comparator="<"), mg(5), False),
        (mg(5, comparator="<"), mg(5, comparator="<"), True),
        (mg(5, system="urn:local"), mg(5, system="urn:local"), True),
        (mg(5, system="urn:local"), mg(5, system="urn:local", unit="milligram"), False),
        ({"value": 5, "unit": "mg"}, {"value": 5.00, "unit": "mg"}, True),
        ({"value": 5, "unit": "mg"}, {"value": 5, "unit": "g"}, None),
        ({"value": 5}, {"value": 5}, True),
        ({"unit": "mg"}, {"value": 5, "unit": "mg"}, False),
        (mg(5), None, None),
    ],
)
def test_quantities_are_compared_in_one_unit_only(column: Column, value: Any, other: Any, equal: Any) -> None:
    given = observation(value, other)

    assert column("value.ofType(Quantity) = component.value.ofType(Quantity)", given) is equal
    assert column("component.value.ofType(Quantity).first() = value.ofType(Quantity)", given) is equal


@pytest.mark.parametrize(
    ("value", "path", "equal"),
    [
        (mg(5), "5 'mg'", True),
        (mg(5), "5.00 'mg'", True),
        (mg(-5), "-5 'mg'", True),
        (mg(5), "+5 'mg'", True),
        (mg(5), "6 'mg'", False),
        (mg(5), "5 'g'", None),
        (mg(5, comparator=">"), "5 'mg'", False),
        ({"value": 5, "unit": "mg"}, "5 'mg'", None),
        ({"value": 5}, "5 'mg'", None),
        (None, "5 'mg'", None),
    ],
)
def test_a_quantity_is_compared_with_one_in_the_view(column: Column, value: Any, path: str, equal: Any) -> None:
    assert column(f"value.ofType(Quantity) = {path}", observation(value, None)) is equal


def test_kinds_of_quantities_are_compared_as_quantities(column: Column) -> None:
    condition = {"resourceType": "Condition", "onsetAge": mg(5, code="a"), "abatementAge": mg(5.0, code="a")}
    extension = {"resourceType": "Condition", "onsetAge": mg(5), "extension": [{"url": "u", "valueQuantity": mg(5)}]}

    assert column("onset.ofType(Age) = abatement.ofType(Age)", condition) is True
    assert column("onset.ofType(Age) = extension.value.ofType(Quantity)", extension) is True


def test_a_coding_in_a_list_is_found_by_another(column: Column) -> None:
    coding = {"system": "http://snomed.info/sct", "code": "1"}
    given = {
        "resourceType": "Observation",
        "code": {"coding": [coding]},
        "component": [
            {"code": {"coding": [{"code": "2"}]}},
            {"code": {"coding": [{"code": "1", **coding}]}, "id": "x"},
        ],
    }

    assert column("component.where(code = %resource.code).id", given) == "x"
    assert column("component.where(code.coding.first() = %context.code.coding.first()).id.first()", given) == "x"
    assert column("component.code.coding = code.coding", given) is False


@pytest.mark.parametrize(
    ("first", "last", "equal"),
    [
        ({"resourceType": "Organization", "id": "o"}, {"id": "o", "resourceType": "Organization"}, True),
        ({"resourceType": "Organization", "id": "o"}, {"resourceType": "Location", "id": "o"}, False),
        ({"resourceType": "Organization", "name": "a"}, {"resourceType": "Organization", "name": "b"}, False),
    ],
)
def test_resources_in_a_resource_are_compared(column: Column, first: Json, last: Json, equal: bool) -> None:
    given = {"resourceType": "Patient", "contained": [first, last]}

    assert column("contained.first() = contained.last()", given) is equal
    assert column("$this = %resource", given) is True


def test_recursive_elements_are_compared_at_any_depth(column: Column) -> None:
    def item(text: str) -> Json:
        found: Json = {"linkId": "x", "text": text}
        for _ in range(100):
            found = {"linkId": "x", "item": [found], "answer": [{"valueDecimal": 1.10, "item": [{"linkId": "y"}]}]}
        return found

    def given(text: str) -> Json:
        return {"resourceType": "QuestionnaireResponse", "item": [item("a"), item(text)]}

    assert column("item.first() = item.last()", given("a")) is True
    assert column("item.first() = item.last()", given("b")) is False
    assert column("item.answer.first() = item.answer.last()", given("b")) is True


def test_a_decimal_is_compared_by_its_value_and_exactly(view_of: Callable[..., CompiledView]) -> None:
    view = view_of("extension.first().extension = extension.last().extension")
    text = (
        '{"resourceType":"Patient","extension":[{"url":"u","extension":[{"url":"v","valueDecimal":%s}]},'
        '{"url":"u","extension":[{"url":"v","valueDecimal":%s}]}]}'
    )

    def same(one: str, other: str) -> object:
        return view.read((text % (one, other)).encode())[0][0]

    assert same("1.0", "1.00") is True
    assert same("1e2", "100") is True
    assert same("12345678901234567890.1234567891", "12345678901234567890.1234567892") is False


BROKEN = [
    ({"family": 3}, "name.family"),
    ({"given": "x"}, "name.given"),
    ({"given": None}, "name.given"),
    ({"given": [3]}, "name.given"),
    ({"period": []}, "name.period"),
    ({"period": {"start": 3}}, "name.period.start"),
    ({"extension": {}}, "name.extension"),
    ({"extension": [None]}, "name.extension"),
    ({"extension": [{"url": "u"}, {"url": "u", "valueInteger": 1.5}]}, "name.extension.valueInteger"),
    ({"extension": [{"url": "u", "valueBoolean": 1}]}, "name.extension.valueBoolean"),
    ({"extension": [{"url": "u", "valueDecimal": "1"}]}, "name.extension.valueDecimal"),
    ({"extension": [{"url": "u", "valueDecimal": True}]}, "name.extension.valueDecimal"),
    ({"_family": "x"}, "name.family"),
]


@pytest.mark.parametrize(("broken", "path"), BROKEN)
@pytest.mark.parametrize("expression", ["name.first() = contact.name", "contact.name = name.where(true)"])
def test_what_an_elements_type_does_not_allow_breaks_the_resource(
    view_of: Callable[..., CompiledView], broken: Json, path: str, expression: str
) -> None:
    errors: list[ViewError] = []
    view = view_of(expression)
    given = [json.dumps(each).encode() for each in (patient(broken, ANNA), patient(broken, None), patient({}, ANNA))]

    rows = list(view.rows(given, on_error=errors.append))
    batches = [row for batch in view.batches(given, on_error=errors.append) for row in batch.to_pylist()]

    assert rows == batches == [{"found": False}]
    assert {(error.reference, re.sub(r"\[\d+\]", "", error.path)) for error in errors} == {("Patient/p", path)}
    assert len(errors) == 4


@pytest.mark.parametrize(
    ("number", "problem"), [("1e99999999999999999999", "too large"), ("[" * 10_000 + "]" * 10_000, "nested too deeply")]
)
def test_what_cannot_be_computed_with_breaks_the_resource(
    view_of: Callable[..., CompiledView], number: str, problem: str
) -> None:
    text = json.dumps(patient({"extension": [{"url": "u", "valueDecimal": 7}]}, ANNA)).replace("7", number)

    with pytest.raises(ViewError, match=problem):
        view_of("name = contact.name").read(text.encode())


def test_views_together_and_apart_compare_the_same() -> None:
    paths = ["name.first() = contact.name", "name.period.start.first()", "name.period = contact.name.period"]
    views = [{"resource": "Patient", "select": [{"column": [{"name": "c", "path": path}]}]} for path in paths]
    given = [json.dumps(patient(ANNA, each)).encode() for each in (ANNA, {"period": {"start": "2010-05"}}, None)]
    together = compile_views(views)

    found: list[list[Json]] = [[] for _ in views]
    for at, row in together.rows(given):
        found[at].append(row)

    assert found == [list(compile_view(view).rows(given)) for view in views]
    assert [row["c"] for row in found[2]] == [True, None, None]


# --- any two elements, against a comparison that knows nothing of types

words = st.sampled_from(["a", "b"])
extensions = st.recursive(
    st.fixed_dictionaries(
        {"url": words}, optional={"valueCode": words, "valueDecimal": st.sampled_from([1, 1.0, 1.5])}
    ),
    lambda inner: st.fixed_dictionaries(
        {"url": words}, optional={"extension": st.lists(inner, max_size=2), "_valueUri": st.just({"id": "i"})}
    ),
    max_leaves=3,
)
companions = st.fixed_dictionaries(
    {}, optional={"id": words, "extension": st.lists(extensions, min_size=1, max_size=1)}
)
names = st.fixed_dictionaries(
    {},
    optional={
        "id": words,
        "extension": st.lists(extensions, max_size=2),
        "family": words | st.none(),
        "_family": companions.filter(bool),
        "given": st.lists(words, max_size=2),
        "period": st.fixed_dictionaries({}, optional={"start": st.sampled_from(["2010", "2011"])}),
    },
)


def sound(json: Any) -> Any:
    """Leave out what stands for nothing."""
    if isinstance(json, list):
        return [sound(each) for each in json]
    if not isinstance(json, dict):
        return json
    return {key: sound(each) for key, each in json.items() if each is not None and each != []}


APART, TOUCHED = (
    compile_view(
        {
            "resource": "Patient",
            "select": [{"column": [{"name": f"c{at}", "path": path} for at, path in enumerate(paths)]}],
        }
    )
    for paths in (
        ["name = contact.name"],
        ["name = contact.name", "name.period.start", "contact.name.extension.value.exists()", "name.given.first()"],
    )
)


@given(names, names, st.booleans())
def test_elements_are_equal_if_their_json_is(name: Json, other: Json, is_same: bool) -> None:
    other = dict(reversed(name.items())) if is_same else other
    given = patient(name, other)

    [(found,)] = APART.read(given)

    assert found is (sound(name) == sound(other))
    assert TOUCHED.read(given)[0][0] is found
