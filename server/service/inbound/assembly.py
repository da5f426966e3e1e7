"""Put together what takes what engines send, and the worker behind it."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime

from integration import intake, origin
from integration.intake import Rejection
from integration.mapping import Mapping
from integration.records import Response
from integration.settings import Settings, Site
from integration.sources.client import FhirClient
from integration.warehouse import Warehouse
from server.jobs import chart, stores
from server.ledger import Ledger
from server.service.inbound import patients, read_back
from server.service.inbound.deposits import Deposit
from server.service.inbound.desk import Desk
from server.service.inbound.group_commit import GroupCommit
from server.service.inbound.inbound import Inbound
from server.service.inbound.inbox import Inbox
from server.service.inbound.inbox_reader import InboxReader
from server.service.inbound.leadership import Leadership
from server.service.inbound.pulling import Puller
from server.service.inbound.read_back import ReadBack
from server.service.inbound.reading import ReadResource, ResourceReader
from server.service.inbound.submission import RESPONSE
from server.service.inbound.withholding import Withholding
from server.service.inbound.worker import Step, Worker

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stores:
    """What is kept.

    Attributes:
        ledger: outcomes.
        warehouse: resources.
        inbox: what was sent.
    """

    ledger: Ledger
    warehouse: Warehouse
    inbox: Inbox


def open_inbox(settings: Settings, site: Site, now: Callable[[], datetime]) -> Inbox:
    """Open the inbox, beside the ledger: in PostgreSQL if the settings name a URL, else in the state folder."""
    return Inbox.open(settings.ledger.url or settings.state_folder / "inbox.sqlite", site.name, now=now)


def inbound(
    stores_: Stores,
    site: Site,
    mapping: Mapping,
    read: ReadResource,
    *,
    most_entries: int,
    now: Callable[[], datetime],
    new_id: Callable[[], str],
) -> Inbound:
    """Build what the routes for engines work with."""

    def stage(deposits: Sequence[Deposit]) -> None:
        others = [one.body for one in deposits if one.resource_type != RESPONSE]
        if others:
            stores_.warehouse.store(site.name, others)

    desk = Desk(
        inbox=stores_.inbox,
        commit=GroupCommit(stores_.inbox.write, stage),
        read=read,
        withheld=Withholding(stores_.ledger, site),
        most_entries=most_entries,
        new_id=new_id,
    )
    return Inbound(inbox=stores_.inbox, desk=desk, mapping=mapping, origin=lambda: origin.of(mapping, site.name, now()))


@contextmanager
def assembled(
    settings: Settings,
    site: Site,
    mapping: Mapping,
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    now: Callable[[], datetime],
) -> Iterator[tuple[Inbound, Worker]]:
    """Build everything that engines' requests need, and the worker, which is not started yet."""
    connecting = chart.connector(site)
    with ExitStack() as stack:
        inbox = stack.enter_context(contextlib.closing(open_inbox(settings, site, now)))
        kept = Stores(ledger=ledger, warehouse=warehouse, inbox=inbox)
        fetch = patients.of_requests(site, warehouse, threads=settings.service.process.threads)
        bases = own_bases(settings, site)
        read = ResourceReader(mapping, fetch, bases=bases)
        patient = patients.PatientFetcher(site=site, warehouse=warehouse, connect=connecting)
        of_worker = ResourceReader(mapping, patient, bases=bases)
        built = inbound(
            kept, site, mapping, read, most_entries=settings.service.bundle_entries, now=now,
            new_id=lambda: str(uuid.uuid4()),
        )  # fmt: skip
        client = stack.enter_context(connecting())
        asking = stack.enter_context(chart.asking_once(site, read_back.ANSWER_SECONDS)())
        reading_back = ReadBack(ledger, asking, site)
        worker = _worker(kept, site, built, of_worker, reading_back, client=client, connect=connecting, now=now)
        yield built, worker


def own_bases(settings: Settings, site: Site) -> list[str]:
    """Return under which base URLs the EHR's server is known; what is sent to us may name ours in its place."""
    ours = settings.service.public_url
    return [site.base_url.rstrip("/"), *site.other_base_urls, *([f"{ours}/fhir"] if ours else [])]


def _worker(
    kept: Stores,
    site: Site,
    built: Inbound,
    read: ResourceReader,
    reading_back: ReadBack,
    *,
    client: FhirClient,
    connect: Callable[[], FhirClient],
    now: Callable[[], datetime],
) -> Worker:
    leadership = Leadership(kept.inbox)
    client.on_end = leadership.go_on  # a pull, or a delivery to a slow server, may last long

    def is_planned(response_id: str) -> bool:
        return bool(kept.ledger.of_responses(site.name, [response_id]))

    puller = Puller(inbox=kept.inbox, commit=built.desk.commit, read=read, site=site, now=now, is_planned=is_planned)
    reader = InboxReader(
        inbox=kept.inbox,
        read=lambda body: intake.read_response(built.mapping, body, read.find),
        planner=stores.planner(kept.ledger, site, stores.staged_patients(kept.warehouse, site, built.mapping)),
        origin=built.origin,
        read_other=lambda kind, name, body: _problem(read(kind, name, body)),
        keep=lambda bodies: kept.warehouse.store(site.name, bodies),
        holder=leadership.holder,
    )

    def deliver(limit: int) -> object:
        return chart.send(kept.ledger, kept.warehouse, client, site, connect=connect, limit=limit)

    def has_work() -> bool:
        built.note_hints()
        return leadership.has_work() or (reading_back.has_more and leadership.is_leader())

    step = Step(
        reader,
        deliver,
        read_back=reading_back,
        before=(
            built.note_hints,
            lambda: built.take_deferred(leadership.is_leader),
            lambda: puller.pull(client),
            built.note_hints,
        ),
        is_leader=leadership.is_leader,
        is_busy=built.desk.commit.is_busy,
    )

    def begin() -> None:
        leadership.start()
        kept.inbox.pulls.ask_again()

    return Worker(step, poll=has_work, on_start=begin, on_stop=leadership.stop)


def _problem(read: Response | Rejection | None) -> Rejection | None:
    return read if isinstance(read, Rejection) else None
