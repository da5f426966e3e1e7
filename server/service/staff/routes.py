"""The staff pages: `/` and below `/staff`."""

from __future__ import annotations

import re
from typing import Any, Final

import flask
from flask import Blueprint, Response, request
from werkzeug.wrappers import Response as WebResponse

from integration.errors import ConfigurationError
from server import work
from server.service import pages
from server.service.access import gate
from server.service.operations import audited
from server.service.pages import PageError
from server.service.staff import arrivals, bars, forms, wording
from server.service.staff.desk import StaffDesk

_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_DONE: Final = {
    "again": "{count} made due again; the next delivery sends them.",
    "done": "{count} noted as done by hand.",
    "released": "{count} released; the next delivery sends them.",
    "taken": "{count} taken again; what still cannot be used is set aside again.",
}
"""What a page says after a decision, by the word in its address."""


def blueprint(desk: StaffDesk) -> Blueprint:
    """Build the pages."""
    staff = Blueprint("staff", __name__)
    pages.answer_with_pages(staff)
    staff.register_error_handler(ConfigurationError, _of_wrong_choice)
    _add_lists(staff, desk)
    _add_trails(staff, desk)
    forms.add(staff, desk)
    return staff


def _add_lists(staff: Blueprint, desk: StaffDesk) -> None:
    @staff.get("/")
    def overview() -> Response:
        overall = desk.overall()
        pieces = bars.pieces(overall.books.lines)
        return _shown("overview", desk, overall=overall, pieces=pieces, meanings=bars.MEANINGS, tone=bars.tone)

    @staff.get("/staff/review")
    def review() -> Response:
        state, text = request.args.get("state", ""), request.args.get("text", "")
        page = desk.review(state=state, text=text, number=_number("page"))
        return _shown("review", desk, page=page, state=state, text=text, states=sorted(work.STATES))

    @staff.get("/staff/quarantine")
    def quarantine() -> Response:
        caller, senders = request.args.get("from", ""), arrivals.senders(desk.inbox)
        page = desk.quarantined(_number("after", least=0), caller=caller)
        return _shown("quarantine", desk, page=page, caller=caller, senders=senders)

    @staff.get("/staff/late")
    def late() -> Response:
        return _shown("late", desk, page=desk.late(_number("after", least=0)))

    @staff.get("/staff/releases")
    def releases() -> Response:
        return _shown("releases", desk, page=desk.unreleased(_number("page")))


def _add_trails(staff: Blueprint, desk: StaffDesk) -> None:
    @staff.get("/staff/find")
    def find() -> Response | WebResponse:
        wanted = request.args.get("id", "").strip()
        if not wanted:
            return _shown("find", desk, wanted="", problem="")
        wanted_id = wanted.rpartition("/")[2]
        if _ID.fullmatch(wanted_id):
            if desk.response(wanted_id).is_known:
                return flask.redirect(flask.url_for("staff.response", response_id=wanted_id), 303)
            if desk.patient(wanted_id):
                return flask.redirect(flask.url_for("staff.patient", patient_id=wanted_id), 303)
        return _shown("find", desk, wanted=wanted, problem="Neither a patient nor a response of this id is known here.")

    @staff.get("/staff/patients/<patient_id>")
    def patient(patient_id: str) -> Response:
        trail = desk.patient(patient_id)
        if not trail:
            raise PageError(404, "Nothing is known of a patient with this id.")
        return _shown("patient", desk, patient_id=patient_id, trail=trail)

    @staff.get("/staff/responses/<response_id>")
    def response(response_id: str) -> Response:
        past = desk.response(response_id)
        if not past.is_known:
            raise PageError(404, "Nothing is known of a response with this id.")
        patient_id = past.rows[0].patient_id if past.rows else ""
        audited.note("read", "QuestionnaireResponse", response_id, patient_id=patient_id)
        return _shown("response", desk, past=past, patient_id=patient_id)


def _shown(template: str, desk: StaffDesk, **values: Any) -> Response:
    said = _DONE.get(request.args.get("done", ""), "")
    answer = pages.render(
        f"staff_{template}.html",
        site=desk.site,
        here=template,
        who=forms.person(),
        csrf_token=gate.csrf_token(),
        said=said.format(count=_number("count", least=0)) if said else "",
        moment=wording.moment,
        age=wording.age,
        bytes_of=wording.bytes_of,
        state_words=wording.STATES,
        line_words=wording.LINES,
        tags=wording.TAGS,
        root=request.root_path,
        url=flask.url_for,
        here_with=_here_with,
        **values,
    )
    answer.headers["Referrer-Policy"] = "same-origin"  # with none, a browser sends a form with `Origin: null`
    return answer


def _here_with(**changed: Any) -> str:
    """Return the page's own address with some of its arguments changed."""
    kept = {name: value for name, value in request.args.items() if name not in ("done", "count")}
    named = {name: str(value) for name, value in changed.items()}
    return flask.url_for(request.endpoint or "staff.overview", **{**(request.view_args or {}), **kept, **named})


def _number(name: str, *, least: int = 1) -> int:
    text = request.args.get(name, "")
    return max(int(text), least) if text.isascii() and text.isdecimal() and len(text) < 16 else least


def _of_wrong_choice(_: ConfigurationError) -> Response:
    problem = "Something of what was chosen changed meanwhile, or is not on the list any more. Nothing was changed."
    return pages.error_page(409, problem, advice="Go back, load the page again, and choose anew.", heading="Too late")
