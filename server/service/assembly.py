"""Put the service together and run it until it is told to stop."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from flask import Flask

from integration import origin
from integration.errors import ConfigurationError
from integration.mapping import Mapping
from integration.process_settings import Audit
from integration.settings import LedgerPlace, Settings, Site
from server.jobs import stores
from server.ledger.engine import require_usable
from server.service import app, web_server
from server.service.access import building as access
from server.service.chart import building as chart
from server.service.inbound import assembly as inbound
from server.service.inbound.counting import counting
from server.service.operations import assembly as operations
from server.service.services import Services
from server.service.staff.desk import StaffDesk
from server.sites import profile_of

logger = logging.getLogger(__name__)
_BACKLOG: Final = 1024


def serve(settings: Settings, site: Site, mapping: Mapping, *, port: int) -> None:
    """Listen until SIGINT or SIGTERM, then finish what is under way.

    Raises:
        ConfigurationError: the port is taken, or the settings are wrong.
        InputError: a store cannot be opened.
        OutcomeBridgeError: the processes that answer could not be started.
    """
    _require_places(settings)
    host = settings.service.host
    listener = _listener(host, port)
    with ExitStack() as failing:
        failing.callback(listener.close)
        with assembled(settings, site, mapping, is_working=False):
            failing.pop_all()  # what is wrong is said here, before there are other processes
    where = f"[{host}]" if ":" in host else host
    facts = {"action": "listening", "workers": settings.service.process.workers}
    logger.info("listening on http://%s:%d/fhir", where, listener.getsockname()[1], extra=facts)
    running = ExitStack()

    def load() -> Flask:
        services = running.enter_context(assembled(settings, site, mapping, service=os.getppid()))
        return app.create_app(services)

    web_server.run(listener, load, running.close, settings.service.process)
    logger.info("stopped", extra={"action": "stopped"})


def check(settings: Settings, site: Site, mapping: Mapping) -> None:
    """Build the service as `serve` does, and nothing else: nothing is bound, started or asked.

    Its stores are new ones that are thrown away: those of the settings may be an older version's, in use now.

    Raises:
        ConfigurationError: the settings are wrong, or a file that they name cannot be read.
    """
    _require_places(settings)
    if settings.ledger.url:
        require_usable(settings.ledger.url)
    with tempfile.TemporaryDirectory() as folder:
        service = settings.service.model_copy(update={"audit": Audit()})
        own = {"state_folder": Path(folder), "ledger": LedgerPlace(), "service": service}
        with assembled(settings.model_copy(update=own), site, mapping, is_working=False) as services:
            app.create_app(services)


def _require_places(settings: Settings) -> None:
    """Refuse folders that cannot be written or made, and files of the audit that cannot be used."""
    audit = settings.service.audit
    _require_folder("state_folder", settings.state_folder)
    if audit.file:
        _require_folder("service.audit.file", audit.file.parent)
        if audit.file.exists() and not (audit.file.is_file() and os.access(audit.file, os.W_OK)):
            raise ConfigurationError(f"service.audit.file: {audit.file} is no file that may be written; name another")
    if audit.token_file:
        try:
            audit.token_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"service.audit.token_file: {audit.token_file} cannot be read") from error


def _require_folder(key: str, folder: Path) -> None:
    """Refuse a folder in which nothing can be made, or the nearest one above it where it is not there yet."""
    try:
        nearest = next(one for one in (folder, *folder.absolute().parents) if one.exists())
        tempfile.TemporaryDirectory(dir=nearest).cleanup()
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise ConfigurationError(f"{key}: the folder {folder} cannot be made or written ({reason})") from error


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

    Raises:
        ConfigurationError: the settings are wrong, or a file that they name cannot be read.
        InputError: a store cannot be opened.
    """
    site.safeguards.opted_out()
    with ExitStack() as stack:
        warehouse = stack.enter_context(stores.open_warehouse(settings))
        ledger = stack.enter_context(stores.open_ledger(settings))
        gate = stack.enter_context(access.opened(settings))
        built = inbound.assembled(settings, site, mapping, ledger=ledger, warehouse=warehouse, now=_now)
        taking, worker = stack.enter_context(built)
        if is_working:
            worker.start()
            stack.callback(worker.stop)
        watched = operations.assembled(
            settings,
            site,
            inbox=taking.inbox,
            ledger=ledger,
            is_working=lambda: worker.is_working,
            now=_now,
            versions=(origin.software_version(), mapping.study.study.fhir_version),
            service=os.getpid() if service is None else service,
        )
        kept = chart.Stores(
            ledger=ledger,
            warehouse=warehouse,
            posted=lambda ids: [one.body for one in counting(taking.inbox.sent("QuestionnaireResponse", ids))],
            once=gate.staff.once,
            key=gate.key,
        )
        watching = stack.enter_context(watched)
        yield Services(
            clinical=stack.enter_context(chart.opened(settings, site, mapping, kept, now=_now)),
            gate=gate,
            inbound=taking,
            wake=worker.wake,
            is_working=lambda: worker.is_working,
            now=_now,
            new_id=lambda: str(uuid.uuid4()),
            software_version=origin.software_version(),
            operations=watching,
            staff=StaffDesk(
                site=site.name,
                ledger=ledger,
                overview=watching.figures.overview,
                inbox=taking.inbox,
                stores=watching.figures,
                profile=profile_of(site),
            ),
            fhir_version=mapping.study.study.fhir_version,
            body_limit_bytes=settings.service.body_limit_bytes,
            public_url=settings.service.public_url,
        )


def _now() -> datetime:
    return datetime.now(UTC)
