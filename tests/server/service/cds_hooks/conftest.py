"""A service that answers CDS Hooks, its hospital and its EHR."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hospital as parts
import pytest

from integration.mapping import Mapping
from integration.service_settings import CdsHooks, Chart, Service

ISSUER = "https://ehr.example"
ENDPOINT = "http://localhost/cds-services/msis29-outcomes"


@pytest.fixture
def hospital(service: Any, study: Mapping) -> Any:
    """A hospital whose chart was given two responses of p1."""
    found = parts.Hospital(study=study, warehouse=service.warehouse, ledger=service.ledger)
    found.hold(parts.patient(), parts.response("before", "2012-05-04", 4), parts.response("month-1", "2012-06-06", 3))
    found.plan("before", "month-1")
    found.deliver("before")
    found.deliver("month-1")
    return found


@pytest.fixture
def open_hooks(service: Any, hospital: Any, authorisation: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Return what builds a service.

    `signed`: only who shows a token may ask, `others` with keys of their own; `launches`: of charts.
    """
    with ExitStack() as stack:

        def build(*, signed: bool = False, launches: bool = True, others: dict[str, str] | None = None) -> Any:
            pairs = {ISSUER: f"{authorisation.url}/jwks"} | (others or {})
            hooks = CdsHooks(issuers=tuple(pairs), jwks_urls=tuple(pairs.values())) if signed else CdsHooks()
            chart = Chart(issuers=(authorisation.fhir_url,), client_id="chart") if launches else Chart()
            settings = Service(cds_hooks=hooks, chart=chart)
            opened = parts.opened_clinic(service.services, hospital, authorisation, settings, tmp_path)
            return stack.enter_context(opened)

        yield build


@pytest.fixture
def make_call() -> Callable[..., dict[str, Any]]:
    """Return a function that writes a call for p1; an element given replaces its own, None leaves it out."""

    def write(**elements: Any) -> dict[str, Any]:
        call = {
            "hook": "patient-view",
            "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
            "context": {"userId": "Practitioner/dr-1", "patientId": "p1"},
        } | elements
        return {name: value for name, value in call.items() if value is not None}

    return write


@pytest.fixture
def make_token(authorisation: Any) -> Callable[..., str]:
    """Return a function that signs a client's token for the service, changed as told."""

    def sign(*, header: Any = None, key: Any = None, **claims: Any) -> str:
        own = {"iss": ISSUER, "aud": ENDPOINT, "sub": None, "client_id": None, "scope": None, "nbf": None} | claims
        typed = {"typ": "JWT", "jku": f"{authorisation.url}/jwks"} | (header or {})
        token: str = authorisation.token(claims=own, header=typed, key=key)
        return token

    return sign


@pytest.fixture
def make_responses() -> Callable[..., dict[str, Any]]:
    return parts.response


@pytest.fixture
def make_patients() -> Callable[..., dict[str, Any]]:
    return parts.patient
