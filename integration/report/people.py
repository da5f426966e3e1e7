"""Who is in the data: flow, denominators, baseline, what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    return cells.map(lambda cell: not formats.is_missing(cell) and bool(cell)).astype(bool)


def seen(cohort: pd.DataFrame, visit: str) -> pd.Series[bool]:
    """Return which patients have a scorable response at the visit."""
    return ~column(cohort, f"{visit}_date").map(formats.is_missing).astype(bool)


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
        for visit in labels.FOLLOW_UPS
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
    last = labels.FOLLOW_UPS[-1]
    present = seen(report.cohort, last)
    groups = (report.cohort, report.cohort[present], report.cohort[~present])
    names = ("Cohort", f"Seen at {labels.VISITS[last]}", f"Not seen at {labels.VISITS[last]}")
    heads = [f"{name} (N = {len(group):,})" for name, group in zip(names, groups, strict=True)]
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


def _sites(cell: object) -> str:
    number = int(float(str(cell)))
    return "3+" if number >= 3 else str(number)


def _categories(groups: tuple[pd.DataFrame, ...], name: str, known: object, key: Callable[[object], str] = str) -> Rows:
    words: dict[str, str] = dict(known) if isinstance(known, dict) else {}
    cells = [column(group, name).map(lambda cell: "" if formats.is_missing(cell) else key(cell)) for group in groups]
    values = [*(word for word in words if (cells[0] == word).any())]
    values += sorted(set(cells[0]) - set(values) - {""}) + ([""] if (cells[0] == "").any() else [])
    return tuple(
        (words.get(value, value or "not recorded"), *(_share(int((cell == value).sum()), len(cell)) for cell in cells))
        for value in values
    )


def _share(number: int, total: int) -> str:
    return f"{number:,} ({formats.percent(number / total)})" if total else "0"


def _flags(groups: tuple[pd.DataFrame, ...]) -> Rows:
    names = {"stent": "Venous stent", "imaging_before": "Imaging in the year before"}
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


def visits_table(report: ReportInputs) -> Table:
    """Return in which combination of follow-up visits the patients were seen."""
    first, last = (seen(report.cohort, visit) for visit in labels.FOLLOW_UPS)
    patterns = (
        ("Baseline, 1 month and 6 months", first & last),
        ("Baseline and 1 month only", first & ~last),
        ("Baseline and 6 months only", ~first & last),
        ("Baseline only", ~first & ~last),
    )
    total = len(report.cohort)
    rows = tuple(
        (label, formats.part(int(who.sum()), total), formats.percent(who.sum() / total))
        for label, who in patterns
        if total
    )
    return Table(
        name="visits",
        caption="Visits with a scorable MSIS-29, patients of the cohort",
        columns=columns("Seen at", "n/N", "%"),
        bodies=(Body(rows=rows),),
        note="A missing follow-up visit excludes nobody. What is missing is not filled in.",
        empty="Nobody is in the cohort.",
    )


def items_table(report: ReportInputs) -> Table:
    """Return how many items are missing in the responses that were chosen for the visits."""
    bodies = tuple(
        Body(
            label=f"{label} (items {'1 to 20' if scale == 'physical' else '21 to 29'})",
            rows=tuple(_item_rows(report.cohort, scale)),
        )
        for scale, label in labels.SCALES.items()
    )
    return Table(
        name="items",
        caption="Items missing in the responses chosen for a visit",
        columns=columns(
            "Visit", "Seen", "All items answered", "Some missing, scored", "Not scored", "Items missing of all"
        ),
        bodies=bodies if len(report.cohort) else (Body(rows=()),),
        note="Some missing, scored: each missing item counts as the person's mean of the answered items of that scale.",
        empty="Nobody is in the cohort.",
    )


def _item_rows(cohort: pd.DataFrame, scale: str) -> Iterator[tuple[str, ...]]:
    for visit, label in labels.VISITS.items():
        there = seen(cohort, visit)
        answered = column(cohort, f"{scale}_answered_{visit}")[there].astype(float)
        scored = column(cohort, f"{scale}_{visit}")[there].notna()
        complete = int((answered == labels.ITEMS[scale]).sum())
        some = int((scored & (answered < labels.ITEMS[scale])).sum())
        total, items = int(there.sum()), int(there.sum()) * labels.ITEMS[scale]
        missing = items - int(answered.fillna(0).sum())
        counts = (formats.part_percent(number, total) for number in (complete, some, int((~scored).sum())))
        yield (label, f"{total:,}", *counts, formats.part_percent(missing, items))


def reasons_table(report: ReportInputs) -> Table:
    """Return why responses have no score."""
    reasons = column(report.responses, "reason").map(lambda cell: "" if formats.is_missing(cell) else str(cell))
    counts = reasons[reasons != ""].value_counts()
    rows = tuple(
        (labels.REASONS.get(str(reason), str(reason)), f"{int(number):,}") for reason, number in counts.items()
    )
    scored = int((reasons == "").sum())
    return Table(
        name="reasons",
        caption=f"QuestionnaireResponses without a score, of {len(reasons):,} in the data",
        columns=columns("Reason", "Responses"),
        bodies=(Body(rows=rows),),
        note=f"{scored:,} responses were scored on at least one scale. A response without a score is kept and listed.",
        empty="Every response has a score." if len(reasons) else "There are no responses in the data.",
    )
