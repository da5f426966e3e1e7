"""What the routes for engines work with, and the worker's part of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from integration.errors import DeliveryError, LedgerError
from integration.mapping import Mapping
from integration.outcomes import Origin
from server.service.inbound import answers
from server.service.inbound.deferred import Open
from server.service.inbound.deposits import Answer
from server.service.inbound.desk import Desk
from server.service.inbound.inbox import Inbox
from server.service.inbound.sent import Sent
from server.service.operation_outcome import Refusal, RefusedError, outcome_of

logger = logging.getLogger(__name__)

MOST_DEFERRED: Final = 20
"""So many requests that were to be taken later are taken in one round."""
_read_sent: Final = msgspec.json.Decoder(Sent).decode


@dataclass(frozen=True, kw_only=True, slots=True)
class Inbound:
    """Everything that takes what is sent.

    Attributes:
        inbox: where it is stored.
        desk: takes it.
        mapping: the study.
        origin: the site and what computes, as of now.
        is_hinted: set when somebody hints, while a pull is asked for or runs, that something changed at the site.
    """

    inbox: Inbox
    desk: Desk
    mapping: Mapping
    origin: Callable[[], Origin]
    is_hinted: threading.Event = field(default_factory=threading.Event)

    def hint(self) -> None:
        """Have the site asked for what changed; when this returns, no crash undoes that.

        In a storm of hints few write: while a pull is asked for, it is enough that another is noted when that ends. If
        it does not end, because the process is killed, it is made again.

        Raises:
            sqlalchemy.exc.DBAPIError, LedgerError: the disk or the database refuses.
        """
        if self.inbox.pulls.wanted() is None:
            self.inbox.pulls.ask()
        else:
            self.is_hinted.set()

    def note_hints(self) -> None:
        """Ask for a pull, durably, if anybody hinted at one since the last time; however often."""
        if self.is_hinted.is_set():
            self.is_hinted.clear()
            self.inbox.pulls.ask()

    def take_deferred(self, go_on: Callable[[], bool] = lambda: True) -> bool:
        """Take some of what was to be taken later, the oldest first; returns whether none of it failed.

        What is left is for the next round, so that planning and delivery have their turn in between.
        What the EHR's server or the database stands in the way of waits for the next time. What meets an unforeseen
        fault is answered with 500, as it would be at once: it must not hold up those behind it.
        """
        is_well = True
        for _ in range(MOST_DEFERRED):
            if not go_on() or (waiting := self.inbox.deferred.next()) is None:
                break
            try:
                answer = self._answer(waiting)
            except (DeliveryError, LedgerError, SQLAlchemyError) as error:
                facts = {"action": "deferred_postponed", "error": type(error).__name__}
                logger.warning("a request that is taken later waits", extra=facts)
                return is_well
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one must not stop those behind it
                is_well, answer = False, _failed()
                facts = {"action": "deferred_failed", "error": type(error).__name__}
                logger.error("a request that is taken later could not be taken", extra=facts)
            self.inbox.deferred.close(waiting.id, status=answer.status, result=answers.as_result(answer))
        return is_well

    def _answer(self, waiting: Open) -> Answer:
        try:
            sent = replace(_read_sent(waiting.request), idempotency_key="")  # it led to here
            return self.desk.take(sent, waiting.body, lambda *_: None).answer  # what its sender may was asked at once
        except RefusedError as error:
            return Answer(status=error.refusal.status, body=answers.encode(outcome_of(error.refusal)))


def _failed() -> Answer:
    refusal = Refusal(status=500, problem="an unforeseen fault; nothing was stored: send it again")
    return Answer(status=refusal.status, body=answers.encode(outcome_of(refusal)))
