"""Numbers, dates and reasons as the chart page says them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final

from integration.report.formats import MINUS, day

REASONS: Final[Mapping[str, str]] = {
    "status": "not completed",
    "not msis-29": "another questionnaire",
    "no subject": "names no patient",
    "unknown patient": "its patient is not known here",
    "partial date": "its date is missing or not a full date",
    "answer out of range": "an answer is outside the range of this version, so no score is computed",
    "several answers": "an item has several answers, so no score is computed",
    "answer not understood": "an answer is not understood, so no score is computed",
    "too few answers": "too few items answered",
    "rejected": "cannot be read",
}
_WHO: Final[Mapping[str, str]] = {
    "Patient": "the patient",
    "RelatedPerson": "a person close to the patient",
    "Practitioner": "a practitioner",
    "PractitionerRole": "a practitioner",
}


def reason(code: str) -> str:
    """Return why something has no score; a code that is not known stays as it is."""
    return REASONS.get(code, code)


def number(value: Fraction | Decimal) -> str:
    """Return a score as it goes into the EHR: at most two decimals, half to even, no trailing zeros.

    >>> number(Fraction(175, 4)), number(Fraction(100, 36)), number(Decimal("50.0"))
    ('43.75', '2.78', '50')
    """
    rounded = rounded_score(value)
    text = format(rounded.normalize(), "f")
    return text.replace("-", MINUS)


def rounded_score(value: Fraction | Decimal) -> Decimal:
    """Return a score with two decimals, half to even, as `integration.outcomes` writes it."""
    hundredths = round(Fraction(value) * 100)
    return Decimal(hundredths) / 100


def signed(value: Fraction) -> str:
    """Return a change with its sign; a fall has a real minus.

    >>> signed(Fraction(-35, 4)), signed(Fraction(5)), signed(Fraction(0))
    ('\N{MINUS SIGN}8.75', '+5', '0')
    """
    return f"+{number(value)}" if value > 0 else number(value)


def who(answered_by: str) -> str:
    """Return who answered, without an id."""
    return _WHO.get(answered_by.partition("/")[0], "")


def moment(text: str) -> str:
    """Return a time of the ledger (ISO 8601, UTC) as `5 March 2012, 14:05 UTC`; empty for empty."""
    return shown(datetime.fromisoformat(text)) if text else ""


def ledger_day(text: str) -> str:
    """Return the day of a time of the ledger as `5 March 2012`."""
    return day(datetime.fromisoformat(text))


def shown(value: datetime) -> str:
    """Return an aware time as `5 March 2012, 14:05 UTC`."""
    at = value.astimezone(UTC)
    return f"{day(at)}, {at:%H:%M} UTC"


def short_day(value: date) -> str:
    """Return a date as `5 Mar 2012`."""
    return f"{value.day} {value:%b %Y}"


def answered_of(answered: int | None, items: int) -> str:
    """Return how much was answered, and what was done about the rest.

    >>> answered_of(18, 20)
    '18 of 20 answered, mean of the answered used'
    """
    if answered is None:
        return "not known here"
    if answered == items:
        return f"all {items} answered"
    return f"{answered} of {items} answered, mean of the answered used"
