"""What a delivery did, and what reading back showed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from server.delivery.run import DeliveryReport
from server.delivery.safeguards import NOT_RELEASED
from server.ledger.states import State
from server.reconcile import Reconciliation
from server.terminal import Terminal

_MOST_FINDINGS_SHOWN: Final = 20


def show_delivery(terminal: Terminal, site: str, report: DeliveryReport) -> None:
    """Show what a delivery did, and what is left for which reason."""
    terminal.document("delivery", {"site": site, **asdict(report)})
    if report.resolved:
        terminal.say(f"Read first, for it was on its way: {_counted(dict(report.resolved))}.")
    if report.sent:
        terminal.say(f"Sent to {site}: {_counted(dict(report.sent))} resources.")
    else:
        terminal.say(f"Nothing new to send to {site}: nothing was sent.")
    for line in _left(site, report):
        terminal.say(line)
    if report.stopped:
        terminal.remark(f"Stopped: {report.stopped}")


def _left(site: str, report: DeliveryReport) -> Iterator[str]:
    """Yield what is still due, that which delivering again does not move apart."""
    due = report.remaining - sum(report.withheld.values())
    if due > 0:
        leased = f" another delivery has some of them until {report.leased_until};" if report.leased_until else ""
        yield f"Still due: {due} resources;{leased} deliver again."
    if report.for_a_person:
        yield f"Left to a person: {report.for_a_person} resources; see outcome-bridge work --site {site}."
    for reason, count in sorted(report.withheld.items()):
        advice = f"; outcome-bridge release --site {site}" if reason == NOT_RELEASED else ""
        yield f"Not sent, {count} resources: {reason}{advice}."


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
            "repaired": proof.repaired,
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
    if proof.repaired:
        terminal.say(f"  {proof.repaired} planned to be written again by outcome-bridge deliver --site {books.site}")
    terminal.say("")


def _counted(counts: dict[State, int]) -> str:
    return ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in counts.items())
