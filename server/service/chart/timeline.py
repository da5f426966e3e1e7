"""Where dates lie in the picture, which of them are written, and where words beside them fit (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

_SHORTEST_DAYS: Final = 90
_MARGIN: Final = 0.03
_STEPS_MONTHS: Final = (1, 2, 3, 6, 12, 24, 60, 120, 240, 600)
_LETTERS: Final = {"mark": 7.4, "window": 6.7}
"""Width of a letter by kind of label, in units: as wide as common fonts have it, so that nothing runs over."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """From dates to places.

    Attributes:
        first: at `left`.
        last: at `right`.
        left: in units of the picture.
        right: likewise.
    """

    first: date
    last: date
    left: float
    right: float

    def x(self, day: date) -> float:
        """Return the place of a date; one outside lies at the nearer end."""
        share = (day - self.first).days / max(1, (self.last - self.first).days)
        return self.left + min(1.0, max(0.0, share)) * (self.right - self.left)

    def ticks(self, room: float) -> list[tuple[date, str]]:
        """Return the firsts of months to be written, with their labels, about `room` units apart or more."""
        months = (self.last.year - self.first.year) * 12 + self.last.month - self.first.month + 1
        most = max(2, int((self.right - self.left) / room))
        step = next((one for one in _STEPS_MONTHS if months / one <= most), _STEPS_MONTHS[-1])
        begin = self.first.year * 12 + (self.first.month - 1 if step < 12 else 0)
        begin = -(-begin // step) * step
        numbers = range(begin, begin + months + step + 12, step)
        days = (date(number // 12, number % 12 + 1, 1) for number in numbers if 12 <= number < 12 * 10_000)
        return [(day, _label(day, step)) for day in days if self.first <= day <= self.last]


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """Words at a place.

    Attributes:
        text: the words.
        at: the place that they belong to.
        x: where their middle is.
        width: of the words.
        row: counted from the picture downwards, 0 the nearest.
        kind: `mark` or `window`.
    """

    text: str
    at: float
    x: float
    width: float
    row: int
    kind: str


def timeline(days: Iterable[date], *, left: float, right: float) -> Timeline:
    """Return a time line with room for these dates.

    Args:
        days: at least one.
        left: of the first date, less a margin.
        right: of the last date, more a margin.
    """
    known = sorted(days)
    first, last = known[0], known[-1]
    spare = max(0, _SHORTEST_DAYS - (last - first).days) / 2 + (last - first).days * _MARGIN
    return Timeline(first=moved(first, -spare), last=moved(last, spare), left=left, right=right)


def labels(wanted: Sequence[tuple[str, float, str]], *, left: float, right: float) -> list[Label]:
    """Set words in as few rows as they fit in, those named first nearest to the picture.

    Args:
        wanted: text, place and kind.
        left: no word begins before.
        right: no word ends after.
    """
    rows: list[list[tuple[float, float]]] = []
    placed: list[Label] = []
    for text, at, kind in wanted:
        half = len(text) * _LETTERS[kind] / 2
        x = min(max(at, left + half), right - half)
        free = (number for number, row in enumerate(rows) if all(x + half <= a or x - half >= b for a, b in row))
        number = next(free, len(rows))
        if number == len(rows):
            rows.append([])
        rows[number].append((x - half - 4, x + half + 4))
        placed.append(Label(text=text, at=at, x=x, width=2 * half, row=number, kind=kind))
    return placed


def moved(day: date, days: float) -> date:
    """Return the date so many days later, or the calendar's last or first."""
    try:
        return day + timedelta(days=round(days))
    except OverflowError:
        return date.max if days > 0 else date.min


def _label(day: date, step: int) -> str:
    return f"{day.year}" if step >= 12 else f"{day:%b %Y}"
