"""A service whose gate is made from settings of the test's choice."""

import dataclasses
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from integration.service_settings import Service, Source, Tokens
from server.service import access
from server.service.access import building, gate
from server.service.access.once import Once
from server.service.access.sources import hash_of, new_key
from server.service.app import create_app

sys.path.append(str(Path(__file__).parent))  # its name is its own: access_logins

from access_logins import open_staff_door

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
AUDIENCE = "https://bridge.example"
SESSION_KEY = bytes(range(32))


@dataclass
class Time:
    """The one clock of a test: the service's, the issuer's, and the seconds of the limits."""

    moment: datetime = START

    def now(self) -> datetime:
        return self.moment

    def seconds(self) -> float:
        return (self.moment - START).total_seconds()

    def passes(self, **span: float) -> None:
        self.moment += timedelta(**span)


@dataclass
class Door:
    """A service behind its gate, and what it takes to come in.

    Attributes:
        app: with a route for what sends (`/fhir/Try/<type>`) and one for staff (`/try`) beside the real ones.
        client: from 127.0.0.1.
        time: the clock.
        keys: an API key by the name of its source.
    """

    app: Flask
    client: FlaskClient
    time: Time
    keys: dict[str, str] = field(default_factory=dict)

    def send(self, *, address: str = "127.0.0.1", kind: str = "QuestionnaireResponse", **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(f"/fhir/Try/{kind}", headers=named, environ_overrides={"REMOTE_ADDR": address})

    def send_token(self, token: str, *, kind: str = "QuestionnaireResponse") -> Any:
        return self.send(kind=kind, Authorization=f"Bearer {token}")


OpenDoor = Callable[..., Door]


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def open_door(resting_service: Any, tmp_path: Path, time: Time) -> Iterator[OpenDoor]:
    """Return a function that builds a service with these settings."""
    opened: list[Once] = []

    def build(**settings: Any) -> Door:
        once = Once.open(tmp_path / f"access-{len(opened)}.sqlite", now=time.now)
        opened.append(once)
        made = building.gate(Service(**settings), once, SESSION_KEY, now=time.now, clock=time.seconds)
        app = create_app(dataclasses.replace(resting_service.services, gate=made))
        _add_routes(app)
        return Door(app=app, client=app.test_client(), time=time)

    yield build
    for once in opened:
        once.close()


def _add_routes(app: Flask) -> None:
    @app.post("/fhir/Try/<kind>")
    def create(kind: str) -> dict[str, Any]:
        caller = access.require("create", kind)
        return {"name": caller.name, "kind": caller.kind, "poison": caller.poison}

    @app.route("/try", methods=["GET", "POST"])
    def page() -> str:
        caller = access.current()
        return f"{caller.name if caller else ''}|{gate.csrf_token()}"


@pytest.fixture
def key_door(open_door: OpenDoor) -> Door:
    """A service with two sources that have keys, `north` with all defaults and `south` that may do everything."""
    keys = {name: new_key() for name in ("north", "south")}
    north = Source(name="north", api_key_sha256=hash_of(keys["north"]))
    south = Source(name="south", api_key_sha256=hash_of(keys["south"]), types=("*",), poison="quarantine")
    door = open_door(sources=(north, south))
    door.keys = keys
    return door


@pytest.fixture
def issuer(authorisation: Any, time: Time) -> Any:
    """The authorisation server, with the test's clock."""
    authorisation.now = time.now
    return authorisation


@pytest.fixture
def token_door(open_door: OpenDoor, issuer: Any) -> Door:
    """A service that takes the issuer's tokens from the client `engine`, for every resource type."""
    source = Source(name="north", client_id="engine", types=("*",))
    return open_door(tokens=Tokens(issuer=issuer.url, audience=(AUDIENCE,)), sources=(source,))


@pytest.fixture
def staff_door(open_door: OpenDoor, issuer: Any) -> Door:
    """A service that the person `dr-1` can log in to."""
    door: Door = open_staff_door(open_door, issuer)
    return door
