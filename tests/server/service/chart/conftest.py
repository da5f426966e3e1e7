"""One patient's staged resources, and charts made of them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from integration import msis29, origin, outcomes
from integration.intake.reader import Reader
from integration.mapping import Mapping
from integration.settings import Site
from integration.warehouse import Warehouse
from server.jobs import stores
from server.ledger import Ledger, Settlement
from server.service.chart import assembly
from server.service.chart.assembly import Sources
from server.service.chart.found import EhrReading
from server.service.chart.gathering import Gathering
from server.service.chart.model import Chart

NOW = datetime(2013, 6, 1, 12, 0, tzinfo=UTC)
SITE = Site(name="north", base_url="http://127.0.0.1/fhir")
VENOPLASTY = {"coding": [{"system": "http://www.cms.gov/Medicare/Coding/ICD10", "code": "057M3ZZ"}]}


def response(response_id: str, authored: str, answer: int = 3, *, without: Any = (), **elements: Any) -> dict[str, Any]:
    """Return a QuestionnaireResponse of p1 in version 1, all answers alike; items of `without` are not answered."""
    items = [{"linkId": str(i), "answer": [{"valueInteger": answer}]} for i in msis29.ITEMS if i not in without]
    return {
        "resourceType": "QuestionnaireResponse",
        "id": response_id,
        "questionnaire": "urn:outcome-bridge:questionnaire:msis-29-v1",
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "source": {"reference": "Patient/p1"},
        "authored": authored,
        "item": items,
    } | elements


def procedure(procedure_id: str, day: str, **elements: Any) -> dict[str, Any]:
    """Return a completed venoplasty of p1's right jugular vein."""
    return {
        "resourceType": "Procedure",
        "id": procedure_id,
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "performedDateTime": day,
        "code": VENOPLASTY,
    } | elements


def patient(patient_id: str = "p1", **elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": patient_id, "gender": "female", "birthDate": "1970-05-01"} | elements


@dataclass(kw_only=True)
class Hospital:
    """What the service knows of p1, and what it makes of it."""

    study: Mapping
    warehouse: Warehouse
    ledger: Ledger
    patients: dict[str, str] = field(default_factory=lambda: {"p1": "p1"})
    posted: dict[str, list[bytes]] = field(default_factory=dict)
    now: datetime = NOW

    def hold(self, *resources: dict[str, Any]) -> None:
        self.warehouse.store("north", [json.dumps(one).encode() for one in resources])

    @property
    def gathering(self) -> Gathering:
        return Gathering(
            mapping=self.study,
            site="north",
            warehouse=self.warehouse,
            ledger=self.ledger,
            posted=lambda ids: [body for one in ids for body in self.posted.get(one, ())],
            find_patient=self.patients.get,
        )

    def plan(self, *response_ids: str) -> None:
        """Plan the outcomes of responses that are held."""
        reader = Reader(self.study, lambda one: one)
        made_by = origin.of(self.study, "north", self.now)
        built = []
        for response_id in response_ids:
            body = self.warehouse.read("north", "QuestionnaireResponse", response_id)
            assert body is not None
            read = reader.response(body)[0]
            built.append(outcomes.build(read, made_by))
        stores.planner(self.ledger, SITE).plan(outcomes.device(made_by), built)

    def deliver(self, response_id: str, state: str = "verified", **said: Any) -> None:
        """Have the chart take the resources of a response; afterwards they are in a state."""
        self.ledger.lease("north", "test", after=None, responses=100, seconds=1000)
        entries = self.ledger.of_responses("north", [response_id])
        keys = [one.key for one in entries]
        self.ledger.claim("north", keys, request_id=response_id, interaction="create", worker="test", seconds=1000)
        taken = [Settlement(key=one.key, state="accepted", ehr_id=f"{response_id}-{one.kind}") for one in entries]
        self.ledger.settle("north", taken, request_id=response_id)
        if state != "accepted":
            self.ledger.settle("north", [Settlement(key=key, state=state, **said) for key in keys])  # type: ignore[arg-type]

    def observation(self, response_id: str, scale: str, **changes: Any) -> bytes:
        """Return the EHR's Observation of a score, as it was written but for changes."""
        [entry] = [one for one in self.ledger.of_responses("north", [response_id]) if one.kind == scale]
        return json.dumps(entry.resource() | {"id": entry.ehr_id} | changes).encode()

    def chart(self, ehr: EhrReading | None = None, *, today: date = date(2013, 6, 1)) -> Chart:
        gathering = self.gathering
        person = gathering.person("p1")
        assert person is not None
        held = gathering.held(person)
        reading = ehr or EhrReading(problem="it was not asked")
        rows = gathering.rows(person, held, reading)
        sources = Sources(rows=rows, aliases=person.aliases, held=held, ehr=reading, identity=None, today=today)
        return assembly.chart(sources, self.study.study)


@pytest.fixture
def hospital(tmp_path: Path, study: Mapping, ledger: Ledger) -> Any:
    with Warehouse.open(tmp_path / "warehouse.sqlite") as warehouse:
        found = Hospital(study=study, warehouse=warehouse, ledger=ledger)
        found.hold(patient())
        yield found


@pytest.fixture
def make_response() -> Callable[..., dict[str, Any]]:
    return response


@pytest.fixture
def make_procedure() -> Callable[..., dict[str, Any]]:
    return procedure


@pytest.fixture
def make_patient() -> Callable[..., dict[str, Any]]:
    return patient
