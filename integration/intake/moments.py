"""Read FHIR dateTimes: the calendar date as written, and the instant where there is a time."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Final

from integration.records import Moment

_PARTIAL: Final = re.compile(r"\d{4}(-\d{2})?")
_DAY_LENGTH: Final = len("2012-05-01")


class NotADateTimeError(ValueError):
    """The text is no FHIR dateTime (https://hl7.org/fhir/R4/datatypes.html#dateTime)."""


def is_partial(text: str | None) -> bool:
    """Return whether the dateTime is a year or a month only."""
    return text is not None and _PARTIAL.fullmatch(text) is not None


def moment(text: str | None) -> Moment | None:
    """Read a dateTime; None if it is missing or partial.

    A time without a zone, which FHIR forbids, gives the day but no instant.

    Raises:
        NotADateTimeError: the text is none.
    """
    if text is None or is_partial(text):
        return None
    try:
        if len(text) == _DAY_LENGTH:
            return Moment(day=date.fromisoformat(text), instant=None, text=text)
        written = datetime.fromisoformat(text)
    except ValueError as error:
        raise NotADateTimeError("not a FHIR dateTime") from error
    return Moment(day=written.date(), instant=written if written.tzinfo else None, text=text)


def first_full(*texts: str | None) -> Moment | None:
    """Read the first dateTime that is neither missing nor partial."""
    return next((found for text in texts if (found := moment(text)) is not None), None)
