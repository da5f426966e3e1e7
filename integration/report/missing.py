"""What is missing: visits, items, scores."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pandas as pd

from integration.report import formats, labels
from integration.report.inputs import ReportInputs
from integration.report.people import column, follow_ups, seen
from integration.report.tables import Body, Table, columns


def visits_table(report: ReportInputs) -> Table:
    """Return in which combination of follow-up visits the patients were seen."""
    return Table(
        name="visits",
        caption="Visits with a scorable MSIS-29, patients of the cohort",
        columns=columns("Seen at", "n/N", "%"),
        bodies=(Body(rows=tuple(_visit_rows(report.cohort))),),
        note="A missing follow-up visit excludes nobody. What is missing is not filled in.",
        empty="Nobody is in the cohort.",
    )


def _visit_rows(cohort: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """Yield a row a combination, the fullest first; of more than two follow-up visits only those that occur."""
    visits = follow_ups(cohort)
    if not len(cohort):
        return
    patterns = sorted(product((True, False), repeat=len(visits)), key=lambda pattern: -sum(pattern))
    for pattern in patterns:
        who = pd.Series(data=True, index=cohort.index)
        for visit, present in zip(visits, pattern, strict=True):
            who &= seen(cohort, visit) == present
        number = int(who.sum())
        if number or len(visits) <= 2:
            there = [labels.visit(visit) for visit, present in zip(visits, pattern, strict=True) if present]
            label = f"Baseline and {' and '.join(there)}" if there else "Baseline only"
            yield (label, formats.part(number, len(cohort)), formats.percent(number / len(cohort)))


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
    for visit in (labels.BASELINE, *follow_ups(cohort)):
        there = seen(cohort, visit)
        answered = column(cohort, f"{scale}_answered_{visit}")[there].astype(float)
        scored = column(cohort, f"{scale}_{visit}")[there].notna()
        complete = int((answered == labels.ITEMS[scale]).sum())
        some = int((scored & (answered < labels.ITEMS[scale])).sum())
        total, items = int(there.sum()), int(there.sum()) * labels.ITEMS[scale]
        missing = items - int(answered.fillna(0).sum())
        counts = (formats.part_percent(number, total) for number in (complete, some, int((~scored).sum())))
        yield (labels.visit(visit), f"{total:,}", *counts, formats.part_percent(missing, items))


def reasons_table(report: ReportInputs) -> Table:
    """Return why responses have no score."""
    reasons = column(report.responses, "reason").fillna("").astype(str)
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
