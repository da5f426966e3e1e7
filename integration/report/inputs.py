"""What a report is made of: the frames of a run, the site's choices, the published figures, the later evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

import pandas as pd

from integration.errors import MappingError

EvidenceKind = Literal["sham-controlled trial", "review", "regulator", "observation", "method"]
Entry = TypeVar("Entry", "Published", "Selector", "Link", "Evidence")
KINDS: Final[tuple[EvidenceKind, ...]] = ("sham-controlled trial", "review", "regulator", "observation", "method")

SAFE_ADDRESS: Final = "https://"
"""What a link must start with to be drawn as one: the page must lead nowhere else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A rule that the site chose because the paper does not say.

    Attributes:
        what: the rule in words.
        value: what was chosen, as text.
        where: the place in the mapping (`study.toml: improved.threshold`).
    """

    what: str
    value: str
    where: str


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
class InputFile:
    """A file that was read: its path as given, the SHA-256 of its bytes in hex, resources in it by type."""

    path: str
    sha256: str
    counts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """Where the report's figures come from.

    Attributes:
        software_version: of Outcome Bridge.
        mapping_name: the mapping's name; `mapping_version` is its version.
        files: every input file, in the order read.
        balance: one sentence each, that the counts in and out agree.
    """

    software_version: str
    mapping_name: str
    mapping_version: str
    files: tuple[InputFile, ...] = ()
    balance: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportInputs:
    """Everything `integration.report.write` reads. No frame is changed.

    Attributes:
        title: of the page.
        is_synthetic: whether the data are labelled as invented; the page then says so beside every figure it compares.
        generated: when the run ended; aware.
        cohort: one row a patient, the columns of `cohort.csv`; scores 0-100, UCUM {score}, NaN where there is none.
        patients: the columns of `patients.csv`.
        flow: the columns of `flow.csv`, in the order of the steps.
        responses: the columns of `responses.csv`.
        adverse_events: the columns of `adverse_events.csv`.
        statistics: the columns of `statistics.csv`; rates 0-1.
        retreatment_curve: Kaplan-Meier, one row a distinct time: `days, at_risk, events, censored, survival, ci_low,
            ci_high`; survival 0-1, limits NaN where there are none.
        choices: the rules the site chose.
        published: the abstract's figures.
        evidence: the evidence box.
        provenance: versions, files, balance.
        code_labels: what a code of an adverse event means, keyed by the code as `adverse_events` holds it.
    """

    title: str
    is_synthetic: bool
    generated: datetime
    cohort: pd.DataFrame
    patients: pd.DataFrame
    flow: pd.DataFrame
    responses: pd.DataFrame
    adverse_events: pd.DataFrame
    statistics: pd.DataFrame
    retreatment_curve: pd.DataFrame
    choices: tuple[Choice, ...] = ()
    published: tuple[Published, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    provenance: Provenance = field(
        default_factory=lambda: Provenance(software_version="", mapping_name="", mapping_version="")
    )
    code_labels: Mapping[str, str] = field(default_factory=dict)


def published_entries(document: Mapping[str, Any], *, file: str) -> tuple[Published, ...]:
    """Read the `[[published]]` tables of a mapping's evidence file.

    Args:
        document: the parsed TOML file.
        file: its name, for error messages.

    Raises:
        MappingError: an entry has an unknown or a missing key.
    """
    return tuple(
        _entry(Published, {**table, "beside": _selectors(table, file, number)}, file, f"published[{number}]")
        for number, table in enumerate(document.get("published", ()))
    )


def evidence_entries(document: Mapping[str, Any], *, file: str) -> tuple[Evidence, ...]:
    """Read the `[[evidence]]` tables of a mapping's evidence file.

    Args:
        document: the parsed TOML file.
        file: its name, for error messages.

    Raises:
        MappingError: an entry has an unknown or a missing key, or a `kind` that is not one of `KINDS`.
    """
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
