"""Login of persons: OpenID Connect, authorization code with PKCE.

Sources: OpenID Connect Core 1.0, section 3.1 (https://openid.net/specs/openid-connect-core-1_0.html); PKCE, RFC 7636;
the issuer in the answer against mix-up, RFC 9207; best current practices, RFC 9700. What a login that has begun needs
to end stands in the browser's own session: whoever has no such session cannot end it, and nobody can end it twice.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

import flask
from flask import Blueprint, Response, g, request, session
from werkzeug.wrappers import Response as WebResponse

from integration.service_settings import Staff
from server.service import pages
from server.service.access import jwts, secret_files
from server.service.access.fetching import FetchError, fetch
from server.service.access.issuer import Issuer, Metadata
from server.service.access.kept import UnavailableError
from server.service.access.once import Once
from server.service.access.sessions import StaffSessions
from server.service.operation_outcome import RefusedError

logger = logging.getLogger(__name__)

PATH: Final = "/staff/login"
_DONE: Final = f"{PATH}/done"
_PENDING: Final = "login"
_MOST_PENDING: Final = 4
"""Logins that one browser may have begun: several tabs open at once."""
_PENDING_SECONDS: Final = 600
_RETURN: Final = re.compile(r"/([!-.0-\[\]-~][!-\[\]-~]*)?")
"""A place on this host: one slash and not a second one, which would name another host; no backslash, which browsers
read as a slash; nothing that is not visible ASCII."""
_LONGEST_RETURN: Final = 400
"""A cookie holds 4,096 bytes, and several logins may be pending."""
_CODE: Final = re.compile(r"[a-z_]{1,40}")
_AGAIN: Final = "open the page again to log in"


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """What a login works with.

    Attributes:
        staff: the settings.
        issuer: the identity provider.
        sessions: who is logged in.
        once: where logins are noted that were ended.
        now: the clock; aware.
        public_url: base of the redirect URI; empty: as asked.
        algorithms: how an ID token may be signed.
    """

    staff: Staff
    issuer: Issuer
    sessions: StaffSessions
    once: Once
    now: Callable[[], datetime]
    public_url: str
    algorithms: frozenset[str]


def blueprint(login: Login) -> Blueprint:
    """Build the routes of login and logout."""
    routes = Blueprint("login", __name__)
    pages.answer_with_pages(routes)

    @routes.get(PATH)
    def begin() -> WebResponse:
        return flask.redirect(_begun(login, request.args.get("next", "")), 303)

    @routes.get(_DONE)
    def done() -> WebResponse:
        place = _ended(login)
        return flask.redirect(f"{request.root_path}{place}", 303)

    @routes.post("/staff/logout")
    def logout() -> WebResponse:
        login.sessions.end()
        logger.info("staff logged out", extra={"action": "staff_logged_out", "request": g.request_id})
        return flask.redirect(f"{request.root_path}/staff/logged-out", 303)

    @routes.get("/staff/logged-out")
    def logged_out() -> Response:
        try:
            place = login.issuer.metadata().logout_url
        except UnavailableError:
            place = ""
        return pages.render("logged_out.html", provider_url=place, login_url=f"{request.root_path}{PATH}")

    return routes


def safe_return(place: str) -> str:
    """Return where to go after a login: a place on this host, else the first page.

    >>> [safe_return(place) for place in ("/staff/work?state=manual", "//evil.example", "https://evil.example")]
    ['/staff/work?state=manual', '/', '/']
    """
    is_ours = len(place) <= _LONGEST_RETURN and _RETURN.fullmatch(place) and not place.startswith(PATH)
    return place if is_ours else "/"


def _begun(login: Login, place: str) -> str:
    metadata = _metadata(login)
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    begun = [state, nonce, verifier, safe_return(place), int(login.now().timestamp())]
    session[_PENDING] = [*_pending_logins(), begun][-_MOST_PENDING:]
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code",
        "client_id": login.staff.client_id,
        "redirect_uri": _redirect_uri(login),
        "scope": " ".join(login.staff.scope),
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    separator = "&" if "?" in metadata.authorization_url else "?"
    return f"{metadata.authorization_url}{separator}{urlencode(query)}"


def _ended(login: Login) -> str:
    """Check all that came back from the provider, log the person in, and return where to go."""
    nonce, verifier, place = _taken_up(login)
    metadata = _metadata(login)
    issuer = request.args.get("iss")
    if issuer != login.issuer.url and (issuer is not None or metadata.names_itself):
        raise RefusedError(400, f"the answer is by another identity provider than was asked; {_AGAIN}")
    if "code" not in request.args:
        code = request.args.get("error", "")
        reason = code if _CODE.fullmatch(code) else "no code"
        raise RefusedError(403, f"the identity provider did not log you in ({reason}); {_AGAIN}")
    token = _id_token(login, metadata, request.args["code"], verifier, nonce)
    subject = token.text("sub")
    if not is_staff(login.staff, token.claims):
        facts = {"action": "staff_refused", "request": g.request_id, "subject": subject}
        logger.warning("somebody logged in who is not staff", extra=facts)
        raise RefusedError(403, "you are logged in, but not among those who may see these pages (service.staff)")
    login.sessions.begin(subject, token.text("name"))
    facts = {"action": "staff_logged_in", "request": g.request_id, "subject": subject}
    logger.info("staff logged in", extra=facts)
    return str(place)


def _taken_up(login: Login) -> tuple[str, str, str]:
    """Return nonce, verifier and place of the login that the answer belongs to; it is then no longer pending."""
    state = request.args.get("state", "")
    pending = _pending_logins()
    found = next((one for one in pending if hmac.compare_digest(one[0].encode(), state.encode())), None)
    if found is None:
        raise RefusedError(400, f"this login was not begun in this browser, or was ended before; {_AGAIN}")
    session[_PENDING] = [one for one in pending if one is not found]
    _, nonce, verifier, place, begun = found
    ends = begun + _PENDING_SECONDS
    if login.now().timestamp() >= ends or not login.once.is_first("login", state, ends):
        raise RefusedError(400, f"this login took too long, or was ended before; {_AGAIN}")
    return nonce, verifier, place


def _id_token(login: Login, metadata: Metadata, code: str, verifier: str, nonce: str) -> jwts.Token:
    staff = login.staff
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": _redirect_uri(login),
        "code_verifier": verifier,
    }
    secret, credentials = secret_files.read(staff.secret_file), None
    if secret and metadata.takes_basic:
        credentials = (quote_plus(staff.client_id), quote_plus(secret))
    else:
        form |= {"client_id": staff.client_id} | ({"client_secret": secret} if secret else {})
    try:
        status, answer = fetch(metadata.token_url, ca_file=login.issuer.ca_file, form=form, login=credentials)
    except FetchError as error:
        raise _unavailable(str(error)) from None
    if status != 200 or not isinstance(answer.get("id_token"), str):
        _warn("code_refused", status)
        raise RefusedError(403, f"the identity provider did not take its own code back; {_AGAIN}")
    return _checked(login, answer["id_token"], nonce)


def _checked(login: Login, text: str, nonce: str) -> jwts.Token:
    client = login.staff.client_id
    expected = jwts.Expected(
        issuers=frozenset({login.issuer.url}),
        audiences=frozenset({client}),
        algorithms=login.algorithms,
        present=("sub", "nonce"),
    )
    try:
        token = jwts.check(text, login.issuer.keys, expected, login.now())
    except jwts.TokenError as error:
        raise RefusedError(403, f"the identity provider's token is not taken: {error}") from None
    except UnavailableError:
        raise _unavailable("the keys of the identity provider are not known") from None
    audience, party = token.claims["aud"], token.claims.get("azp", client)
    if party != client or (isinstance(audience, list) and len(audience) > 1 and "azp" not in token.claims):
        raise RefusedError(403, "the identity provider's token is not taken: it was made for another client (azp)")
    if not hmac.compare_digest(token.text("nonce").encode(), nonce.encode()):
        raise RefusedError(403, "the identity provider's token is not taken: it is of another login (nonce)")
    return token


def is_staff(staff: Staff, claims: Mapping[str, Any]) -> bool:
    """Whether the person of these claims may see the staff pages."""
    if claims.get("sub") in staff.subjects:
        return True
    value = claims.get(staff.claim) if staff.claim else None
    return value == staff.value or (isinstance(value, list) and staff.value in value) if value is not None else False


def _metadata(login: Login) -> Metadata:
    try:
        metadata = login.issuer.metadata()
    except UnavailableError:
        raise _unavailable("its metadata cannot be read") from None
    if not metadata.authorization_url or not metadata.token_url:
        raise _unavailable("its metadata name no address to log in at")
    return metadata


def _unavailable(problem: str) -> RefusedError:
    logger.warning("the identity provider cannot be used: %s", problem, extra={"action": "provider_unavailable"})
    return RefusedError(503, "the identity provider cannot be asked now; try again", headers={"Retry-After": "30"})


def _warn(action: str, status: int) -> None:
    extra = {"action": action, "request": g.request_id, "status": status}
    logger.warning("the identity provider refused a code", extra=extra)


def _redirect_uri(login: Login) -> str:
    return f"{login.public_url or request.root_url.rstrip('/')}{_DONE}"


def _pending_logins() -> list[Any]:
    found = session.get(_PENDING)
    return found if isinstance(found, list) else []
