"""A hospital with one patient, and a service that shows charts and cards of it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hospital as parts
import pytest

from integration.mapping import Mapping
from integration.service_settings import Chart, Service


@pytest.fixture
def hospital(service: Any, study: Mapping) -> Any:
    found = parts.Hospital(study=study, warehouse=service.warehouse, ledger=service.ledger)
    found.hold(parts.patient())
    return found


@pytest.fixture
def make_response() -> Callable[..., dict[str, Any]]:
    return parts.response


@pytest.fixture
def make_procedure() -> Callable[..., dict[str, Any]]:
    return parts.procedure


@pytest.fixture
def make_patient() -> Callable[..., dict[str, Any]]:
    return parts.patient


@pytest.fixture
def open_clinic(service: Any, hospital: Any, authorisation: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Return what builds a service that shows charts; keywords are keys of `[service.chart]`."""
    with ExitStack() as stack:

        def build(settings: Service | None = None, **chart: Any) -> Any:
            named = {"issuers": (authorisation.fhir_url,), "client_id": "chart"} | chart
            secret, key = named.pop("secret", ""), named.pop("key", None)
            if secret:
                (tmp_path / "secret").write_text(secret)
                named["secret_file"] = tmp_path / "secret"
            settings = settings or Service(chart=Chart(**named))
            back = ["http://localhost/launch/callback"]
            authorisation.register("chart", secret=secret, key=key, redirect_uris=back)
            opened = parts.opened_clinic(service.services, hospital, authorisation, settings, tmp_path)
            return stack.enter_context(opened)

        yield build


@pytest.fixture
def clinic(open_clinic: Any, hospital: Any) -> Any:
    """A clinic as it usually is: a public client, one patient with a procedure and three responses."""
    hospital.hold(
        parts.procedure("pr1", "2012-05-07"),
        parts.response("before", "2012-05-04", 4),
        parts.response("month-1", "2012-06-06", 3),
        parts.response("month-6", "2012-11-02", 4, without=(3, 17)),
    )
    return open_clinic()
