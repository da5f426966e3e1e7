"""Requests that leave one after the other, recorded together: as about to leave before the first, their answers after.

To record each by itself costs more than a fast server needs for the request. What is recorded ahead stays true to the
rule that nothing leaves unrecorded: `sending` says that a request may have left, and after a crash all of them are
looked for before anything is sent again. Whatever is not a plain success is recorded at once, with all that came
before it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from server.delivery import references
from server.delivery.assignment import SPARE_SECONDS, Assignment
from server.ledger.decisions import kept
from server.ledger.entries import Entry, Settlement

MOST: Final = 40
"""So many resources are recorded together at most."""
SECONDS: Final = 2.0
"""No request leaves later than this after it was recorded; leases last so much longer."""


class Ahead:
    """What one worker recorded as sending and has not sent yet, and the answers that it has not recorded yet.

    Attributes:
        plain: keys of what was sent with plain success since it was claimed.
        doubtful: keys of what an earlier request may have stored: giving them back does not end that doubt.

    Args:
        assignment: whose outcomes, and where they are recorded.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._assignment, self._ledger, self._site = assignment, assignment.ledger, assignment.site.name
        self._unsent: dict[str, tuple[Entry, str]] = {}
        self._answers: list[tuple[Settlement, str]] = []
        self.plain: set[str] = set()
        self.doubtful: set[str] = set()
        self._ids: dict[str, str] | None = None
        self._wanted: set[str] = set()
        self._ends: datetime | None = None
        self._claimed_at: datetime | None = None

    @property
    def is_late(self) -> bool:
        """Whether too much time went by since what is not sent yet was recorded."""
        return self._ends is not None and self._assignment.clock.now() > self._ends

    def claim(self, entries: Sequence[Entry]) -> list[Entry]:
        """Record that these are about to leave, each in a request of its own; returns those that may."""
        self._claimed_at = self._assignment.clock.now()
        self.doubt(entries)
        for interaction, alike in itertools.groupby(sorted(entries, key=_interaction), key=_interaction):
            request_ids = {entry.key: self._assignment.new_request_id() for entry in alike}
            claimed = self._ledger.claim(
                self._site,
                list(request_ids),
                request_id=request_ids,
                interaction=interaction,
                worker=self._assignment.worker,
                seconds=self._assignment.lease_seconds + SECONDS,
            )
            self._unsent |= {entry.key: (entry, request_ids[entry.key]) for entry in claimed}
        self._wanted = {key for entry, _ in self._unsent.values() for key in references.own_of(entry.content)}
        self._read_ids()
        self._ends = self._assignment.clock.now() + timedelta(seconds=SECONDS)  # to record it may have taken long
        return [entry for entry in entries if entry.key in self._unsent]  # as they were before, with what was sent then

    def doubt(self, entries: Sequence[Entry]) -> None:
        """Remember, before they are claimed, which of these an earlier request may have stored."""
        self.doubtful |= {entry.key for entry in entries if entry.sent_hash}

    def take(self, key: str) -> tuple[Entry, str, datetime] | None:
        """Return what is about to leave under a key, its request id, and until when it may; None: not recorded."""
        if self._claimed_at is None or key not in self._unsent:
            return None
        return *self._unsent.pop(key), self._claimed_at + timedelta(seconds=SPARE_SECONDS + SECONDS)

    def ids(self) -> Mapping[str, str] | None:
        """Return the server's ids of all that the claimed refer to, as far as known; None: nothing was claimed."""
        return self._ids

    def note(self, settlements: Sequence[Settlement], request_id: str) -> bool:
        """Keep plain successes, to be recorded with others; returns whether that is what they are."""
        if self._ids is None or not all(one.state == "accepted" and one.ehr_id for one in settlements):
            return False
        self._answers += [(one, request_id) for one in settlements]
        self.plain |= {one.key for one in settlements}
        self._ids |= {one.key: one.ehr_id for one in settlements if one.key in self._wanted}
        return True

    def give_back(self, entry: Entry, reason: str) -> None:
        """Do not send this one: it is planned again."""
        _, request_id = self._unsent.pop(entry.key)
        is_doubtful = entry.key in self.doubtful
        given_back = Settlement(
            key=entry.key, state="planned", reason=kept(entry.reason, reason), maybe_sent=is_doubtful
        )
        self._answers.append((given_back, request_id))

    def record(self) -> None:
        """Record the answers that were kept."""
        answers, self._answers = self._answers, []
        if answers:
            request_ids = {settlement.key: request_id for settlement, request_id in answers}
            self._ledger.settle(self._site, [settlement for settlement, _ in answers], request_id=request_ids)

    def look_again(self) -> None:
        """Read the ids anew, after the ledger learned of them by another way."""
        if self._ids is not None:
            self._read_ids()

    def end(self) -> None:
        """Give back what was not sent, and record all answers."""
        for entry, _ in list(self._unsent.values()):
            self.give_back(entry, "")
        self._ids, self._ends, self._claimed_at = None, None, None
        self.plain.clear()
        self.record()

    def _read_ids(self) -> None:
        self._ids = self._ledger.ehr_ids(self._site, self._wanted)


def _interaction(entry: Entry) -> str:
    return "update" if entry.ehr_id else "create"
