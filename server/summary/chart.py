"""What a delivery did, and what reading back showed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from server.delivery.run import DeliveryReport
from server.ledger.states import State
from server.reconcile import Reconciliation
from server.terminal import Terminal

_MOST_FINDINGS_SHOWN: Final = 20


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
