"""What was taken by the EHR's server is read back at once, a batch a round: only that makes it `verified`.

As `reconcile` does it, of what has been `accepted` or found there and is not proven, and now and then of what is
`held`. What is as it shall be is recorded at once. What is not is looked at again first, because a server's search may
lag behind what it has stored; if it still is not, it is recorded as `reconcile` would.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from integration.errors import DeliveryError
from integration.settings import Site
from integration.sources.client import Clock, FhirClient
from server import reconcile
from server.delivery.breaker import Breaker
from server.ledger import Ledger, unproven
from server.ledger.entries import Entry, Settlement
from server.ledger.states import State

logger = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 10.0
"""So long a question waits for a byte of the EHR's server; it is asked once."""
MOST: Final = 200
"""Resources that a round reads at most, of either kind."""
AGAIN_SECONDS: Final = 5.0
"""After so long what was not as it shall be is looked at again, and then recorded."""
MISSING_SECONDS: Final = 60.0
"""After so long what is not found is recorded as missing."""
HELD_SECONDS: Final = 60.0
"""So long what the server holds back is left alone."""
FIRST_REST_SECONDS: Final = 5.0
LONGEST_REST_SECONDS: Final = 300.0
_LEAST: Final = 4
_MOST_REMEMBERED: Final = 10_000
_Seen = tuple[str, str, str]


class ReadBack:
    """Reads back a batch whenever called; one thread.

    Nothing is read while the breaker of the deliveries is open, nor for a while after a question without an answer.

    Args:
        ledger: what the chart shall hold.
        client: the site's server.
        site: its settings.
        clock: seconds.

    Attributes:
        has_more: whether something was read and more may wait.
    """

    def __init__(
        self, ledger: Ledger, client: FhirClient, site: Site, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger, self._client, self._site, self._clock = ledger, client, site, clock
        self._breaker = Breaker(ledger.decisions, site.name, Clock())
        self._first: dict[_Seen, float] = {}  # when what is not as it shall be was seen first
        self._again: dict[_Seen, float] = {}  # and when it is looked at again
        self._after: str | None = None
        self._held_after: str | None = None
        self._held_from = float("-inf")
        self._most, self._rests_until, self._rest_seconds = MOST, float("-inf"), FIRST_REST_SECONDS
        self.has_more = False

    def __call__(self) -> None:
        """Read a batch, if there is anything to be read now.

        Raises:
            DeliveryError: the chart cannot be read; it is asked again after a while.
        """
        self.has_more = False
        now = self._clock()
        if now < self._rests_until or self._breaker.is_open():
            return
        if entries := self._fresh(now) + self._held(now):
            self._read(entries, now)

    def _read(self, entries: Sequence[Entry], now: float) -> None:
        try:
            pairs = reconcile.read_back(self._ledger, self._client, self._site, entries, counts=self._counts)
        except DeliveryError:
            # Fewer the next time, and others: what one of them is refused for shall not keep the others unproven.
            self.has_more, self._most = False, max(_LEAST, self._most // 4)
            self._rests_until = now + self._rest_seconds
            self._rest_seconds = min(2 * self._rest_seconds, LONGEST_REST_SECONDS)
            raise
        self._most, self._rest_seconds = min(2 * self._most, MOST), FIRST_REST_SECONDS
        results = Counter(settlement.state for _, settlement in pairs)
        logger.info("read back", extra={"action": "read_back", "site": self._site.name, "results": dict(results)})

    def _fresh(self, now: float) -> list[Entry]:
        """Return the next entries that are not proven; what has no id is looked for by the delivery."""
        found = self._next(("accepted", "already_there"), self._after)
        self._after = found[-1].response_id if found else None
        entries = [one for one in found if one.ehr_id and self._again.get(_seen(one), now) <= now]
        self.has_more = bool(entries) and len(found) > self._most // 2
        return entries

    def _held(self, now: float) -> list[Entry]:
        if now < self._held_from:
            return []
        found = unproven.in_state(self._ledger, self._site.name, ("held",), after=self._held_after, limit=self._most)
        self._held_after = found[-1].response_id if found else None
        self._held_from = now if found else now + HELD_SECONDS
        return found

    def _next(self, wanted: tuple[State, ...], after: str | None) -> list[Entry]:
        """Return the next batch after a response id, from the first again where there is none."""
        found = unproven.in_state(self._ledger, self._site.name, wanted, after=after, limit=self._most)
        return found if found or after is None else self._next(wanted, None)

    def _counts(self, entry: Entry, settlement: Settlement) -> bool:
        """Whether what was found is recorded; else it is looked at again."""
        seen, now = _seen(entry), self._clock()
        waits = MISSING_SECONDS if settlement.state == "missing" else AGAIN_SECONDS
        if settlement.state in ("verified", "retracted") or now - self._first.setdefault(seen, now) >= waits:
            self._first.pop(seen, None)
            self._again.pop(seen, None)
            return settlement.state != entry.state
        if len(self._first) > _MOST_REMEMBERED:
            self._first.clear()
            self._again.clear()
        self._again[seen] = now + AGAIN_SECONDS
        return False


def _seen(entry: Entry) -> _Seen:
    """Return what an amended outcome, which is seen for the first time, does not share with the one before."""
    return entry.key, entry.content_hash, entry.ehr_version
