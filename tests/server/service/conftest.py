"""A service on a real mapping, a real inbox and a real ledger."""

import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from integration import intake, mapping, msis29, outcomes
from integration.mapping import Mapping
from integration.records import Response
from integration.settings import Settings, Site
from integration.warehouse import Warehouse
from server.jobs import stores
from server.ledger import Ledger
from server.service.app import create_app
from server.service.inbound import assembly as inbound
from server.service.inbound.inbox import Inbox
from server.service.inbound.inbox_reader import InboxReader
from server.service.inbound.reading import ResourceReader
from server.service.operations import assembly as operations
from server.service.services import Services
from server.service.staff.desk import StaffDesk
from server.sites import profile_of

sys.path.append(str(Path(__file__).parent))  # what stands beside it, whose names are their own: authorisation_server

from authorisation_server import AuthorisationServer

NOW = datetime(2012, 6, 1, 12, 0, tzinfo=UTC)
FHIR = "application/fhir+json"
Body = Callable[..., bytes]

NORTH = Site(name="north", base_url="http://127.0.0.1/fhir")


@dataclass(kw_only=True)
class Service:
    """A service with everything behind it.

    Attributes:
        client: sends it requests.
        services: what the application was made from.
        inbox: where responses are stored.
        ledger: where outcomes are planned.
        warehouse: where resources of other types are.
        reader: from the inbox to the ledger; nobody calls it but the test.
        read: reads and scores one response.
        patients: who is known.
        wakes: an entry for each time that the worker was woken.
        health: set `is_working` in it to False for an ill worker.
    """

    client: FlaskClient
    services: Services
    inbox: Inbox
    ledger: Ledger
    warehouse: Warehouse
    reader: InboxReader
    read: Callable[[bytes], Response | intake.Rejection]
    patients: set[str]
    wakes: list[str]
    health: dict[str, bool]

    def post(self, body: bytes, **headers: str) -> Any:
        return self.client.post("/fhir/QuestionnaireResponse", data=body, headers={"Content-Type": FHIR} | headers)

    def put(self, response_id: str, body: bytes, **headers: str) -> Any:
        path = f"/fhir/QuestionnaireResponse/{response_id}"
        return self.client.put(path, data=body, headers={"Content-Type": FHIR} | headers)

    def planned(self) -> dict[str, Any]:
        """Return what the ledger would send now: `response/kind` to content."""
        due = self.ledger.due("north", after=None, limit=1000)
        return {f"{entry.response_id}/{entry.kind}": entry.resource() for entry in due if entry.response_id}


@pytest.fixture(scope="session")
def study() -> Mapping:
    return mapping.load("msis29_venoplasty")


@pytest.fixture
def service(tmp_path: Path, study: Mapping, ledger: Ledger, origin: outcomes.Origin) -> Iterator[Service]:
    with built_service(tmp_path, study, ledger, origin) as made:
        yield made


@pytest.fixture(scope="module")
def resting_service(tmp_path_factory: pytest.TempPathFactory, study: Mapping) -> Iterator[Service]:
    """A service for all tests of a module, none of which has it store anything."""
    folder = tmp_path_factory.mktemp("resting")
    made_by = outcomes.Origin(
        site="north", software_version="0.1.0", mapping="msis29_venoplasty 1.0.0", recorded=NOW, minimum_answered=15
    )
    with (
        Ledger.open(folder / "state" / "ledger.sqlite", now=lambda: NOW) as ledger,
        built_service(folder, study, ledger, made_by) as made,
    ):
        yield made


@contextmanager
def built_service(tmp_path: Path, study: Mapping, ledger: Ledger, origin: outcomes.Origin) -> Iterator[Service]:
    inbox = Inbox.open(tmp_path / "inbox.sqlite", "north", now=lambda: NOW)
    stack = ExitStack()
    patients, wakes, health, ids = {"p1", "p2"}, list[str](), {"is_working": True}, itertools.count(1)

    warehouse = stack.enter_context(Warehouse.open(tmp_path / "warehouse.sqlite", now=lambda: NOW))

    def fetch(patient_id: str) -> bytes | None:
        if patient_id in patients:
            return json.dumps({"resourceType": "Patient", "id": patient_id}).encode()
        return warehouse.read("north", "Patient", patient_id)

    clock = itertools.count(step=100)  # every look is past what is remembered
    resources = ResourceReader(study, fetch, clock=lambda: float(next(clock)))

    def read(body: bytes) -> Response | intake.Rejection:
        return intake.read_response(study, body, resources.find)

    new_id = lambda: f"given-{next(ids)}"  # noqa: E731 - short, and used twice
    settings = Settings(folder=tmp_path, state_folder=tmp_path / "state")
    watched = operations.assembled(
        settings,
        NORTH,
        inbox=inbox,
        ledger=ledger,
        is_working=lambda: health["is_working"],
        now=lambda: NOW,
        versions=("0.1.0", "4.0.1"),
        service=os.getpid(),
    )
    taking = inbound.inbound(
        inbound.Stores(ledger=ledger, warehouse=warehouse, inbox=inbox),
        NORTH,
        study,
        resources,
        most_entries=50,
        now=lambda: NOW,
        new_id=new_id,
    )
    watching = stack.enter_context(watched)
    services = Services(
        inbound=taking,
        wake=lambda: wakes.append("woken"),
        is_working=lambda: health["is_working"],
        now=lambda: NOW,
        new_id=new_id,
        software_version="0.1.0",
        operations=watching,
        staff=StaffDesk(
            site="north",
            ledger=ledger,
            overview=watching.figures.overview,
            inbox=inbox,
            stores=watching.figures,
            profile=profile_of(NORTH),
        ),
        body_limit_bytes=20_000,
    )
    yield Service(
        client=create_app(services).test_client(),
        services=services,
        inbox=inbox,
        ledger=ledger,
        reader=InboxReader(
            inbox=inbox,
            read=read,
            planner=stores.planner(ledger, NORTH),
            origin=lambda: origin,
            read_other=lambda *resource: _rejection(resources(*resource)),
            keep=lambda bodies: warehouse.store("north", bodies),
        ),
        read=read,
        warehouse=warehouse,
        patients=patients,
        wakes=wakes,
        health=health,
    )
    stack.close()
    inbox.close()


def _rejection(read: Response | intake.Rejection | None) -> intake.Rejection | None:
    return read if isinstance(read, intake.Rejection) else None


@pytest.fixture
def authorisation() -> Iterator[AuthorisationServer]:
    """An authorisation server, OpenID provider and launching EHR; see its module."""
    with AuthorisationServer() as server:
        yield server


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without a window, which ends with the tests of a module; without one they are skipped."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no Chromium on this machine: install the package chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@pytest.fixture
def body() -> Body:
    """Return a function that writes a complete response (id r1, patient p1, all answers 3).

    An element given replaces its own; None leaves it out.
    """

    def write(*, answer: int = 3, **elements: Any) -> bytes:
        resource = {
            "resourceType": "QuestionnaireResponse",
            "id": "r1",
            "questionnaire": "urn:outcome-bridge:questionnaire:msis-29-v1",
            "status": "completed",
            "subject": {"reference": "Patient/p1"},
            "authored": "2012-05-04T09:15:00+02:00",
            "item": [{"linkId": str(item), "answer": [{"valueInteger": answer}]} for item in msis29.ITEMS],
        } | elements
        return json.dumps({name: value for name, value in resource.items() if value is not None}).encode()

    return write
