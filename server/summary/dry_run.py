"""What a delivery would do, for the person who asked: with values, so never for a log."""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from server.delivery.comparison import Difference
from server.delivery.dry_run import ACTIONS, Action, DryRun, Prospect
from server.terminal import Terminal

_MOST_ROWS_SHOWN: Final = 20
_MOST_CHANGES_SHOWN: Final = 4
_LONGEST_VALUE: Final = 60
_CONTEXT: Final = 12
_TITLES: Final[Mapping[Action, str]] = {
    "create": "Create",
    "amend": "Amend",
    "retract": "Retract",
    "nothing": "Nothing to do: the chart has it already, and it is equal",
    "release": "Waiting for a release",
    "person": "Left to a person",
    "wait": "Later: the server asked to wait",
    "read_first": "To be read first: it is on its way",
}
_WORDS: Final[Mapping[Action, str]] = {
    "release": "waiting for a release", "person": "for a person", "wait": "later", "read_first": "to be read first",
}  # fmt: skip
_VALUES: Final = ("value", "dataAbsentReason", "extension", "content")
"""What a new resource says, among all that is sent of it."""


def show_dry_run(terminal: Terminal, site: str, report: DryRun, *, refusal: str) -> None:
    """Show what a delivery would do: what differs, resource by resource, then totals and what the site does not get."""
    terminal.document("dry_run", _document(site, report, refusal))
    for action in ACTIONS:
        _show_action(terminal, action, [one for one in report.prospects if one.action == action])
    terminal.say(f"{site}: {_totals(report)}. Nothing was sent, and nothing was noted.")
    for reason, count in _reasons(report).items():
        terminal.say(f"For a person, {count}: {reason}.")
    for line in _losses(report):
        terminal.say(line)
    if report.totals.get("release"):
        terminal.say(f"To let them go: outcome-bridge release --site {site}")
    if report.totals.get("person"):
        terminal.say(f"What a person is to do: outcome-bridge work --site {site}")
    if report.most_writes is not None:
        terminal.say(f"One delivery writes at most {report.most_writes} (limits.writes_per_run).")
    if refusal:
        terminal.remark(f"A delivery would be refused: {refusal}.")
    if report.unplanned:
        terminal.remark(f"Note: {report.unplanned}; outcome-bridge run --site {site} plans.")
    if report.stopped:
        terminal.remark(f"The chart was not read: {report.stopped}")


def said(value: Any) -> str:
    """Return a value of a resource for a cell of a table; `-` for nothing, long ones cut."""
    if value is None:
        return "-"
    text = _text(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."


def changed(changes: Sequence[Difference]) -> str:
    """Return the first differences, one a line: `path: old -> new`."""
    lines = [_line(one) for one in changes[:_MOST_CHANGES_SHOWN]]
    more = len(changes) - _MOST_CHANGES_SHOWN
    return "\n".join([*lines, f"... {more} more"] if more > 0 else lines)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def _line(change: Difference) -> str:
    """Return one difference; of two long values only what comes after their common beginning."""
    if change.old is None or change.new is None:
        return f"{change.path}: {said(change.old)} -> {said(change.new)}"
    decoded = _is_data(change)
    old, new = (_decoded(str(one)) if decoded else _text(one) for one in (change.old, change.new))
    if max(len(old), len(new)) > _LONGEST_VALUE:
        alike = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
        same = max(alike - _CONTEXT, 0)
        old, new = (f"...{text[same:]}" if same else text for text in (old, new))
    return f"{change.path}: {said(old)} -> {said(new)}"


def _is_data(change: Difference) -> bool:
    return change.path.endswith("attachment.data") and isinstance(change.old, str) and isinstance(change.new, str)


def _decoded(data: str) -> str:
    """Return the text that an attachment holds, in one line; of another format only how long it is."""
    try:
        content = base64.b64decode(data, validate=True)
        return " ".join(content.decode("utf-8").split())
    except binascii.Error:
        return "not base64"
    except UnicodeDecodeError:
        return f"{len(content)} bytes, no text"


def _show_action(terminal: Terminal, action: Action, prospects: Sequence[Prospect]) -> None:
    if not prospects:
        return
    header = ("Response", "patient", "what", "in the chart", "difference (chart -> new)")
    title = f"{_TITLES[action]}: {len(prospects)}"
    if action == "nothing":
        terminal.say(f"{title}\n")
        return
    terminal.table(title, header, [_row(one) for one in prospects[:_MOST_ROWS_SHOWN]])
    if len(prospects) > _MOST_ROWS_SHOWN:
        terminal.say(f"... and {len(prospects) - _MOST_ROWS_SHOWN} more; --format json lists them all\n")


def _row(one: Prospect) -> tuple[str, ...]:
    place = f"{one.resource_type}/{one.ehr_id}" if one.ehr_id else "-"
    changes = one.changes if one.ehr_id else _essential(one.changes)
    said_of_it = "\n".join(part for part in (one.reason, changed(changes)) if part)
    return one.response_id or "-", one.patient_id or "-", one.kind, place, said_of_it


def _essential(changes: Sequence[Difference]) -> list[Difference]:
    """Return of a new resource what it says; the rest is in the JSON document."""
    said_of_it = [one for one in changes if one.path.startswith(_VALUES)]
    return [plain for one in said_of_it for plain in (_in_words(one) if one.path == "content" else [_plain(one)])]


def _in_words(change: Difference) -> Iterator[Difference]:
    """Yield what the attachments of a new document say: of a text its lines with a score."""
    for number, one in enumerate(change.new if isinstance(change.new, list) else []):
        attachment = one.get("attachment", {})
        text = _decoded(str(attachment.get("data", "")))
        scores = re.findall(r"MSIS-29 \w+ subscale, 0-100: \S+", text) or [str(attachment.get("contentType"))]
        for said_there in scores:
            yield Difference(path=f"content[{number}]", old=None, new=said_there)


def _plain(change: Difference) -> Difference:
    """Return the value of a new quantity, or the codes of a new concept, in place of the whole of it."""
    new = change.new if isinstance(change.new, dict) else {}
    if "value" in new:
        return Difference(path=f"{change.path}.value", old=None, new=new["value"])
    if "coding" in new:
        return Difference(path=change.path, old=None, new=", ".join(str(one.get("code")) for one in new["coding"]))
    return change


def _totals(report: DryRun) -> str:
    counts = report.totals
    return ", ".join(
        f"{counts.get(action, 0)} {_WORDS.get(action, action)}{_example(report, action)}"
        for action in ACTIONS
        if counts.get(action) or action in ("create", "amend", "retract")
    )


def _example(report: DryRun, action: Action) -> str:
    """Return the first value that an amendment changes, so that a total says what it is about."""
    if action != "amend":
        return ""
    amended = (one for one in report.prospects if one.action == "amend")
    values = ((one.kind, change) for one in amended for change in one.changes if change.path.startswith("value"))
    kind, change = next(values, ("", None))
    return f" ({kind} {said(change.old)} -> {said(change.new)})" if change else ""


def _reasons(report: DryRun) -> Counter[str]:
    return Counter(one.reason for one in report.prospects if one.action == "person")


def _losses(report: DryRun) -> Iterator[str]:
    for kind, paths in report.dropped.items():
        listed = ", ".join(f"{path} ({count})" for path, count in paths.items())
        yield f"Dropped at this site, {kind}: {listed}"
    if report.left_out:
        yield "Never sent to this site: " + "; ".join(f"{kind} ({why})" for kind, why in report.left_out.items())


def _document(site: str, report: DryRun, refusal: str) -> dict[str, Any]:
    return {
        "site": site,
        "totals": {action: report.totals.get(action, 0) for action in ACTIONS},
        "dropped": report.dropped,
        "left_out": dict(report.left_out),
        "most_writes": report.most_writes,
        "stopped": report.stopped,
        "unplanned": report.unplanned,
        "refusal": refusal,
        "prospects": [asdict(one) for one in report.prospects],
    }
