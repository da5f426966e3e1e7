"""A mapping's evidence file: the published figures and the later evidence that every report shows.

[[published]]       one figure of the paper's abstract, with the rows of this data's statistics that stand beside it
[[evidence]]        one trial, review or notice since
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, TypeVar

from integration.errors import MappingError

EvidenceKind = Literal["sham-controlled trial", "review", "regulator", "observation", "method"]
Entry = TypeVar("Entry", "Published", "Selector", "Link", "Evidence")
KINDS: Final[tuple[EvidenceKind, ...]] = ("sham-controlled trial", "review", "regulator", "observation", "method")

SAFE_ADDRESS: Final = "https://"
"""What a link must start with to be drawn as one: the page must lead nowhere else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Selector:
    """Which row of `statistics.csv` to show; an empty field matches an empty cell.

    The analysis `cohort` stands for the number of patients in the cohort, which is a count of rows and no statistic.
    """

    analysis: str
    scale: str = ""
    visit: str = ""
    group: str = ""
    responder: str = ""
    category: str = ""
    statistic: str = ""
    denominator_kind: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """One figure of the published abstract, and the rows of this data's statistics that stand beside it.

    Attributes:
        label: what the figure is.
        value: as published.
        source: where it was published.
        note: what a reader must know to compare, empty if nothing.
        is_inference: whether the note is our reading of the figures, not something published.
        beside: this data's rows, in the order shown.
    """

    label: str
    value: str
    source: str
    note: str = ""
    is_inference: bool = False
    beside: tuple[Selector, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A citation's identifier and the address it leads to (`PMID 29150995`, an https address)."""

    label: str
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """One entry of the evidence box.

    Attributes:
        kind: decides the order; one of `KINDS`.
        name: short name of the trial, review or notice.
        citation: authors, journal, year, pages.
        headline: what it found, in our words.
        source: where the headline was read.
        links: identifiers with addresses.
    """

    kind: EvidenceKind
    name: str
    citation: str
    headline: str
    source: str
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidenceFile:
    """The whole of evidence.toml.

    Attributes:
        published: the paper's figures.
        evidence: what was learned since; never empty.
    """

    published: tuple[Published, ...]
    evidence: tuple[Evidence, ...]


def read(document: Mapping[str, Any], file: str) -> EvidenceFile:
    """Check evidence.toml.

    Raises:
        MappingError: a key is unknown or missing, or there is no later evidence: no report goes without it.
    """
    for key in document.keys() - {"published", "evidence"}:
        raise MappingError(file=file, path=key, problem="unknown key; known: evidence, published")
    found = EvidenceFile(published=_published(document, file), evidence=_evidence(document, file))
    if not found.evidence:
        raise MappingError(file=file, path="evidence", problem="is missing; every report shows the later evidence")
    return found


def _published(document: Mapping[str, Any], file: str) -> tuple[Published, ...]:
    return tuple(
        _entry(Published, {**table, "beside": _selectors(table, file, number)}, file, f"published[{number}]")
        for number, table in enumerate(document.get("published", ()))
    )


def _evidence(document: Mapping[str, Any], file: str) -> tuple[Evidence, ...]:
    entries = tuple(
        _entry(Evidence, {**table, "links": _links(table, file, number)}, file, f"evidence[{number}]")
        for number, table in enumerate(document.get("evidence", ()))
    )
    for number, entry in enumerate(entries):
        if entry.kind not in KINDS:
            raise MappingError(file=file, path=f"evidence[{number}].kind", problem=f"must be one of {', '.join(KINDS)}")
    return entries


def _selectors(table: Mapping[str, Any], file: str, number: int) -> tuple[Selector, ...]:
    rows = table.get("beside", ())
    return tuple(_entry(Selector, row, file, f"published[{number}].beside[{i}]") for i, row in enumerate(rows))


def _links(table: Mapping[str, Any], file: str, number: int) -> tuple[Link, ...]:
    rows = table.get("links", ())
    for i, row in enumerate(rows):
        if not str(row.get("url", "")).startswith(SAFE_ADDRESS):
            raise MappingError(
                file=file, path=f"evidence[{number}].links[{i}].url", problem=f"must start with {SAFE_ADDRESS}"
            )
    return tuple(_entry(Link, row, file, f"evidence[{number}].links[{i}]") for i, row in enumerate(rows))


def _entry(kind: type[Entry], table: Mapping[str, Any], file: str, path: str) -> Entry:
    known = {one.name for one in fields(kind)}
    for key in table:
        if key not in known:
            raise MappingError(
                file=file, path=f"{path}.{key}", problem=f"unknown key; known: {', '.join(sorted(known))}"
            )
    try:
        return kind(**table)
    except TypeError as error:
        raise MappingError(file=file, path=path, problem=f"incomplete: {error}") from error
