"""A view's rows as files: what stands in a resource reaches a cell and does nothing there."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet
import pytest

from integration.sources.files import Files
from integration.views import compile_view
from server import view_jobs, view_rows

FAMILIES = ["=HYPERLINK(1)", "+1", "@SUM(A1)", "\t=1", "\r=1", "-1", "a\rb", "a\r\nb", 'a,"b"', "a\nb", "plain"]
VIEW = compile_view(
    {
        "name": "names",
        "resource": "Patient",
        "select": [
            {
                "column": [
                    {"name": "family", "path": "name.family.first()"},
                    {"name": "given", "path": "name.given", "collection": True},
                ]
            }
        ],
    }
)


@pytest.fixture
def source(tmp_path: Path) -> Files:
    """One patient for each family name, which is the given name, too."""
    lines = [json.dumps({"resourceType": "Patient", "name": [{"family": each, "given": [each]}]}) for each in FAMILIES]
    (tmp_path / "patients.ndjson").write_text("\n".join(lines))
    return Files([tmp_path / "patients.ndjson"])


@pytest.mark.parametrize("jobs", [1, 2])
def test_csv_holds_no_formula_and_quotes_carriage_returns(source: Files, tmp_path: Path, jobs: int) -> None:
    to = tmp_path / "rows.csv"

    rejected: list[view_rows.Rejection] = []
    if jobs > 1:
        view_jobs.write(VIEW, source, "csv", to, 2, rejected.append)
    else:
        view_rows.write(VIEW, source, "csv", to, rejected.append)

    with to.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert rejected == []
    assert header == ["family", "given"]
    assert [row[0] for row in rows] == [f"'{each}" if each[0] in "=+@\t\r" else each for each in FAMILIES]
    assert [json.loads(row[1]) for row in rows] == [[each] for each in FAMILIES]
    assert b'\n"a\rb",' in to.read_bytes()
    assert to.read_bytes().count(b"\n") == 1 + len(rows) + sum("\n" in each for each in FAMILIES)


def test_other_forms_hold_texts_as_they_are(source: Files, tmp_path: Path) -> None:
    lines, table = tmp_path / "rows.ndjson", tmp_path / "rows.parquet"

    rejected: list[view_rows.Rejection] = []
    view_rows.write(VIEW, source, "ndjson", lines, rejected.append)
    view_rows.write(VIEW, source, "parquet", table, rejected.append)
    assert rejected == []

    assert [json.loads(line)["family"] for line in lines.read_bytes().splitlines()] == FAMILIES
    assert pyarrow.parquet.read_table(table).column("family").to_pylist() == FAMILIES
