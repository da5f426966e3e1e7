"""FHIRPath's dates, date-times and times: text of any precision, with or without a zone.

Two dates are compared component by component from the year on. If one ends while they are still equal, the answer
is not known (http://hl7.org/fhirpath/N1/#equals). With a zone on both sides the instants are compared; with a zone on
one side only, days that are further apart than any zone decide, and nothing else does.
"""

from __future__ import annotations

import calendar
import dataclasses
import datetime
import re
from collections.abc import Sequence
from decimal import Decimal

from integration.views.values import BrokenValueError

Part = int | Decimal

_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T([^Z+-]+)(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII)
_A_DATE, _A_TIME = "expected a date as FHIR writes it", "expected a time as FHIR writes it"
_TIME = re.compile(r"(\d\d)(?::(\d\d)(?::(\d\d(?:\.\d+)?))?)?", re.ASCII)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """A date's or a time's components as far as written; `zone` is minutes east of UTC."""

    day: tuple[int, ...] = ()
    time: tuple[Part, ...] = ()
    zone: int | None = None

    def ordinal(self) -> int:
        """Return the number of the day in the calendar."""
        return datetime.date(*self.day).toordinal()

    def in_utc(self) -> Moment:
        """Return the same moment in UTC; minutes are needed for a zone of part hours, else only the day is kept."""
        if not self.time or not self.zone:
            return self
        hour, minute = int(self.time[0]), int(self.time[1]) if len(self.time) > 1 else 0
        days, minutes = divmod(hour * 60 + minute - self.zone, 24 * 60)
        day = datetime.date.fromordinal(self.ordinal() + days)
        time = (minutes // 60, minutes % 60, *self.time[2:])[: len(self.time)]
        is_exact = len(self.time) > 1 or self.zone % 60 == 0
        return Moment(day=(day.year, day.month, day.day), time=time if is_exact else (), zone=0)


def moment(text: str, path: str = "") -> Moment:
    """Parse a FHIR date, dateTime, instant or time.

    Raises:
        BrokenValueError: the text at `path` in the resource is none of these.
    """
    try:
        match = _TIME.fullmatch(text)
        return Moment(time=_time(match)) if match else _date(text)
    except (ValueError, OverflowError) as error:
        raise BrokenValueError(path, "expected a date or a time as FHIR writes them") from error


def _of_kind(text: str, path: str, *, is_time: bool) -> Moment:
    """Parse a time, or anything that has a day; the one in the place of the other breaks the resource."""
    found = moment(text, path)
    if is_time == bool(found.day):
        raise BrokenValueError(path, _A_TIME if is_time else _A_DATE)
    return found


def _date(text: str) -> Moment:
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError
    day = tuple(int(part) for part in match.group(1, 2, 3) if part)
    datetime.date(*(*day, 1, 1)[:3])
    if match[4] is None:
        return Moment(day=day)
    time = _TIME.fullmatch(match[4])
    if time is None:
        raise ValueError
    return Moment(day=day, time=_time(time), zone=_zone(match[5]))


def _time(match: re.Match[str]) -> tuple[Part, ...]:
    hour, minute, second = match.groups()
    if int(hour) > 23 or int(minute or 0) > 59 or Decimal(second or 0) >= 61:
        raise ValueError
    return (int(hour), *([int(minute)] if minute else []), *([Decimal(second)] if second else []))


def _zone(text: str | None) -> int | None:
    if text is None or text == "Z":
        return None if text is None else 0
    minutes = int(text[1:3]) * 60 + int(text[4:6])
    return -minutes if text[0] == "-" else minutes


def compare_dates(left: str | None, right: str | None, path: str = "") -> int | None:
    """Compare two dates or two times: -1, 0, 1, or nothing when one is missing or the precision does not tell."""
    if left is None or right is None:
        return None
    one, other = moment(left, path), moment(right, path)
    if bool(one.day) != bool(other.day):
        raise BrokenValueError(path, "holds a time where a date belongs, or a date where a time does")
    if one.zone is not None and other.zone is not None:
        try:
            one, other = one.in_utc(), other.in_utc()
        except (ValueError, OverflowError) as error:
            raise BrokenValueError(path, "the date lies outside the calendar") from error
    elif one.time and other.time and one.day and (one.zone, other.zone) != (None, None):
        days = one.ordinal() - other.ordinal()
        return None if abs(days) <= 1 else (-1 if days < 0 else 1)
    return _compare((*one.day, *one.time), (*other.day, *other.time))


def _compare(one: Sequence[Part], other: Sequence[Part]) -> int | None:
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            return -1 if mine < theirs else 1
    return 0 if len(one) == len(other) else None


def equal_dates(left: str | None, right: str | None, path: str = "") -> bool | None:
    """FHIRPath's `=` on dates: nothing when one is missing or the precision does not tell."""
    order = compare_dates(left, right, path)
    return None if order is None else order == 0


def equal_date_lists(left: Sequence[str], right: Sequence[str], path: str = "") -> bool | None:
    """FHIRPath's `=` on collections of dates or times."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    verdicts = {equal_dates(one, other, path) for one, other in zip(left, right, strict=True)}
    return False if False in verdicts else (None if None in verdicts else True)


def date_boundary(text: str | None, path: str = "", *, is_high: bool) -> str | None:
    """Return the first or last day of a date of any precision (1970-06: 1970-06-01 and 1970-06-30)."""
    return None if text is None else _day_boundary(_of_kind(text, path, is_time=False), is_high=is_high)


def datetime_boundary(text: str | None, path: str = "", *, is_high: bool) -> str | None:
    """Return the first or last millisecond of a date-time of any precision.

    Without a zone the low boundary is in +14:00, the first zone to reach a date, the high one in -12:00, the last.
    """
    if text is None:
        return None
    parts = _of_kind(text, path, is_time=False)
    zone = "Z" if text.endswith("Z") else text[-6:]
    if parts.zone is None:
        zone = "-12:00" if is_high else "+14:00"
    return f"{_day_boundary(parts, is_high=is_high)}T{_time_boundary(parts, is_high=is_high)}{zone}"


def time_boundary(text: str | None, path: str = "", *, is_high: bool) -> str | None:
    """Return the first or last millisecond of a time of any precision."""
    return None if text is None else _time_boundary(_of_kind(text, path, is_time=True), is_high=is_high)


def _day_boundary(parts: Moment, *, is_high: bool) -> str:
    year, month = (*parts.day, 12 if is_high else 1)[:2]
    last = calendar.monthrange(year, month)[1] if is_high else 1
    day = (*parts.day, last)[2] if len(parts.day) > 1 else last
    return f"{year:04d}-{month:02d}-{day:02d}"


def _time_boundary(parts: Moment, *, is_high: bool) -> str:
    hour, minute = (*parts.time, *((23, 59) if is_high else (0, 0))[len(parts.time) :])[:2]
    second = str(parts.time[2]) if len(parts.time) > 2 else ("59" if is_high else "0")
    whole, _, fraction = second.partition(".")
    return f"{hour:02d}:{minute:02d}:{whole.zfill(2)}.{fraction.ljust(3, '9' if is_high else '0')}"


__all__ = [
    "compare_dates",
    "date_boundary",
    "datetime_boundary",
    "equal_date_lists",
    "equal_dates",
    "time_boundary",
]
