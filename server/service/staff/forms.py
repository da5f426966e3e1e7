"""What persons decide on the staff pages; each decision is recorded with who made it and why."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Final

import flask
from flask import Blueprint, g, request
from werkzeug.wrappers import Response as WebResponse

from server.service.access import caller as callers
from server.service.operations import audited
from server.service.pages import PageError
from server.service.staff.desk import PAGE, StaffDesk, Unreleased

logger = logging.getLogger(__name__)

_LONGEST = 1000
_SHOWN: Final = re.compile(r"([A-Za-z0-9\-.]{1,64}) ([0-9a-f]{64})")
"""A response and what was planned of it when the page was made."""


def add(staff: Blueprint, desk: StaffDesk) -> None:
    """Add the addresses that the pages' forms go to."""

    @staff.post("/staff/review")
    def settle() -> WebResponse:
        who, why = _who(), _why()
        keys, action = _chosen("key"), request.form.get("action", "")
        if action not in ("again", "done"):
            raise PageError(400, "It was not said what shall be done.")
        found = {entry.key: entry for entry in desk.ledger.entries(desk.site, keys)}
        count = desk.settle(keys, "again" if action == "again" else "done", who=who, why=why)
        for entry in found.values():
            audited.note("update", entry.resource_type, entry.ehr_id, patient_id=entry.patient_id)
        return _recorded("review", action, count)

    @staff.post("/staff/releases")
    def release() -> WebResponse:
        who, why = _who(), _why()
        seen = _seen("shown" if request.form.get("action") == "shown" else "response")
        count = desk.release(seen, who=who, why=why)
        for response_id in (one.response_id for one in seen):
            rows = desk.overview.of_response(desk.site, response_id)
            audited.note("update", "QuestionnaireResponse", response_id, patient_id=rows[0].patient_id if rows else "")
        return _recorded("releases", "released", count)

    @staff.post("/staff/quarantine")
    def take_again() -> WebResponse:
        who, why = _who(), _why()
        chosen = _chosen("shown" if request.form.get("action") == "shown" else "sequence")
        sequences = [int(one) for one in chosen if one.isascii() and one.isdecimal() and len(one) < 16]
        count = desk.take_again(sequences, who=who, why=why)
        for one in sequences:
            audited.note("update", "Basic", f"inbox-{one}")
        return _recorded("quarantine", "taken", count)


def person() -> str:
    """Return who is logged in, as decisions name them; empty where nobody needs to log in."""
    caller = callers.current()
    if caller is None or caller.kind != "staff":
        return ""
    return f"{caller.shown_name} ({caller.name})" if caller.shown_name else caller.name


def _who() -> str:
    who = person() or request.form.get("who", "").strip()[:_LONGEST]
    if not who:
        raise PageError(400, "Please say who decides.", advice="Nothing was changed. Go back and fill it in.")
    return who


def _why() -> str:
    why = request.form.get("why", "").strip()[:_LONGEST]
    if not why:
        raise PageError(400, "Please say why.", advice="Nothing was changed. Go back and fill it in.")
    return why


def _chosen(name: str) -> Sequence[str]:
    chosen = request.form.getlist(name)[:PAGE]
    if not chosen:
        raise PageError(400, "Nothing was chosen.", advice="Nothing was changed. Go back and choose.")
    return chosen


def _seen(name: str) -> Sequence[Unreleased]:
    """Return the responses that the page showed, and what was planned of each then."""
    found = [_SHOWN.fullmatch(one) for one in _chosen(name)]
    if not all(found):
        raise PageError(400, "It was not said what was shown.", advice="Nothing was changed. Load the page again.")
    return [Unreleased(response_id=one[1], planned=one[2]) for one in found if one]


def _recorded(page: str, done: str, count: int) -> WebResponse:
    """Note a decision, and lead back to its page, so that loading it again decides nothing."""
    caller = callers.current()
    facts = {"action": "decision", "request": g.get("request_id", ""), "kind": done, "count": count}
    logger.info("a person decided", extra=facts | {"caller": caller.name if caller else ""})
    return flask.redirect(flask.url_for(f"staff.{page}", done=done, count=count), 303)
