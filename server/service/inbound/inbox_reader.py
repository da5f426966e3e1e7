"""From the inbox to the ledger: each stored response that counts becomes a planned outcome, or withdraws one.

Every step may be repeated: the ledger knows an outcome by its derived identifiers, and the inbox is settled
afterwards. One reader serves an inbox at a time.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from integration import outcomes
from integration.errors import DeliveryError
from integration.intake import Rejection
from integration.intake.newest import Newest, header
from integration.records import Response
from server.service.inbound.inbox import Entry, Inbox, State

logger = logging.getLogger(__name__)

ReadResponse = Callable[[bytes], Response | Rejection]
"""Reads and scores one QuestionnaireResponse given as JSON (`integration.intake.read_response`)."""


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
        settled: responses that were brought to their state.
        postponed: responses whose patient could not be asked for, because the EHR's server is away.
        failed: responses that met an unforeseen fault.

    What is postponed or failed is tried again at the next sweep.
    """

    settled: int = 0
    postponed: int = 0
    failed: int = 0


class InboxReader:
    """Reads one site's inbox and plans its outcomes.

    Args:
        inbox: where responses wait.
        read: reads and scores one.
        planner: plans outcomes.
        origin: the site and what computes, as of now.
    """

    def __init__(
        self, *, inbox: Inbox, read: ReadResponse, planner: Planner, origin: Callable[[], outcomes.Origin]
    ) -> None:
        self._inbox, self._read, self._planner, self._origin = inbox, read, planner, origin

    def plan_waiting(self) -> Sweep:
        """Settle everything that waits. A response that fails holds up no other."""
        counts: Counter[str] = Counter()
        after = 0
        while batch := self._inbox.waiting(after):
            counts.update(self._settle(entry) for entry in batch)
            after = batch[-1].sequence
        return Sweep(**counts)

    def _settle(self, entry: Entry) -> Literal["settled", "postponed", "failed"]:
        # Of an error its type only: a message or a traceback may quote the body.
        facts = {"response": entry.response_id}
        try:
            state, problem = self._planned(entry)
            self._inbox.settle(entry.sequence, state, problem)
        except DeliveryError as error:
            facts |= {"action": "response_postponed", "error": type(error).__name__}
            logger.warning("a response waits: the EHR's server cannot be asked about its patient", extra=facts)
            return "postponed"
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one response must not stop those behind it
            facts |= {"action": "response_failed", "error": type(error).__name__}
            logger.error("a response could not be planned", extra=facts)
            return "failed"
        level = logging.WARNING if state == "rejected" else logging.INFO
        logger.log(level, "response %s", state, extra={"action": f"response_{state}"} | facts)
        return "settled"

    def _planned(self, entry: Entry) -> tuple[State, str]:
        if not self._counts(entry):
            return "superseded", ""
        response = self._read(entry.body)
        if isinstance(response, Rejection):
            return "rejected", f"{response.path}: {response.problem}"
        origin = self._origin()
        if response.has_outcome:
            self._planner.plan(outcomes.device(origin), [outcomes.build(response, origin)])
            return "planned", ""
        self._planner.withdraw(entry.response_id, reason=response.reason)
        return "without_outcome", response.reason

    def _counts(self, entry: Entry) -> bool:
        """Whether this is the version that counts among all that arrived, by the rule that files are read with."""
        newest = Newest()
        key = ("QuestionnaireResponse", entry.response_id)
        for version in self._inbox.versions(entry.response_id):
            newest.see(key, header(version.body), version.sequence)
        return newest.counts(key, entry.sequence)
