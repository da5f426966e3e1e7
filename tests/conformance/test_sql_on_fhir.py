"""The official SQL on FHIR test suite (FHIR/sql-on-fhir-v2), every test as dicts and as bytes."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from integration.views import ViewError, compile_view

SUITE = pathlib.Path(__file__).parents[3] / "shared" / "conformance" / "sql-on-fhir"


def _cases() -> Iterator[Any]:
    for file in sorted(SUITE.glob("*.json")):
        suite = json.loads(file.read_text())
        for test in suite["tests"]:
            yield pytest.param(suite["resources"], test, id=f"{file.stem}: {test['title']}")


CASES = list(_cases())
needs_suite = pytest.mark.skipif(not CASES, reason=f"the SQL on FHIR suite is not in {SUITE}")


@needs_suite
def test_the_suite_is_whole() -> None:
    assert len(CASES) == 134


@needs_suite
@pytest.mark.parametrize(("form", "version"), [("dicts", "4.0.1"), ("bytes", "4.0.1"), ("bytes", "5.0.0")])
@pytest.mark.parametrize(("resources", "case"), CASES)
def test_the_official_suite_passes(resources: list[Any], case: dict[str, Any], form: str, version: str) -> None:
    given = [json.dumps(resource).encode() for resource in resources] if form == "bytes" else resources

    if case.get("expectError"):
        with pytest.raises(ViewError):
            list(compile_view(case["view"], version).rows(given))
        return
    view = compile_view(case["view"], version)
    rows = list(view.rows(given))

    if "expectColumns" in case:
        assert list(view.columns) == case["expectColumns"]
    assert [row for batch in view.batches(given) for row in batch.to_pylist()] == rows
    assert sorted(map(_comparable, rows)) == sorted(map(_comparable, case["expect"]))


def _comparable(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True, default=_number)


def _number(value: object) -> float | int:
    assert isinstance(value, Decimal)
    return int(value) if value == value.to_integral_value() else float(value)
