"""Numbers as an English medical paper prints them.

Percentages are rounded half up, as the abstract's own arithmetic is read; a missing value is never an empty string.
"""

from __future__ import annotations

import math
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

NONE: Final = "not estimated"
NBSP: Final = "\N{NO-BREAK SPACE}"
MOST_PLACES: Final = 9
MINUS: Final = "\N{MINUS SIGN}"


def decimal(value: float | None, places: int = 1) -> str:
    """Return the number with a fixed count of decimals, half up, with a real minus sign.

    >>> decimal(-1.25)
    '\N{MINUS SIGN}1.3'
    """
    if value is None or math.isnan(value):
        return NONE
    rounded = Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    return f"{rounded if rounded else abs(rounded):,}".replace("-", MINUS)


def percent(rate: float | None, places: int = 1) -> str:
    """Return a rate of 0-1 as a percentage, with more decimals where the first would all be zero and the rate is not.

    >>> percent(15 / 240), percent(1 / 24000)
    ('6.3\N{NO-BREAK SPACE}%', '0.004\N{NO-BREAK SPACE}%')
    """
    if rate is None or math.isnan(rate):
        return NONE
    return f"{_percentage(rate, _telling_places(rate, places))}{NBSP}%"


def _percentage(rate: float, places: int) -> Decimal:
    return (Decimal(repr(float(rate))) * 100).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


def _telling_places(rate: float, places: int) -> int:
    """Return how many decimals show that a rate is not zero, at least those asked for."""
    while rate > 0 and places < MOST_PLACES and not _percentage(rate, places):
        places += 1
    return places


def interval(low: float | None, high: float | None, places: int = 1) -> str:
    """Return two limits in points, `to` between them so that a minus sign is never taken for a dash."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return NONE
    return f"{decimal(low, places)} to {decimal(high, places)}"


def percent_interval(low: float | None, high: float | None, places: int = 1) -> str:
    """Return two limits of 0-1 in percent, both with as many decimals as show that the lower one is not zero.

    >>> percent_interval(0.0000978, 0.0213)
    '0.01 to 2.13\N{NO-BREAK SPACE}%'
    """
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return NONE
    places = _telling_places(low, places)
    return f"{_percentage(low, places)} to {_percentage(high, places)}{NBSP}%"


def p_value(value: float | None) -> str:
    """Return a P value as journals print it: three decimals below .10, two above, no zero before the point.

    >>> p_value(0.0004), p_value(0.0123), p_value(0.3)
    ('< .001', '.012', '.30')
    """
    if value is None or math.isnan(value):
        return NONE
    if value < 0.001:
        return "< .001"
    if value > 0.99:
        return "> .99"
    return decimal(value, 3 if value < 0.1 else 2).removeprefix("0")


def p_equals(value: float | None) -> str:
    """Return the P value as part of a sentence: `P = .012`, `P < .001`."""
    text = p_value(value)
    return f"P {text}" if text[0] in "<>" else "P not estimated" if text == NONE else f"P = {text}"


def count(value: float | int | None) -> str:
    """Return a whole number with thousands separated by commas."""
    return NONE if value is None or math.isnan(value) else f"{int(value):,}"


def part(numerator: float | None, denominator: float | None) -> str:
    """Return `n/N`."""
    if numerator is None or denominator is None or math.isnan(numerator) or math.isnan(denominator):
        return NONE
    return f"{int(numerator):,}/{int(denominator):,}"


def part_percent(numerator: int, denominator: int) -> str:
    """Return `n/N (p %)`, without a percentage where nobody is in the denominator."""
    if not denominator:
        return f"{numerator:,}/0"
    return f"{numerator:,}/{denominator:,} ({percent(numerator / denominator)})"


def day(value: date) -> str:
    """Return a date as `5 March 2012`."""
    return f"{value.day} {value:%B %Y}"


def moment(value: datetime) -> str:
    """Return an aware time as `5 March 2012, 14:05 UTC`."""
    return f"{day(value)}, {value:%H:%M} {value.tzname()}"


def plural(number: int, one: str, many: str = "") -> str:
    """Return `1 patient` or `2 patients`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def version(cell: object) -> str:
    """Return an instrument version, a number or its text, as `version 1`."""
    text = str(cell)
    return f"version {text.removesuffix('.0')}"
