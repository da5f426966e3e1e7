"""Retreatment, stents, adverse events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pandas as pd

from integration.evidence import Selector
from integration.report import charts, formats, labels
from integration.report.drawing import Drawing
from integration.report.inputs import ReportInputs
from integration.report.outcome import limits
from integration.report.results import Estimate, Results
from integration.report.tables import Body, Column, Table, columns

MAX_KINDS: Final = 60
DRAWN_SHARE: Final = 0.1
TICK_DAYS: Final = 60
SYSTEMS: Final[Mapping[str, str]] = {
    "http://snomed.info/sct": "SNOMED CT",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD-10-CM",
    "http://hl7.org/fhir/sid/icd-10": "ICD-10",
}
HORIZON: Final = "km_retreated_day_"
LATE: Final = ", beyond the last planned visit: too high"
EVENTS: Final[Mapping[str, str]] = {
    "adverse_event": "Any adverse event",
    "serious_adverse_event": "Adverse event coded serious (FHIR)",
}


def retreatment_table(results: Results, last_window_day: int | None = None) -> Table:
    """Return how many were retreated and how many had a stent, among each denominator, and Kaplan-Meier estimates.

    Args:
        results: the statistics.
        last_window_day: day on which the last planned visit's window ends; later estimates are marked as too high.
    """
    bodies = (
        Body(label="Treated again in a later session", rows=tuple(_rates(results, "retreatment", "rate"))),
        Body(
            label="Treated again after a visit with improvement",
            rows=tuple(_rates(results, "retreatment", "rate_after_improvement")),
        ),
        Body(label="Kaplan-Meier: treated again by", rows=tuple(_horizons(results, last_window_day))),
        Body(label="Venous stent in the first session", rows=tuple(_rates(results, "stent", "rate"))),
        Body(label="Sessions with a venous stent", rows=tuple(_rates(results, "stent", "rate_per_session"))),
    )
    return Table(
        name="retreatment",
        caption="Retreatment and stents",
        columns=columns("Among", "n/N", "%", "95 % CI"),
        bodies=_filled(bodies),
        note="Exact (Clopper-Pearson) intervals; Kaplan-Meier: log(-log) intervals, n/N is retreated so far / cohort. "
        "Sessions of one patient are taken as independent.",
        empty="Nobody is in the cohort.",
    )


def _filled(bodies: tuple[Body, ...]) -> tuple[Body, ...]:
    return tuple(body for body in bodies if body.rows) or (Body(rows=()),)


def _rates(results: Results, analysis: str, statistic: str) -> Iterator[tuple[str, ...]]:
    for key, one in results:
        if (key.analysis, key.statistic) == (analysis, statistic) and one.denominator:
            places = 2 if analysis in EVENTS else 1
            share = formats.percent(one.value, places)
            yield (_among(key, one), formats.part(one.numerator, one.denominator), share, limits(one, places))


def _among(key: Selector, one: Estimate) -> str:
    """Return what a rate is counted among, in words."""
    if key.statistic == "rate_per_session":
        return "Sessions of the cohort"
    if one.denominator_kind == "seen":
        return f"Patients seen at {labels.visit(key.visit)}"
    return "Patients of the cohort"


def _horizons(results: Results, last_window_day: int | None) -> Iterator[tuple[str, ...]]:
    for key, one in results:
        if key.statistic.startswith(HORIZON) and one.value is not None:
            day = key.statistic.removeprefix(HORIZON)
            is_late = last_window_day is not None and int(day) > last_window_day
            name = f"Day {day} ({formats.count(one.n)} at risk){LATE if is_late else ''}"
            yield (name, formats.part(one.numerator, one.denominator), formats.percent(one.value), limits(one))


def event_rates_table(results: Results) -> Table:
    """Return the rates of adverse events a patient and a session."""
    bodies = tuple(
        Body(
            label=label,
            rows=(
                *_rates(results, analysis, "rate"),
                *_rates(results, analysis, "rate_per_session"),
                *_bound(results, analysis),
            ),
        )
        for analysis, label in EVENTS.items()
    )
    return Table(
        name="event-rates",
        caption="Adverse events, patients and sessions with at least one",
        columns=columns("Among", "n/N", "%", "95 % CI"),
        bodies=_filled(bodies),
        note="Exact (Clopper-Pearson) intervals. Where no event was recorded, the upper limit says what the data still "
        "allow.",
        empty="Nobody is in the cohort.",
    )


def _bound(results: Results, analysis: str) -> Iterator[tuple[str, ...]]:
    bound = results.one(analysis, "rate_upper_bound")
    if bound is not None and bound.value is not None:
        yield (
            "None recorded: one-sided 95 % upper bound, patients",
            "",
            "",
            f"up to {formats.percent(bound.value, 2)}",
        )


def event_kinds_table(report: ReportInputs) -> Table:
    """Return the counted events by code, seriousness, severity and outcome."""
    kept = _of_cohort(report)
    rows: tuple[tuple[str, ...], ...] = ()
    keys = ["code", "code_system", "seriousness", "severity", "outcome"]
    if len(kept):
        texts = {key: kept[key].fillna("").astype(str) if key in kept.columns else "" for key in keys}
        grouped = kept.assign(**texts).groupby(keys, sort=True)
        ordered = sorted(grouped, key=lambda pair: (-len(pair[1]), pair[0]))
        rows = tuple(_kind_row(report, pair[0], pair[1]) for pair in ordered[:MAX_KINDS])
    return Table(
        name="event-kinds",
        caption="Adverse events counted, patients of the cohort, by code",
        columns=(
            *(Column(label=label, kind="text") for label in ("Code", "Seriousness (FHIR)", "Severity", "Outcome")),
            *(Column(label=label) for label in ("Events", "Patients", "Days from the procedure")),
        ),
        bodies=(Body(rows=rows),),
        note="Counted: in the window after any session of the patient, or linked to a session by the record itself."
        + _elsewhere(len(report.adverse_events) - len(kept)),
        empty="No adverse event is recorded in the window or linked to a session. Not recorded is not the same as "
        "not happened.",
    )


def _of_cohort(report: ReportInputs) -> pd.DataFrame:
    if not len(report.adverse_events) or not len(report.cohort):
        return report.adverse_events.iloc[:0]
    return report.adverse_events[report.adverse_events["patient_id"].isin(report.cohort["patient_id"])]


def _elsewhere(number: int) -> str:
    return f" {formats.plural(number, 'event')} of treated patients outside the cohort not shown." if number else ""


def _kind_row(report: ReportInputs, keys: tuple[Any, ...], events: pd.DataFrame) -> tuple[str, ...]:
    code, system, *rest = keys
    label = report.code_labels.get(code, "")
    coded = f"{SYSTEMS.get(system, system)} {code}".strip()
    days = events["days_from_procedure"].dropna().astype(int)
    span = (
        formats.NONE
        if not len(days)
        else f"{days.min()}"
        if days.min() == days.max()
        else f"{days.min()} to {days.max()}"
    )
    named = f"{label} ({coded})" if label else coded or "no code"
    return (
        named,
        *(word or "not recorded" for word in rest),
        f"{len(events):,}",
        f"{events['patient_id'].nunique():,}",
        span,
    )


def curve_figure(report: ReportInputs) -> Drawing | None:
    """Return the Kaplan-Meier figure; None where nobody was followed."""
    curve = _drawn(report.retreatment_curve)
    if not len(curve) or not float(curve["days"].max()):
        return None
    longest = float(curve["days"].max())
    step = TICK_DAYS * max(1, round(longest / 5 / TICK_DAYS)) if longest > TICK_DAYS else max(1, int(longest) // 2)
    ticks = list(range(0, int(longest) + 1, step))
    events, last = int(curve["events"].sum()), float(curve["survival"].iloc[-1])
    risk = ", ".join(f"{charts.at_risk(curve, tick):,} at day {tick}" for tick in ticks)
    said = (
        f"Kaplan-Meier curve of remaining without retreatment over {int(longest)} days: {events:,} retreated, "
        f"{formats.percent(last)} not retreated at the end of what is drawn. At risk: {risk}."
    )
    return charts.survival(
        "retreatment", curve, ticks=ticks, title="Time to retreatment (Kaplan-Meier)", alternative=said
    )


def _drawn(curve: pd.DataFrame) -> pd.DataFrame:
    """Return the curve as far as one in ten is still followed: beyond, single events move it by leaps.

    The rule of Pocock, Clayton and Altman, Lancet 2002;359:1686-1689.
    """
    if not len(curve):
        return curve
    return curve.loc[curve["at_risk"] >= DRAWN_SHARE * float(curve["at_risk"].iloc[0])]
