"""Views in one line: `column(path, resource)` compiles one column and reads one resource."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from integration.views import CompiledView, compile_view, compile_views

Json = dict[str, Any]


def _view(path: str, resource: str = "Patient", **more: Any) -> CompiledView:
    column = {"name": "found", "path": path, **more.pop("column", {})}
    return compile_view({"name": "one", "resource": resource, "select": [{"column": [column]}], **more})


@pytest.fixture
def view_of() -> Callable[..., CompiledView]:
    """Compile a view of one column."""
    return _view


@pytest.fixture
def column() -> Callable[..., Any]:
    """Return the value of one FHIRPath on one resource."""

    def value(path: str, resource: Json, **more: Any) -> Any:
        view = _view(path, resource["resourceType"], **more)
        [(found,)] = view.read(json.dumps(resource).encode())
        assert list(view.rows([resource])) == [{"found": found}]
        return found

    return value


@pytest.fixture
def rows_in_every_form() -> Callable[..., list[Json]]:
    """Return a view's rows over resources: the same from dicts and from texts, as rows and as batches."""

    def rows(select: list[Json], *resources: Json, **more: Any) -> list[Json]:
        definition = {"name": "view", "resource": resources[0]["resourceType"], "select": select, **more}
        view, together = compile_view(definition), compile_views([definition, definition])
        texts = [json.dumps(resource) for resource in resources]
        forms: list[list[Any]] = [list(resources), texts, [text.encode() for text in texts]]
        found = list(view.rows(forms[0]))
        for given in forms:
            assert list(view.rows(given)) == found
            assert [row for batch in view.batches(given) for row in batch.to_pylist()] == found
            assert [row for at, row in together.rows(given) if at == 1] == found
            assert [row for at, batch in together.batches(given) if at == 1 for row in batch.to_pylist()] == found
        return found

    return rows
