"""Who is in the data: flow, denominators, baseline, what is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from integration.report import formats, labels
from integration.report.inputs import ReportInputs
from integration.report.tables import Body, Table, columns

ROUNDING_POINTS: Final = 1e-6
"""Far above the rounding of a float, far below the smallest step of the instrument."""

Rows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A box of the flow diagram: how many go on, and who leaves before the next box and why."""

    label: str
    count: int
    excluded: int = 0
    reason: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class VisitCounts:
    """A follow-up visit: who was seen, who has a change score, by scale."""

    visit: str
    cohort: int
    seen: int
    with_change: tuple[tuple[str, int], ...]


def column(frame: pd.DataFrame, name: str) -> pd.Series[float]:
    """Return a column of a frame; empty cells where the frame does not have it, as an empty one may not."""
    return frame[name] if name in frame.columns else pd.Series(float("nan"), index=frame.index, dtype=float)


def is_true(cells: pd.Series[float]) -> pd.Series[bool]:
    """Return which cells are true; an empty cell is not."""
    return cells.astype("boolean").fillna(value=False).astype(bool)


def is_present(cells: pd.Series[float]) -> pd.Series[bool]:
    """Return which cells say something: neither missing nor an empty text."""
    return (cells.notna() & cells.ne("")).astype(bool)


def follow_ups(cohort: pd.DataFrame) -> tuple[str, ...]:
    """Return the names of the follow-up visits, in the order of the frame's columns."""
    prefix = f"{next(iter(labels.SCALES))}_change_"
    return tuple(str(name).removeprefix(prefix) for name in cohort.columns if str(name).startswith(prefix))


def seen(cohort: pd.DataFrame, visit: str) -> pd.Series[bool]:
    """Return which patients have a scorable response at the visit."""
    return is_present(column(cohort, f"{visit}_date"))


def with_change(cohort: pd.DataFrame, scale: str, visit: str) -> pd.Series[bool]:
    """Return which patients have the subscale scored at baseline and at the visit in one version."""
    return column(cohort, f"{scale}_change_{visit}").notna()


def changes(cohort: pd.DataFrame, scale: str, visit: str) -> npt.NDArray[np.float64]:
    """Return the changes in points: (n,) float, patients without one left out, what only rounding keeps from 0 as 0."""
    values = column(cohort, f"{scale}_change_{visit}").dropna().to_numpy(dtype=np.float64)
    return np.where(np.abs(values) < ROUNDING_POINTS, 0.0, values)


def visit_counts(cohort: pd.DataFrame) -> tuple[VisitCounts, ...]:
    """Return the three denominators of every follow-up visit."""
    return tuple(
        VisitCounts(
            visit=visit,
            cohort=len(cohort),
            seen=int(seen(cohort, visit).sum()),
            with_change=tuple((scale, int(with_change(cohort, scale, visit).sum())) for scale in labels.SCALES),
        )
        for visit in follow_ups(cohort)
    )


def flow_steps(report: ReportInputs) -> tuple[Step, ...]:
    """Return the boxes of the flow diagram from the patients in the data to the cohort."""
    rows = report.flow.to_dict("records")
    steps = [Step(label="Patients in the data", count=len(report.patients))]
    if rows:
        steps = [
            Step(
                label=_passed(str(rows[index - 1]["criterion"])) if index else "Patients in the data",
                count=int(row["patients_in"]),
                excluded=int(row["excluded"]),
                reason=labels.CRITERIA.get(str(row["criterion"]), str(row["criterion"])),
            )
            for index, row in enumerate(rows)
        ]
    return (*steps, Step(label="Cohort", count=len(report.cohort)))


def _passed(criterion: str) -> str:
    return labels.PASSED.get(criterion, f"Passed: {criterion}")


def flow_check(report: ReportInputs) -> tuple[bool, str]:
    """Return whether the numbers of the flow agree with the tables, and the sentence that says so."""
    total, excluded, left = len(report.patients), int(report.flow["excluded"].sum()), len(report.cohort)
    links = list(zip(report.flow["patients_out"], report.flow["patients_in"][1:], strict=False))
    good = total - excluded == left and all(out == following for out, following in links)
    sums = f"{total:,} patients in the data, {excluded:,} excluded, {left:,} in the cohort"
    return (
        good,
        f"{sums}: the numbers add up." if good else f"{sums}: these numbers do not add up; do not use this report.",
    )


def baseline_table(report: ReportInputs) -> Table:
    """Return the baseline characteristics, of everybody and by whether seen at the last visit."""
    named = _by_last_visit(report.cohort)
    groups = tuple(group for _, group in named)
    heads = [f"{name} (N = {len(group):,})" for name, group in named]
    bodies = (
        Body(label="Sex, n (%)", rows=_categories(groups, "sex", labels.SEXES)),
        Body(label="Age at the procedure, years", rows=_quantities(groups, "age_at_procedure")),
        Body(label="MS type, n (%)", rows=_categories(groups, "ms_type", labels.MS_TYPES)),
        Body(
            label="Vein sites treated in the first session, n (%)",
            rows=_categories(groups, "vein_sites", labels.SITES, _sites),
        ),
        Body(label="First session, n (%)", rows=_flags(groups)),
        Body(
            label="MSIS-29 version at baseline, n (%)",
            rows=_categories(groups, "baseline_version", {}, formats.version),
        ),
        Body(label="MSIS-29 physical, 0 best to 100 worst", rows=_quantities(groups, "physical_baseline")),
        Body(label="MSIS-29 psychological, 0 best to 100 worst", rows=_quantities(groups, "psychological_baseline")),
    )
    return Table(
        name="baseline",
        caption="The cohort before treatment, and who was seen later",
        columns=columns("Characteristic", *heads),
        bodies=bodies if len(report.cohort) else (Body(rows=()),),
        note="Percentages are of the N at the head of the column. SD: standard deviation; IQR: interquartile range.",
        empty="Nobody is in the cohort.",
    )


def _by_last_visit(cohort: pd.DataFrame) -> tuple[tuple[str, pd.DataFrame], ...]:
    """Return everybody, and those seen and not seen at the last visit, each with its name."""
    if not follow_ups(cohort):
        return (("Cohort", cohort),)
    last = follow_ups(cohort)[-1]
    present, label = seen(cohort, last), labels.visit(last)
    return (("Cohort", cohort), (f"Seen at {label}", cohort[present]), (f"Not seen at {label}", cohort[~present]))


def _sites(cell: object) -> str:
    number = int(float(str(cell)))
    return "3+" if number >= 3 else str(number)


def _categories(groups: tuple[pd.DataFrame, ...], name: str, known: object, key: Callable[[object], str] = str) -> Rows:
    words: dict[str, str] = dict(known) if isinstance(known, dict) else {}
    cells = [_named(column(group, name), key) for group in groups]
    values = [*(word for word in words if (cells[0] == word).any())]
    values += sorted(set(cells[0]) - set(values) - {""}) + ([""] if (cells[0] == "").any() else [])
    return tuple(
        (words.get(value, value or "not recorded"), *(_share(int((cell == value).sum()), len(cell)) for cell in cells))
        for value in values
    )


def _named(cells: pd.Series[float], key: Callable[[object], str]) -> pd.Series[str]:
    """Return the category of each cell, empty where there is none."""
    names = {value: key(value) for value in cells[is_present(cells)].unique()}
    return cells.map(names).fillna("").astype(str)


def _share(number: int, total: int) -> str:
    return f"{number:,} ({formats.percent(number / total)})" if total else "0"


def _flags(groups: tuple[pd.DataFrame, ...]) -> Rows:
    names = {"stent": "Venous stent", "imaging_before": "Imaging before the procedure"}
    return tuple(
        (label, *(_share(int(is_true(column(group, name)).sum()), len(group)) for group in groups))
        for name, label in names.items()
    )


def _quantities(groups: tuple[pd.DataFrame, ...], name: str) -> Rows:
    values = [column(group, name).dropna().astype(float) for group in groups]
    return (
        ("n", *(f"{len(value):,}" for value in values)),
        ("Mean (SD)", *(mean_sd(value) for value in values)),
        ("Median (IQR)", *(median_iqr(value) for value in values)),
    )


def mean_sd(values: pd.Series[float]) -> str:
    """Return `mean (SD)`, the sample's SD with n - 1."""
    if not len(values):
        return formats.NONE
    spread = formats.decimal(float(values.std())) if len(values) > 1 else formats.NONE
    return f"{formats.decimal(float(values.mean()))} ({spread})"


def median_iqr(values: pd.Series[float]) -> str:
    """Return `median (25th to 75th percentile)`."""
    if not len(values):
        return formats.NONE
    low, middle, high = (float(values.quantile(share)) for share in (0.25, 0.5, 0.75))
    return f"{formats.decimal(middle)} ({formats.interval(low, high)})"
