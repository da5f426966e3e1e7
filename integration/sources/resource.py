"""What a source yields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RawResource:
    """One resource as it was found, not yet looked into.

    Attributes:
        file: the file, as it was named or found below a named folder; the site's name for a warehouse.
        line: the line of the file, from 1; in a Bundle, 1.
        within: where in the line, empty for the whole (`entry[3].resource`).
        body: JSON bytes.
    """

    file: str
    line: int
    within: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line or file of which no resource could be got.

    Attributes:
        file: as in RawResource.
        line: likewise; 0 if the file as a whole cannot be read.
        within: likewise.
        problem: why; holds nothing of the content.
    """

    file: str
    line: int
    within: str
    problem: str


class Source(Protocol):
    """A source can be read more than once, and yields the same in the same order each time."""

    def __iter__(self) -> Iterator[RawResource | Unreadable]:
        """Yield every resource."""
        ...
