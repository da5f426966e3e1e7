"""Delivery to one site: read what was on its way, then lease, claim, send and settle what is due."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from integration.settings import Site
from integration.sources.client import Clock, FhirClient
from server.delivery.assignment import Assignment
from server.delivery.breaker import Breaker
from server.delivery.ladder import Ladder
from server.delivery.lookup import Lookup
from server.delivery.one_by_one import OneByOne
from server.delivery.resolution import Resolver
from server.delivery.safeguards import Safeguards
from server.delivery.transactions import Transactions
from server.delivery.transport import Group, Transport
from server.delivery.writer import StoppedError, Writer
from server.ledger import Entry, Ledger
from server.ledger.states import DUE, State
from server.sites import profile_of

logger = logging.getLogger(__name__)

_TRANSACTIONS_PER_LEASE: Final = 2
_ENTRIES_OF_A_RESPONSE: Final = 4
_MOST_LEASED: Final = 200
_LEASED_ONE_BY_ONE: Final = 50
_LEASED_WITH_A_SEARCH_EACH: Final = 4
_LEAST: Final = 64  # more than the resources of one response
_PASSES: Final = 3  # what waited for another worker's Device, or for a new version after a conflict, comes again

Progress = Callable[[int, int], None]
"""Called with resources done and resources in all."""


_FOR_A_PERSON: Final[tuple[State, ...]] = ("refused", "manual", "duplicate")


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryReport:
    """What one delivery did; the unit is one resource.

    Attributes:
        resolved: what was on its way when it began, by the state that reading settled it to.
        sent: by the state that sending left it in.
        remaining: still planned, waiting or on its way.
        withheld: of the remaining, what a safeguard holds back, by its reason.
        leased_until: when what another worker was sending as this run began is free again, which may be a worker that
            was killed (ISO 8601, UTC); empty if there was none, or nothing remains.
        stopped: why it ended before everything due was sent; empty if it did not.
    """

    resolved: Mapping[State, int]
    sent: Mapping[State, int]
    remaining: int
    withheld: Mapping[str, int] = field(default_factory=dict)
    leased_until: str = ""
    stopped: str = ""

    @property
    def for_a_person(self) -> int:
        """Resources that this delivery left to a person."""
        return sum(found.get(state, 0) for found in (self.resolved, self.sent) for state in _FOR_A_PERSON)


def deliver(
    ledger: Ledger,
    client: FhirClient,
    site: Site,
    *,
    limit: int | None = None,
    clock: Clock | None = None,
    on_progress: Progress = lambda *_: None,
    connect: Callable[[], FhirClient] | None = None,
    safeguards: Safeguards | None = None,
) -> DeliveryReport:
    """Send what is due to a site, after what was on its way has been read.

    Several deliveries to one site may run at once, in one process or on several machines with one ledger.

    Args:
        ledger: what the chart shall hold.
        client: the site's server.
        site: its settings.
        limit: most resources to send, besides the site's own limit; None is no limit. At least one response is sent.
        clock: for waiting.
        on_progress: called after each batch.
        connect: makes the further connections that `limits.connections` allows; None: one connection only.
        safeguards: what must hold before a write; None: nothing but what the ledger knows.

    Raises:
        DeliveryError: the server cannot be reached, or refuses our credentials. Whatever was sent before is recorded.
    """
    allowance = _Allowance(_least(limit, site.limits.writes_per_run))
    return _Delivery(ledger, site, clock or Clock(), allowance, safeguards, on_progress).run(client, connect)


class _Allowance:
    """How many more resources may be sent; shared by the connections of a run."""

    def __init__(self, limit: int | None) -> None:
        self._left, self._is_first, self._lock = limit, True, threading.Lock()

    def take(self, groups: list[list[Entry]]) -> list[Group]:
        """Return the leading groups that fit; the first of a run always does, or it would never be sent."""
        with self._lock:
            if self._left is None or not groups:
                return list(groups)
            sizes = list(itertools.accumulate(len(group) for group in groups))
            fitting = max(sum(1 for size in sizes if size <= self._left), int(self._is_first))
            self._left -= sizes[fitting - 1] if fitting else 0
            self._is_first = False
            return list(groups[:fitting])


class _Delivery:
    """One run: what its connections share."""

    def __init__(
        self,
        ledger: Ledger,
        site: Site,
        clock: Clock,
        allowance: _Allowance,
        safeguards: Safeguards | None,
        on_progress: Progress,
    ) -> None:
        self.ledger, self.site, self.clock = ledger, site, clock
        self.profile = profile_of(site)
        self.allowance, self.safeguards = allowance, safeguards
        self.breaker = Breaker(ledger.decisions, site.name, clock)
        self.transport: Transport = Transactions() if self.profile.abilities.transactions else OneByOne()
        self.stopped = self._leased_until = ""
        self._on_progress, self._lock, self._done, self._total = on_progress, threading.Lock(), 0, 0

    def run(self, client: FhirClient, connect: Callable[[], FhirClient] | None) -> DeliveryReport:
        resolved: Counter[State] = Counter()
        sent: Counter[State] = Counter()
        left_alone = self.breaker.is_open()
        self._leased_until = self.ledger.leased_until(self.site.name)
        if left_alone:
            self.stopped = left_alone
        else:
            first = _Connection(self, client)
            try:
                resolved = first.resolver.resolve_all()
                first.ladder.step_down_all()
                sent = self._send_all(first, connect)
            finally:
                self.ledger.unlease(self.site.name, first.worker)
        return self._report(resolved, sent)

    def progressed(self, count: int) -> None:
        with self._lock:
            self._done += count
            self._on_progress(self._done, self._total)

    def stop(self, reason: str) -> None:
        with self._lock:
            self.stopped = self.stopped or reason

    def _send_all(self, first: _Connection, connect: Callable[[], FhirClient] | None) -> Counter[State]:
        counts = self.ledger.counts(self.site.name)
        self._total = sum(counts[state] for state in DUE)
        self.progressed(0)
        sent: Counter[State] = Counter()
        for _ in range(_PASSES):
            before = sent.total()
            first.begin()
            first.send_next()  # the Devices, which all others refer to
            sent += self._send_together(first, connect)
            sent += first.results()
            if self.stopped or sent.total() == before or not self._is_something_due():
                break
        return sent

    def _send_together(self, first: _Connection, connect: Callable[[], FhirClient] | None) -> Counter[State]:
        others = self.site.limits.connections - 1 if connect and self._is_something_due() else 0
        if connect is None or others == 0:
            first.send_rest()
            return Counter()
        with ThreadPoolExecutor(others, thread_name_prefix="delivery") as pool:
            futures = [pool.submit(self._of_another, connect) for _ in range(others)]
            try:
                first.send_rest()
            except BaseException:
                self.stop("another connection failed")
                raise
            return sum((future.result() for future in futures), Counter())

    def _of_another(self, connect: Callable[[], FhirClient]) -> Counter[State]:
        with connect() as client:
            other = _Connection(self, client)
            other.begin()
            try:
                other.send_rest()
            except BaseException:
                self.stop("another connection failed")
                raise
            finally:
                self.ledger.unlease(self.site.name, other.worker)
            return other.results()

    def _is_something_due(self) -> bool:
        return bool(self.ledger.due(self.site.name, after=None, limit=_LEAST))

    def _report(self, resolved: Counter[State], sent: Counter[State]) -> DeliveryReport:
        counts = self.ledger.counts(self.site.name)
        remaining = sum(counts[state] for state in ("planned", "waiting", "sending", "unknown"))
        if sent or resolved:
            logger.info("delivered", extra={"action": "delivered", "site": self.site.name, "remaining": remaining})
        withheld = self.safeguards.withheld if self.safeguards else Counter[str]()
        return DeliveryReport(
            resolved=dict(resolved),
            sent=dict(sent),
            remaining=remaining,
            withheld=dict(withheld),
            leased_until=self._leased_until if remaining else "",
            stopped=self.stopped,
        )


class _Connection:
    """One worker of a run, with a connection and leases of its own."""

    def __init__(self, delivery: _Delivery, client: FhirClient) -> None:
        self._delivery, self._client = delivery, client
        self.assignment = Assignment(
            ledger=delivery.ledger,
            site=delivery.site,
            profile=delivery.profile,
            clock=delivery.clock,
            breaker=delivery.breaker,
        )
        self.worker = self.assignment.worker
        lookup = Lookup.of(delivery.ledger, client, delivery.site, delivery.profile)
        self.resolver = Resolver(self.assignment, lookup)
        self._writer = Writer(self.assignment, client)
        self.ladder = Ladder(delivery.ledger, delivery.site, delivery.profile)
        self._after: str | None = None
        self._reported: Counter[State] = Counter()

    def begin(self) -> None:
        self._after = None

    def results(self) -> Counter[State]:
        """Return what was sent since this was last asked."""
        new = Counter(self._writer.results)
        new.subtract(self._reported)
        self._reported = Counter(self._writer.results)
        return +new

    def send_rest(self) -> None:
        while not self._delivery.stopped and self.send_next():
            pass

    def send_next(self) -> bool:
        """Send the next batch of responses; False if there is none."""
        delivery = self._delivery
        entries = delivery.ledger.lease(
            delivery.site.name,
            self.worker,
            after=self._after,
            responses=self._most_leased(),
            seconds=self.assignment.lease_seconds,
        )
        if not entries:
            return False
        self._after = entries[-1].response_id
        try:
            self._send(entries)
        except StoppedError as error:
            delivery.stop(str(error))
        finally:
            delivery.ledger.unlease(delivery.site.name, self.worker)
        return True

    def _most_leased(self) -> int:
        """Return how many responses are leased at once: so many that their look-ups and requests end before it does."""
        abilities = self.assignment.profile.abilities
        if abilities.transactions:
            per_transaction = max(self.assignment.site.limits.entries_per_transaction // _ENTRIES_OF_A_RESPONSE, 1)
            return min(_TRANSACTIONS_PER_LEASE * per_transaction, _MOST_LEASED)
        some = _LEASED_ONE_BY_ONE if abilities.keeps_all else _LEASED_WITH_A_SEARCH_EACH
        return max(some // self.assignment.site.limits.connections, 1)

    def _send(self, entries: Sequence[Entry]) -> None:
        delivery = self._delivery
        absent = self.resolver.not_in_chart(entries)
        safe = delivery.safeguards.allowed(absent, self._client) if delivery.safeguards else absent
        groups = [list(group) for _, group in itertools.groupby(safe, key=lambda entry: entry.response_id)]
        allowed = delivery.allowance.take(groups)
        try:
            delivery.transport.deliver(allowed, self._writer, self.resolver)
        finally:
            self.ladder.step_down([entry for group in allowed for entry in group])
        delivery.progressed(len(entries) - len(safe) + sum(map(len, allowed)))
        if len(allowed) < len(groups):
            raise StoppedError("the limit of writes for one run is reached")


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
