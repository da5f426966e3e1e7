"""The states of an outcome, which may follow which, and the books that count them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

State = Literal[
    "planned", "sending", "accepted", "verified", "held", "already_there", "unknown", "refused", "waiting",
    "retracted", "manual", "missing", "altered", "duplicate", "unreadable",
]  # fmt: skip
"""What is known of one resource of an outcome at one site.

* planned: the chart shall hold it as it is in the ledger; nothing is on its way.
* sending: a request may have left; recorded before it does.
* unknown: a request left, and no answer says what came of it. Read first, never repeated blindly.
* accepted: the server said it took it; not proven yet. already_there: found in the chart when looked for; likewise.
* held: the server said 202: taken, but not in the chart.
* verified: read back, and equal field by field. retracted: withdrawn, and either never sent or read back as
  entered-in-error.
* missing, altered, duplicate, unreadable: read back, and absent, different, more than one, not readable by us.
* refused: the server said no for good. waiting: the server said later. manual: a person must look.
"""

NEW: Final = "planned"

_READ_BACK: Final[frozenset[State]] = frozenset(
    ("verified", "held", "retracted", "missing", "altered", "duplicate", "unreadable")
)
_CHANGED: Final[frozenset[State]] = frozenset(("planned", "manual"))

TRANSITIONS: Final[Mapping[State, frozenset[State]]] = {
    "planned": frozenset(("planned", "sending", "retracted", "already_there", "duplicate", "manual", "refused")),
    "sending": frozenset(
        ("sending", "accepted", "held", "unknown", "planned", "refused", "waiting", "manual", "already_there",
         "duplicate", "retracted")
    ),
    "unknown": frozenset(("unknown", "already_there", "duplicate", "planned", "manual", "retracted")),
    "accepted": _READ_BACK | _CHANGED | {"accepted", "already_there"},
    "already_there": _READ_BACK | _CHANGED,
    "held": _READ_BACK | _CHANGED | {"already_there"},
    "verified": _READ_BACK | _CHANGED,
    "missing": _READ_BACK | _CHANGED,
    "altered": _READ_BACK | _CHANGED,
    "duplicate": _READ_BACK | _CHANGED,
    "unreadable": _READ_BACK | _CHANGED,
    "refused": _CHANGED | {"refused", "retracted"},
    "waiting": _CHANGED | {"waiting", "sending", "retracted", "already_there", "duplicate", "refused"},
    "manual": _CHANGED | {"retracted", "verified", "already_there", "duplicate"},
    "retracted": _CHANGED | {"retracted", "missing", "altered", "duplicate", "unreadable"},
}  # fmt: skip
"""From each state, the states that may follow. A changed desired content keeps `sending` and `unknown`, and what may
have been sent keeps `waiting`; every other state becomes `planned`, or `manual` where the site permits no such
change."""

IN_CHART: Final[frozenset[State]] = _READ_BACK | {"accepted", "already_there"}
"""States of what the chart is said to hold: what `reconcile` reads back, besides what a person was asked to mend."""
ON_THEIR_WAY: Final[frozenset[State]] = frozenset(("sending", "unknown"))
"""States of what must be read before it is sent again."""
DUE: Final[frozenset[State]] = frozenset(("planned", "waiting"))
"""States of what may be sent; waiting only after its time."""

_PENDING: Final[frozenset[State]] = frozenset(("planned", "sending", "accepted", "already_there"))
LINES: Final = (
    "verified", "held", "missing", "altered", "duplicate", "unreadable", "refused", "waiting", "unknown",
    "retracted", "manual", "pending",
)  # fmt: skip
"""The lines of the books, in the order of the contract."""


class IllegalTransitionError(RuntimeError):
    """A state was to follow one that it may not follow: a fault of the program, and nothing was written."""

    def __init__(self, *, key: str, before: str, after: str) -> None:
        self.key, self.before, self.after = key, before, after
        super().__init__(f"outcome {key}: {after} may not follow {before}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Books:
    """What became of every outcome of a site; the unit is one Observation.

    Attributes:
        site: whose books.
        outcomes: Observations that the responses call for at this site, counted response by response when planned.
        lines: Observations in the ledger by line of `LINES`, counted from their states.
        responses: all responses noted.
        scored: those with at least one score.
        not_scorable: the others, by reason.
        leftover: withdrawn documents that the chart was not seen to have taken back, though no Observation counts them.
    """

    site: str
    outcomes: int
    lines: Mapping[str, int]
    responses: int
    scored: int
    not_scorable: Mapping[str, int]
    leftover: int = 0

    @property
    def difference(self) -> int:
        """Observations called for but on no line; negative if a line holds what no response calls for."""
        return self.outcomes - sum(self.lines.values())

    @property
    def is_balanced(self) -> bool:
        """Whether both equations hold."""
        return self.difference == 0 and self.responses == self.scored + sum(self.not_scorable.values())

    @property
    def is_proven(self) -> bool:
        """Whether the books balance and the chart was seen to hold every outcome, and no withdrawn one."""
        return (
            self.is_balanced and not self.leftover and self.lines["verified"] + self.lines["retracted"] == self.outcomes
        )

    def sentences(self) -> tuple[str, str]:
        """Return the two equations of the contract, with a word on the difference if there is one.

        Lines with a zero are left out.
        """
        terms = " + ".join(f"{count} {line}" for line, count in self.lines.items() if count) or "0"
        remark = f" (does not balance: {self.difference:+d})" if self.difference else ""
        remark += f" (withdrawn documents not seen taken back: {self.leftover})" if self.leftover else ""
        reasons = " + ".join(f"{count} {reason}" for reason, count in self.not_scorable.items() if count)
        return (
            f"{self.outcomes} outcomes = {terms}{remark}",
            f"{self.responses} responses = {self.scored} scored" + (f" + {reasons}" if reasons else ""),
        )


def line(state: State) -> str:
    """Return the books' line that counts a state."""
    return "pending" if state in _PENDING else state


def check(key: str, before: State, after: State) -> None:
    """Raise IllegalTransitionError unless `after` may follow `before`."""
    if after not in TRANSITIONS[before]:
        raise IllegalTransitionError(key=key, before=before, after=after)
