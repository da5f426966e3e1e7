"""Who answered, and at which Encounter, from the export to the chart; the same by a run and by the service."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from integration import intake, mapping, outcomes
from integration import origin as origins
from integration.records import Response
from integration.sources.files import Files
from integration.sources.resource import RawResource

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def study() -> mapping.Mapping:
    return mapping.load()


@pytest.fixture(scope="module")
def built(study: mapping.Mapping) -> dict[str, outcomes.Outcome]:
    """The outcomes of a run, by response."""
    found = intake.read(Files([FIXTURES / "export"]), study)
    origin = origins.of(study, "north", NOW)
    return {one.response_id: outcomes.build(one, origin) for one in found.responses if one.has_outcome}


def resources(kind: str) -> Iterator[tuple[str, bytes]]:
    for raw in Files([FIXTURES / "export"]):
        if isinstance(raw, RawResource) and kind.encode() in raw.body:
            try:
                resource = json.loads(raw.body)
            except json.JSONDecodeError:
                continue
            if isinstance(resource, dict) and resource.get("resourceType") == kind:
                yield resource["id"], raw.body


def test_every_outcome_names_the_expected_respondent_and_encounter(built: dict[str, outcomes.Outcome]) -> None:
    with (FIXTURES / "expected" / "respondents.csv").open(encoding="utf-8", newline="") as stream:
        expected = {row["response_id"]: (row["answered_by"], row["encounter"]) for row in csv.DictReader(stream)}

    for part in ("panel", "physical", "psychological"):
        found = {response_id: _named(getattr(outcome, part)) for response_id, outcome in built.items()}
        assert found == expected
    assert {response_id: _author(outcome) for response_id, outcome in built.items()} == {
        response_id: who for response_id, (who, _) in expected.items()
    }


def _named(observation: outcomes.Resource) -> tuple[str, str]:
    (performer,) = observation.get("performer") or [{"reference": ""}]
    return performer["reference"], observation.get("encounter", {"reference": ""})["reference"]


def _author(outcome: outcomes.Outcome) -> str:
    agents = {one["type"]["coding"][0]["code"]: one for one in outcome.provenance["agent"]}
    return str(agents["author"]["who"]["reference"]) if "author" in agents else ""


def test_the_service_builds_what_a_run_builds(study: mapping.Mapping, built: dict[str, outcomes.Outcome]) -> None:
    """Of responses that came in one version: which of several counts is not known from one alone."""
    patients = dict(resources("Patient"))
    versions = Counter(response_id for response_id, _ in resources("QuestionnaireResponse"))
    origin = origins.of(study, "north", NOW)

    alone: dict[str, outcomes.Outcome] = {}
    for response_id, body in resources("QuestionnaireResponse"):
        read = intake.read_response(study, body, lambda one: intake.find_patient(study, one, patients.get))
        if versions[response_id] == 1 and isinstance(read, Response) and read.has_outcome:
            alone[response_id] = outcomes.build(read, origin)

    assert len(alone) > 800
    assert alone == {response_id: outcome for response_id, outcome in built.items() if versions[response_id] == 1}
