"""The default study on the synthetic export, held against expectations that were made without the product."""

from __future__ import annotations

import csv
import gzip
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from integration import cohort, intake, mapping, pipeline, tables
from integration.errors import InputError
from integration.records import WITHOUT_OUTCOME
from integration.sources.files import Files

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
EXPORT, EXPECTED = FIXTURES / "export", FIXTURES / "expected"
NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
Table = dict[str, dict[str, str]]


def run(data: Path, out: Path, study: mapping.Mapping) -> pipeline.Results:
    source = Files([data])
    job = pipeline.Job(
        source=source, files=list(source.described()), mapping=study, site=pipeline.SITE_OF_FILES, now=NOW
    )
    return pipeline.run(job, out)


@pytest.fixture(scope="session")
def study() -> mapping.Mapping:
    return mapping.load()


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory, study: mapping.Mapping) -> Path:
    """What one run on the whole export wrote."""
    folder = tmp_path_factory.mktemp("default_study") / "out"
    run(EXPORT, folder, study)
    return folder


@pytest.fixture(scope="session")
def figures() -> Any:
    return json.loads((EXPECTED / "figures.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def statistics(out: Path) -> list[dict[str, str]]:
    return rows(out / "statistics.csv")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def table(path: Path, key: str, columns: set[str] | None = None) -> Table:
    found = rows(path)
    by_key = {
        row[key]: {name: cell for name, cell in row.items() if columns is None or name in columns} for row in found
    }
    assert len(by_key) == len(found)
    return by_key


def columns_of(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as stream:
        return next(csv.reader(stream))


def ndjson(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# Each file against what is expected


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("cohort.csv", "patient_id"),
        ("patients.csv", "patient_id"),
        ("flow.csv", "step"),
        ("adverse_events.csv", "resource"),
    ],
)
def test_every_expected_cell_is_found(out: Path, name: str, key: str) -> None:
    expected = table(EXPECTED / name, key)

    assert expected
    assert table(out / name, key, set(columns_of(EXPECTED / name))) == expected


def test_every_response_is_found_with_its_score_or_its_reason(out: Path) -> None:
    """Of a response that was not scored at all, only the reason is expected to agree."""
    expected = table(EXPECTED / "responses.csv", "response_id")
    found = table(out / "responses.csv", "response_id", set(columns_of(EXPECTED / "responses.csv")))

    assert {one: row["reason"] for one, row in found.items()} == {one: row["reason"] for one, row in expected.items()}
    scored = {one: row for one, row in expected.items() if row["reason"] in ("", "too few answers")}
    assert scored
    assert {one: found[one] for one in scored} == scored


KINDS = {
    r"not JSON": "broken JSON",
    r"not a FHIR resource: .*": "not a resource",
    r"resource type that no FHIR release knows": "unknown resource type",
    r"(unknown patient|no subject|partial date)": r"\1",
    r"undeclared (modifierExtension|implicitRules)": r"\1",
    r"Expected .*, got .*": "wrong type",
}
"""The product's wording of a problem to the kind of mess that was put into the export."""


def kind(problem: str) -> str:
    for wording, name in KINDS.items():
        if found := re.fullmatch(wording, problem):
            return found.expand(name)
    return problem


def rejected_where(row: dict[str, str]) -> tuple[str, str, str, str, str]:
    file = Path(row["file"]).relative_to(EXPORT).as_posix()
    entry = re.match(r"entry\[(\d+)\]", row["path"])
    line = "" if file.endswith(".json") else row["line"]
    return file, line, entry.group(1) if entry else "", row["resource"], kind(row["problem"])


def test_every_rejection_is_found_with_file_line_resource_and_kind_of_problem(out: Path) -> None:
    expected = [
        (row["file"], row["line"], row["entry"], row["resource"], row["problem"])
        for row in rows(EXPECTED / "rejected.csv")
    ]

    assert expected
    assert Counter(map(rejected_where, rows(out / "rejected.csv"))) == Counter(expected)


# The abstract's figures


@pytest.mark.parametrize(
    ("visit", "scale", "improved", "of"),
    [
        ("month_1", "physical", 159, 234), ("month_1", "psychological", 124, 234),
        ("month_6", "physical", 128, 239), ("month_6", "psychological", 106, 239),
    ],
)  # fmt: skip
def test_as_many_improved_as_one_reading_of_the_abstract_says(
    statistics: list[dict[str, str]], visit: str, scale: str, improved: int, of: int
) -> None:
    """67.9, 53.0, 53.6 and 44.4 %: Hubbard et al., J Vasc Interv Radiol 2012;23:1302-1308."""
    wanted = {
        "analysis": "improvement_rate", "scale": scale, "visit": visit, "group": "", "responder": "any_decrease",
        "category": "improved", "statistic": "rate", "denominator_kind": "with_change",
    }  # fmt: skip

    (row,) = [row for row in statistics if wanted.items() <= row.items()]

    assert (float(row["numerator"]), float(row["denominator"])) == (improved, of)
    assert float(row["value"]) == improved / of
    assert float(row["ci_low"]) < improved / of < float(row["ci_high"])


def test_the_cohort_is_as_large_as_the_abstracts(out: Path) -> None:
    assert len(rows(out / "cohort.csv")) == 259


@pytest.mark.parametrize(
    ("column", "value", "count"),
    [("retreated", "true", 15), ("stent", "true", 6), ("serious_adverse_event", "true", 1)],
)
def test_retreatments_stents_and_serious_events_are_the_abstracts(
    out: Path, column: str, value: str, count: int
) -> None:
    assert sum(row[column] == value for row in rows(out / "cohort.csv")) == count


def test_all_four_changes_are_unlikely_by_chance(statistics: list[dict[str, str]]) -> None:
    """P < .01 in the abstract."""
    tests = [row for row in statistics if row["analysis"] == "change" and row["statistic"] == "wilcoxon_w"]

    assert len(tests) == 4
    assert max(float(row["p_value"]) for row in tests) < 0.01


# Counts


def test_the_counts_agree_with_the_expected_figures(out: Path, figures: Any) -> None:
    cohort_rows, flow = rows(out / "cohort.csv"), rows(out / "flow.csv")

    assert len(rows(out / "patients.csv")) == figures["patients"]
    assert {row["criterion"]: int(row["excluded"]) for row in flow} == figures["excluded"]
    for column in ("sex", "ms_type", "vein_sites"):
        assert Counter(row[column] for row in cohort_rows) == figures[column]
    assert sum(row["imaging_before"] == "true" for row in cohort_rows) == figures["imaging_before"]
    assert sum(int(row["sessions"]) for row in cohort_rows) == figures["sessions"]
    assert len(rows(out / "adverse_events.csv")) == figures["adverse_events"]


@pytest.mark.parametrize("visit", ["month_1", "month_6"])
def test_those_seen_and_those_with_a_change_agree_with_the_expected_figures(
    out: Path, figures: Any, visit: str
) -> None:
    found = rows(out / "cohort.csv")

    assert sum(bool(row[f"{visit}_date"]) for row in found) == figures["seen"][visit]
    for scale, expected in figures["change"][visit].items():
        changes = [float(row[f"{scale}_change_{visit}"]) for row in found if row[f"{scale}_change_{visit}"]]
        assert {
            "with_change": len(changes),
            "improved": sum(one < 0 for one in changes),
            "unchanged": sum(one == 0 for one in changes),
            "worsened": sum(one > 0 for one in changes),
        } == expected


def test_the_flow_reconciles_with_patients_and_cohort_to_the_last_one(out: Path) -> None:
    flow, patients = rows(out / "flow.csv"), rows(out / "patients.csv")

    left = len(patients)
    for step in flow:
        excluded = sum(row["criterion"] == step["criterion"] for row in patients)
        assert (int(step["patients_in"]), int(step["excluded"]), int(step["patients_out"])) == (
            left, excluded, left - excluded,
        )  # fmt: skip
        left -= excluded
    assert left == len(rows(out / "cohort.csv")) == sum(row["included"] == "true" for row in patients)


def test_the_record_balances_and_counts_what_was_put_in(out: Path, figures: Any) -> None:
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    balance, by_file = record["balance"], record["input"]["files"]

    assert balance["input"] == sum(balance[part] for part in ("accepted", "superseded", "not_read", "rejected"))
    assert balance["rejected"] == len(rows(out / "rejected.csv"))
    known = {
        kind: count for kind, count in record["input"]["resources"].items() if kind in figures["input"]["resources"]
    }
    assert known == figures["input"]["resources"]
    counted = {Path(one["file"]).relative_to(EXPORT).as_posix(): one["resources"] for one in by_file}
    assert {file: sum(kinds.values()) for file, kinds in counted.items()} == figures["input"]["resources_by_file"]
    assert record["responses"] == figures["responses_by_reason"]
    assert record["synthetic"] is True


# Outcome resources


@pytest.fixture(scope="session")
def observations(out: Path) -> list[Any]:
    return ndjson(out / "outcomes" / "Observation.ndjson")


def test_every_usable_response_has_a_panel_two_scores_and_a_provenance(
    out: Path, observations: list[Any], figures: Any
) -> None:
    reasons = figures["responses_by_reason"]
    usable = sum(count for reason, count in reasons.items() if reason not in WITHOUT_OUTCOME)

    assert len(observations) == 3 * usable
    assert len(ndjson(out / "outcomes" / "Provenance.ndjson")) == usable
    assert len(ndjson(out / "outcomes" / "Device.ndjson")) == 1


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for part in value.values():
            yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


OF_THE_CHART = ("Encounter", "RelatedPerson", "Practitioner", "PractitionerRole")
"""What the chart's own references may name, and a run never reads."""


def test_every_reference_leads_to_something_in_the_run(out: Path, observations: list[Any]) -> None:
    provenances, devices = ndjson(out / "outcomes" / "Provenance.ndjson"), ndjson(out / "outcomes" / "Device.ndjson")
    written = {f"{one['resourceType']}/{one['id']}" for one in (*observations, *provenances, *devices)}
    read = {f"QuestionnaireResponse/{row['response_id']}" for row in rows(out / "responses.csv")}
    people = {f"Patient/{row['patient_id']}" for row in rows(out / "patients.csv")}

    named = {
        one.partition("/_history/")[0] for resource in (*observations, *provenances) for one in references(resource)
    }

    assert {one for one in named if one.partition("/")[0] not in OF_THE_CHART} <= written | read | people


def test_panels_have_their_two_scores_and_every_observation_is_vouched_for(out: Path, observations: list[Any]) -> None:
    ids = {one["id"] for one in observations}
    members = [part["reference"] for one in observations for part in one.get("hasMember", ())]
    targets = [part["reference"] for one in ndjson(out / "outcomes" / "Provenance.ndjson") for part in one["target"]]

    assert len(ids) == len(observations)
    assert len(members) == len(set(members)) == 2 * len(observations) // 3
    assert sorted(targets) == sorted(f"Observation/{one}" for one in ids)


def test_the_scores_in_the_outcomes_are_those_in_the_table(out: Path, observations: list[Any]) -> None:
    found: dict[tuple[str, str], float] = {}
    for one in observations:
        if "valueQuantity" in one:
            response = one["derivedFrom"][0]["reference"].partition("/")[2]
            found[response, one["code"]["coding"][0]["code"].partition("-")[0]] = one["valueQuantity"]["value"]

    expected = {
        (row["response_id"], scale): float(row[f"{scale}_score"])
        for row in rows(out / "responses.csv")
        for scale in ("physical", "psychological")
        if row[f"{scale}_score"]
    }
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=0.01)


# The contract of the files


COLUMNS = {
    "cohort.csv": (
        "patient_id sex age_at_procedure ms_type procedure_date vein_sites stent imaging_before retreated "
        "retreatment_days serious_adverse_event baseline_date physical_baseline psychological_baseline month_1_date "
        "physical_month_1 psychological_month_1 month_6_date physical_month_6 psychological_month_6 "
        "physical_change_month_1 psychological_change_month_1 physical_improved_month_1 psychological_improved_month_1 "
        "physical_change_month_6 psychological_change_month_6 physical_improved_month_6 psychological_improved_month_6"
    ),
    "patients.csv": "patient_id included criterion detail resource",
    "flow.csv": "step criterion patients_in excluded patients_out",
    "responses.csv": (
        "response_id patient_id authored status visit questionnaire instrument_version "
        "physical_answered physical_raw physical_score "
        "psychological_answered psychological_raw psychological_score reason"
    ),
    "adverse_events.csv": ("patient_id resource code date days_from_procedure seriousness severity outcome linked_by"),
    "statistics.csv": (
        "analysis scale visit group responder category statistic value ci_low ci_high numerator denominator "
        "denominator_kind n p_value p_adjusted method"
    ),
    "rejected.csv": "file line resource path problem",
}


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_each_table_has_its_columns(out: Path, name: str) -> None:
    found = columns_of(out / name)

    assert set(found) >= set(COLUMNS[name].split())
    assert len(found) == len(set(found))


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_each_table_is_written_as_the_contract_says(out: Path, name: str) -> None:
    cells = {cell for row in rows(out / name) for column, cell in row.items() if column not in ("method", "problem")}

    assert not cells & {"True", "False", "None", "nan", "NaN", "NaT", "<NA>", "null"}
    (out / name).read_bytes().decode("utf-8")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("cohort.csv", "patient_id"),
        ("patients.csv", "patient_id"),
        ("responses.csv", "response_id"),
        ("adverse_events.csv", "resource"),
    ],
)
def test_tables_are_sorted_by_id(out: Path, name: str, key: str) -> None:
    ids = [row[key] for row in rows(out / name)]

    assert ids == sorted(ids)


def test_dates_are_iso_dates(out: Path) -> None:
    for row in rows(out / "cohort.csv"):
        for name in ("procedure_date", "baseline_date", "month_1_date", "month_6_date"):
            assert not row[name] or date.fromisoformat(row[name]).isoformat() == row[name]


def test_resource_columns_hold_type_and_id(out: Path) -> None:
    found = {row["resource"] for name in ("patients.csv", "adverse_events.csv") for row in rows(out / name)}

    assert [one for one in found if one and not re.fullmatch(r"[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}", one)] == []


def test_included_patients_have_no_criterion_and_others_have_one(out: Path) -> None:
    for row in rows(out / "patients.csv"):
        assert (row["included"] == "true") is (row["criterion"] == "")


def test_the_parquet_file_holds_the_cohort(out: Path) -> None:
    csv_ids = [row["patient_id"] for row in rows(out / "cohort.csv")]

    assert pd.read_parquet(out / "cohort.parquet")["patient_id"].tolist() == csv_ids


def test_the_report_is_there_says_synthetic_and_needs_no_network(out: Path) -> None:
    page = (out / "report.html").read_text(encoding="utf-8")

    assert "synthetic" in page.lower()
    assert "259" in page
    assert not re.findall(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["']?(?:https?:)?//""", page)


def test_no_rejection_shows_a_name_or_a_birth_date(out: Path) -> None:
    people = [
        json.loads(line)
        for line in (EXPORT / "Patient.ndjson").read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]
    values = {one.get("birthDate") for one in people} | {
        name.get(part) for one in people for name in one.get("name", ()) for part in ("text", "family")
    }
    text = (out / "rejected.csv").read_text(encoding="utf-8")

    assert len(values) > 100
    assert [value for value in values if value and value in text] == []


# The same data in another form


def lines(path: Path) -> list[bytes]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return content.split(b"\n")


def of_export(pattern: str) -> list[Path]:
    return sorted(EXPORT.rglob(pattern), key=lambda path: path.as_posix())


def in_another_order(folder: Path) -> None:
    """Other names, so that kinds of resources come in another order; those of one kind stay in theirs."""
    for number, path in enumerate(of_export("*.ndjson*")):
        kind_of_file = path.name.partition(".")[0]
        rank = 100 - [one.partition(".")[0] for one in sorted(p.name for p in of_export("*.ndjson*"))].index(
            kind_of_file
        )
        shutil.copy(path, folder / f"{rank:03}-{number:03}-{path.name}")
    shutil.copytree(EXPORT / "transfers", folder / "transfers")


def split_otherwise(folder: Path) -> None:
    for path in of_export("*.ndjson*"):
        found = lines(path)
        for start in range(0, len(found), 97):
            (folder / f"{path.name.partition('.ndjson')[0]}-{start:06}.ndjson").write_bytes(
                b"\n".join(found[start : start + 97])
            )
    shutil.copytree(EXPORT / "transfers", folder / "transfers")


def all_gzipped(folder: Path) -> None:
    for path in of_export("*.ndjson*"):
        name = path.name.removesuffix(".gz")
        (folder / f"{name}.gz").write_bytes(gzip.compress(b"\n".join(lines(path)), compresslevel=1))
    shutil.copytree(EXPORT / "transfers", folder / "transfers")


def as_one_bundle(folder: Path) -> None:
    """Everything that is JSON, Bundles inside the Bundle; a broken line cannot be in one."""
    resources = [line for path in of_export("*.ndjson*") for line in lines(path) if line.strip() and is_json(line)]
    resources += [path.read_bytes() for path in of_export("*.json")]
    entries = b",\n".join(b'{"resource": ' + one + b"}" for one in resources)
    (folder / "all.json").write_bytes(b'{"resourceType": "Bundle", "type": "collection", "entry": [' + entries + b"]}")


def is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("rewritten", [in_another_order, split_otherwise, all_gzipped, as_one_bundle])
def test_the_same_data_in_another_form_give_the_same_cohort(
    tmp_path: Path, out: Path, study: mapping.Mapping, rewritten: Callable[[Path], None]
) -> None:
    rewritten(tmp_path)

    read = intake.read(Files([tmp_path]), study)
    assessments = [cohort.assess(one, study.study) for one in read.patients.values()]

    assert read.balance["input"] == sum(count for part, count in read.balance.items() if part != "input")
    found = tables.cohort(assessments, study.study)
    expected = pd.read_parquet(out / "cohort.parquet")
    improved = [name for name in found.columns if "_improved_" in name]
    pd.testing.assert_frame_equal(found.astype(dict.fromkeys(improved, "boolean")), expected, check_dtype=False)
    reasons = {row["response_id"]: row["reason"] for row in rows(out / "responses.csv")}
    assert {one.response_id: one.reason for one in read.responses} == reasons


# Running again


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_a_second_run_replaces_the_first_with_the_same(tmp_path: Path, out: Path, study: mapping.Mapping) -> None:
    """Only the seconds that a run took may differ."""
    shutil.copytree(out, tmp_path / "out")
    (tmp_path / "out" / "left over.csv").write_text("x")

    run(EXPORT, tmp_path / "out", study)

    first, second = contents(out), contents(tmp_path / "out")
    records = [json.loads(one.pop("run.json")) for one in (first, second)]
    for record in records:
        record.pop("seconds")
    assert first == second
    assert records[0] == records[1]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_no_run_wrote_is_refused_untouched(tmp_path: Path, study: mapping.Mapping) -> None:
    (tmp_path / "thesis.doc").write_text("years of work")

    with pytest.raises(InputError, match="no run wrote it"):
        run(EXPORT, tmp_path, study)

    assert contents(tmp_path) == {"thesis.doc": b"years of work"}
