"""A view's work shared among processes gives what one process gives."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow.parquet
import pytest

from integration.sources.files import Files
from integration.views import compile_view
from server import view_jobs, view_rows

VIEW = compile_view(
    {
        "name": "names",
        "resource": "Patient",
        "select": [
            {"column": [{"name": "id", "path": "getResourceKey()"}]},
            {"forEach": "name", "column": [{"name": "family", "path": "family"}]},
        ],
    }
)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """Some files with broken lines among 600, and parts so small that each file has several."""
    monkeypatch.setattr(view_jobs, "SMALLEST_PART_BYTES", 4_000)
    monkeypatch.setattr(view_jobs, "LARGEST_PART_BYTES", 4_000)
    for name in ("a", "b"):
        lines = [_line(f"{name}{number}", number) for number in range(300)]
        (tmp_path / f"{name}.ndjson").write_text("\n".join(lines))
    lines = [_line(f"c{number}", number) for number in range(300)]
    (tmp_path / "c.ndjson.gz").write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    return Files([tmp_path])


def _line(key: str, number: int) -> str:
    if number % 50 == 49:
        return json.dumps({"resourceType": "Patient", "id": key, "name": {}}) if number % 100 == 99 else "{"
    names = [{"family": f"Family {at}"} for at in range(number % 4)]
    return json.dumps({"resourceType": "Patient", "id": key, "name": names}) if number % 7 else ""


def test_two_processes_write_the_rows_of_one_in_the_same_order(source: Files, tmp_path: Path) -> None:
    one: list[view_rows.Rejection] = []
    two: list[view_rows.Rejection] = []
    view_rows.write(VIEW, source, "csv", tmp_path / "one.csv", one.append)
    view_jobs.write(VIEW, source, "csv", tmp_path / "two.csv", 2, two.append)

    assert (tmp_path / "two.csv").read_bytes() == (tmp_path / "one.csv").read_bytes()
    assert two == one
    assert [each.line for each in two] == [50, 100, 150, 200, 250, 300] * 3
    assert str(two[1]) == f"{source.paths[0]}:100: Patient/a99: name: Expected `array`, got `object`"


@pytest.mark.parametrize("form", ["ndjson", "parquet"])
def test_two_processes_write_every_form(source: Files, tmp_path: Path, form: view_rows.Form) -> None:
    paths = [tmp_path / f"{name}.{form}.out" for name in ("one", "two")]

    one: list[view_rows.Rejection] = []
    two: list[view_rows.Rejection] = []
    view_rows.write(VIEW, source, form, paths[0], one.append)
    view_jobs.write(VIEW, source, form, paths[1], 2, two.append)

    assert one == two
    if form == "ndjson":
        assert paths[1].read_bytes() == paths[0].read_bytes()
    else:
        first, second = (pyarrow.parquet.read_table(path) for path in paths)
        assert first.num_rows > 100
        assert second.equals(first)
