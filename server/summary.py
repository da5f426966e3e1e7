"""What the commands report, as tables for a person and as one JSON document for a program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from integration import pipeline
from integration.report import comparison
from integration.report.results import Results
from integration.warehouse import StoreCounts
from server.delivery import DeliveryReport
from server.planning import PlanCounts
from server.reconcile import Reconciliation
from server.states import State
from server.terminal import Terminal

_MOST_REJECTIONS_SHOWN: Final = 10
_MOST_FINDINGS_SHOWN: Final = 20


def show_run(
    terminal: Terminal,
    job: pipeline.Job,
    results: pipeline.Results,
    out: Path,
    *,
    pulled: StoreCounts | None = None,
    planned: PlanCounts | None = None,
) -> None:
    """Show what a run came to: the flow, the abstract's figures beside this data's, the rejected, the report."""
    terminal.document("run", _run_document(results, out, planned))
    if pulled:
        terminal.say(f"Pulled: {pulled.new} new, {pulled.changed} changed, {pulled.unchanged} unchanged resources.\n")
    show_flow(terminal, results)
    show_published(terminal, job, results)
    show_rejections(terminal, results)
    if planned:
        terminal.say(f"Planned: {planned.new} new, {planned.changed} changed, {planned.unchanged} unchanged resources.")
    terminal.say(f"Report and tables: {out / 'report.html'}")


def show_flow(terminal: Terminal, results: pipeline.Results) -> None:
    """Show who is in the cohort and who is not."""
    header = ("Criterion", "patients in", "excluded", "patients out")
    rows = results.frames["flow"][["criterion", "patients_in", "excluded", "patients_out"]].itertuples(index=False)
    terminal.table("Flow", header, rows)


def show_published(terminal: Terminal, job: pipeline.Job, results: pipeline.Results) -> None:
    """Show the published figures beside those of this data."""
    kind = "this data (synthetic)" if results.intake.is_synthetic else "this data"
    rows = list(_published_rows(job, results))
    terminal.table("The abstract's figures beside this data's", ("Figure", "abstract", kind), rows)


def show_rejections(terminal: Terminal, results: pipeline.Results) -> None:
    """Show what was rejected, by problem."""
    rejections = results.intake.rejections
    if rejections:
        problems = Counter(one.problem for one in rejections)
        rows = [*problems.most_common(_MOST_REJECTIONS_SHOWN)]
        terminal.table(f"Rejected: {len(rejections)}, each in rejected.csv", ("Problem", "resources"), rows)


def show_delivery(terminal: Terminal, site: str, report: DeliveryReport) -> None:
    """Show what a delivery did."""
    document = {"resolved": dict(report.resolved), "sent": dict(report.sent), "remaining": report.remaining}
    terminal.document("delivery", {"site": site, **document, "stopped": report.stopped})
    if report.resolved:
        terminal.say(f"Read first, for it was on its way: {_counted(dict(report.resolved))}.")
    if report.sent:
        terminal.say(f"Sent to {site}: {_counted(dict(report.sent))} resources.")
    else:
        terminal.say(f"Nothing new to send to {site}: nothing was sent.")
    if report.remaining:
        terminal.say(f"Still due: {report.remaining} resources; deliver again.")
    if report.stopped:
        terminal.remark(f"Stopped: {report.stopped}")


def show_books(terminal: Terminal, proof: Reconciliation) -> None:
    """Show the books, and what the chart holds otherwise than it should."""
    books = proof.books
    terminal.document(
        "books",
        {
            "site": books.site,
            "outcomes": books.outcomes,
            "lines": dict(books.lines),
            "responses": books.responses,
            "scored": books.scored,
            "not_scorable": dict(books.not_scorable),
            "balanced": books.is_balanced,
            "proven": books.is_proven,
            "findings": [asdict(one) for one in proof.findings],
        },
    )
    terminal.say("The books (unit: one Observation)")
    for sentence in books.sentences():
        terminal.say(f"  {sentence}")
    for finding in proof.findings[:_MOST_FINDINGS_SHOWN]:
        terminal.say(f"  {finding.state}: {finding.resource_type}/{finding.ehr_id or '?'} {finding.reason}")
    if len(proof.findings) > _MOST_FINDINGS_SHOWN:
        terminal.say(f"  ... and {len(proof.findings) - _MOST_FINDINGS_SHOWN} more; --format json lists them all")
    terminal.say("")


def _counted(counts: dict[State, int]) -> str:
    return ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in counts.items())


def _run_document(results: pipeline.Results, out: Path, planned: PlanCounts | None) -> dict[str, Any]:
    return {
        "out": str(out),
        "flow": results.frames["flow"].to_dict("records"),
        "cohort": len(results.frames["cohort"]),
        "responses": results.reasons,
        "balance": results.intake.balance,
        "rejected": len(results.intake.rejections),
        "planned": None if planned is None else {name: getattr(planned, name) for name in planned.__slots__},
        "seconds": results.seconds,
    }


def _published_rows(job: pipeline.Job, results: pipeline.Results) -> Iterator[tuple[str, str, str]]:
    inputs = pipeline.report_inputs(results, job)
    for one in comparison.compared(inputs, Results(inputs.statistics)):
        figures = (f"{figure} ({what})" if len(one.figures) > 1 else figure for what, figure in one.figures)
        yield one.published.label, one.published.value, "\n".join(figures)
