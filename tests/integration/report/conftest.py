"""A synthetic study for reports: numbers are invented and seeded, nothing in it describes a person."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from integration import evidence, report, statistics

EVIDENCE = Path(__file__).parents[3] / "mappings" / "msis29_venoplasty" / "evidence.toml"
STEP = {"physical": 1.25, "psychological": 100 / 36}
ITEMS = {"physical": 20, "psychological": 9}
VISIT_DAYS = {"baseline": -10, "month_1": 30, "month_6": 183}
FALL = {"baseline": 0.0, "month_1": 2.6, "month_6": 0.9}
EVENT_COLUMNS = (
    "patient_id", "resource", "code", "code_system", "date", "days_from_procedure", "seriousness", "severity",
    "outcome", "linked_by", "session_date",
)  # fmt: skip


def _cohort(patients: int) -> pd.DataFrame:
    rng = np.random.default_rng(20120)
    start = [date(2010, 3, 1) + timedelta(days=int(day)) for day in rng.integers(0, 600, patients)]
    retreated = np.arange(patients) % 17 == 4
    columns: dict[str, Any] = {
        "patient_id": [f"syn-{number:05d}" for number in range(patients)],
        "sex": rng.choice(["female", "male"], patients, p=[0.65, 0.35]),
        "age_at_procedure": rng.normal(48, 9, patients).round(),
        "ms_type": rng.choice(["RRMS", "SPMS", "PPMS", "unspecified"], patients, p=[0.58, 0.2, 0.16, 0.06]),
        "procedure_date": [day.isoformat() for day in start],
        "vein_sites": rng.choice([1, 2, 3, 4], patients, p=[0.3, 0.45, 0.2, 0.05]),
        "stent": np.arange(patients) % 43 == 0,
        "imaging_before": rng.random(patients) < 0.9,
        "retreated": retreated,
        "retreatment_days": np.where(retreated, rng.integers(40, 180, patients), np.nan),
        "retreated_after_improvement": retreated,
        "serious_adverse_event": np.arange(patients) == 3,
        "sessions": 1 + retreated.astype(int),
        "stent_sessions": (np.arange(patients) % 43 == 0).astype(int),
        "last_contact_days": rng.integers(180, 240, patients),
    }
    frame = pd.DataFrame(columns)
    before = {scale: rng.normal(0.48, 0.17, patients).clip(0.02, 0.98) for scale in ITEMS}
    for visit, day in VISIT_DAYS.items():
        _add_visit(frame, visit, [one + timedelta(days=day) for one in start], before, rng)
    return frame


def _add_visit(
    frame: pd.DataFrame, visit: str, days: list[date], before: dict[str, np.ndarray], rng: np.random.Generator
) -> None:
    patients = len(frame)
    seen = rng.random(patients) < (1.0 if visit == "baseline" else 0.92)
    frame[f"{visit}_date"] = [day.isoformat() if there else None for day, there in zip(days, seen, strict=True)]
    frame[f"{visit}_version"] = np.where(seen, "1", None)
    for scale, items in ITEMS.items():
        fall = np.where(rng.random(patients) < 0.18, 0, rng.normal(FALL[visit], 4.5 if FALL[visit] else 0, patients))
        raw = (before[scale] * items * 4 - fall).round().clip(0, items * 4)
        frame[f"{scale}_sum_{visit}"] = np.where(seen, raw + items, np.nan)
        frame[f"{scale}_{visit}"] = np.where(seen, raw * STEP[scale], np.nan)
        frame[f"{scale}_answered_{visit}"] = np.where(seen, items - (rng.random(patients) < 0.1), np.nan)
        if visit != "baseline":
            frame[f"{scale}_sum_change_{visit}"] = frame[f"{scale}_sum_{visit}"] - frame[f"{scale}_sum_baseline"]
            frame[f"{scale}_change_{visit}"] = frame[f"{scale}_{visit}"] - frame[f"{scale}_baseline"]


def _events() -> pd.DataFrame:
    system = "http://snomed.info/sct"
    one = ("syn-00003", "AdverseEvent/a", "128053003", system, "2010-05-01", 3, "serious", "moderate", "resolved")
    return pd.DataFrame([(*one, "date", "2010-04-28")], columns=list(EVENT_COLUMNS))


def _flow(cohort: int) -> pd.DataFrame:
    rows = [("venoplasty", 18), ("multiple_sclerosis", 9), ("baseline", 14)]
    left, steps = cohort + sum(number for _, number in rows), []
    for step, (criterion, excluded) in enumerate(rows, 1):
        steps.append((step, criterion, left, excluded, left - excluded))
        left -= excluded
    return pd.DataFrame(steps, columns=["step", "criterion", "patients_in", "excluded", "patients_out"])


@pytest.fixture(scope="session")
def evidence_document() -> dict[str, Any]:
    """The default study's evidence file."""
    return tomllib.loads(EVIDENCE.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def make_inputs(evidence_document: dict[str, Any]) -> Callable[..., report.ReportInputs]:
    """Return a function that makes a report's inputs; `change` alters the cohort before it is analysed."""

    def make(
        patients: int = 259,
        *,
        change: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame,
        events: pd.DataFrame | None = None,
        **fields: Any,
    ) -> report.ReportInputs:
        cohort = change(_cohort(patients))
        adverse_events = _events() if events is None else events
        made: dict[str, Any] = {
            "title": "Venoplasty in multiple sclerosis",
            "is_synthetic": True,
            "generated": datetime(2024, 5, 3, 14, 5, tzinfo=UTC),
            "cohort": cohort,
            "patients": pd.DataFrame({"patient_id": [f"p{number}" for number in range(len(cohort) + 41)]}),
            "flow": _flow(len(cohort)),
            "responses": pd.DataFrame(
                {"response_id": range(9), "reason": [""] * 6 + ["status"] * 2 + ["several answers"]}
            ),
            "adverse_events": adverse_events,
            "statistics": statistics.analyse(cohort, adverse_events, statistics.AnalysisPlan()),
            "retreatment_curve": statistics.kaplan_meier(cohort),
            "choices": (report.Choice(what="Improved", value="change < 0", where="study.toml: improved"),),
            "published": evidence.read(evidence_document, "evidence.toml").published,
            "evidence": evidence.read(evidence_document, "evidence.toml").evidence,
            "provenance": report.Provenance(
                software_version="0.1.0",
                mapping_name="msis29_venoplasty",
                mapping_version="1.0.0",
                files=(report.InputFile(path="export/Patient.ndjson", sha256="ab" * 32, counts={"Patient": 300}),),
                balance=("9 responses = 6 scored + 3 not scorable",),
            ),
        }
        return report.ReportInputs(**{**made, **fields})

    return make


@pytest.fixture(scope="session")
def inputs(make_inputs: Callable[..., report.ReportInputs]) -> report.ReportInputs:
    """The inputs of a report of 259 patients."""
    return make_inputs()


@pytest.fixture(scope="session")
def page(inputs: report.ReportInputs) -> str:
    """The report of 259 patients."""
    return report.write(inputs)


class Outline(HTMLParser):
    """What a page consists of: its elements with attributes, its tables as text, and whether every tag is closed."""

    VOID = frozenset(("meta", "br", "link", "img", "input", "hr"))

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.faults: list[str] = []
        self._open: list[str] = []
        self._table: list[list[str]] | None = None
        self._cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.elements.append((tag, found))
        if tag not in self.VOID:
            self._open.append(tag)
        if tag == "table":
            self._table = self.tables.setdefault(found["id"], [])
        elif tag == "tr" and self._table is not None:
            self._table.append([])
        elif tag in {"td", "th"} and self._table is not None:
            self._table[-1].append("")
            self._cell = True

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")
        if tag == "table":
            self._table = None
        elif tag in {"td", "th"}:
            self._cell = False

    def handle_data(self, data: str) -> None:
        if self._table and self._cell:
            self._table[-1][-1] += data

    def close(self) -> None:
        super().close()
        self.faults += [f"<{tag}> is never closed" for tag in self._open]


@pytest.fixture(scope="session")
def outline() -> Callable[[str], Outline]:
    """Return a function that reads a page."""

    def read(text: str) -> Outline:
        outline = Outline()
        outline.feed(text)
        outline.close()
        return outline

    return read
