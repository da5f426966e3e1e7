"""How the staff pages word times, ages and states."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

STATES: Final[Mapping[str, str]] = {
    "planned": "to be sent", "sending": "on its way", "accepted": "taken by the EHR, not read back yet",
    "verified": "in the chart, read back", "held": "taken by the EHR, not in the chart yet",
    "already_there": "found in the chart, not read back yet", "unknown": "sent, no answer: looked for before it is"
    " sent again", "refused": "refused by the EHR", "waiting": "the EHR said later",
    "retracted": "taken back, or never sent", "manual": "a person must look",
    "missing": "taken, and gone from the chart",
    "altered": "changed in the chart", "duplicate": "in the chart more than once",
    "unreadable": "the EHR does not let us read it",
}  # fmt: skip
LINES: Final[Mapping[str, str]] = {
    "verified": "read back, and equal field by field", "retracted": "taken back, or never sent",
    "pending": "to be sent, on its way, or taken and not read back yet",
    "held": "taken by the EHR, not in the chart yet",
    "waiting": "the EHR said later", "unknown": "sent, no answer: looked for before it is sent again",
    "missing": "taken, and gone from the chart", "altered": "changed in the chart",
    "duplicate": "in the chart more than once", "unreadable": "the EHR does not let us read it",
    "refused": "refused by the EHR", "manual": "whether or how to write it cannot be told",
}  # fmt: skip
"""What each line of the books means."""
TAGS: Final[Mapping[str, str]] = {
    "verified": "good", "retracted": "good", "refused": "alarm", "manual": "alarm", "missing": "alarm",
    "altered": "alarm", "duplicate": "alarm", "unreadable": "warn", "unknown": "warn", "waiting": "warn",
    "held": "warn",
}  # fmt: skip
_UNITS: Final = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second"))


def moment(text: str) -> str:
    """Return an ISO time to the second, in UTC.

    >>> moment("2026-01-05T12:00:00.123Z")
    '2026-01-05 12:00:00 UTC'
    """
    if not text:
        return "never"
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def age(seconds: float) -> str:
    """Return an age in the largest unit that gives at least one of it.

    >>> age(7300), age(0.2), age(60)
    ('2 hours', 'none', '1 minute')
    """
    for size, unit in _UNITS:
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "none"


def bytes_of(count: int) -> str:
    """Return a size in MB or GB.

    >>> bytes_of(150_000_000), bytes_of(73_000_000_000)
    ('150 MB', '73.0 GB')
    """
    return f"{count / 10**9:.1f} GB" if count >= 10**9 else f"{count // 10**6} MB"
