from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from integration import origin, pipeline, progress
from integration.errors import InputError
from integration.mapping import Mapping
from integration.sources.files import Files
from integration.sources.resource import RawResource, Unreadable

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
FILES = {
    "cohort.csv", "cohort.parquet", "patients.csv", "flow.csv", "responses.csv", "adverse_events.csv", "statistics.csv",
    "rejected.csv", "report.html", "run.json", "outcomes",
}  # fmt: skip


def exported(folder: Path, *resources: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in resources]
    (folder / "export.ndjson").write_bytes(b"\n".join(lines))
    return folder


def job(mapping: Mapping, data: Path) -> pipeline.Job:
    source = Files([data])
    return pipeline.Job(
        source=source, files=list(source.described()), mapping=mapping, site=pipeline.SITE_OF_FILES, now=NOW
    )


def one_patient(fhir: Any) -> list[Any]:
    """In the cohort, improved at one month; a response too short to score, one stopped; one line broken."""
    return [
        fhir.patient(), fhir.condition(), fhir.procedure(), fhir.event(),
        fhir.response("base"), fhir.response("m1", authored="2011-06-09", item=fhir.items([2] * 29)),
        fhir.response("short", authored="2011-08-01", item=fhir.items([2])), fhir.response("stopped", status="stopped"),
        {"resourceType": "Encounter", "id": "n"}, b"{",
    ]  # fmt: skip


class Told(progress.Progress):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.resources = 0

    def step(self, name: str) -> None:
        self.steps.append(name)

    def resource(self, found: RawResource | Unreadable) -> None:
        self.resources += isinstance(found, RawResource | Unreadable)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, default_mapping: Mapping, fhir: Any
) -> tuple[pipeline.Results, Path, Told]:
    folder = tmp_path_factory.mktemp("one")
    told = Told()
    results = pipeline.run(job(default_mapping, exported(folder / "in", *one_patient(fhir))), folder / "out", told)
    return results, folder / "out", told


def record(out: Path) -> Any:
    return json.loads((out / "run.json").read_text(encoding="utf-8"))


def lines(path: Path) -> Iterator[Any]:
    return (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())


def test_every_file_of_the_contract_is_written(finished: Any) -> None:
    _, out, _ = finished

    assert {path.name for path in out.iterdir()} == FILES
    assert {path.name for path in (out / "outcomes").iterdir()} == {
        "Observation.ndjson", "Provenance.ndjson", "Device.ndjson",
    }  # fmt: skip


def test_the_record_says_what_ran_and_what_became_of_everything(finished: Any) -> None:
    _, out, _ = finished

    said = record(out)

    assert said["mapping"] == {"name": "msis29_venoplasty", "version": "1.0.0"}
    assert said["software"] == {"name": "outcome-bridge", "version": origin.software_version()}
    assert (said["started"], said["site"], said["synthetic"]) == ("2026-01-05T12:00:00+00:00", "files", False)
    assert said["balance"] == {
        "input": 10, "accepted": 8, "superseded": 0, "not_read": 1, "rejected": 1, "merged_patients": 0,
    }  # fmt: skip
    assert said["responses"] == {"scored": 2, "status": 1, "too few answers": 1}
    assert said["output"].pop("outcomes") == {"Observation": 9, "Provenance": 3, "Device": 1}
    assert said["output"] == {
        name: len((out / f"{name}.csv").read_text(encoding="utf-8").splitlines()) - 1
        for name in ("cohort", "patients", "flow", "responses", "adverse_events", "statistics")
    }
    assert set(said["seconds"]) >= {"read", "assess", "analyse"}


def test_the_record_names_each_input_file_with_its_hash_and_its_resources(finished: Any) -> None:
    results, out, _ = finished

    (listed,) = record(out)["input"]["files"]

    assert listed["file"].endswith("in/export.ndjson")
    assert len(listed["sha256"]) == 64
    assert sum(listed["resources"].values()) == results.intake.balance["input"] - 1


def test_every_usable_response_becomes_an_outcome_and_no_other(finished: Any) -> None:
    results, out, _ = finished

    responses = {one["derivedFrom"][0]["reference"] for one in lines(out / "outcomes" / "Observation.ndjson")}

    assert {one.response_id for one in results.outcomes()} == {"base", "m1", "short"}
    assert responses == {f"QuestionnaireResponse/{one}" for one in ("base", "m1", "short")}


def test_outcomes_are_built_anew_each_time_and_alike(finished: Any) -> None:
    results, _, _ = finished

    assert list(results.outcomes()) == list(results.outcomes())


def test_each_step_is_told_once_and_each_resource_twice(finished: Any) -> None:
    results, _, told = finished

    assert told.steps == ["read", "assess", "analyse", "write"]
    assert told.resources == 2 * results.intake.balance["input"]
    assert set(results.seconds) == set(told.steps)


def test_the_parquet_file_holds_the_same_cohort(finished: Any) -> None:
    _, out, _ = finished

    csv, parquet = pd.read_csv(out / "cohort.csv"), pd.read_parquet(out / "cohort.parquet")

    assert list(parquet.columns) == list(csv.columns)
    assert parquet["patient_id"].tolist() == csv["patient_id"].tolist()
    assert str(parquet["physical_improved_month_6"].dtype) == "boolean"


@pytest.mark.parametrize("data", [[], [b"\n\n"], [{"resourceType": "Bundle"}]])
def test_no_data_at_all_is_refused(tmp_path: Path, default_mapping: Mapping, data: list[Any]) -> None:
    with pytest.raises(InputError, match=r"export\.ndjson: holds no resource at all"):
        pipeline.run(job(default_mapping, exported(tmp_path / "in", *data)), tmp_path / "out")

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("data", [[b"{"], [{"resourceType": "Encounter"}], [{"resourceType": "Patient", "id": "p"}]])
def test_data_without_a_cohort_finish_with_empty_tables(
    tmp_path: Path, default_mapping: Mapping, data: list[Any]
) -> None:
    results = pipeline.run(job(default_mapping, exported(tmp_path / "in", *data)), tmp_path / "out")

    assert len(results.frames["cohort"]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    assert (tmp_path / "out" / "outcomes" / "Observation.ndjson").read_bytes() == b""


def test_an_output_folder_that_holds_the_input_is_refused_untouched(
    tmp_path: Path, default_mapping: Mapping, fhir: Any
) -> None:
    data = exported(tmp_path / "out", fhir.patient())
    (data / "run.json").write_text("{}")

    with pytest.raises(InputError, match="holds the input"):
        pipeline.run(job(default_mapping, data), data)

    assert (data / "export.ndjson").is_file()


def test_a_foreign_folder_is_refused_before_anything_is_read(
    tmp_path: Path, default_mapping: Mapping, fhir: Any
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.doc").write_text("years of work")
    told = Told()

    with pytest.raises(InputError, match="no run wrote it"):
        pipeline.run(job(default_mapping, exported(tmp_path / "in", fhir.patient())), tmp_path / "out", told)

    assert told.steps == []
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.doc"]


def test_the_site_is_part_of_every_outcomes_identity(tmp_path: Path, default_mapping: Mapping, fhir: Any) -> None:
    data = exported(tmp_path, *one_patient(fhir))
    north, south = (
        pipeline.compute(
            pipeline.Job(source=Files([data]), files=[], mapping=default_mapping, site=site, now=NOW),
            progress.Progress(),
        )
        for site in ("north", "south")
    )

    ids = [{one.panel["id"] for one in results.outcomes()} for results in (north, south)]

    assert len(ids[0] | ids[1]) == 6
