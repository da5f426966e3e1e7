"""Look up figures in a frame with the columns of `statistics.csv`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd

from integration.evidence import Selector

RELIABLE, RELIABLE_LIMIT = "reliable", "reliable_change_limit"
PRIMARY: Final = "change"
KEYS: Final = ("analysis", "scale", "visit", "group", "responder", "category", "statistic", "denominator_kind")


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """One row of `statistics.csv`; None where the cell is empty.

    Attributes:
        value: rates 0-1, changes in points of the 0-100 score.
        ci_low: 95 % limit; `ci_high` is the other.
        numerator: a count; `denominator` is what it is counted among, and `denominator_kind` its name.
        n: patients that the figure rests on.
        p_value: two-sided; `p_adjusted` after Holm.
        method: how it was computed.
    """

    value: float | None
    ci_low: float | None
    ci_high: float | None
    numerator: int | None
    denominator: int | None
    denominator_kind: str
    n: int | None
    p_value: float | None
    p_adjusted: float | None
    method: str


class Results:
    """The rows of `statistics.csv` by what they are about.

    Args:
        frame: the columns of the contract; more may be present. Empty cells may be "", None or NaN.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._rows = _without_undefined(dict(_indexed(frame)))
        self._of_any_kind = {replace(key, denominator_kind=""): row for key, row in reversed(self._rows.items())}

    def __iter__(self) -> Iterator[tuple[Selector, Estimate]]:
        return iter(self._rows.items())

    def find(self, selector: Selector) -> Estimate | None:
        """Return the row with these keys, or None. Where the selector names no denominator, the first of any kind."""
        return self._rows.get(selector) or self._of_any_kind.get(selector)

    def one(self, analysis: str, statistic: str, **keys: str) -> Estimate | None:
        """Return the row of an analysis and statistic; keys that are not named are empty."""
        return self.find(Selector(analysis=analysis, statistic=statistic, **keys))

    def rate(self, analysis: str, kind: str, **keys: str) -> Estimate | None:
        """Return a rate among one kind of denominator (`cohort`, `seen`, `with_change`)."""
        return self.one(analysis, "rate", denominator_kind=kind, **keys)

    def questions(self) -> tuple[tuple[str, str], ...]:
        """Return the primary pairs of scale and follow-up visit, in the order of the frame."""
        return tuple(dict.fromkeys((key.scale, key.visit) for key in self._rows if key.analysis == PRIMARY))

    def methods(self) -> tuple[str, ...]:
        """Return every method that gave a value, in the frame's order, once."""
        return tuple(dict.fromkeys(row.method for row in self._rows.values() if row.method and row.value is not None))


def _without_undefined(rows: dict[Selector, Estimate]) -> dict[Selector, Estimate]:
    """Return the rows without reliable change where its limit is not defined: nobody reached it then says nothing."""
    limits = {key.scale for key, row in rows.items() if key.statistic == RELIABLE_LIMIT and row.value is not None}
    return {key: row for key, row in rows.items() if key.responder != RELIABLE or key.scale in limits}


def _indexed(frame: pd.DataFrame) -> Iterator[tuple[Selector, Estimate]]:
    for record in frame.to_dict("records"):
        yield Selector(**{key: _text(record.get(key)) for key in KEYS}), _estimate(record)


def _estimate(record: Mapping[Any, Any]) -> Estimate:
    return Estimate(
        value=_number(record["value"]),
        ci_low=_number(record["ci_low"]),
        ci_high=_number(record["ci_high"]),
        numerator=_whole(record["numerator"]),
        denominator=_whole(record["denominator"]),
        denominator_kind=_text(record["denominator_kind"]),
        n=_whole(record["n"]),
        p_value=_number(record["p_value"]),
        p_adjusted=_number(record["p_adjusted"]),
        method=_text(record["method"]),
    )


def _text(cell: Any) -> str:
    return "" if pd.isna(cell) else str(cell)


def _number(cell: Any) -> float | None:
    return None if cell == "" or pd.isna(cell) else float(cell)


def _whole(cell: Any) -> int | None:
    number = _number(cell)
    return None if number is None else int(number)
