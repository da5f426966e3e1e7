"""The routes of a launch, and who looks at a chart after it."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import flask
from flask import Blueprint, g, request
from werkzeug.wrappers import Response as WebResponse

from integration.sources import auth
from integration.sources.client import FhirClient, Retries
from server.service import access, pages
from server.service.access import Caller
from server.service.access.login import PATH as LOGIN_PATH
from server.service.chart.ehr import Connect
from server.service.chart.smart.cookies import Cookies
from server.service.chart.smart.discovery import normalized
from server.service.chart.smart.launch import AGAIN, PENDING_SECONDS, Launching, Pending
from server.service.chart.smart.sessions import ChartSessions, Launched
from server.service.chart.viewer import Viewer
from server.service.pages import PageError

logger = logging.getLogger(__name__)

PATH: Final = "/launch"
_CALLBACK: Final = f"{PATH}/callback"
_SESSION: Final = "outcome-bridge-chart"
_LONGEST_SECONDS: Final = 12 * 3600
_TIMEOUT_SECONDS: Final = 3.0
_GRANTED: Final = re.compile(r"(?:patient|user)/(\*|[A-Z][A-Za-z]+)\.(read|\*|c?r?u?d?s?)(?:\?.*)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Smart:
    """What launches and the sessions after them work with.

    Attributes:
        launching: begins and ends launches.
        sessions: what was launched.
        cookies: of the browser.
        connect: makes connections to the EHR with the service's own login, for staff; None if it has none.
        now: the clock; aware.
        public_url: base of the redirect URI; empty: as asked.
        ca_file: certificate authorities for the EHR instead of the usual ones.
        staff_can_log_in: whether there is another way to a chart.
    """

    launching: Launching
    sessions: ChartSessions
    cookies: Cookies
    connect: Connect | None
    now: Callable[[], datetime]
    public_url: str
    ca_file: Path | None
    staff_can_log_in: bool = False

    def viewer(self) -> Viewer:
        """Say who looks at a chart: staff at any, whoever came by a launch at that patient's.

        Raises:
            PageError: 403, nobody is known to look.
        """
        caller = access.current()
        launched = None if caller is not None and caller.kind == "staff" else self._launched()
        if launched is not None:
            g.caller = Caller(name=launched.subject or "launch", kind="patient-context", patient=launched.patient_id)
            return self._patient_context(launched)
        if caller is not None and caller.sees_staff_pages:
            return Viewer(connect=self.connect, is_staff=True)
        problem = "This page opens from the EHR, with a patient selected there."
        place = quote(request.path, safe="")
        link = ("Log in as staff", f"{request.root_path}{LOGIN_PATH}?next={place}") if self.staff_can_log_in else None
        raise PageError(403, problem, advice=AGAIN, heading="Open the chart from the EHR", link=link)

    def end_session(self) -> None:
        """End what an earlier launch in this browser began: it has one patient at a time."""
        if session_id := self._session_id():
            self.sessions.end(session_id)

    def _session_id(self) -> str:
        held = self.cookies.read(_SESSION, seconds=_LONGEST_SECONDS)
        return held if isinstance(held, str) else ""

    def _launched(self) -> Launched | None:
        """Return what was launched; nothing that an EHR launched which may not, any more."""
        session_id = self._session_id()
        launched = self.sessions.find(session_id) if session_id else None
        return launched if launched and normalized(launched.fhir_url) in self.launching.ehrs else None

    def _patient_context(self, launched: Launched) -> Viewer:
        login = auth.Authenticator(_Given(launched), base_url=launched.fhir_url, now=self.now)

        def connect() -> FhirClient:
            return bounded_client(launched.fhir_url, authenticator=login, ca_file=self.ca_file)

        return Viewer(
            patient_id=launched.patient_id,
            connect=connect,
            granted=granted_types(launched.scope),
            needs_banner=launched.needs_banner,
        )


class _Given:
    """The token of a launch: there is no other to be had without the person."""

    def __init__(self, launched: Launched) -> None:
        self._launched = launched

    def check(self) -> None:
        """There is nothing to check: the EHR gave it just now."""

    def fetch(self) -> auth.Token:
        """Return it."""
        return auth.Token(value=self._launched.token, scope=self._launched.scope)


def bounded_client(fhir_url: str, *, authenticator: auth.Authenticator | None, ca_file: Path | None) -> FhirClient:
    """Make a client that asks once and does not wait long: a person is looking."""
    return FhirClient(
        fhir_url,
        timeout_seconds=_TIMEOUT_SECONDS,
        retries=Retries(attempts=1),
        authenticator=authenticator,
        ca_file=ca_file,
    )


def granted_types(scope: str) -> frozenset[str]:
    """Return the types that a token's scopes let be searched; a scope with a query counts for what it lets through.

    >>> sorted(granted_types("launch patient/Observation.rs patient/Patient.r user/Procedure.read"))
    ['Observation', 'Procedure']
    """
    found = (_GRANTED.fullmatch(word) for word in scope.split())
    return frozenset(one[1] for one in found if one and (one[2] in ("read", "*") or "s" in one[2]))


def blueprint(smart: Smart) -> Blueprint:
    """Build the routes of a launch."""
    place = Blueprint("launch", __name__)
    pages.answer_with_pages(place)

    @place.get(PATH)
    def launch() -> WebResponse:
        iss, launch = request.args.get("iss", ""), request.args.get("launch", "")
        pending, address = smart.launching.begun(iss, launch, _redirect_uri(smart))
        answer = flask.redirect(address, 303)
        smart.cookies.write(answer, _pending_name(pending.state), asdict(pending), seconds=PENDING_SECONDS)
        return answer

    @place.get(_CALLBACK)
    def callback() -> WebResponse:
        pending = _pending(smart, request.args.get("state", ""))
        launched = smart.launching.ended(pending, request.args, _redirect_uri(smart))
        address = flask.url_for("chart.chart", patient_id=launched.patient_id)
        answer = flask.redirect(address, 303)
        smart.end_session()
        seconds = launched.until - int(smart.now().timestamp())
        smart.cookies.write(answer, _SESSION, smart.sessions.begin(launched), seconds=seconds)
        smart.cookies.remove(answer, _pending_name(pending.state))
        logger.info("chart launched", extra={"action": "chart_launched", "request": g.request_id})
        return answer

    return place


def _pending(smart: Smart, state: str) -> Pending:
    """Return the launch of this browser that an answer belongs to.

    Raises:
        PageError: there is none, any more.
    """
    held: Any = smart.cookies.read(_pending_name(state), seconds=PENDING_SECONDS) if state else None
    if not isinstance(held, dict) or held.get("state") != state:
        problem = "This launch was not begun in this browser, took too long, or was used before."
        raise PageError(400, problem, advice=AGAIN)
    return Pending(**held)


def _pending_name(state: str) -> str:
    """Return the name of a launch's own cookie: two launches at once do not disturb each other."""
    return f"outcome-bridge-launch-{hashlib.sha256(state.encode('utf-8', 'replace')).hexdigest()[:12]}"


def _redirect_uri(smart: Smart) -> str:
    return f"{smart.public_url or request.root_url.rstrip('/')}{_CALLBACK}"
