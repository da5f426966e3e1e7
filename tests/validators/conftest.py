"""The outcome resources to validate, and the table of results."""

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from integration import mapping, msis29, outcomes
from integration.records import Moment, Response
from server.service.inbound.capability import capability_statement
from server.service.operation_outcome import operation_outcome

ORIGIN = outcomes.Origin(
    site="north",
    software_version="0.1.0",
    mapping="msis29_venoplasty 1.0.0",
    recorded=datetime(2012, 6, 1, 12, 30, tzinfo=UTC),
    minimum_answered=msis29.HALF_OF_THE_ITEMS,
)
TIMED = Moment(
    day=date(2012, 5, 4), instant=datetime(2012, 5, 4, 7, 15, tzinfo=UTC), text="2012-05-04T09:15:00.250+02:00"
)
PERSONS = ("Practitioner", "PractitionerRole", "RelatedPerson")
DATED = Moment(day=date(2012, 5, 4), instant=None, text="2012-05-04")


def _outcome(answers: msis29.Answers, version: msis29.Version = "1", **changes: Any) -> outcomes.Outcome:
    score = msis29.score(answers, version)
    response = Response(
        response_id="response-1",
        patient_id="patient-1",
        status="completed",
        version_id="3",
        moment=TIMED,
        instrument_version=version,
        answered_by="Patient/patient-1",
        encounter_id="encounter-1",
        score=score,
        reason=score.reason,
    )
    return outcomes.build(dataclasses.replace(response, **changes), ORIGIN)


def _outcomes() -> Iterator[outcomes.Outcome]:
    complete: dict[int, list[int | None]] = {item: [1 + item % 4] for item in msis29.ITEMS}
    yield _outcome(complete)
    yield _outcome(complete, "2", is_synthetic=True)
    yield _outcome({item: complete[item] for item in range(4, 30)}, status="amended", moment=DATED, version_id="")
    yield _outcome({item: complete[item] for item in range(1, 25)}, encounter_id="", answered_by="")
    yield from (_outcome(complete, answered_by=f"{kind}/person-1") for kind in PERSONS)
    yield _outcome(complete, moment=Moment(day=date(2012, 5, 4), instant=None, text="2012-05-04T09:15:00"))
    yield _outcome({1: [2]})
    yield _outcome({**complete, 3: [5]}, "2")
    yield _outcome({**complete, 3: [1, 2]})
    yield _outcome({**complete, 3: [None]}, is_synthetic=True)


@pytest.fixture(scope="session")
def resources() -> list[outcomes.Resource]:
    """Every form that an outcome resource can take, withdrawn ones too."""
    found = [outcomes.device(ORIGIN)]
    for outcome in _outcomes():
        found += [*outcome.observations, outcome.provenance]
        found += [outcomes.withdrawn(resource) for resource in outcome.observations]
    return found


@pytest.fixture(scope="session")
def code_systems() -> list[outcomes.Resource]:
    """The CodeSystems that our codes come from."""
    paths = sorted((mapping.load().folder / "codesystems").glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


@pytest.fixture(scope="session")
def answers() -> list[outcomes.Resource]:
    """What the service answers with."""
    statement = capability_statement(
        software_version="0.1.0", fhir_version="4.0.1", url="http://127.0.0.1:8080/fhir", started=ORIGIN.recorded
    )
    problem = operation_outcome("error", "processing", "unknown patient", "QuestionnaireResponse.subject")
    return [statement, problem, operation_outcome("information", "informational", "stored")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for status in ("passed", "failed") for report in terminalreporter.getreports(status)]
    rows = [value for report in reports for name, value in report.user_properties if name == "validated"]
    if rows:
        terminalreporter.section("validators")
    for validator, resource_type, count, errors in sorted(rows):
        terminalreporter.write_line(f"{validator:<32} {resource_type:<20} {count:>4} resources {errors:>4} with errors")
