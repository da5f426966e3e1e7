"""Which of two versions of a resource counts: one resource, one version, wherever resources come from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

_LONGEST_NUMBER: Final = 64


@dataclass(frozen=True, slots=True)
class Version:
    """What a resource says of its version.

    Attributes:
        number: `meta.versionId`, if it is a number.
        updated: `meta.lastUpdated`, if it is an instant; aware.
    """

    number: int | None
    updated: datetime | None


UNKNOWN: Final = Version(None, None)


def version(meta: Any) -> Version:
    """Read a resource's `meta`, which may be anything: nothing was checked yet."""
    if not isinstance(meta, dict):
        return UNKNOWN
    return Version(_number(meta.get("versionId")), _instant(meta.get("lastUpdated")))


def is_newer(one: Version, than: Version) -> bool:
    """Whether the version read later counts: the highest number, else the latest instant, else the one read last."""
    if one.number is not None and than.number is not None and one.number != than.number:
        return one.number > than.number
    if one.updated is not None and than.updated is not None and one.updated != than.updated:
        return one.updated > than.updated
    return True


def _number(text: Any) -> int | None:
    is_number = isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER
    return int(text) if is_number else None


def _instant(text: Any) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return instant if instant is not None and instant.tzinfo else None
