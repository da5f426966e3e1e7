"""The summary's sentences, and the published figures beside this data's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from integration.evidence import Published, Selector
from integration.report import events, formats, groups, labels, people
from integration.report.inputs import ReportInputs
from integration.report.outcome import limits, main_rate, points, share
from integration.report.results import Estimate, Results

ANALYSES = {
    "retreatment": "treated again",
    "stent": "venous stent",
    "adverse_event": "any adverse event",
    "serious_adverse_event": "adverse event coded serious",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """A published figure and what this data say; `figures` are pairs of what is counted and the number."""

    published: Published
    figures: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Headline:
    """One line of the summary: the question, the answer in short, and the full figure."""

    question: str
    answer: str
    detail: str


def compared(report: ReportInputs, results: Results) -> tuple[Compared, ...]:
    """Return every published figure with this data's rows that the mapping names beside it."""
    return tuple(
        Compared(published=one, figures=tuple(_figure(report, results, key) for key in one.beside))
        for one in report.published
    )


def _figure(report: ReportInputs, results: Results, key: Selector) -> tuple[str, str]:
    if key.analysis == "cohort":
        return "cohort", formats.plural(len(report.cohort), "patient")
    found = results.find(key)
    if found is None:
        return _what(key), formats.NONE
    if found.denominator is not None and found.numerator is not None and key.statistic.startswith("rate"):
        return _what(key), _rate(found, 2 if key.analysis in events.EVENTS else 1)
    if found.p_value is None or found.ci_low is not None:
        return _what(key), _in_points(found)
    adjusted = f" ({formats.p_value(found.p_adjusted)} after Holm)" if found.p_adjusted is not None else ""
    return _what(key), f"{formats.p_equals(found.p_value)}{adjusted}, n = {formats.count(found.denominator)}"


def _in_points(found: Estimate | None) -> str:
    text = points(found)
    return text if text == formats.NONE else f"{text} points"


def _rate(found: Estimate, places: int) -> str:
    interval = limits(found, places)
    return share(found) if interval == formats.NONE else f"{share(found)}, 95 % CI {interval}"


def _what(key: Selector) -> str:
    """Return what a row of the statistics counts, among whom."""
    if key.statistic == "rate_after_improvement":
        name = "treated again after improvement"
    elif key.analysis in ANALYSES:
        name = ANALYSES[key.analysis]
    elif key.analysis in labels.GROUPS:
        test = groups.SHORT.get(key.statistic, key.statistic)
        name = f"{labels.group(key.analysis, key.group)}: {test}" if key.group else test
    else:
        name = ""
    where = labels.scale_visit(key.scale, key.visit) if key.scale else labels.visit(key.visit) if key.visit else ""
    kind = labels.DENOMINATORS.get(key.denominator_kind, "")
    return ", ".join(
        word
        for word in (name, where, f"of those {kind}" if kind != "cohort" else "of the cohort")
        if word and word != "of those "
    )


def headlines(report: ReportInputs, results: Results) -> tuple[Headline, ...]:
    """Return what this data say, one line a question of the abstract, every rate with its numerator and denominator."""
    return (*_followed(report), *_improved(results), *_again(results), *_harmed(results))


def _improved(results: Results) -> Iterator[Headline]:
    for scale, visit in results.questions():
        rate = main_rate(results, scale, visit)
        if rate is None or not rate.denominator:
            continue
        median = results.one("change", "median_change", scale=scale, visit=visit)
        worse = main_rate(results, scale, visit, category="worsened")
        yield Headline(
            question=f"Lower (better) {labels.SCALES[scale].lower()} score at {labels.visit(visit)}",
            answer=formats.percent(rate.value),
            detail=f"{formats.part(rate.numerator, rate.denominator)} with a change score; 95 % CI {limits(rate)}. "
            f"Median change {_in_points(median)}. Worsened: {share(worse)}.",
        )


def _again(results: Results) -> Iterator[Headline]:
    rate = results.rate("retreatment", "cohort")
    if rate is not None and rate.denominator:
        after = results.one("retreatment", "rate_after_improvement", denominator_kind="cohort")
        yield Headline(
            question="Treated again",
            answer=formats.percent(rate.value),
            detail=f"{formats.part(rate.numerator, rate.denominator)} of the cohort; 95 % CI {limits(rate)}. "
            f"After a visit with improvement: {share(after)}.",
        )


def _harmed(results: Results) -> Iterator[Headline]:
    rate = results.rate("serious_adverse_event", "cohort")
    if rate is not None and rate.denominator:
        every = results.rate("adverse_event", "cohort")
        yield Headline(
            question="Adverse event coded serious",
            answer=formats.percent(rate.value),
            detail=f"{formats.part(rate.numerator, rate.denominator)} of the cohort; 95 % CI {limits(rate, 2)}. "
            f"Any adverse event: {share(every)}.",
        )


def _followed(report: ReportInputs) -> Iterator[Headline]:
    total = len(report.cohort)
    if total:
        counts = [(visit, int(people.seen(report.cohort, visit).sum())) for visit in people.follow_ups(report.cohort)]
        said = "; ".join(
            f"{formats.part_percent(number, total)} seen at {labels.visit(visit)}" for visit, number in counts
        )
        yield Headline(
            question="Followed", answer=formats.plural(total, "patient"), detail=f"{said}. No comparison group."
        )
