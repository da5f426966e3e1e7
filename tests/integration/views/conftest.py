"""Views in one line: `column(path, resource)` compiles one column and reads one resource."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from integration.views import CompiledView, compile_view

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
