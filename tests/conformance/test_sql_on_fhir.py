"""The official SQL on FHIR test suite (FHIR/sql-on-fhir-v2), every test as dicts and as bytes, and its report."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _module() -> ModuleType:
    """Load the script beside this file: tests are no package."""
    spec = importlib.util.spec_from_file_location("sql_on_fhir", Path(__file__).with_name("sql_on_fhir.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sql_on_fhir = _module()


def _cases() -> Iterator[Any]:
    for file in sorted(sql_on_fhir.SUITE.glob("*.json")):
        suite = json.loads(file.read_text())
        for test in suite["tests"]:
            yield pytest.param(suite["resources"], test, id=f"{file.stem}: {test['title']}")


CASES = list(_cases())
needs_suite = pytest.mark.skipif(not CASES, reason=f"the SQL on FHIR suite is not in {sql_on_fhir.SUITE}")


@needs_suite
def test_the_suite_is_whole() -> None:
    assert len(CASES) == 134


@needs_suite
@pytest.mark.parametrize(("form", "version"), [("dicts", "4.0.1"), ("bytes", "4.0.1"), ("bytes", "5.0.0")])
@pytest.mark.parametrize(("resources", "case"), CASES)
def test_the_official_suite_passes(resources: list[Any], case: dict[str, Any], form: str, version: str) -> None:
    assert sql_on_fhir.passes(resources, case, form, version)


@needs_suite
def test_the_written_report_is_that_of_this_program() -> None:
    assert sql_on_fhir.REPORT.read_text(encoding="utf-8") == sql_on_fhir.written(sql_on_fhir.report())


def test_the_written_report_says_that_all_pass_in_the_suites_format() -> None:
    report = json.loads(sql_on_fhir.REPORT.read_text(encoding="utf-8"))

    results = [test for file in report.values() for test in file["tests"]]

    assert len(results) == 134
    assert all(isinstance(test["name"], str) and test["result"] == {"passed": True} for test in results)
