"""The official SQL on FHIR test suite: where it lies, how one of its tests is run, and the report of a whole run.

    python tests/conformance/sql_on_fhir.py

runs all of it, as dicts and as bytes, and writes `test_report.json` beside this file, in the format that the suite
asks of implementations: https://github.com/FHIR/sql-on-fhir-v2/blob/master/test_report/test-report.schema.json
"""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from integration.views import ViewError, compile_view

SUITE = Path(__file__).parents[3] / "shared" / "conformance" / "sql-on-fhir"
REPORT = Path(__file__).with_name("test_report.json")
Json = dict[str, Any]


def report() -> Json:
    """Run the suite and return the report: by file, each test and whether it passed in both forms."""
    return {file.name: {"tests": _results(json.loads(file.read_text()))} for file in sorted(SUITE.glob("*.json"))}


def written(found: Json) -> str:
    """Return a report as its file holds it."""
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _results(suite: Json) -> list[Json]:
    return [
        {
            "name": test["title"],
            "result": {"passed": all(passes(suite["resources"], test, form) for form in ("dicts", "bytes"))},
        }
        for test in suite["tests"]
    ]


def passes(resources: list[Json], test: Json, form: str, version: str = "4.0.1") -> bool:
    """Run one test of the suite on dicts or on bytes."""
    given = [json.dumps(resource).encode() for resource in resources] if form == "bytes" else resources
    try:
        view = compile_view(test["view"], version)
        rows = list(view.rows(given))
    except ViewError:
        return bool(test.get("expectError"))
    if test.get("expectError") or view.columns != test.get("expectColumns", view.columns):
        return False
    is_alike = [row for batch in view.batches(given) for row in batch.to_pylist()] == rows
    return is_alike and sorted(map(_comparable, rows)) == sorted(map(_comparable, test["expect"]))


def _comparable(row: Json) -> str:
    return json.dumps(row, sort_keys=True, default=_number)


def _number(value: object) -> float | int:
    assert isinstance(value, Decimal)
    return int(value) if value == value.to_integral_value() else float(value)


def main() -> None:
    """Write the report, and say how many tests passed."""
    found = report()
    REPORT.write_text(written(found), encoding="utf-8")
    results = [test["result"]["passed"] for file in found.values() for test in file["tests"]]
    print(f"{sum(results)} of {len(results)} tests passed")
    sys.exit(not results or not all(results))


if __name__ == "__main__":
    main()
