"""What will not be written of a response, as far as that can be told when it comes: by its content, or a safeguard."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from integration.records import Response
from integration.settings import Site
from server.delivery.safeguards import LABELLED, NOT_RELEASED, OPTED_OUT
from server.ledger import Ledger
from server.service.inbound.answers import NO_OUTCOME

_REMEMBERED_SECONDS: Final = 5.0
_WITHDRAWN: Final = "entered-in-error"  # an outcome that was written is taken back


class Withholding:
    """Says what a response's sender should know of its outcome: that there is none, no score in it, or what holds it.

    The safeguards of the delivery decide what is held, and look again each time.

    Args:
        ledger: where is kept what was released.
        site: its settings.
        clock: seconds.
    """

    def __init__(self, ledger: Ledger, site: Site, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger, self._site, self._clock = ledger, site, clock
        self._opted_out: frozenset[str] = frozenset()
        self._needs_release = False
        self._until = float("-inf")

    def __call__(self, response: Response) -> str:
        """Return why a response has no outcome, or none with a score, or none that is written yet; empty: it has."""
        if not response.has_outcome:
            return "" if response.status == _WITHDRAWN else f"{NO_OUTCOME}: {response.reason}"
        no_score = f"its outcome holds no score: {response.reason}" if response.reason else ""
        return "; ".join(filter(None, (no_score, self._held_by(response))))

    def _held_by(self, response: Response) -> str:
        if self._clock() >= self._until:
            self._look()
        if response.patient_id in self._opted_out:
            return OPTED_OUT
        if not set(self._site.safeguards.stop_labels).isdisjoint(response.confidentiality):
            return LABELLED
        if self._needs_release and not self._ledger.decisions.released(self._site.name, {response.response_id}):
            return NOT_RELEASED
        return ""

    def _look(self) -> None:
        wanted = self._site.safeguards.release
        decisions, name = self._ledger.decisions, self._site.name
        self._needs_release = wanted == "all" or (wanted > 0 and decisions.written(name, most=wanted) < wanted)
        self._opted_out = frozenset(self._site.safeguards.opted_out())
        self._until = self._clock() + _REMEMBERED_SECONDS
