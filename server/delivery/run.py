"""Delivery to one site: read what was on its way, then claim, send and settle what is due."""

from __future__ import annotations

import itertools
import logging
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from integration.settings import Site
from integration.sources.client import Clock, FhirClient
from server.delivery.lookup import Lookup
from server.delivery.one_by_one import Single
from server.delivery.resolution import Resolver
from server.delivery.transactions import Generic
from server.delivery.writer import StoppedError, Writer
from server.ledger import Ledger
from server.ledger.entries import Entry
from server.ledger.states import DUE, State
from server.sites.profile import Group, WriteProfile

logger = logging.getLogger(__name__)

PROFILES: Final[Mapping[str, type[WriteProfile]]] = {"generic": Generic, "single": Single}
_LEAST_BATCH = 64  # more than the resources of one response

Progress = Callable[[int, int], None]
"""Called with resources done and resources in all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryReport:
    """What one delivery did; the unit is one resource.

    Attributes:
        resolved: what was on its way when it began, by the state that reading settled it to.
        sent: by the state that sending left it in.
        remaining: still planned, waiting or on its way.
        stopped: why it ended before everything due was sent; empty if it did not.
    """

    resolved: Mapping[State, int]
    sent: Mapping[State, int]
    remaining: int
    stopped: str = ""


def deliver(
    ledger: Ledger,
    client: FhirClient,
    site: Site,
    *,
    limit: int | None = None,
    clock: Clock | None = None,
    on_progress: Progress = lambda *_: None,
    new_request_id: Callable[[], str] = lambda: str(uuid.uuid4()),
) -> DeliveryReport:
    """Send what is due to a site, after what was on its way has been read.

    Args:
        ledger: what the chart shall hold.
        client: the site's server.
        site: its settings.
        limit: most resources to send, besides the site's own limit; None is no limit. At least one response is sent.
        clock: for waiting.
        on_progress: called after each batch.
        new_request_id: gives each request its X-Request-Id.

    Raises:
        DeliveryError: another delivery to this site is running; the server cannot be reached, or refuses our
            credentials. Whatever was sent before is recorded.
    """
    clock = clock or Clock()
    resolver = Resolver(ledger, Lookup(client, page_size=site.limits.page_size), site, clock)
    writer = Writer(ledger, client, site, clock, new_request_id)
    stopped = ""
    with ledger.exclusive(site.name):
        resolved = resolver.resolve_all()
        try:
            _send_all(ledger, writer, resolver, _least(limit, site.limits.writes_per_run), on_progress)
        except StoppedError as error:
            stopped = str(error)
    remaining = _remaining(ledger, site.name)
    if writer.sent or resolved:
        logger.info("delivered", extra={"action": "delivered", "site": site.name, "remaining": remaining})
    return DeliveryReport(resolved=dict(resolved), sent=dict(writer.results), remaining=remaining, stopped=stopped)


def _send_all(ledger: Ledger, writer: Writer, resolver: Resolver, limit: int | None, on_progress: Progress) -> None:
    profile = PROFILES[writer.site.write_profile]()
    size = max(2 * writer.site.limits.entries_per_transaction, _LEAST_BATCH)
    counts = ledger.counts(writer.site.name)
    total, done, after = sum(counts[state] for state in DUE), 0, None
    on_progress(0, total)
    while entries := ledger.due(writer.site.name, after=after, limit=size):
        absent = resolver.not_in_chart(entries)
        groups = [list(group) for _, group in itertools.groupby(absent, key=lambda entry: entry.response_id)]
        allowed = groups if limit is None else _within(groups, limit - writer.sent, is_first=not writer.sent)
        profile.deliver(allowed, writer, resolver)
        done += len(entries) - len(absent) + sum(map(len, allowed))
        on_progress(done, total)
        if len(allowed) < len(groups):
            raise StoppedError("the limit of writes for one run is reached")
        after = entries[-1].response_id


def _within(groups: list[list[Entry]], allowance: int, *, is_first: bool) -> list[Group]:
    """Return the leading groups that fit; the first of a run always does, or it would never be sent."""
    sizes = itertools.accumulate(len(group) for group in groups)
    fitting = sum(1 for size in sizes if size <= allowance)
    return list(groups[: max(fitting, int(is_first))])


def _remaining(ledger: Ledger, site: str) -> int:
    counts: Counter[State] = ledger.counts(site)
    return sum(counts[state] for state in ("planned", "waiting", "sending", "unknown"))


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
