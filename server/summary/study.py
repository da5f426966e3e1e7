"""What a study came to."""

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
from server.jobs.study import Planned
from server.summary.dry_run import changed
from server.terminal import Terminal

_MOST_REJECTIONS_SHOWN: Final = 10
_EMPTY: Final = (
    "Nobody is in the cohort: patients.csv has each patient's criterion, responses.csv the questionnaires met; "
    "the mapping may not know this site's codes or questionnaires yet."
)


def show_run(
    terminal: Terminal,
    job: pipeline.Job,
    results: pipeline.Results,
    out: Path,
    *,
    pulled: StoreCounts | None = None,
    planned: Planned | None = None,
) -> None:
    """Show what a run came to: the flow, the abstract's figures beside this data's, the rejected, the report."""
    terminal.document("run", _run_document(results, out, planned))
    if pulled:
        terminal.say(f"Pulled: {pulled.new} new, {pulled.changed} changed, {pulled.unchanged} unchanged resources.\n")
    show_flow(terminal, results)
    show_published(terminal, job, results)
    show_responses(terminal, results)
    show_rejections(terminal, results)
    for file, why in job.skipped:
        terminal.remark(f"skipped: {file}: {why}")
    if not len(results.frames["cohort"]):
        terminal.remark(_EMPTY)
    if planned:
        show_plan(terminal, planned)
    terminal.say(f"Report and tables: {out / 'report.html'}")


def show_plan(terminal: Terminal, planned: Planned) -> None:
    """Show what was planned, or what would be once a person accepts it."""
    counts = planned.counts
    what = f"{counts.new} new, {counts.changed} changed, {counts.unchanged} unchanged resources"
    withdrawn = f", {planned.withdrawn} withdrawn" if planned.withdrawn else ""
    if planned.held_back:
        header = ("Response", "what", "would change (planned before -> now)")
        rows = [(one.response_id or "-", one.kind, changed(one.changes)) for one in planned.examples]
        by_kind = ", ".join(f"{count} {kind}" for kind, count in sorted(planned.by_kind.items()))
        terminal.table(f"Would change: {by_kind or 'nothing but what is withdrawn'}", header, rows)
        terminal.remark(
            f"Nothing was planned: made with {planned.held_back}, other than the plan before, it would be {what}"
            f"{withdrawn}. Look at the tables, then: outcome-bridge accept, and run again."
        )
    else:
        terminal.say(f"Planned: {what}{withdrawn}.")


def show_flow(terminal: Terminal, results: pipeline.Results) -> None:
    """Show who is in the cohort and who is not."""
    header = ("Criterion", "patients in", "excluded", "patients out")
    rows = results.frames["flow"][["criterion", "patients_in", "excluded", "patients_out"]].itertuples(index=False)
    terminal.table("Flow", header, rows)


def show_published(terminal: Terminal, job: pipeline.Job, results: pipeline.Results) -> None:
    """Show the published figures beside those of this data."""
    kind = "this data (synthetic)" if results.is_synthetic else "this data"
    rows = list(_published_rows(job, results))
    terminal.table("The abstract's figures beside this data's", ("Figure", "abstract", kind), rows)


def show_responses(terminal: Terminal, results: pipeline.Results) -> None:
    """Show how many responses have a score, and why the others have none."""
    total = sum(results.reasons.values())
    rows = sorted(results.reasons.items(), key=lambda row: (row[0] != "scored", -row[1], row[0]))
    terminal.table(f"Questionnaire responses: {total}", ("Score", "responses"), rows)


def show_rejections(terminal: Terminal, results: pipeline.Results) -> None:
    """Show what was rejected, by problem."""
    rejections = results.intake.rejections
    if rejections:
        problems = Counter(one.problem for one in rejections)
        rows = [*problems.most_common(_MOST_REJECTIONS_SHOWN)]
        terminal.table(f"Rejected: {len(rejections)}, each in rejected.csv", ("Problem", "resources"), rows)


def _run_document(results: pipeline.Results, out: Path, planned: Planned | None) -> dict[str, Any]:
    return {
        "out": str(out),
        "flow": results.frames["flow"].to_dict("records"),
        "cohort": len(results.frames["cohort"]),
        "responses": results.reasons,
        "balance": results.intake.balance,
        "rejected": len(results.intake.rejections),
        "planned": None if planned is None else _plan_document(planned),
        "seconds": results.seconds,
    }


def _plan_document(planned: Planned) -> dict[str, Any]:
    counts = {name: getattr(planned.counts, name) for name in planned.counts.__slots__}
    return {
        **counts,
        "withdrawn": planned.withdrawn,
        "held_back": planned.held_back,
        "by_kind": dict(planned.by_kind),
        "examples": [asdict(one) for one in planned.examples],
    }


def _published_rows(job: pipeline.Job, results: pipeline.Results) -> Iterator[tuple[str, str, str]]:
    inputs = pipeline.report_inputs(results, job)
    for one in comparison.compared(inputs, Results(inputs.statistics)):
        figures = (f"{figure} ({what})" if len(one.figures) > 1 else figure for what, figure in one.figures)
        yield one.published.label, one.published.value, "\n".join(figures)
