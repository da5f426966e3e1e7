"""What generated code calls while it reads a resource: values and comparisons that no Python operator gives."""

from __future__ import annotations

import calendar
import datetime
import re
from collections.abc import Callable, Sequence
from decimal import Decimal, DivisionByZero, InvalidOperation
from typing import Any

import msgspec

Number = int | Decimal


class BrokenValueError(Exception):
    """A resource holds a value that the view cannot read; `path` is where, `problem` what is wrong."""

    def __init__(self, path: str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{path}: {problem}")


def decimal(raw: msgspec.Raw | None) -> Decimal | None:
    """Return a JSON number exactly as written, None for nothing.

    Raises:
        BrokenValueError: the JSON is no number.
    """
    if raw is None:
        return None
    text = bytes(raw).decode()
    if text == "null":
        return None
    if text[0] not in "-0123456789":
        raise BrokenValueError("", "expected a number")
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise BrokenValueError("", "the number is too large") from error


def reference_key(reference: str | None) -> str | None:
    """Return the logical id behind a literal reference, whatever its type.

    Relative (`Patient/1`), absolute (`https://ehr.example.org/fhir/Patient/1`) and versioned
    (`Patient/1/_history/3`) references have one; contained (`#p`), `urn:`, and conditional ones have none.
    https://hl7.org/fhir/R4/references.html#literal
    """
    parts = _reference_parts(reference)
    return parts[1] if parts else None


def reference_key_of(reference: str | None, type_name: str) -> str | None:
    """Return the logical id behind a literal reference to one resource type, None for other types."""
    parts = _reference_parts(reference)
    return parts[1] if parts and parts[0] == type_name else None


_REFERENCE = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/([^/?#]+)", re.ASCII | re.DOTALL)


def _reference_parts(reference: str | None) -> tuple[str, str] | None:
    if reference is None:
        return None
    literal, _, version = reference.partition("/_history/")
    match = _REFERENCE.fullmatch(literal)
    if match is None or "/" in version or "?" in literal or "#" in literal:
        return None
    return match.group(1), match.group(2)


def divide(left: Number | None, right: Number | None) -> Decimal | None:
    """Divide exactly enough (28 digits); nothing when an operand is missing or the divisor is zero."""
    if left is None or right is None:
        return None
    try:
        return Decimal(left) / Decimal(right)
    except (DivisionByZero, InvalidOperation):
        return None


def whole_divide(left: Number | None, right: Number | None) -> int | None:
    """FHIRPath's `div`: divide and cut towards zero; nothing when the divisor is zero."""
    quotient = divide(left, right)
    return None if quotient is None else int(Decimal(left or 0) // Decimal(right or 1))


def remainder(left: Number | None, right: Number | None) -> Number | None:
    """FHIRPath's `mod`: what `div` leaves, with the sign of the left operand."""
    if left is None or right is None or right == 0:
        return None
    rest = Decimal(left) % Decimal(right)
    return int(rest) if isinstance(left, int) and isinstance(right, int) else rest


def equal_lists(left: Sequence[object], right: Sequence[object]) -> bool | None:
    """FHIRPath's `=` on collections: nothing when one is empty, else same length and equal pairs, in order."""
    return _all_equal(left, right, lambda one, other: one == other)


def equal_date_lists(left: Sequence[str], right: Sequence[str]) -> bool | None:
    """FHIRPath's `=` on collections of dates, times or date-times."""
    return _all_equal(left, right, equal_dates)


def _all_equal(left: Sequence[Any], right: Sequence[Any], equal: Callable[[Any, Any], bool | None]) -> bool | None:
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    verdicts = [equal(one, other) for one, other in zip(left, right, strict=True)]
    if False in verdicts:
        return False
    return None if None in verdicts else True


def equal_dates(left: str | None, right: str | None) -> bool | None:
    """FHIRPath's `=` on dates: nothing when the precision of one does not suffice to tell."""
    if left is None or right is None:
        return None
    order = compare_dates(left, right)
    return None if order is None else order == 0


def compare_dates(left: str | None, right: str | None) -> int | None:
    """Compare two dates, date-times or times: -1, 0, 1, or nothing when their precision does not tell.

    Components are compared from the year on; if one date ends while they are still equal, the answer is not known
    (http://hl7.org/fhirpath/N1/#equals). With a zone on both sides the instants are compared; with a zone on one
    side only, whole days apart decide and nothing else does.

    Raises:
        BrokenValueError: a text is no date.
    """
    if left is None or right is None:
        return None
    one, other = _components(left), _components(right)
    if one.zone is not None and other.zone is not None:
        one, other = one.in_utc(), other.in_utc()
    elif (one.zone is None) != (other.zone is None) and one.has_time and other.has_time:
        return _compare_unzoned(one, other)
    return _compare(one.parts, other.parts)


def _compare(one: tuple[Number, ...], other: tuple[Number, ...]) -> int | None:
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            return -1 if mine < theirs else 1
    return 0 if len(one) == len(other) else None


def _compare_unzoned(one: _Components, other: _Components) -> int | None:
    days = one.ordinal() - other.ordinal()
    return None if abs(days) <= 1 else (-1 if days < 0 else 1)


_DATE = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)(?:T(?P<time>[^Z+-]+)(?P<zone>Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_TIME = re.compile(r"(\d\d)(?::(\d\d)(?::(\d\d(?:\.\d+)?))?)?", re.ASCII)


class _Components:
    """A date's components from the year on (a time's from the hour on), as far as written."""

    def __init__(self, day: tuple[int, ...], time: tuple[Number, ...], zone: int | None) -> None:
        self.day, self.time, self.zone = day, time, zone

    @property
    def parts(self) -> tuple[Number, ...]:
        return (*self.day, *self.time)

    @property
    def has_time(self) -> bool:
        return bool(self.time)

    def ordinal(self) -> int:
        return datetime.date(*self.day).toordinal()

    def in_utc(self) -> _Components:
        if len(self.time) < 2 or len(self.day) < 3:
            return self
        minutes = int(self.time[0]) * 60 + int(self.time[1]) - (self.zone or 0)
        days, minutes = divmod(minutes, 1440)
        day = datetime.date.fromordinal(self.ordinal() + days)
        return _Components((day.year, day.month, day.day), (minutes // 60, minutes % 60, *self.time[2:]), 0)


def _components(text: str) -> _Components:
    try:
        if match := _TIME.fullmatch(text.removeprefix("T")) if text[2:3] == ":" else None:
            return _Components((), _time(match), None)
        if match := _DATE.fullmatch(text):
            return _date_components(match)
    except (ValueError, OverflowError) as error:
        raise BrokenValueError("", "expected a date") from error
    raise BrokenValueError("", "expected a date")


def _date_components(match: re.Match[str]) -> _Components:
    day = tuple(int(part) for part in match.group("year", "month", "day") if part)
    datetime.date(*day, *(1, 1)[len(day) - 1 :])
    if match["time"] is None:
        return _Components(day, (), None)
    time = _TIME.fullmatch(match["time"])
    if time is None:
        raise ValueError(match["time"])
    return _Components(day, _time(time), _zone(match["zone"]))


def _time(match: re.Match[str]) -> tuple[Number, ...]:
    hour, minute, second = match.groups()
    return (int(hour), *([int(minute)] if minute else []), *([Decimal(second)] if second else []))


def _zone(text: str | None) -> int | None:
    if text is None:
        return None
    if text == "Z":
        return 0
    minutes = int(text[1:3]) * 60 + int(text[4:6])
    return -minutes if text[0] == "-" else minutes


def decimal_boundary(value: Number | None, *, is_high: bool) -> Decimal | None:
    """Return the least or greatest decimal that would be written like this (1.0: 0.95 and 1.05)."""
    if value is None:
        return None
    number = Decimal(value)
    exponent = number.as_tuple().exponent
    half = Decimal((0, (5,), int(exponent) - 1)) if isinstance(exponent, int) else Decimal(0)
    return number + half if is_high else number - half


def date_boundary(text: str | None, *, is_high: bool) -> str | None:
    """Return the first or last day of a date of any precision (1970-06: 1970-06-01 and 1970-06-30)."""
    if text is None:
        return None
    year, month, day = (*_components(text).day, 0, 0)[:3]
    month = month or (12 if is_high else 1)
    day = day or (calendar.monthrange(year, month)[1] if is_high else 1)
    return f"{year:04d}-{month:02d}-{day:02d}"


def datetime_boundary(text: str | None, *, is_high: bool) -> str | None:
    """Return the first or last millisecond of a date-time of any precision, in the zone that makes it extreme.

    Without a zone the low boundary is in +14:00, the first zone to reach a date, the high one in -12:00, the last.
    """
    if text is None:
        return None
    parts = _components(text)
    time = _time_boundary(parts.time, is_high=is_high)
    zone = ("-12:00" if is_high else "+14:00") if parts.zone is None else _written_zone(text)
    return f"{date_boundary(text[:10], is_high=is_high)}T{time}{zone}"


def time_boundary(text: str | None, *, is_high: bool) -> str | None:
    """Return the first or last millisecond of a time of any precision."""
    return None if text is None else _time_boundary(_components(text).time, is_high=is_high)


def _time_boundary(time: tuple[Number, ...], *, is_high: bool) -> str:
    hour, minute, second = (*time, *((23, 59, None) if is_high else (0, 0, None))[len(time) :])
    return f"{hour:02d}:{minute:02d}:{_second_boundary(second, is_high=is_high)}"


def _second_boundary(second: Number | None, *, is_high: bool) -> str:
    whole, _, fraction = ("59" if is_high else "0") if second is None else str(second), "", ""
    whole, _, fraction = str(whole).partition(".")
    return f"{whole.zfill(2)}.{fraction.ljust(3, '9' if is_high else '0')}"


def _written_zone(text: str) -> str:
    return "Z" if text.endswith("Z") else text[-6:]


__all__ = [
    "compare_dates",
    "date_boundary",
    "datetime_boundary",
    "decimal",
    "decimal_boundary",
    "divide",
    "equal_date_lists",
    "equal_dates",
    "equal_lists",
    "reference_key",
    "reference_key_of",
    "remainder",
    "time_boundary",
    "whole_divide",
]
