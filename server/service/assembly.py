"""Put the service together and run it until it is told to stop."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from flask import Flask

from integration import intake, origin
from integration.errors import ConfigurationError, ServerRefusedError
from integration.mapping import Mapping
from integration.records import Response
from integration.settings import Settings, Site
from integration.sources.client import FhirClient
from integration.warehouse import Warehouse
from server.jobs import chart, stores
from server.service import app, web_server
from server.service.inbound.inbox import Inbox
from server.service.inbound.inbox_reader import InboxReader
from server.service.inbound.worker import Step, Worker
from server.service.operations import assembly as operations
from server.service.services import Services

logger = logging.getLogger(__name__)
_GONE = (404, 410)
_BACKLOG: Final = 1024


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
        ConfigurationError: the port is taken, or the settings are wrong.
        InputError: a store cannot be opened.
        OutcomeBridgeError: the processes that answer could not be started.
    """
    host = settings.service.host
    listener = _listener(host, port)
    with assembled(settings, site, mapping, is_working=False):
        pass  # what is wrong is said here, before there are other processes
    where = f"[{host}]" if ":" in host else host
    facts = {"action": "listening", "workers": settings.service.process.workers}
    logger.info("listening on http://%s:%d/fhir", where, listener.getsockname()[1], extra=facts)
    running = ExitStack()

    def load() -> Flask:
        services = running.enter_context(assembled(settings, site, mapping, service=os.getppid()))
        return app.create_app(services)

    web_server.run(listener, load, running.close, settings.service.process)
    logger.info("stopped", extra={"action": "stopped"})


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigurationError(f"port {port} on {host} cannot be listened on; choose another --port") from error


@contextmanager
def assembled(
    settings: Settings, site: Site, mapping: Mapping, *, is_working: bool = True, service: int | None = None
) -> Iterator[Services]:
    """Build everything that the application works with.

    Args:
        settings: of the installation.
        site: whose responses are taken.
        mapping: how they are read.
        is_working: whether the worker is started.
        service: pid that all processes of the service share; None: of this one.
    """
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
        if is_working:
            worker.start()
            stack.callback(worker.stop)
        watched = operations.assembled(
            settings,
            site.name,
            inbox=inbox,
            ledger=ledger,
            is_working=lambda: worker.is_working,
            now=_now,
            versions=(origin.software_version(), mapping.study.study.fhir_version),
            service=os.getpid() if service is None else service,
        )
        yield Services(
            inbox=inbox,
            read=read,
            wake=worker.wake,
            is_working=lambda: worker.is_working,
            now=_now,
            new_id=lambda: str(uuid.uuid4()),
            software_version=origin.software_version(),
            operations=stack.enter_context(watched),
            fhir_version=mapping.study.study.fhir_version,
            body_limit_bytes=settings.service.body_limit_bytes,
        )


def _now() -> datetime:
    return datetime.now(UTC)
