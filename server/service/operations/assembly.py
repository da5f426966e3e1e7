"""Put together what operators see of one process of the service."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from integration.settings import Settings
from server.jobs import stores
from server.ledger import Ledger
from server.service.inbound.inbox import Inbox
from server.service.operations import timings
from server.service.operations.figures import Stores
from server.service.operations.metrics import Metrics
from server.service.operations.readiness import Readiness
from server.service.operations.routes import Operations
from server.service.operations.timings import Timings

_MB = 10**6


@contextmanager
def assembled(
    settings: Settings,
    site: str,
    *,
    inbox: Inbox,
    ledger: Ledger,
    is_working: Callable[[], bool],
    now: Callable[[], datetime],
    versions: tuple[str, str],
    service: int,
) -> Iterator[Operations]:
    """Build what the routes for operators work with.

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
    ):
        figures = Stores(
            site=site, inbox=inbox, ledger=ledger, overview=overview, state_folder=settings.state_folder, now=now
        )
        yield Operations(
            is_working=is_working,
            readiness=Readiness(figures, inbox.check_writable, settings.service.process.least_free_mb * _MB),
            metrics=Metrics(figures, measured, software_version=versions[0], fhir_version=versions[1]),
            timings=measured,
        )
