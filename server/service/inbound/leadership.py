"""Whether this process is the one that plans and delivers, and what tells it that there is something to do."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Final

from server.service.inbound.inbox import Inbox
from server.service.inbound.lease import LEASE_SECONDS

_LONGEST_STEP_SECONDS: Final = 600.0
"""A process whose worker says nothing for so long does not keep the lease."""


class Leadership:
    """Takes the lease where it is free, keeps it while the worker works, and gives it up at the end.

    A step may take longer than the lease lasts, when the EHR's server is slow. So a thread keeps the lease for it.

    Args:
        inbox: whose lease.
        clock: seconds.
    """

    def __init__(self, inbox: Inbox, clock: Callable[[], float] = time.monotonic) -> None:
        self.holder = uuid.uuid4().hex
        self._inbox, self._clock = inbox, clock
        self._ends, self._said = 0.0, 0.0
        self._seen: tuple[int, str, int] | None = None
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="planner-lease", daemon=True)

    def start(self) -> None:
        """Start the thread that keeps the lease."""
        self._keeper.start()

    def stop(self) -> None:
        """Give the lease up."""
        self._stopping.set()
        if self._keeper.is_alive():
            self._keeper.join()
        self._ends = 0.0
        self._inbox.lease.give_up(self.holder)

    def is_leader(self) -> bool:
        """Whether this process works now; takes the lease if it is free."""
        self._said = self._clock()
        return self._ends - self._said > LEASE_SECONDS / 3 or self._take()

    def go_on(self) -> None:
        """Say that the worker works, in the middle of a step that takes long."""
        self._said = self._clock()

    def has_work(self) -> bool:
        """Whether this process works, and something was stored by any since it was asked before."""
        if not self.is_leader():
            return False
        wanted = self._inbox.pulls.wanted()
        stands = self._inbox.newest_sequence(), self._inbox.deferred.next_id(), wanted.asked if wanted else 0
        is_new, self._seen = stands != self._seen, stands
        return is_new

    def _take(self) -> bool:
        asked = self._clock()
        is_ours = self._inbox.lease.take(self.holder, LEASE_SECONDS)
        self._ends = asked + LEASE_SECONDS if is_ours else 0.0
        return is_ours

    def keep(self) -> None:
        """Make the lease last longer, unless the worker has said nothing for too long."""
        if self._ends and self._clock() - self._said < _LONGEST_STEP_SECONDS:
            self._take()

    def _keep(self) -> None:
        while not self._stopping.wait(LEASE_SECONDS / 4):
            self.keep()
