"""The thread behind the service: plans and delivers what was stored, at once when woken and again every few seconds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from integration.errors import DeliveryError
from server.service.inbound.inbox_reader import InboxReader

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 5.0
DELIVERIES_PER_SWEEP = 200


class Deliver(Protocol):
    """Sends what is due, records what became of it, and returns.

    A DeliveryError says that the EHR's server is away; the next sweep tries again.
    """

    def __call__(self, limit: int) -> object:
        """Send at most `limit` outcomes."""


class Step:
    """One round: plan what waits in the inbox, then deliver what is due.

    Args:
        reader: from the inbox to the ledger.
        deliver: from the ledger to the EHR's server.
    """

    def __init__(self, reader: InboxReader, deliver: Deliver) -> None:
        self._reader, self._deliver = reader, deliver

    def __call__(self) -> bool:
        """Return whether all went well; that the EHR's server is away is not ill, it is waited for."""
        failed = self._reader.plan_waiting().failed
        try:
            self._deliver(DELIVERIES_PER_SWEEP)
        except DeliveryError as error:
            facts = {"action": "delivery_postponed", "error": type(error).__name__}
            logger.warning("delivery is put off until the next sweep", extra=facts)
        return not failed


class Worker:
    """Runs a step in a thread of its own: at the start, whenever woken, and every `sweep_seconds`.

    The first step is what repairs a crash: it finds what was stored and not planned, planned and not delivered.

    Args:
        step: returns whether all went well.
        sweep_seconds: the longest pause between two steps.
    """

    def __init__(self, step: Callable[[], bool], *, sweep_seconds: float = SWEEP_SECONDS) -> None:
        self._step, self._sweep_seconds = step, sweep_seconds
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

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            self._went_well = self._try_step()
            self._woken.wait(self._sweep_seconds)

    def _try_step(self) -> bool:
        try:
            return self._step()
        except Exception as error:  # noqa: BLE001 - a thread that ends in silence would deliver nothing for weeks
            facts = {"action": "worker_failed", "error": type(error).__name__}
            logger.error("a step of the worker failed; it is tried again", extra=facts)
            return False
