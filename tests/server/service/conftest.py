"""A service on a real mapping, a real inbox and a real ledger."""

import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
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
from server.jobs import stores
from server.ledger import Ledger
from server.service.app import create_app
from server.service.inbound.inbox import Inbox
from server.service.inbound.inbox_reader import InboxReader
from server.service.operations import assembly as operations
from server.service.services import Services

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
        reader: from the one to the other; nobody calls it but the test.
        patients: who is known.
        wakes: an entry for each time that the worker was woken.
        health: set `is_working` in it to False for an ill worker.
    """

    client: FlaskClient
    services: Services
    inbox: Inbox
    ledger: Ledger
    reader: InboxReader
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
    inbox = Inbox.open(tmp_path / "inbox.sqlite", "north", now=lambda: NOW)
    stack = ExitStack()
    patients, wakes, health, ids = {"p1", "p2"}, list[str](), {"is_working": True}, itertools.count(1)

    def read(body: bytes) -> Response | intake.Rejection:
        return intake.read_response(study, body, lambda subject: subject if subject in patients else None)

    settings = Settings(folder=tmp_path, state_folder=tmp_path / "state")
    watched = operations.assembled(
        settings,
        "north",
        inbox=inbox,
        ledger=ledger,
        is_working=lambda: health["is_working"],
        now=lambda: NOW,
        versions=("0.1.0", "4.0.1"),
        service=os.getpid(),
    )
    services = Services(
        inbox=inbox,
        read=read,
        wake=lambda: wakes.append("woken"),
        is_working=lambda: health["is_working"],
        now=lambda: NOW,
        new_id=lambda: f"given-{next(ids)}",
        software_version="0.1.0",
        operations=stack.enter_context(watched),
        body_limit_bytes=20_000,
    )
    yield Service(
        client=create_app(services).test_client(),
        services=services,
        inbox=inbox,
        ledger=ledger,
        reader=InboxReader(inbox=inbox, read=read, planner=stores.planner(ledger, NORTH), origin=lambda: origin),
        patients=patients,
        wakes=wakes,
        health=health,
    )
    stack.close()
    inbox.close()


@pytest.fixture
def authorisation() -> Iterator[AuthorisationServer]:
    """An authorisation server, OpenID provider and launching EHR; see its module."""
    with AuthorisationServer() as server:
        yield server


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
