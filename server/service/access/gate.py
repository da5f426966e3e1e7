"""The gate: every request passes it before a route runs, every answer afterwards.

Which rule holds follows from the route that will answer, never from how its address is spelled. A route that nothing
is said of here is for staff.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import quote

import flask
from flask import Flask, Response, g, request
from werkzeug.wrappers import Response as WebResponse

from integration.addresses import host_of, is_loopback
from integration.service_settings import Service
from server.service import pages
from server.service.access import browser, login, sessions
from server.service.access.caller import LOOPBACK, Caller, unauthenticated
from server.service.access.limits import Buckets, network_of
from server.service.access.login import Login
from server.service.access.proxies import PEER, WAS_FORWARDED, Proxies, TrustedProxies
from server.service.access.sessions import StaffSessions
from server.service.access.sources import Sources
from server.service.operation_outcome import RefusedError

logger = logging.getLogger(__name__)

Area = Literal["public", "probe", "source", "figures", "chart", "hooks", "staff"]
_AREAS: Final[tuple[tuple[re.Pattern[str], Area], ...]] = (
    (re.compile(r"/(healthz|readyz)"), "probe"),
    (re.compile(r"/metrics"), "figures"),
    (re.compile(r"/fhir/metadata|/cds-services|/static/.*|/launch(/.*)?|/staff/(login|logged-out)(/.*)?"), "public"),
    (re.compile(r"/fhir(/.*)?"), "source"),
    (re.compile(r"/chart(/.*)?"), "chart"),
    (re.compile(r"/cds-services/.*"), "hooks"),
)
"""By the rule of a route: `public`, anybody; `probe`, anybody by whatever host name; `source`, what sends; `figures`,
this machine, the proxies and what sends; `chart` and `hooks`, the route asks by itself; all else is for staff."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """What the gate works with.

    Attributes:
        service: the settings.
        sources: how what sends is known.
        staff: who is logged in.
        login: how persons log in; None if nobody can.
        key: signs cookies and forms.
        clock: seconds that only go up.
    """

    service: Service
    sources: Sources
    staff: StaffSessions
    login: Login | None
    key: bytes
    clock: Callable[[], float]

    @property
    def is_open(self) -> bool:
        """Whether nobody needs to log in: nothing is configured that would tell who asks, and only this machine can."""
        own, service = self.service, self.service.staff
        is_reached_from_here = is_loopback(own.host) and not own.trusted_proxies
        has_own_name = bool(own.public_url) and not is_loopback(host_of(own.public_url))
        return is_reached_from_here and not has_own_name and not own.sources and not service.can_log_in


def install(app: Flask, gate: Gate) -> None:
    """Have every request of an application pass the gate."""
    app.wsgi_app = TrustedProxies(  # type: ignore[method-assign]  # how Flask wants middleware to be added
        app.wsgi_app, gate.service.trusted_proxies, gate.service.client_certificate_header
    )
    sessions.install(app, gate.key, timedelta(hours=gate.service.staff.hours))
    passing = _Passing(gate)
    app.before_request(passing.enter)
    if gate.login is not None:
        app.register_blueprint(login.blueprint(gate.login))

    @app.after_request
    def _leave(response: Response) -> Response:
        return browser.add_headers(request, response, gate.service.chart.frame_ancestors)


class _Passing:
    """How requests pass a gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate, self._is_open = gate, gate.is_open
        self._sent, self._failed = Buckets(gate.clock), Buckets(gate.clock)
        self._proxies = Proxies(gate.service.trusted_proxies)

    def enter(self) -> WebResponse | None:
        """Set `g.caller`, and answer a request that may not go on."""
        g.csrf_token = self._csrf_token
        g.caller = None
        area = _area()
        if area is None or area == "probe":
            return None
        self._require_known_host()
        if self._is_open:
            g.caller = self._local()
        if area in ("source", "figures"):
            self._enter_as_source(area)
        elif area != "hooks":
            return self._enter_as_person(area)
        return None

    def _require_known_host(self) -> None:
        """Refuse other names, so that a web page cannot reach us under its own (DNS rebinding).

        Flask's TRUSTED_HOSTS does not know IPv6 addresses.
        """
        if "HTTP_HOST" not in request.environ and request.environ.get("SERVER_PROTOCOL") == "HTTP/1.1":
            raise RefusedError(400, "a request of HTTP/1.1 needs a Host header")  # else the server's own name stands in
        name = host_of(f"//{request.host}")
        public = host_of(self._gate.service.public_url)
        if not is_loopback(name) and (not public or name != public):
            ours = "service.public_url's host" if public else "a loopback address"
            raise RefusedError(400, f"the Host header must name {ours}")

    def _local(self) -> Caller:
        """Return the caller where nobody needs to log in: a program or a person on this machine.

        Raises:
            RefusedError: 403, somebody elsewhere, or a page of another site.
        """
        if not is_loopback(request.remote_addr or "") or request.environ.get(WAS_FORWARDED):
            raise RefusedError(403, "without service.sources only this machine is served, and not through a proxy")
        if request.method not in browser.SAFE_METHODS:
            browser.require_own_origin(request)
        return LOOPBACK

    def _enter_as_source(self, area: Area) -> None:
        if g.caller is None:
            g.caller = self._identified()
        if g.caller is None and not (area == "figures" and self._is_near()):
            raise unauthenticated()
        if g.caller is not None and g.caller.requests_per_minute is not None:
            self._require_patience(g.caller.name, g.caller.requests_per_minute)

    def _identified(self) -> Caller | None:
        """Return who sent the request; a failure counts against the address that it came from.

        An address over its limit is answered 429 instead of 401. One that shows the right key is served all the same:
        several engines may share an address, and keys of 256 bits are not found by trying.
        """
        try:
            return self._gate.sources.identify(request)
        except RefusedError as error:
            if error.refusal.status not in (401, 403):
                raise
            address = request.remote_addr or ""
            seconds = self._failed.take(network_of(address), self._gate.service.failed_logins_per_minute)
            if seconds:
                raise _too_many("too many failed logins from this address", seconds) from None
            facts = {"action": "login_failed", "request": g.get("request_id", ""), "address": address}
            logger.warning("login failed: %s", error.refusal.problem, extra=facts)
            raise

    def _require_patience(self, name: str, per_minute: int) -> None:
        if seconds := self._sent.take(name, per_minute):
            raise _too_many(f"more than {per_minute} requests a minute; send what was refused again later", seconds)

    def _is_near(self) -> bool:
        """Whether the connection came from this machine or a trusted proxy, and says nothing of another client."""
        peer = request.environ.get(PEER, "")
        return not request.environ.get(WAS_FORWARDED) and (is_loopback(peer) or peer in self._proxies)

    def _enter_as_person(self, area: Area) -> WebResponse | None:
        if g.caller is None and self._gate.service.staff.can_log_in:
            g.caller = self._gate.staff.caller()
        if area == "staff" and g.caller is None:
            return self._to_login()
        if request.method not in browser.SAFE_METHODS:
            browser.require_own_origin(request)
            browser.require_form_token(request, self._csrf_token())
        return None

    def _to_login(self) -> WebResponse:
        if not self._gate.service.staff.can_log_in:
            raise RefusedError(403, "nobody can log in to these pages; service.staff says how persons do")
        if request.method != "GET" or not pages.is_for_a_person():
            raise RefusedError(401, "this is for persons who have logged in; open it in a browser")
        place = request.full_path if request.query_string else request.path
        return flask.redirect(f"{request.root_path}{login.PATH}?next={quote(place, safe='')}", 303)

    def _csrf_token(self) -> str:
        return sessions.csrf_token_of(self._gate.key, sessions.session_id())


def csrf_token() -> str:
    """Return the token for a form of the page at hand, as the hidden field `csrf_token`."""
    token: str = g.csrf_token()
    return token


def _area() -> Area | None:
    """Return what the route at hand is for; None if there is none, which will be answered 404 or 405."""
    if request.url_rule is None:
        return None
    return _area_of(request.url_rule.rule)


@lru_cache(maxsize=256)
def _area_of(rule: str) -> Area:
    return next((area for pattern, area in _AREAS if pattern.fullmatch(rule)), "staff")


def _too_many(problem: str, seconds: float) -> RefusedError:
    return RefusedError(429, problem, headers={"Retry-After": Buckets.retry_after(seconds)})
