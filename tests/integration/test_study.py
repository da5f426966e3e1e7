from __future__ import annotations

import copy
from typing import Any

import pytest

from integration import study
from integration.errors import MappingError
from integration.msis29 import MissingItemRule
from integration.study import Instrument, StudyFile, read_study

V1, V2 = "urn:outcome-bridge:questionnaire:msis-29-v1", "urn:outcome-bridge:questionnaire:msis-29-v2"

SMALLEST: dict[str, Any] = {
    "study": {"name": "smallest", "title": "Smallest", "version": "1.0.0"},
    "instrument": {"canonicals": {"1": [V1], "2": [V2]}},
    "visits": {
        "baseline": {"first_day": -90, "last_day": 0, "choose": "last"},
        "month_1": {"first_day": 14, "last_day": 60, "choose": "nearest", "target_day": 30},
    },
    "flow": {"criteria": ["venoplasty", "multiple_sclerosis", "baseline"]},
}


def with_value(path: str, value: object) -> dict[str, Any]:
    document = copy.deepcopy(SMALLEST)
    *tables, key = path.split(".")
    table = document
    for name in tables:
        table = table.setdefault(name, {})
    table[key] = value
    return document


def without(path: str) -> dict[str, Any]:
    document = copy.deepcopy(SMALLEST)
    *tables, key = path.split(".")
    table = document
    for name in tables:
        table = table[name]
    del table[key]
    return document


def fault(document: dict[str, Any]) -> MappingError:
    with pytest.raises(MappingError) as caught:
        read_study(document, "study.toml")
    assert caught.value.file == "study.toml"
    return caught.value


def test_what_is_left_out_has_the_default_studys_value() -> None:
    found = read_study(SMALLEST, "study.toml")

    assert found.study.fhir_version == "4.0.1"
    assert found.modifier_extensions.urls == []
    assert found.instrument.missing_item_rule == MissingItemRule(physical=10, psychological=5)
    assert found.imaging.days_before == 365
    assert found.adverse_events.days_after == 30
    assert found.analysis.confidence == 0.95
    assert found.analysis.physical_responders == ["any_decrease", "7", "7.5", "8", "10", "reliable"]
    assert found.analysis.psychological_responders == ["any_decrease", "6", "10", "reliable"]
    assert (found.analysis.test_retest.physical, found.analysis.test_retest.psychological) == (0.94, 0.87)


def test_follow_up_visits_are_all_but_baseline_in_the_order_of_the_file() -> None:
    document = with_value("visits.year_1", {"first_day": 330, "last_day": 400, "choose": "last"})

    assert read_study(document, "study.toml").follow_ups == ("month_1", "year_1")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("colour", "red"),
        ("study.colour", "red"),
        ("visits.month_1.last_dya", 60),
        ("instrument.minimum_answered.physcal", 10),
        ("analysis.test_retest.other", 0.5),
    ],
)
def test_an_unknown_key_is_an_error_with_its_path(path: str, value: object) -> None:
    assert fault(with_value(path, value)).path == path


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("study.name", "Two words"),
        ("study.version", "1.0"),
        ("study.fhir_version", "3.0.2"),
        ("instrument.minimum_answered.physical", 0),
        ("instrument.minimum_answered.physical", 21),
        ("instrument.minimum_answered.psychological", 10),
        ("instrument.minimum_answered.psychological", 5.0),
        ("imaging.days_before", -1),
        ("adverse_events.days_after", -1),
        ("adverse_events.days_after", "30"),
        ("analysis.confidence", 95),
        ("analysis.test_retest.physical", 1.0),
        ("visits.month_1.choose", "best"),
        ("visits.month_1.first_day", "14"),
    ],
)
def test_a_wrong_value_is_an_error_with_its_path(path: str, value: object) -> None:
    assert fault(with_value(path, value)).path == path


@pytest.mark.parametrize(
    "path", ["study.name", "study.version", "instrument.canonicals", "visits.month_1.last_day", "flow"]
)
def test_a_missing_key_is_an_error_with_its_path(path: str) -> None:
    assert fault(without(path)).path == path


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("visits.month_1.first_day", 61, "is after last_day"),
        ("visits.month_1.choose", "last", "takes none"),
        ("visits.baseline.choose", "nearest", "needs target_day"),
        ("visits.baseline.last_day", 1, "after the procedure"),
        ("visits", {"baseline": SMALLEST["visits"]["baseline"]}, "at least one follow-up"),
        ("visits", {"month_1": SMALLEST["visits"]["month_1"]}, "must hold baseline"),
        ("flow.criteria", ["multiple_sclerosis", "venoplasty", "baseline"], "first criterion must be venoplasty"),
        ("flow.criteria", ["venoplasty", "multiple_sclerosis"], "baseline among them"),
        ("flow.criteria", ["venoplasty", "baseline", "baseline"], "each criterion once"),
        ("instrument.canonicals", {"1": [V1], "2": [V1]}, "under two versions"),
    ],
)
def test_a_study_that_contradicts_itself_is_an_error(path: str, value: object, says: str) -> None:
    assert says in fault(with_value(path, value)).problem


def test_a_visit_needs_a_name_that_can_be_a_column() -> None:
    assert fault(with_value("visits.Month 1", SMALLEST["visits"]["month_1"])).path.startswith("visits.Month 1")


def test_an_unknown_version_of_the_instrument_is_an_error() -> None:
    assert "canonicals" in fault(with_value("instrument.canonicals.3", ["urn:v3"])).path


def test_every_fault_is_listed_not_only_the_first() -> None:
    document = with_value("colour", "red") | {"imaging": {"days_before": -1}}

    assert {one.path for one in study.faults(document, "study.toml")} == {"colour", "imaging.days_before"}
    assert study.faults(SMALLEST, "study.toml") == []


def test_imaging_may_be_made_a_criterion() -> None:
    document = with_value("flow.criteria", ["venoplasty", "multiple_sclerosis", "baseline", "imaging_before"])

    assert read_study(document, "study.toml").flow.criteria[-1] == "imaging_before"


# Which version of the instrument


@pytest.fixture(scope="module")
def instrument() -> Instrument:
    found: StudyFile = read_study(SMALLEST, "study.toml")
    return found.instrument


@pytest.mark.parametrize(
    ("canonical", "version"),
    [
        (V1, "1"), (V2, "2"), (f"{V1}|1.0", "1"), (f"{V2}|", "2"),
        (f"{V1}0", ""), (V1[:-1], ""), (f" {V1}", ""), (f"{V1}#part", ""), ("", ""), (None, ""),
    ],
)  # fmt: skip
def test_the_version_is_that_of_the_canonical_with_or_without_its_own_version(
    instrument: Instrument, canonical: str | None, version: str
) -> None:
    assert instrument.version_of(canonical) == version


def test_a_site_may_list_a_canonical_with_its_version() -> None:
    document = with_value("instrument.canonicals", {"1": ["http://a.example/q|1"], "2": ["http://a.example/q|2"]})

    found = read_study(document, "study.toml").instrument

    assert [found.version_of(f"http://a.example/q{end}") for end in ("|1", "|2", "|3", "")] == ["1", "2", "", ""]
