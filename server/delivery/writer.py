"""One request at a time: claim, send, settle. Whatever the answer, the ledger knows before the next request leaves."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from integration.errors import ServerNotReachedError, ServerRefusedError, ServerUnreachableError
from integration.sources.client import FhirClient
from server.delivery import former, references
from server.delivery.ahead import Ahead
from server.delivery.assignment import SPARE_SECONDS, Assignment
from server.ledger.decisions import kept
from server.ledger.entries import Entry, Settlement, timestamp
from server.ledger.planning import NOT_AMENDED, NOT_RETRACTED
from server.ledger.states import State

logger = logging.getLogger(__name__)

_CREDENTIALS: Final = frozenset((401, 403))
_BUSY: Final = frozenset((429, 503))
_GONE: Final = frozenset((404, 405, 410, 501))
CONFLICT: Final = frozenset((409, 412))
_BUSY_SECONDS: Final = 60.0
_LONGEST_BUSY_SECONDS: Final = 3600.0
_DUPLICATE_CODES: Final = frozenset(("duplicate", "59141", "59189"))

_BLOCKED: Final = "waits for an outcome that it refers to"

Send = Callable[[Sequence[Entry], str], list[Settlement]]
"""Sends entries in one request with a request id, and says what the answer means for each."""


class StoppedError(Exception):
    """The site shall not be sent anything more in this run; what was not sent stays planned."""


class _TooLateError(Exception):
    """The lease is over, or ends too soon: another worker may send the same."""


class Writer:
    """Sends to one site, one request after the other.

    Attributes:
        client: the site's server.
        site: its settings.
        profile: its shape of outcomes.
        results: resources by the state that their request left them in.
        ahead: what was recorded together, for requests that leave one after the other.

    Args:
        assignment: whose outcomes, and where everything is recorded.
        client: the site's server.
    """

    def __init__(self, assignment: Assignment, client: FhirClient) -> None:
        self._ledger, self._clock, self._breaker = assignment.ledger, assignment.clock, assignment.breaker
        self._assignment = assignment
        self.client, self.site, self.profile = client, assignment.site, assignment.profile
        self.results: Counter[State] = Counter()
        self.ahead = Ahead(assignment)
        self._leave_until = self._clock.now()
        self._on_its_way: tuple[list[str], str] = ([], "")

    @property
    def sent(self) -> int:
        """Resources whose request left."""
        return self.results.total()

    def attempt(
        self,
        entries: Sequence[Entry],
        interaction: str,
        send: Send,
        *,
        is_undone: Callable[[ServerRefusedError], bool] = lambda _: False,
    ) -> ServerRefusedError | None:
        """Send entries in one request, and record what came of it.

        Args:
            entries: planned; those that are no longer due, or no longer leased to this worker, are left out.
            interaction: `create`, `update` or `transaction`; for the record.
            send: what sends them.
            is_undone: whether a refusal is no final word, so that the entries go back to planned.

        Returns:
            The refusal, if it was undone.

        Raises:
            ServerUnreachableError: no connection; nothing was sent.
            ServerRefusedError: credentials are missing or insufficient; nothing was stored.
            StoppedError: the server asks to wait, or does not answer any more.
        """
        claimed, request_id = self._claimed(entries, interaction)
        return self._sent(claimed, request_id, send, is_undone) if claimed else None

    def _claimed(self, entries: Sequence[Entry], interaction: str) -> tuple[list[Entry], str]:
        if len(entries) == 1 and (recorded := self.ahead.take(entries[0].key)):
            entry, recorded_id, self._leave_until = recorded
            return [entry], recorded_id
        self.ahead.doubt(entries)
        self._leave_until = self._clock.now() + timedelta(seconds=SPARE_SECONDS)
        request_id = self._assignment.new_request_id()
        claimed = self._ledger.claim(
            self.site.name,
            [entry.key for entry in entries],
            request_id=request_id,
            interaction=interaction,
            worker=self._assignment.worker,
            seconds=self._assignment.lease_seconds,
        )
        return claimed, request_id

    def _sent(
        self, claimed: Sequence[Entry], request_id: str, send: Send, is_undone: Callable[[ServerRefusedError], bool]
    ) -> ServerRefusedError | None:
        self._on_its_way = [entry.key for entry in claimed], request_id
        try:
            settlements = send(claimed, request_id)
        except _TooLateError:
            self.ahead.record()
            given_back = [self._planned(entry, "", None) for entry in claimed]
            self._ledger.settle(self.site.name, given_back, request_id=request_id)
        except ServerNotReachedError as error:
            given_back = [self._planned(entry, error.problem, None) for entry in claimed]
            self._settle(given_back, request_id, is_answered=False)
            raise
        except ServerUnreachableError as error:
            self._settle([_unknown(entry, error.problem, None) for entry in claimed], request_id)
        except ServerRefusedError as error:
            return self._refused(claimed, error, request_id, is_undone=is_undone(error))
        else:
            self._settle(settlements, request_id)
        return None

    def leaves(self) -> None:
        """Make sure, right before a request leaves, that its effect is certain before the lease ends.

        Some time after the claim the lease is renewed, if it is held still; if not, what was claimed is given back,
        unsent.
        """
        now = self._clock.now()
        if now <= self._leave_until:
            return
        keys, request_id = self._on_its_way
        worker, seconds = self._assignment.worker, self._assignment.lease_seconds
        if not self._ledger.renew(self.site.name, keys, request_id=request_id, worker=worker, seconds=seconds):
            raise _TooLateError
        self._leave_until = now + timedelta(seconds=SPARE_SECONDS)
        if self._clock.now() > self._leave_until:
            raise _TooLateError

    def ready(self, entries: Sequence[Entry], *, is_together: bool) -> list[Entry]:
        """Return the entries that may be sent now.

        Every reference of such an entry is one that the server will understand, and no other patient's chart counts its
        outcome; the others are noted as blocked. What the site takes no change of is left to a person: it may have
        become a change after it was planned.

        Args:
            entries: in order of sending.
            is_together: whether entries in one request may refer to each other.
        """
        entries = self._without_waiting([entry for entry in entries if self._is_permitted(entry)])
        wanted = {key for entry in entries for key in references.own_of(entry.content)}
        known = set(self._ledger.ehr_ids(self.site.name, wanted))
        ready = list(entries)
        while True:
            reachable = known | {entry.key for entry in ready} if is_together else known
            kept = [entry for entry in ready if reachable.issuperset(references.own_of(entry.content))]
            if len(kept) == len(ready):
                break
            ready = kept
        sent = {entry.key for entry in ready}
        if blocked := [entry.key for entry in entries if entry.key not in sent]:
            self._ledger.block(self.site.name, blocked, _BLOCKED)
        return ready

    def ehr_ids(self, entries: Sequence[Entry]) -> dict[str, str]:
        """Return the server's ids of what entries refer to, by key, as far as they are known."""
        wanted = {key for entry in entries for key in references.own_of(entry.content)}
        known = self.ahead.ids()
        if known is None:
            return self._ledger.ehr_ids(self.site.name, wanted)
        return {key: known[key] for key in wanted & known.keys()}

    def understands(self, entry: Entry) -> bool:
        """Whether the server will understand every reference of what was recorded ahead; if not, it is left."""
        if references.own_of(entry.content) <= self.ehr_ids([entry]).keys():
            return True
        self.ahead.give_back(entry, _BLOCKED)
        return False

    def _without_waiting(self, entries: Sequence[Entry]) -> list[Entry]:
        """Leave out what waits for the chart of the response's former patient."""
        if waiting := former.waiting(self._ledger, self.site.name, entries):
            self._ledger.block(self.site.name, sorted(waiting), former.FORMER_FIRST)
        return [entry for entry in entries if entry.key not in waiting]

    def _is_permitted(self, entry: Entry) -> bool:
        if not entry.ehr_id:
            return True
        change = self.profile.retracted if entry.is_withdrawn else self.profile.amended
        if self.profile.abilities.updates and change(entry.resource()) is not None:
            return True
        reason = NOT_RETRACTED if entry.is_withdrawn else NOT_AMENDED
        self._ledger.settle(self.site.name, [Settlement(key=entry.key, state="manual", reason=reason)])
        self.results["manual"] += 1
        return False

    def _refused(
        self, claimed: Sequence[Entry], error: ServerRefusedError, request_id: str, *, is_undone: bool
    ) -> ServerRefusedError | None:
        if is_undone or error.status in _CREDENTIALS:
            self._settle([self._planned(entry, _reason(error), error.status) for entry in claimed], request_id)
            if not is_undone:
                raise error
            return error
        self._settle([self._refusal(entry, error) for entry in claimed], request_id)
        if error.status in _BUSY:
            raise StoppedError("the server asks to wait")
        return None

    def _planned(self, entry: Entry, reason: str, status: int | None) -> Settlement:
        is_doubtful = entry.key in self.ahead.doubtful
        reason = kept(entry.reason, reason)
        return Settlement(key=entry.key, state="planned", reason=reason, http_status=status, maybe_sent=is_doubtful)

    def _refusal(self, entry: Entry, error: ServerRefusedError) -> Settlement:
        status, reason = error.status, _reason(error)
        if status in _BUSY:
            seconds = error.retry_after_seconds if error.retry_after_seconds is not None else _BUSY_SECONDS
            due = self._clock.now() + timedelta(seconds=min(seconds, _LONGEST_BUSY_SECONDS))
            return Settlement(
                key=entry.key,
                state="waiting",
                due=timestamp(due),
                reason=kept(entry.reason, reason),
                http_status=status,
                maybe_sent=status >= 500,  # a gateway may say so after the server did the work
            )
        if _DUPLICATE_CODES.intersection(error.problem.split()) or (status == 409 and not entry.ehr_id):
            # It says the chart has it already: looked for before anything else is done.
            return _unknown(entry, reason, status)
        if status in CONFLICT or (status in _GONE and entry.ehr_id):
            return Settlement(key=entry.key, state="manual", reason=reason, http_status=status)
        if (status >= 500 and status != 501) or status == 408:
            return _unknown(entry, reason, status)
        return Settlement(key=entry.key, state="refused", reason=reason, http_status=status)

    def _settle(self, settlements: Sequence[Settlement], request_id: str, *, is_answered: bool = True) -> None:
        if not self.ahead.note(settlements, request_id):
            self.ahead.record()
            self._ledger.settle(self.site.name, settlements, request_id=request_id)
        found: Counter[State] = Counter(settlement.state for settlement in settlements)
        self.results += Counter({state: count for state, count in found.items() if state != "planned"})
        logger.debug(
            "request settled", extra={"action": "request_settled", "request_id": request_id, "results": dict(found)}
        )
        if found["unknown"] and self._breaker.failed():
            raise StoppedError("the server does not answer any more")
        if is_answered and not found["unknown"]:
            self._breaker.answered()


def _reason(error: ServerRefusedError) -> str:
    return f"HTTP {error.status}: {error.problem}"


def _unknown(entry: Entry, reason: str, status: int | None) -> Settlement:
    why = kept(entry.reason, reason)
    return Settlement(key=entry.key, state="unknown", reason=why, http_status=status, maybe_sent=True)
