"""What persons decided, what is left to them, and what was tried."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import asdict
from typing import Any, Final

from server.jobs.people import Accepted, Past, Released
from server.ledger import Entry
from server.terminal import Terminal
from server.work import WorkList

_MOST_SHOWN: Final = 20
_KEY_CHARACTERS: Final = 12
"""So much of a key is shown: enough for the commands, and for a line of a table."""


def show_released(terminal: Terminal, site: str, done: Released) -> None:
    """Show what a release did."""
    terminal.document("release", {"site": site, **asdict(done)})
    before = f", {done.before} released before" if done.before else ""
    terminal.say(f"Released at {site}: {done.released} responses{before}; {done.waiting} wait.")
    terminal.say(f"Then: outcome-bridge deliver --site {site}")
    if done.unknown:
        terminal.remark(f"Not known at {site}, so not released: {', '.join(done.unknown)}")


def show_accepted(terminal: Terminal, site: str, done: Accepted) -> None:
    """Show what was accepted, and what follows."""
    is_changed = bool(done.before) and done.before != done.now
    terminal.document("accept", {"site": site, **asdict(done), "accepted": is_changed})
    if not is_changed:
        terminal.say(f"Nothing to accept: {done.now} is what {site} was planned with, or it was never planned.")
        return
    terminal.say(f"Planned before with: {done.before}")
    terminal.say(f"Accepted:            {done.now}")
    terminal.say(f"outcome-bridge run --site {site} now plans with it; deliver --dry-run shows what goes to the chart.")


def show_work(
    terminal: Terminal, site: str, left: WorkList, *, again: Sequence[str] = (), replanned: int | None = None
) -> None:
    """Show what is left to persons; of what was to be sent again, how much can be."""
    document: dict[str, Any] = {"site": site, "items": [asdict(one) for one in left.items], "said_done": left.said_done}
    terminal.document("work", {**document, "replanned": replanned})
    if replanned is not None:
        terminal.say(f"Due again: {replanned} resources, by outcome-bridge deliver --site {site}")
        if replanned < len(set(again)):
            terminal.remark(
                "What may have reached the chart unseen, or is read back, is not sent again: see what to do."
            )
    for one in left.items[:_MOST_SHOWN]:
        place = f"{one.resource_type}/{one.ehr_id}" if one.ehr_id else f"{one.resource_type}, id in the chart unknown"
        terminal.say(f"{one.state}: {one.kind} of response {one.response_id or '-'}, patient {one.patient_id or '-'}")
        terminal.say(f"  {place}; {one.reason or 'no reason given'}")
        terminal.say(f"  {one.advice}")
        terminal.say(f"  key {shortened(one.key)}")
    if len(left.items) > _MOST_SHOWN:
        terminal.say(f"... and {len(left.items) - _MOST_SHOWN} more; --format json lists them all")
    terminal.say(f"Left to a person at {site}: {len(left.items)} resources.")
    if left.items:
        terminal.say(f"Values, the chart's and ours, of what is due: outcome-bridge deliver --site {site} --dry-run")
    if left.said_done:
        terminal.say(f"Done by hand, as persons said, and not proven: {left.said_done}.")


def shortened(key: str) -> str:
    """Return as much of a key as the commands need; the whole ones are in the JSON document."""
    return key[:_KEY_CHARACTERS]


def show_history(terminal: Terminal, site: str, past: Past) -> None:
    """Show how resources stand, what was sent of them, and what was decided; ids, codes and paths only."""
    entries = [_now(one) for one in past.entries]
    attempts, decisions = [asdict(one) for one in past.attempts], [asdict(one) for one in past.decisions]
    terminal.document("history", {"site": site, "now": entries, "attempts": attempts, "decisions": decisions})
    if entries:
        names = ("kind", "state", "ehr_id", "ehr_version", "reason")
        rows = [[shortened(one["key"]), *(one[name] for name in names)] for one in entries]
        terminal.table(f"Now at {site}", ("Key", "kind", "state", "in the chart", "version", "reason"), rows)
    kinds = {one.key: one.kind for one in past.entries}
    sent = [
        (one.sent_at, one.interaction, one.http_status or "-", one.result, kinds.get(one.key, shortened(one.key)),
         one.request_id, one.reason)
        for one in past.attempts
    ]  # fmt: skip
    header = ("Time", "interaction", "status", "result", "what", "request", "reason")
    terminal.table(f"Sent: {len(sent)}", header, sent)
    keys = {one.key for one in past.entries} | {one.key for one in past.attempts}
    decided = [
        (one.number, one.at, one.action, _short_if_key(one.what, keys), one.who, one.why) for one in past.decisions
    ]
    if decided:
        terminal.table(f"Decided: {len(decided)}", ("Number", "time", "action", "what", "who", "why"), decided)


def _short_if_key(what: str, keys: Set[str]) -> str:
    return shortened(what) if what in keys or re.fullmatch(r"[0-9a-f]{64}", what) else what


def _now(entry: Entry) -> dict[str, Any]:
    names = ("key", "kind", "resource_type", "response_id", "patient_id", "state", "reason", "ehr_id", "ehr_version")
    return {name: getattr(entry, name) for name in names}
