"""What the stores say of the service's state; read when it is asked for, so that it is true of all its processes."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from server.delivery.breaker import is_left_alone
from server.ledger import Ledger
from server.ledger.decisions import Breaker
from server.ledger.entries import timestamp
from server.ledger.overview import UNPROVEN, Overview
from server.ledger.states import DUE, State
from server.service.inbound.lease import Lease

_SETTLED_AFTER: Final = timedelta(hours=1)
"""The result of an attempt that left longer ago is taken for final, so that it is counted only once."""


class CountsArrivals(Protocol):
    """The inbox, as far as its figures go; `lease` says who works at what waits there."""

    @property
    def lease(self) -> Lease:
        """Which process plans and delivers."""

    def counts(self) -> Mapping[str, int]:
        """Return how many stored versions are in each state."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """The state of one site.

    Attributes:
        site: whose.
        inbox: stored versions of responses, by what became of them.
        outcomes: resources in the ledger, by state.
        deliveries: resources sent so far, by the state that followed.
        oldest_unproven_seconds: since the oldest of what left and was not seen in the chart yet; 0: there is none.
        oldest_due_seconds: since the oldest of what is still to be sent; likewise.
        oldest_waiting_seconds: since the oldest of what was taken and nothing was made of yet; likewise.
        is_worked: whether some process plans and delivers now.
        breaker: whether the site's server is left alone.
        is_breaker_open: whether that is so now.
        last_contact: when the server last answered (ISO 8601, UTC); empty: never.
        failed_contact: when a delivery last could not reach it; empty: the last one could, or had no need to.
        free_bytes: on the disk of the state folder.
    """

    site: str
    inbox: Mapping[str, int]
    outcomes: Mapping[State, int]
    deliveries: Mapping[str, int]
    oldest_unproven_seconds: float
    oldest_due_seconds: float
    oldest_waiting_seconds: float
    is_worked: bool
    breaker: Breaker
    is_breaker_open: bool
    last_contact: str
    failed_contact: str
    free_bytes: int


class Stores:
    """Reads the figures of one site; one object serves several threads.

    Args:
        site: its name.
        inbox: what was sent to the service.
        ledger: what is planned and delivered.
        overview: the same, for figures.
        state_folder: where the stores lie.
        now: the clock; aware, UTC.
    """

    def __init__(
        self,
        *,
        site: str,
        inbox: CountsArrivals,
        ledger: Ledger,
        overview: Overview,
        state_folder: Path,
        now: Callable[[], datetime],
    ) -> None:
        self.site, self.overview = site, overview
        self._inbox, self._ledger, self._folder, self._now = inbox, ledger, state_folder, now
        self._lock, self._counted_until, self._counted = threading.Lock(), 0, Counter[str]()

    def figures(self) -> Figures:
        """Read them all.

        Raises:
            LedgerError, sqlalchemy.exc.DBAPIError: a store cannot be read now.
        """
        breaker = self.breaker()
        return Figures(
            site=self.site,
            inbox=dict(self._inbox.counts()),
            outcomes=dict(self._ledger.counts(self.site)),
            deliveries=self._deliveries(),
            oldest_unproven_seconds=self._age(self.overview.oldest(self.site, UNPROVEN)),
            oldest_due_seconds=self._due_seconds(),
            oldest_waiting_seconds=self._waiting_seconds(),
            is_worked=self._is_worked(),
            breaker=breaker,
            is_breaker_open=self.is_open(breaker),
            last_contact=self.overview.last_contact(self.site),
            failed_contact=self.failed_contact(),
            free_bytes=self.free_bytes(),
        )

    def neglected_seconds(self) -> float:
        """Return for how long something waits that no process works at; 0: nothing waits, or some process works.

        Raises:
            LedgerError, sqlalchemy.exc.DBAPIError: a store cannot be read now.
        """
        return 0.0 if self._is_worked() else max(self._due_seconds(), self._waiting_seconds())

    def breaker(self) -> Breaker:
        """Return whether the site's server is left alone."""
        return self._ledger.decisions.breaker(self.site)

    def failed_contact(self) -> str:
        """Return when a delivery last could not reach the site's server; empty: the last one could."""
        return self._ledger.decisions.failed_contact(self.site)

    def is_open(self, breaker: Breaker) -> bool:
        """Whether that is so now."""
        return is_left_alone(breaker.open_until, self._now())

    def free_bytes(self) -> int:
        """Return the room on the disk of the state folder."""
        return shutil.disk_usage(self._folder).free

    def _is_worked(self) -> bool:
        return bool(self._inbox.lease.holder())

    def _due_seconds(self) -> float:
        return self._age(self.overview.oldest(self.site, DUE))

    def _waiting_seconds(self) -> float:
        return self._age(self._inbox.lease.waits_since())

    def _age(self, since: str) -> float:
        return max(0.0, (self._now() - datetime.fromisoformat(since)).total_seconds()) if since else 0.0

    def _deliveries(self) -> Counter[str]:
        """Count what was sent; what is final is counted once and remembered."""
        final = self.overview.last_attempt(timestamp(self._now() - _SETTLED_AFTER))
        with self._lock:
            if final > self._counted_until:
                self._counted += self.overview.results(self.site, after=self._counted_until, until=final)
                self._counted_until = final
            return self._counted + self.overview.results(self.site, after=self._counted_until)
