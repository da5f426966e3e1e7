"""The thread behind the audit: has on the disk what was written down, and does what one process does for all."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from sqlalchemy.exc import SQLAlchemyError

from integration.errors import OutcomeBridgeError
from server.service.operations.audit_posting import AuditPosting, AwayError
from server.service.operations.audit_trail import AuditTrail
from server.service.operations.marks import Marks

logger = logging.getLogger(__name__)

_PAUSE_SECONDS: Final = 1.0
_LONGEST_SECONDS: Final = 300.0


class Followed(Protocol):
    """Something that others do, which is written down afterwards."""

    def step(self) -> int:
        """Write the next of it down; returns how many events."""


class AuditKeeper:
    """Flushes a trail every second; the process that leads also follows the ledger, posts, and clears away.

    Args:
        trail: the file.
        marks: of who leads.
        followed: what writes down what others did, one step at a time.
        posting: to the audit repository; None: there is none.
        kept: how many files that were set aside are kept.
    """

    def __init__(
        self, trail: AuditTrail, marks: Marks, followed: Sequence[Followed], posting: AuditPosting | None, *, kept: int
    ) -> None:
        self._trail, self._marks, self._followed, self._posting, self._kept = trail, marks, followed, posting, kept
        self._stopping = threading.Event()
        self._failures, self._wait_steps = 0, 0
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, with everything on the disk."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(15)
        self.step()
        self._try("audit_flush_failed", self._trail.flush)

    def step(self) -> None:
        """Do everything once."""
        self._try("audit_flush_failed", self._trail.flush)
        if not self._marks.lead():
            return
        for one in self._followed:
            self._try("audit_not_followed", one.step)
        if self._posting is not None:
            self._post(self._posting)
        self._try("audit_clearing_failed", self._clear)

    def _post(self, posting: AuditPosting) -> None:
        if self._wait_steps > 0:
            self._wait_steps -= 1
            return
        try:
            while posting.step() and not self._stopping.is_set():
                pass
        except (AwayError, OSError) as error:
            self._failures += 1
            self._wait_steps = int(min(_LONGEST_SECONDS, 2.0**self._failures) / _PAUSE_SECONDS)
            reason = error.reason if isinstance(error, AwayError) else type(error).__name__
            facts = {"action": "audit_repository_away", "reason": reason, "seconds": self._wait_steps}
            logger.warning("the audit repository takes nothing; it is tried again", extra=facts)
        else:
            self._failures = 0

    def _clear(self) -> None:
        """Take away the oldest files; with a repository those only that were posted."""
        aside = self._trail.files()[:-1]
        surplus = aside[: max(0, len(aside) - self._kept)]
        done = set(self._posting.posted()) if self._posting is not None else set(surplus)
        for path in surplus:
            if path in done:
                path.unlink()

    def _try(self, action: str, work: Callable[[], object]) -> None:
        try:
            work()
        except (OSError, OutcomeBridgeError, SQLAlchemyError) as error:
            logger.error("the audit could not be kept", extra={"action": action, "error": type(error).__name__})

    def _run(self) -> None:
        while not self._stopping.wait(_PAUSE_SECONDS):
            self.step()
