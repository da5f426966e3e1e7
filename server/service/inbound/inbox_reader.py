"""From the inbox to the ledger: each stored response that counts becomes a planned outcome, or withdraws one.

Resources of other types are put into the warehouse, where they are already unless a process was killed in between.
Every step may be repeated: the ledger knows an outcome by its derived identifiers, and the inbox is settled
afterwards. One reader serves an inbox at a time, by a lease.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from integration import outcomes
from integration.errors import DeliveryError
from integration.intake import Rejection
from integration.intake.newest import Newest
from integration.records import Response
from server.service.inbound import counting
from server.service.inbound.deposits import State
from server.service.inbound.inbox import Entry, Inbox, Settled
from server.service.inbound.submission import RESPONSE

logger = logging.getLogger(__name__)

ReadResponse = Callable[[bytes], Response | Rejection]
"""Reads and scores one QuestionnaireResponse given as JSON (`integration.intake.read_response`)."""
ReadOther = Callable[[str, str, bytes], Rejection | None]
"""Reads a resource of another type, given its type, its id and its JSON; None if nothing is wrong with it."""
Keep = Callable[[Sequence[bytes]], object]
"""Puts resources into the warehouse."""


class Planner(Protocol):
    """Plans one site's outcomes (`server.planner.Planner`); to repeat a call with the same arguments has no effect."""

    def plan(self, device: outcomes.Resource, planned: Iterable[outcomes.Outcome], /) -> object:
        """Make these the desired outcomes of their responses, durably."""

    def withdraw(self, response_id: str, *, reason: str) -> object:
        """Make "withdrawn" the desired state of the response's outcome, durably; nothing if it has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """What one look at the inbox came to.

    Attributes:
        settled: resources that were brought to their state.
        postponed: responses whose patient could not be asked for, because the EHR's server is away.
        failed: resources that met an unforeseen fault.

    What is postponed or failed is tried again at the next sweep.
    """

    settled: int = 0
    postponed: int = 0
    failed: int = 0


@dataclass(slots=True)
class _Judged:
    """What is about to be done with an entry."""

    settled: Settled
    response_id: str = ""
    outcome: outcomes.Outcome | None = None
    is_withdrawn: bool = False


class InboxReader:
    """Reads one site's inbox and plans its outcomes.

    Args:
        inbox: where responses wait.
        read: reads and scores one.
        planner: plans outcomes.
        origin: the site and what computes, as of now.
        read_other: reads one of another type.
        keep: puts those into the warehouse.
        holder: who plans, for the lease; empty if nobody else can.
    """

    def __init__(
        self,
        *,
        inbox: Inbox,
        read: ReadResponse,
        planner: Planner,
        origin: Callable[[], outcomes.Origin],
        read_other: ReadOther = lambda *_: None,
        keep: Keep = lambda _: None,
        holder: str = "",
    ) -> None:
        self._inbox, self._read, self._planner, self._origin = inbox, read, planner, origin
        self._read_other, self._keep, self._holder = read_other, keep, holder

    def plan_waiting(self, go_on: Callable[[], bool] = lambda: True) -> Sweep:
        """Settle everything that waits. A resource that fails holds up no other.

        Args:
            go_on: asked before each batch; False ends the sweep, and what waits then is left to another.
        """
        counts: Counter[str] = Counter()
        after = 0
        while go_on() and (batch := self._inbox.waiting(after)):
            counts.update(self._settle(batch))
            after = batch[-1].sequence
        return Sweep(**counts)

    def _settle(self, batch: Sequence[Entry]) -> Counter[str]:
        """Settle a batch in few transactions, or one by one where that fails."""
        try:
            newest = self._newest(batch)
            found = [(entry, self._try(entry, newest)) for entry in batch]
            done = [(entry, one) for entry, one in found if isinstance(one, _Judged)]
            if not self._may_plan([entry for entry, _ in done]):
                return Counter()
            self._carry_out([one for _, one in done], [entry for entry, _ in done])
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one must not stop those behind it
            if len(batch) == 1:
                return Counter({self._failed(batch[0], error): 1})
            return sum((self._settle([entry]) for entry in batch), Counter())
        for entry, one in done:
            self._tell(entry, one.settled)
        names = ("settled" if isinstance(one, _Judged) else one for _, one in found)
        return Counter(names)

    def _may_plan(self, entries: Sequence[Entry]) -> bool:
        """Whether nobody else settled what was judged, right before it is planned; what waits is judged again.

        Left is a process that is stopped for longer than the lease between this and the ledger's commit: if it goes on
        and settles, all is planned again; if it is killed before that, an older version stays planned.
        """
        if not self._holder or not entries:
            return True
        may = self._inbox.lease.may_plan(self._holder, [entry.sequence for entry in entries])
        if not may:
            logger.warning("another process plans; what was judged here is left to it", extra={"action": "lease_lost"})
        return may

    def _try(self, entry: Entry, newest: Newest) -> _Judged | str:
        try:
            return self._judged(entry, newest)
        except Exception as error:  # noqa: BLE001 - likewise
            return self._failed(entry, error)

    def _failed(self, entry: Entry, error: Exception) -> str:
        # Of an error its type only: a message or a traceback may quote the body.
        facts = {"response": entry.resource_id, "error": type(error).__name__}
        if isinstance(error, DeliveryError):
            facts["action"] = "response_postponed"
            logger.warning("a response waits: the EHR's server cannot be asked about its patient", extra=facts)
            return "postponed"
        logger.error("a response could not be planned", extra=facts | {"action": "response_failed"})
        return "failed"

    def _judged(self, entry: Entry, newest: Newest) -> _Judged:
        name, sequence = entry.resource_id, entry.sequence
        if not newest.counts((entry.resource_type, name), sequence):
            return _Judged(Settled(sequence=sequence, state="superseded"))
        if entry.resource_type != RESPONSE:
            problem = self._read_other(entry.resource_type, name, entry.body)
            return _Judged(_rejected(entry, problem) if problem else Settled(sequence=sequence, state="kept"))
        response = self._read(entry.body)
        if isinstance(response, Rejection):
            return _Judged(_rejected(entry, response))
        if response.has_outcome:
            outcome = outcomes.build(response, self._origin())
            return _Judged(Settled(sequence=sequence, state="planned"), name, outcome)
        without = Settled(sequence=sequence, state="without_outcome", problem=response.reason)
        return _Judged(without, name, is_withdrawn=True)

    def _carry_out(self, judged: Sequence[_Judged], entries: Sequence[Entry]) -> None:
        planned = [one.outcome for one in judged if one.outcome is not None]
        if planned:
            self._planner.plan(outcomes.device(self._origin()), planned)
        for one in judged:
            if one.is_withdrawn:
                self._planner.withdraw(one.response_id, reason=one.settled.problem)
        kept = [entry.body for one, entry in zip(judged, entries, strict=True) if one.settled.state == "kept"]
        if kept:
            self._keep(kept)
        if judged and not self._inbox.settle([one.settled for one in judged], self._holder):
            logger.warning(
                "another process plans now; what was planned here is planned again", extra={"action": "lease_lost"}
            )

    def _newest(self, batch: Sequence[Entry]) -> Newest:
        """Return which versions count among all that arrived."""
        by_type: dict[str, set[str]] = {}
        for entry in batch:
            by_type.setdefault(entry.resource_type, set()).add(entry.resource_id)
        found = (one for kind, ids in by_type.items() for one in self._inbox.sent(kind, ids))
        return counting.newest_of(found)

    @staticmethod
    def _tell(entry: Entry, settled: Settled) -> None:
        level = logging.WARNING if settled.state in ("rejected", "quarantined") else logging.INFO
        facts = {"action": f"response_{settled.state}", "response": entry.resource_id}
        logger.log(level, "response %s", settled.state, extra=facts)


def _rejected(entry: Entry, rejection: Rejection) -> Settled:
    state: State = "quarantined" if entry.was_quarantined else "rejected"
    return Settled(sequence=entry.sequence, state=state, problem=rejection.reason)
