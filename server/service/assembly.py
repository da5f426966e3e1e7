"""Put the service together and run it until it is told to stop."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from werkzeug.serving import make_server

from integration import intake, origin
from integration.errors import ConfigurationError, ServerRefusedError
from integration.mapping import Mapping
from integration.records import Response
from integration.settings import Settings, Site
from integration.sources.client import FhirClient
from integration.warehouse import Warehouse
from server.jobs import chart, stores
from server.service import app
from server.service.inbound.inbox import Inbox
from server.service.inbound.inbox_reader import InboxReader
from server.service.inbound.worker import Step, Worker
from server.service.services import Services

logger = logging.getLogger(__name__)
_GONE = (404, 410)


@dataclass(frozen=True, kw_only=True, slots=True)
class PatientFinder:
    """Finds Patients in the warehouse, else on the site's server, which it then keeps in the warehouse."""

    mapping: Mapping
    site: Site
    warehouse: Warehouse
    connect: Callable[[], FhirClient]

    def __call__(self, patient_id: str) -> str | None:
        """Return who a patient is after merging, None if neither knows one of this id."""
        return intake.find_patient(self.mapping, patient_id, self._fetch)

    def _fetch(self, patient_id: str) -> bytes | None:
        held = self.warehouse.read(self.site.name, "Patient", patient_id)
        if held is not None:
            return held
        try:
            with self.connect() as client:  # one a look-up: requests come in many threads, a connection serves one
                body = client.read("Patient", patient_id).body
        except ServerRefusedError as error:
            if error.status in _GONE:
                return None
            raise
        self.warehouse.store(self.site.name, [body])
        return body


def serve(settings: Settings, site: Site, mapping: Mapping, *, port: int) -> None:
    """Listen until SIGINT or SIGTERM, then finish what is under way.

    Raises:
        ConfigurationError: the address is not a loopback one, or the port is taken.
    """
    host = settings.service.host
    app.require_loopback(host)
    with assembled(settings, site, mapping) as services:
        try:
            server = make_server(host, port, app.create_app(services), threaded=True)
        except (OSError, SystemExit) as error:  # werkzeug ends the process where a port is taken
            raise ConfigurationError(f"port {port} on {host} cannot be listened on; choose another --port") from error
        _stop_on_signals(server.shutdown)
        logger.warning("listening on http://%s:%d/fhir", host, server.server_port, extra={"action": "listening"})
        server.serve_forever()


@contextmanager
def assembled(settings: Settings, site: Site, mapping: Mapping) -> Iterator[Services]:
    """Build everything that the application works with, its worker running."""
    with ExitStack() as stack:
        warehouse = stack.enter_context(stores.open_warehouse(settings))
        ledger = stack.enter_context(stores.open_ledger(settings))
        connecting = chart.connector(site)
        client = stack.enter_context(connecting())
        inbox = stack.enter_context(contextlib.closing(Inbox.open(settings.state_folder / "inbox.sqlite", site.name)))
        finder = PatientFinder(mapping=mapping, site=site, warehouse=warehouse, connect=connecting)

        def read(body: bytes) -> Response | intake.Rejection:
            return intake.read_response(mapping, body, finder)

        reader = InboxReader(
            inbox=inbox,
            read=read,
            planner=stores.planner(ledger, site),
            origin=lambda: origin.of(mapping, site.name, _now()),
        )

        def deliver(limit: int) -> object:
            return chart.send(ledger, warehouse, client, site, connect=connecting, limit=limit)

        worker = Worker(Step(reader, deliver))
        worker.start()
        stack.callback(worker.stop)
        yield Services(
            inbox=inbox,
            read=read,
            wake=worker.wake,
            is_working=lambda: worker.is_working,
            now=_now,
            new_id=lambda: str(uuid.uuid4()),
            software_version=origin.software_version(),
            fhir_version=mapping.study.study.fhir_version,
            body_limit_bytes=settings.service.body_limit_bytes,
        )


def _stop_on_signals(shutdown: Callable[[], None]) -> None:
    def stop(*_: object) -> None:
        threading.Thread(target=shutdown, daemon=True).start()  # it waits for the loop that this signal interrupts

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def _now() -> datetime:
    return datetime.now(UTC)
