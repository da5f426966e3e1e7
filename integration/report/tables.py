"""Tables of a report as values: what the template draws."""

from __future__ import annotations

from dataclasses import dataclass

TEXT, NUMBER = "text", "number"
SMALL_COLUMNS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column: its heading, and whether it holds text or numbers (which are set right)."""

    label: str
    kind: str = NUMBER


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """Rows under a heading of their own (empty: none), with a remark below. The first cell of a row is its name."""

    rows: tuple[tuple[str, ...], ...]
    label: str = ""
    remark: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table with its caption.

    Attributes:
        name: unique on the page, a word for the address of the table.
        caption: what it shows, among whom.
        columns: the first is the column of names.
        bodies: at least one.
        note: below the table, empty if nothing.
        empty: what is said where there is no row at all.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    bodies: tuple[Body, ...]
    note: str = ""
    empty: str = "Nothing to show: there are no such data."

    @property
    def is_empty(self) -> bool:
        """Whether there is no row in any body."""
        return not any(body.rows for body in self.bodies)

    @property
    def is_small(self) -> bool:
        """Whether it has so few columns that the page's full width would tear them apart."""
        return len(self.columns) <= SMALL_COLUMNS


def columns(first: str, *numbers: str) -> tuple[Column, ...]:
    """Return a column of names and columns of numbers."""
    return (Column(label=first, kind=TEXT), *(Column(label=label) for label in numbers))


def texts(*labels: str) -> tuple[Column, ...]:
    """Return columns of text."""
    return tuple(Column(label=label, kind=TEXT) for label in labels)
