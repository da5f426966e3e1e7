"""A compiled view runs under Spark's `mapInArrow`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from integration.views import compile_view

VIEW = {
    "resource": "Patient",
    "select": [
        {"column": [{"name": "id", "path": "id"}]},
        {"forEach": "name", "column": [{"name": "family", "path": "family"}]},
    ],
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_a_view_gives_the_same_rows_under_spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    patients = [
        {"resourceType": "Patient", "id": f"p{number}", "name": [{"family": f"F{at}"} for at in range(number % 3)]}
        for number in range(100)
    ]
    file = tmp_path / "patients.ndjson"
    file.write_text("\n".join(map(json.dumps, patients)))
    view = compile_view(VIEW)
    session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        found = session.read.text(str(file)).mapInArrow(view.over_arrow, from_arrow_schema(view.schema)).collect()
    finally:
        session.stop()

    expected = [tuple(row.values()) for row in view.rows(patients)]
    assert sorted(map(tuple, found)) == sorted(expected)
