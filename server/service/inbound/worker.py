"""The thread behind the service: plans and delivers what was stored, at once when woken and again every few seconds."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from integration.errors import DeliveryError, SettingsError
from server.service.inbound.inbox_reader import InboxReader

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 5.0
POLL_SECONDS = 0.2
DELIVERIES_PER_SWEEP = 200
GIVE_WAY_SECONDS = 0.5
LONGEST_WAY_SECONDS = 5.0
WAY_FOR_WORK = 5.0
"""How many seconds it pauses for each second that it worked, while much comes."""


class Deliver(Protocol):
    """Sends what is due, records what became of it, and returns.

    A DeliveryError says that the EHR's server is away; the next sweep tries again.
    """

    def __call__(self, limit: int) -> object:
        """Send at most `limit` outcomes."""


class Step:
    """One round: take what was to be taken later, plan what waits in the inbox, deliver what is due, read it back.

    Args:
        reader: from the inbox to the ledger.
        deliver: from the ledger to the EHR's server.
        read_back: sees, after a delivery that the EHR's server was there for, what became of what it took.
        before: what is done first, in order; each may raise a DeliveryError, which puts off that one only.
        is_leader: whether this process is the one that works; asked again and again, which keeps it so.
        is_busy: whether so much is being taken that planning and delivery had better go slowly: what is stored waits
            without harm, and whoever is not answered in time sends again.
        pause: waits so many seconds.
        clock: seconds.
    """

    def __init__(
        self,
        reader: InboxReader,
        deliver: Deliver,
        *,
        read_back: Callable[[], object] = lambda: None,
        before: tuple[Callable[[], object], ...] = (),
        is_leader: Callable[[], bool] = lambda: True,
        is_busy: Callable[[], bool] = lambda: False,
        pause: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_busy, self._wait, self._clock, self._resumed = is_busy, pause, clock, clock()
        self._reader, self._deliver, self._before, self._is_leader = reader, deliver, before, is_leader
        self._read_back, self._is_well = read_back, True

    def __call__(self) -> bool:
        """Return whether all went well; that the EHR's server is away is not ill, it is waited for.

        What meets an unforeseen fault holds up none of the others: it is said, and tried again the next time.
        """
        self._is_well = True
        for one in self._before:
            if not self._is_leader():
                return self._is_well
            self._done(one)
        sweep = self._reader.plan_waiting(self._goes_on)
        if self._goes_on() and self._done(lambda: self._deliver(DELIVERIES_PER_SWEEP)) and self._goes_on():
            self._done(self._read_back)
        return self._is_well and not sweep.failed

    def _goes_on(self) -> bool:
        """Give way to requests, longer after longer work, and say whether this process still works."""
        if self._is_busy():
            worked = self._clock() - self._resumed
            self._wait(min(LONGEST_WAY_SECONDS, max(GIVE_WAY_SECONDS, WAY_FOR_WORK * worked)))
        self._resumed = self._clock()
        return self._is_leader()

    def _done(self, work: Callable[[], object]) -> bool:
        """Do a part of the round; returns whether that is done, or must be tried again."""
        try:
            work()
            return True
        except DeliveryError as error:
            facts = {"action": "delivery_postponed", "error": type(error).__name__}
            logger.warning("delivery is put off until the next sweep", extra=facts)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one part must not stop the others
            self._is_well = False
            facts = {"action": "step_failed", "error": type(error).__name__}
            logger.error("a part of the worker's step failed; it is tried again", extra=facts)
        return False


class Worker:
    """Runs a step in a thread of its own: at the start, whenever woken, and every `sweep_seconds`.

    The first step is what repairs a crash: it finds what was stored and not planned, planned and not delivered.

    Args:
        step: returns whether all went well.
        sweep_seconds: the longest pause between two steps.
        poll: asked every `poll_seconds` in between; True: there is something to do that another process stored.
        poll_seconds: the pause between two such questions.
        on_start: called before the first step.
        on_stop: called after the last one.
    """

    def __init__(
        self,
        step: Callable[[], bool],
        *,
        sweep_seconds: float = SWEEP_SECONDS,
        poll: Callable[[], bool] | None = None,
        poll_seconds: float = POLL_SECONDS,
        on_start: Callable[[], object] = lambda: None,
        on_stop: Callable[[], object] = lambda: None,
    ) -> None:
        self._on_start, self._on_stop = on_start, on_stop
        self._step, self._sweep_seconds = step, sweep_seconds
        self._poll, self._poll_seconds = poll, poll_seconds
        self._woken, self._stopping = threading.Event(), threading.Event()
        self._went_well = True
        self._thread = threading.Thread(target=self._run, name="outcome-worker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Have the next step begin now; callable from every thread."""
        self._woken.set()

    def stop(self, timeout_seconds: float = 30.0) -> bool:
        """Let the step at hand end and begin no other; return whether it ended in time.

        What it leaves undone is found again at the next start.
        """
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    @property
    def is_working(self) -> bool:
        """Whether the thread runs and its last step went well."""
        return self._thread.is_alive() and self._went_well

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    def _run(self) -> None:
        self._tried(lambda: bool(self._on_start()))
        while not self._stopping.is_set():
            self._woken.clear()
            self._went_well = self._tried(self._step)
            self._pause()
        self._tried(lambda: bool(self._on_stop()))

    def _pause(self) -> None:
        """Wait until woken, or until there is something to do."""
        if self._poll is None:
            self._woken.wait(self._sweep_seconds)
            return
        ends = time.monotonic() + self._sweep_seconds
        while (left := ends - time.monotonic()) > 0:
            if self._woken.wait(min(left, self._poll_seconds)) or self._tried(self._poll):
                return

    @staticmethod
    def _tried(work: Callable[[], bool]) -> bool:
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - a thread that ends in silence would deliver nothing for weeks
            facts = {"action": "worker_failed", "error": type(error).__name__}
            if isinstance(error, SettingsError):
                facts["problem"] = str(error)
            logger.error("a step of the worker failed; it is tried again", extra=facts)
            return False
