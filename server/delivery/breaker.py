"""A site's server that does not answer is left alone for a while, by every worker, and then asked once."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Final

from integration.sources.client import Clock
from server.ledger import decisions
from server.ledger.entries import timestamp

FAILURES: Final = 3
"""So many requests in a row without an answer that says what became of them open the breaker."""
FIRST_SECONDS: Final = 15.0
LONGEST_SECONDS: Final = 900.0
_TRUSTED_SECONDS: Final = 1.0  # for so long it is not read again whether another run opened the breaker


class Breaker:
    """Counts failures of one site's server; one object serves the connections of a run.

    It is kept in the ledger, so a sweep that begins while it is open sends nothing. Each opening in a row lasts twice
    as long as the one before; one answer closes it.

    Args:
        held: where it is kept.
        site: name of the site.
        clock: for the time.
    """

    def __init__(self, held: decisions.Decisions, site: str, clock: Clock) -> None:
        self._held, self._site, self._clock = held, site, clock
        self._lock, self._failures = threading.Lock(), 0
        self._closed_at: datetime | None = None

    def is_open(self) -> str:
        """Return why nothing may be sent now, in a sentence; empty if it may."""
        until = self._held.breaker(self._site).open_until
        if not is_left_alone(until, self._clock.now()):
            return ""
        return f"the server did not answer and is left alone until {until}"

    def failed(self) -> bool:
        """Note a request without an answer; returns whether that opened the breaker."""
        with self._lock:
            self._failures, self._closed_at = self._failures + 1, None
            if self._failures < FAILURES:
                return False
            openings = self._held.breaker(self._site).failures
            seconds = min(FIRST_SECONDS * 2.0**openings, LONGEST_SECONDS)
            until = timestamp(self._clock.now() + timedelta(seconds=seconds))
            self._held.set_breaker(self._site, decisions.Breaker(failures=openings + 1, open_until=until))
            return True

    def answered(self) -> None:
        """Note an answer, whatever it says."""
        with self._lock:
            self._failures, now = 0, self._clock.now()
            if self._closed_at is not None and 0 <= (now - self._closed_at).total_seconds() < _TRUSTED_SECONDS:
                return
            self._closed_at = now
            if self._held.breaker(self._site).failures:
                self._held.set_breaker(self._site, decisions.Breaker())


def is_left_alone(until: str, now: datetime) -> bool:
    """Whether a breaker that is open until then is open now.

    One that would be open for longer than any opening lasts was opened while the clock was ahead, and is over.
    """
    return timestamp(now) < until <= timestamp(now + timedelta(seconds=LONGEST_SECONDS))
