"""The books as one bar: each line as wide as its share of the outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Tone = Literal["good", "under-way", "person"]

WIDTH: Final = 1000.0
_TONES: Final[Mapping[str, Tone]] = {
    "verified": "good", "retracted": "good", "held": "under-way", "waiting": "under-way", "unknown": "under-way",
    "pending": "under-way", "missing": "person", "altered": "person", "duplicate": "person", "unreadable": "person",
    "refused": "person", "manual": "person",
}  # fmt: skip
MEANINGS: Final[Mapping[Tone, str]] = {
    "good": "seen in the chart, or taken back",
    "under-way": "under way",
    "person": "for a person",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """One line of the books in the bar.

    Attributes:
        line: its name.
        count: outcomes.
        tone: what it means for the staff.
        start: in units of the bar's width, 1000.
        width: likewise.
    """

    line: str
    count: int
    tone: Tone
    start: float
    width: float


def pieces(lines: Mapping[str, int]) -> list[Piece]:
    """Return the lines that are not zero, in order of their tone, then of the books."""
    total = sum(lines.values())
    order = list(MEANINGS)
    shown = sorted((line for line in lines if lines[line]), key=lambda line: order.index(tone(line)))
    found: list[Piece] = []
    start = 0.0
    for line in shown:
        width = WIDTH * lines[line] / total
        found.append(Piece(line=line, count=lines[line], tone=tone(line), start=round(start, 2), width=round(width, 2)))
        start += width
    return found


def tone(line: str) -> Tone:
    """Return what a line of the books means for the staff."""
    return _TONES[line]
