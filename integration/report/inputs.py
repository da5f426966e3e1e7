"""What a report is made of: the frames of a run, the site's choices, the published figures, the later evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import pandas as pd

from integration.evidence import Evidence, Published


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
        last_window_day: day from the index procedure on which the window of the last planned visit ends; None if the
            study plans no visit.
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
    last_window_day: int | None = None
    code_labels: Mapping[str, str] = field(default_factory=dict)
