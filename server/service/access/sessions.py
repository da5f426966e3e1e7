"""Sessions of persons: a signed cookie, who logged in with it, and until when that holds.

The cookie is signed, not encrypted: it holds no secret but the pending login's own. A copy of it would outlive a
logout, so the session's id is noted as ended (`Once`), where every process looks.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from flask import Flask, Request, Response, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin

from integration.addresses import host_of, is_loopback
from integration.service_settings import Staff
from server.service.access.caller import Caller
from server.service.access.once import Once

COOKIE: Final = "outcome-bridge"
_ID: Final = "id"
_STAFF: Final = "staff"
_RENEWED_SECONDS: Final = 60
"""How exactly the time of the last request is kept; a cookie is not written anew with every answer."""


class CookieSessions(SecureCookieSessionInterface):
    """Flask's sessions, signed with SHA-256; `Secure` wherever a browser is not on this machine itself."""

    salt = "outcome-bridge-session"
    digest_method = staticmethod(hashlib.sha256)

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the visitor's session; of one without a cookie, as all engines are, nothing is worked out."""
        if self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Send the cookie, if anything looked at the session at all."""
        if session.accessed or session.modified:
            super().save_session(app, session, response)

    def get_cookie_secure(self, app: Flask) -> bool:  # noqa: ARG002 - the signature is Flask's
        """Return whether the cookie goes by https only."""
        return request.is_secure or not is_loopback(host_of(f"//{request.environ.get('HTTP_HOST', '')}"))

    def get_cookie_name(self, app: Flask) -> str:
        """Return the cookie's name; by https one that no other host and no subdomain can set (RFC 6265bis)."""
        return f"__Host-{COOKIE}" if self.get_cookie_secure(app) else COOKIE

    def get_cookie_path(self, app: Flask) -> str:  # noqa: ARG002 - likewise
        """Return `/`, which `__Host-` wants."""
        return "/"


def install(app: Flask, key: bytes, lifetime: timedelta) -> None:
    """Give an application its sessions.

    Args:
        app: the application.
        key: signs the cookies.
        lifetime: after which none is valid.
    """
    app.secret_key = key
    app.session_interface = CookieSessions()
    app.config.update(
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=lifetime,
    )


def session_id() -> str:
    """Return the id of the visitor's session, and begin one if there is none."""
    found = session.get(_ID)
    if not isinstance(found, str):
        found = session[_ID] = secrets.token_urlsafe(24)
    return found


def csrf_token_of(key: bytes, identity: str) -> str:
    """Return the token that forms of a session carry."""
    return hmac.new(key, f"csrf:{identity}".encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class StaffSessions:
    """Who is logged in.

    Attributes:
        staff: how long a login lasts.
        once: where sessions are noted that were ended.
        now: the clock; aware.
    """

    staff: Staff
    once: Once
    now: Callable[[], datetime]

    def begin(self, subject: str, name: str) -> None:
        """Log somebody in: with a session of its own, whatever the browser brought along before."""
        session.clear()
        session_id()
        moment = int(self.now().timestamp())
        session[_STAFF] = {
            "subject": subject,
            "name": name,
            "since": moment,
            "seen": moment,
            "rule": _rule(self.staff),
        }

    def caller(self) -> Caller | None:
        """Return who is logged in; None if nobody is, or no longer, or the settings say otherwise now who is staff."""
        held: Any = session.get(_STAFF)
        if not isinstance(held, dict):
            return None
        now = int(self.now().timestamp())
        is_idle = now - held["seen"] >= self.staff.idle_minutes * 60
        is_over = is_idle or now >= self._ends(held) or held.get("rule") != _rule(self.staff)
        if is_over or self.once.was_used("session-ended", session_id()):
            session.clear()
            return None
        if now - held["seen"] >= _RENEWED_SECONDS:
            session[_STAFF] = held | {"seen": now}
        return Caller(name=held["subject"], kind="staff", shown_name=held["name"])

    def end(self) -> None:
        """Log out: the cookie is taken away, and a copy of it is worth nothing."""
        held: Any = session.get(_STAFF)
        if isinstance(held, dict):
            self.once.is_first("session-ended", session_id(), self._ends(held))
        session.clear()

    def _ends(self, held: dict[str, Any]) -> int:
        return int(held["since"]) + self.staff.hours * 3600


def _rule(staff: Staff) -> str:
    """Return a hash of all that decides who is staff, and of who says so."""
    said = [staff.issuer, staff.client_id, sorted(staff.subjects), staff.claim, staff.value]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]
