"""Several views in one pass give what each gives by itself."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from integration.errors import ViewError
from integration.views import CompiledViews, compile_view, compile_views


def view(resource: str, *paths: str, **more: Any) -> dict[str, Any]:
    columns = [{"name": f"c{at}", "path": path} for at, path in enumerate(paths)]
    return {"name": f"{resource} {paths}", "resource": resource, "select": [{"column": columns}], **more}


VIEWS = [
    view("Patient", "id", "name.family.first()"),
    view("Patient", "id", "birthDate", "multipleBirth.exists()", where=[{"path": "active"}]),
    view("Observation", "id", "value.ofType(Quantity).value"),
    view("Patient", "name.given.first()", "multipleBirth.ofType(integer)", "gender"),
]
RESOURCES = [
    {"resourceType": "Patient", "id": "p1", "active": True, "name": [{"family": "A", "given": ["B"]}]},
    {"resourceType": "Observation", "id": "o1", "valueQuantity": {"value": 1.5}},
    {"resourceType": "Patient", "id": "p2", "gender": "female", "multipleBirthInteger": 2, "birthDate": "2000"},
    {"resourceType": "Device", "id": 3},
    {"resourceType": "Patient", "id": "p3", "active": True, "multipleBirthBoolean": True},
]


@pytest.fixture(scope="module")
def together() -> CompiledViews:
    return compile_views(VIEWS)


def by_view(found: Any) -> list[list[Any]]:
    rows: list[list[Any]] = [[] for _ in VIEWS]
    for at, row in found:
        rows[at].append(row)
    return rows


@pytest.mark.parametrize("form", ["dicts", "bytes"])
def test_together_views_give_what_each_gives_alone(together: CompiledViews, form: str) -> None:
    given: list[Any] = [json.dumps(each).encode() if form == "bytes" else each for each in RESOURCES]
    alone = [list(compile_view(each).rows(given)) for each in VIEWS]

    batches = [(at, row) for at, batch in together.batches(given) for row in batch.to_pylist()]

    assert by_view(together.rows(given)) == alone
    assert by_view(batches) == alone


def test_a_view_is_not_broken_by_what_only_another_one_reads(together: CompiledViews) -> None:
    odd = {"resourceType": "Patient", "id": "p4", "active": True, "name": "none", "gender": 3}
    errors: list[ViewError] = []

    found = list(together.batches([json.dumps(odd).encode()], on_error=errors.append))

    assert [(at, batch.num_rows) for at, batch in found] == [(1, 1)]
    assert [(error.view, error.path) for error in errors] == [(VIEWS[0]["name"], "name"), (VIEWS[3]["name"], "name")]
    with pytest.raises(ViewError):
        together.read(odd)


def test_a_number_too_large_breaks_one_view_only() -> None:
    some = compile_views([view("Observation", "value.ofType(Quantity).value"), view("Observation", "id")])
    errors: list[ViewError] = []
    lines = [
        b'{"resourceType":"Observation","id":"o%d","valueQuantity":{"value":%s}}' % pair for pair in [(1, b"1e99")]
    ]

    found = {at: batch.to_pylist() for at, batch in some.batches(lines, on_error=errors.append)}

    assert found == {1: [{"c0": "o1"}]}
    assert [error.reference for error in errors] == ["Observation/o1"]


def test_broken_text_is_said_once_a_view_and_blank_lines_are_nothing(together: CompiledViews) -> None:
    errors: list[ViewError] = []

    assert list(together.batches([b"{", b"", b" \n"], on_error=errors.append)) == []
    assert len(errors) == len(VIEWS)


def test_together_views_pickle(together: CompiledViews) -> None:
    again = pickle.loads(pickle.dumps(together))

    assert again.read(RESOURCES[0]) == together.read(RESOURCES[0])
