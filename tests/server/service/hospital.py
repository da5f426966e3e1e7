"""One patient as a hospital knows it, and a service that shows it; imported by the conftest files of what shows it."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

from authorisation_server import AuthorisationServer
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from integration import msis29, origin, outcomes
from integration.intake.reader import Reader
from integration.mapping import Mapping
from integration.service_settings import Service
from integration.settings import Site
from integration.warehouse import Warehouse
from server.jobs import stores
from server.ledger import Ledger, Settlement
from server.service.access import building as access
from server.service.access.once import Once
from server.service.app import create_app
from server.service.chart import assembly, building
from server.service.chart.assembly import Sources
from server.service.chart.found import EhrReading
from server.service.chart.gathering import Gathering
from server.service.chart.model import Chart
from server.service.chart.smart.sessions import ChartSessions
from server.service.services import Services

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


@dataclass
class Time:
    """The clock of a service and of the EHR that launches it."""

    moment: datetime = NOW

    def now(self) -> datetime:
        return self.moment

    def passes(self, **span: float) -> None:
        self.moment += timedelta(**span)


@dataclass(kw_only=True)
class Clinic:
    """A service that shows charts, and the EHR that opens them.

    Attributes:
        app: the service.
        client: a browser without a screen.
        ehr: the EHR, its authorisation server and its FHIR server in one.
        hospital: what the service knows.
        time: the clock of both.
    """

    app: Flask
    client: FlaskClient
    ehr: AuthorisationServer
    hospital: Hospital
    time: Time

    def launch(self, patient_id: str = "p1", **context: Any) -> Any:
        """Open the chart from the EHR and follow to the last redirection of the launch, which is returned."""
        begun = self.begin(patient_id, **context)
        return self.client.get(self.authorised(begun))

    def begin(self, patient_id: str = "p1", **context: Any) -> Any:
        launch = self.ehr.launch(patient=patient_id, **context)
        return self.client.get("/launch", query_string={"iss": self.ehr.fhir_url, "launch": launch})

    def authorised(self, begun: Any) -> str:
        """Go to the authorisation server as the browser would; return where it sends the browser back to."""
        import requests  # noqa: PLC0415 - only a launch needs it

        answer = requests.get(begun.headers["Location"], allow_redirects=False, timeout=10)
        return str(answer.headers["Location"]).removeprefix("http://localhost")


@contextmanager
def opened_clinic(
    services: Services, hospital: Hospital, ehr: AuthorisationServer, settings: Service, folder: Path
) -> Iterator[Clinic]:
    """Build a service that shows charts on top of one that takes responses."""
    time = Time()
    ehr.now = time.now
    with ExitStack() as stack:
        once = stack.enter_context(closing(Once.open(folder / "access.sqlite", now=time.now)))
        sessions = stack.enter_context(closing(ChartSessions.open(folder / "chart-sessions.sqlite", now=time.now)))
        gathering = hospital.gathering
        stores = building.Stores(
            ledger=hospital.ledger,
            warehouse=hospital.warehouse,
            posted=gathering.posted,
            once=once,
            key=bytes(range(32)),
        )
        site = SITE.model_copy(update={"base_url": ehr.fhir_url})
        clinical = building.clinical(settings, site, hospital.study, stores, sessions=sessions, now=time.now)
        gate = access.gate(settings, once, stores.key, now=time.now)
        app = create_app(dataclasses.replace(services, clinical=clinical, gate=gate, now=time.now))
        yield Clinic(app=app, client=app.test_client(), ehr=ehr, hospital=hospital, time=time)


@contextmanager
def listening(app: Flask) -> Iterator[str]:
    """Serve an application on the loopback interface; yield its address."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
