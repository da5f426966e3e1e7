"""Read FHIR dateTimes: the calendar date as written, and the instant where there is a time."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from integration.records import Moment

_PARTIAL: Final = re.compile(r"\d{4}(-\d{2})?", re.ASCII)
_WRITTEN: Final = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?)?", re.ASCII)
_LEAP_SECOND: Final = re.compile(r"(?<=T\d{2}:\d{2}:)60")


class NotADateTimeError(ValueError):
    """The text is no FHIR dateTime (https://hl7.org/fhir/R4/datatypes.html#dateTime)."""


def is_partial(text: str | None) -> bool:
    """Return whether the dateTime is a year or a month only."""
    return text is not None and _PARTIAL.fullmatch(text) is not None


def moment(text: str | None) -> Moment | None:
    """Read a dateTime; None if it is missing or partial.

    A time without a zone, which FHIR forbids, gives the day but no instant. A leap second, which FHIR allows and Python
    does not, counts as the second before it.

    Raises:
        NotADateTimeError: the text is none.
    """
    if text is None or is_partial(text):
        return None
    if not _WRITTEN.fullmatch(text):
        raise NotADateTimeError("not a FHIR dateTime")
    try:
        written = datetime.fromisoformat(_LEAP_SECOND.sub("59", text))
    except ValueError as error:
        raise NotADateTimeError("not a FHIR dateTime") from error
    return Moment(day=written.date(), instant=written if written.tzinfo else None, text=text)


def first_full(*texts: str | None) -> Moment | None:
    """Read the first dateTime that is neither missing nor partial."""
    return next((found for text in texts if (found := moment(text)) is not None), None)
