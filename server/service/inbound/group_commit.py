"""Many requests, one transaction: what waits while one is written is written together with the next.

A disk takes far longer to say that something is safe than to take it. So whoever comes first writes what all have
brought so far; who came meanwhile waits, and one of those writes what has gathered. Before it writes, it waits a few
milliseconds for those who have said that they are coming, for each transaction costs as much work as many resources.
Where only one comes at a time, it waits for nobody.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from server.service.inbound.deposits import Deposit, Taken, Unit

logger = logging.getLogger(__name__)

MOST_DEPOSITS: Final = 2000
"""A transaction takes no more units once it has so many resources."""

GATHER_SECONDS: Final = 0.01
"""The longest wait for those who are coming."""

_BUSY_SECONDS: Final = 0.25
_BUSY_UNITS: Final = 25

Write = Callable[[Sequence[Unit]], Sequence[Taken | Exception]]
Stage = Callable[[Sequence[Deposit]], object]


class _Job:
    """A unit that waits, and what became of it."""

    __slots__ = ("is_done", "result", "unit", "woken")

    def __init__(self, unit: Unit) -> None:
        self.unit, self.is_done, self.woken = unit, False, threading.Event()
        self.result: Taken | BaseException | None = None


class GroupCommit:
    """Stores units durably; callable from every thread.

    Args:
        write: stores several in one transaction, and returns what became of each.
        stage: puts stored resources that others refer to where they are looked up; in the order of storing.
    """

    def __init__(self, write: Write, stage: Stage = lambda _: None) -> None:
        self._write, self._stage = write, stage
        self._waiting: deque[_Job] = deque()
        self._queue, self._is_led = threading.Lock(), False
        self._coming, self._counting = 0, threading.Lock()
        self._written: deque[tuple[float, int]] = deque(maxlen=256)
        self._all_here = threading.Event()

    @contextmanager
    def coming(self) -> Iterator[Callable[[Unit], Taken]]:
        """Say that a unit is about to come; gives what takes it. It need not come."""
        announced = [True]
        self._count(1)

        def arrive() -> None:
            if announced:
                announced.clear()
                self._count(-1)

        try:
            yield lambda unit: self._take(unit, arrive)
        finally:
            arrive()

    def take(self, unit: Unit) -> Taken:
        """Store a unit; when this returns, it is on the disk.

        Raises:
            VersionConflictError, KeyReusedError: nothing of it was stored.
            Exception: whatever the database says; nothing of it was stored.
        """
        return self._take(unit, lambda: None)

    def _take(self, unit: Unit, arrive: Callable[[], None]) -> Taken:
        job = _Job(unit)
        with self._queue:
            self._waiting.append(job)
            leads, self._is_led = not self._is_led, True
        arrive()
        if not leads:
            job.woken.wait()  # until it is written, or is the first of those that wait
        if not job.is_done:
            self._lead(job)
        if isinstance(job.result, Taken):
            return job.result
        if job.result is None:
            raise RuntimeError("a unit was not written")
        raise job.result

    def _lead(self, job: _Job) -> None:
        """Write until a unit is written, then have the next one that waits go on: nobody writes for others only."""
        try:
            while not job.is_done:
                self._wait_for_those_coming()
                self._run(self._gathered())
        finally:
            with self._queue:
                self._is_led = bool(self._waiting)
                if self._waiting:
                    self._waiting[0].woken.set()

    def is_busy(self) -> bool:
        """Whether so much was taken in the last quarter of a second that other work had better wait."""
        since = time.monotonic() - _BUSY_SECONDS
        return sum(units for moment, units in tuple(self._written) if moment > since) > _BUSY_UNITS

    def _count(self, change: int) -> None:
        with self._counting:
            self._coming += change
            if self._coming:
                self._all_here.clear()
            else:
                self._all_here.set()

    def _wait_for_those_coming(self) -> None:
        if self._coming:
            self._all_here.wait(GATHER_SECONDS)

    def _gathered(self) -> list[_Job]:
        """Return what waits, up to the limit; the rest is written by one of those who brought it."""
        jobs: list[_Job] = []
        size = 0
        with self._queue:
            while self._waiting and (not jobs or size + len(self._waiting[0].unit.deposits) <= MOST_DEPOSITS):
                jobs.append(self._waiting.popleft())
                size += len(jobs[-1].unit.deposits) + 1
        return jobs

    def _run(self, jobs: Sequence[_Job]) -> None:
        try:
            results: Sequence[Taken | BaseException] = self._write([job.unit for job in jobs])
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            results = [error] * len(jobs) if len(jobs) == 1 else [self._alone(job) for job in jobs]
        self._written.append((time.monotonic(), len(jobs)))
        for job, result in zip(jobs, results, strict=True):
            job.result = result
        self._stage_stored(jobs)
        for job in jobs:
            job.is_done = True
            job.woken.set()

    def _alone(self, job: _Job) -> Taken | BaseException:
        """Write a unit by itself: what the database refuses of one must not be refused of the others."""
        try:
            return self._write([job.unit])[0]
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            return error

    def _stage_stored(self, jobs: Sequence[_Job]) -> None:
        stored = [deposit for job in jobs for deposit in _stored(job)]
        if not stored:
            return
        try:
            self._stage(stored)
        except Exception as error:  # noqa: BLE001 - it is stored, so it is no failure; the worker stages it again
            facts = {"action": "staging_postponed", "error": type(error).__name__, "resources": len(stored)}
            logger.error("stored resources are not in the warehouse yet; it is tried again", extra=facts)


def _stored(job: _Job) -> list[Deposit]:
    if not isinstance(job.result, Taken) or not job.result.receipts:
        return []
    pairs = zip(job.unit.deposits, job.result.receipts, strict=True)
    return [one for one, receipt in pairs if not (receipt.is_replay or receipt.is_conflict or receipt.problem)]
