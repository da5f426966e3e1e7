"""Whatever stands in a resource, a view gives its rows or a ViewError, and never repeats what stands there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from integration.errors import ViewError
from integration.views import compile_view, compile_views

Json = dict[str, Any]
Place = tuple[str | int, ...]

SECRET = "Anna Meier"
PATHS = {
    "elements": "name.first() = contact.name.first()",
    "resources": "contained.first() = contained.last()",
    "quantity": "extension.where(value.ofType(Quantity) = 5 'mg').url.first()",
    "inner": "contained.ofType(Observation).value.ofType(Quantity).value.first()",
    "computed": "extension.value.ofType(decimal).first() * 2 / 3",
    "rest": "extension.value.ofType(decimal).first() mod 7",
    "bounds": "extension.value.ofType(decimal).first().highBoundary()",
    "day": "birthDate.lowBoundary()",
    "instant": "deceased.ofType(dateTime).highBoundary()",
    "before": "birthDate < @2000-01-01T00:00:00Z",
    "same": "birthDate = deceased.ofType(dateTime)",
    "time": "extension.value.ofType(time).first() = @T10:00",
    "key": "generalPractitioner.first().getReferenceKey(Practitioner)",
    "joined": "name.given.join(',')",
    "birth": "multipleBirth.ofType(integer) + 1",
    "there": "multipleBirth.exists() and name.exists(family = 'A')",
}
PATIENT: Json = {
    "resourceType": "Patient",
    "id": "p1",
    "name": [{"family": "A", "given": ["b", None], "_given": [None, {"id": "1"}], "period": {"start": "2010"}}],
    "contact": [{"name": {"family": "A", "text": SECRET}}],
    "birthDate": "1970-06",
    "deceasedDateTime": "2020-01-01T00:00:00+02:00",
    "multipleBirthInteger": 2,
    "extension": [
        {"url": "u", "valueDecimal": 1.5},
        {"url": "v", "valueQuantity": {"value": 5, "code": "mg", "system": "http://unitsofmeasure.org"}},
        {"url": "w", "valueTime": "10:00:00"},
    ],
    "generalPractitioner": [{"reference": "Practitioner/1"}],
    "contained": [{"resourceType": "Observation", "valueQuantity": {"value": 1.0}}, {"resourceType": "Organization"}],
}
DATES = ["2020-13", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2020", "24:00:00", "10:30", "T10"]
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    2**31,
    10**25,
    1.5,
    "",
    SECRET,
    *DATES,
    [],
    {},
    [None],
    [[]],
    {"resourceType": SECRET},
]
TEXTS = [b"1e999999999", b"1e99999999999999999999", b"-0", b"9" * 5000, b"1e-999999999", b"NaN", b"01", b'"\\ud800"']
VIEWS = [
    {"name": name, "resource": "Patient", "select": [{"column": [{"name": name, "path": path}]}]}
    for name, path in PATHS.items()
]
APART, TOGETHER = [compile_view(view) for view in VIEWS], compile_views(VIEWS)


def places(json: Any, here: Place = ()) -> Iterator[Place]:
    """Yield where anything stands in a resource."""
    below = json.items() if isinstance(json, dict) else enumerate(json) if isinstance(json, list) else ()
    for key, child in below:
        yield (*here, key)
        yield from places(child, (*here, key))


def replaced(json: Any, place: Place, new: bytes) -> bytes:
    """Return a resource as text, with something else in one place."""
    if not place:
        return new
    items = list(json.items()) if isinstance(json, dict) else list(enumerate(json))
    texts = [(key, replaced(child, place[1:], new) if key == place[0] else json_text(child)) for key, child in items]
    if isinstance(json, dict):
        return b"{" + b",".join(json_text(key) + b":" + text for key, text in texts) + b"}"
    return b"[" + b",".join(text for _, text in texts) + b"]"


def json_text(value: Any) -> bytes:
    return json.dumps(value).encode()


broken = st.builds(
    replaced,
    st.just(PATIENT),
    st.sampled_from(list(places(PATIENT))),
    st.sampled_from([json_text(value) for value in VALUES] + TEXTS) | st.binary(max_size=3),
)


@settings(max_examples=150, deadline=None)
@given(broken)
def test_anything_gives_rows_or_an_error_that_does_not_repeat_it(text: bytes) -> None:
    for view in APART:
        errors: list[ViewError] = []

        rows = list(view.rows([text], on_error=errors.append))
        batches = [row for batch in view.batches([text], on_error=errors.append) for row in batch.to_pylist()]

        event("rows" if rows else "rejected" if errors else "skipped")
        assert batches in (rows, [])
        assert bool(batches) is bool(rows) or errors, "a number may fit no Arrow column, but that is said"
        assert SECRET not in "".join(map(str, errors))


@settings(max_examples=50, deadline=None)
@given(broken)
def test_a_view_among_others_rejects_what_it_rejects_alone(text: bytes) -> None:
    together: list[ViewError] = []
    alone: list[ViewError] = []

    found = {at: batch.to_pylist() for at, batch in TOGETHER.batches([text], on_error=together.append)}
    expected = {at: [*view.batches([text], on_error=alone.append)] for at, view in enumerate(APART)}

    assert found == {at: batches[0].to_pylist() for at, batches in expected.items() if batches}
    assert [(each.view, each.reference, each.path) for each in together] == [
        (each.view, each.reference, each.path) for each in alone
    ]
