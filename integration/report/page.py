"""Put the sections of a report together into one HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from integration.evidence import SAFE_ADDRESS, Evidence, EvidenceKind
from integration.report import comparison, events, formats, groups, labels, missing, outcome, people
from integration.report.inputs import ReportInputs
from integration.report.results import Results

TEMPLATE: Final = "page.html"
MAX_FILES: Final = 200
"""Input files listed by name; a run over more says how many more there were."""

KIND_HEADINGS: Final[Mapping[EvidenceKind, str]] = {
    "sham-controlled trial": "Sham-controlled trials",
    "review": "Systematic review",
    "regulator": "Regulator",
    "observation": "Other observations without a control group",
    "method": "On designs like this one",
}
"""In the order of the page: the strongest design first."""


def write(report: ReportInputs) -> str:
    """Return the report as one page of HTML that needs nothing else: styles and figures inside, no script, no network.

    Args:
        report: see `ReportInputs`; frames may be empty, the page then says what is missing.

    Returns:
        The text of an HTML 5 document, to be stored as UTF-8. The same input gives the same text.
    """
    return _environment().get_template(TEMPLATE).render(_context(report, Results(report.statistics)))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("integration.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count=formats.count, moment=formats.moment)
    return environment


def _context(report: ReportInputs, results: Results) -> dict[str, Any]:
    return {
        "report": report,
        "safe_address": SAFE_ADDRESS,
        "evidence": _by_kind(report.evidence),
        "headlines": comparison.headlines(report, results),
        "compared": comparison.compared(report, results),
        "labels": labels,
        "methods": results.methods(),
        "files": report.provenance.files[:MAX_FILES],
        "more_files": max(0, len(report.provenance.files) - MAX_FILES),
        **_people(report),
        **_outcomes(report, results),
    }


def _by_kind(evidence: tuple[Evidence, ...]) -> tuple[tuple[str, tuple[Evidence, ...]], ...]:
    kinds = ((heading, tuple(one for one in evidence if one.kind == kind)) for kind, heading in KIND_HEADINGS.items())
    return tuple((heading, entries) for heading, entries in kinds if entries)


def _people(report: ReportInputs) -> dict[str, Any]:
    good, sentence = people.flow_check(report)
    return {
        "steps": people.flow_steps(report),
        "flow_is_good": good,
        "flow_sentence": sentence,
        "visits": people.visit_counts(report.cohort),
        "baseline": people.baseline_table(report),
        "missing_visits": missing.visits_table(report),
        "missing_items": missing.items_table(report),
        "reasons": missing.reasons_table(report),
    }


def _outcomes(report: ReportInputs, results: Results) -> dict[str, Any]:
    return {
        "rates": outcome.rates_table(results),
        "change": outcome.change_table(results),
        "tests": outcome.tests_table(results),
        "change_figures": outcome.change_figures(report, results),
        "score_figures": outcome.score_figures(report),
        "responders": outcome.responder_table(results),
        "responder_figures": outcome.responder_figures(results),
        "sustained": outcome.sustained(results),
        "reliable_limits": outcome.reliable_limits(results),
        "group_tables": groups.group_tables(results),
        "comparison_tables": groups.comparison_tables(results),
        "other_comparison_tables": groups.other_comparison_tables(results),
        "forest_figures": groups.forest_figures(results),
        "retreatment": events.retreatment_table(results, report.last_window_day),
        "curve": events.curve_figure(report),
        "event_rates": events.event_rates_table(results),
        "event_kinds": events.event_kinds_table(report),
    }
