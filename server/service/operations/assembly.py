"""Put together what operators see of one process of the service."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime

import requests

from integration.settings import Settings, Site
from server.jobs import stores
from server.ledger import Ledger
from server.ledger.overview import Overview
from server.service.inbound.inbox import Inbox
from server.service.operations import timings
from server.service.operations.audit_keeper import AuditKeeper
from server.service.operations.audit_of_arrivals import ArrivalsAudit
from server.service.operations.audit_of_writes import WritesAudit
from server.service.operations.audit_posting import AuditPosting
from server.service.operations.audit_trail import AuditTrail
from server.service.operations.figures import Stores
from server.service.operations.marks import Marks
from server.service.operations.metrics import Metrics
from server.service.operations.readiness import Readiness
from server.service.operations.routes import Operations
from server.service.operations.timings import Timings

_MB = 10**6


@contextmanager
def assembled(
    settings: Settings,
    site: Site,
    *,
    inbox: Inbox,
    ledger: Ledger,
    is_working: Callable[[], bool],
    now: Callable[[], datetime],
    versions: tuple[str, str],
    service: int,
) -> Iterator[Operations]:
    """Build what the routes for operators work with, the audit running.

    Args:
        settings: of the installation.
        site: whose outcomes are delivered.
        inbox: what was sent to the service.
        ledger: what is planned and delivered.
        is_working: whether this process's worker does its work.
        now: the clock; aware, UTC.
        versions: of Outcome Bridge and of FHIR.
        service: pid that all processes of the service share: their parent's.
    """
    with (
        stores.open_overview(settings) as overview,
        contextlib.closing(Timings(timings.folder_of(settings.state_folder, service))) as measured,
        _audit(settings, site, inbox, overview, now) as (trail, keeper),
    ):
        figures = Stores(
            site=site.name, inbox=inbox, ledger=ledger, overview=overview, state_folder=settings.state_folder, now=now
        )
        yield Operations(
            is_working=is_working,
            readiness=Readiness(figures, inbox.check_writable, settings.service.process.least_free_mb * _MB),
            metrics=Metrics(figures, measured, software_version=versions[0], fhir_version=versions[1]),
            timings=measured,
            figures=figures,
            audit=trail.append,
            keep_audit=keeper.step,
        )


@contextmanager
def _audit(
    settings: Settings, site: Site, inbox: Inbox, overview: Overview, now: Callable[[], datetime]
) -> Iterator[tuple[AuditTrail, AuditKeeper]]:
    audit = settings.service.audit
    path = audit.file or settings.state_folder / "audit.ndjson"
    with ExitStack() as stack:
        trail = stack.enter_context(contextlib.closing(AuditTrail(path, most_bytes=audit.file_mb * _MB, now=now)))
        marks = stack.enter_context(contextlib.closing(Marks(path.with_name(f"{path.name}.marks"))))
        writes = WritesAudit(
            site=site.name, server=site.base_url, overview=overview, marks=marks, append=trail.append, now=now
        )
        arrivals = ArrivalsAudit(inbox, settings.service.public_url or settings.service.host, marks, trail.append)
        writes.begin()
        arrivals.begin()
        posting = None
        if audit.url:
            posting = stack.enter_context(contextlib.closing(AuditPosting(trail, audit, marks, requests.Session)))
        keeper = AuditKeeper(trail, marks, (arrivals, writes), posting, kept=audit.files)
        keeper.start()
        stack.callback(keeper.stop)
        yield trail, keeper
