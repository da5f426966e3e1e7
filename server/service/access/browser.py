"""What protects a person's browser: forms that only our pages can send, and the headers of every answer.

Sources: OWASP Cross-Site Request Forgery Prevention Cheat Sheet; Fetch Metadata (https://www.w3.org/TR/fetch-metadata/);
Content Security Policy Level 3 (https://www.w3.org/TR/CSP3/).
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from functools import cache
from typing import Final
from urllib.parse import urlsplit

from flask import Request, Response

from server.service.operation_outcome import RefusedError

SAFE_METHODS: Final = frozenset(("GET", "HEAD", "OPTIONS"))
CSRF_FIELD: Final = "csrf_token"
_CSRF_HEADER: Final = "X-CSRF-Token"
_OWN_SITES: Final = frozenset(("same-origin", "none"))
_FRAMED: Final = ("/chart", "/launch")
_HEADERS: Final = {  # with `no-referrer`, browsers send `Origin: null` with our own forms as well
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'"
)
_NOBODY: Final = "'none'"
_YEAR: Final = "max-age=31536000"


def require_own_origin(request: Request) -> None:
    """See that a request that changes something comes from one of our own pages, as far as the browser says.

    What is no browser sends neither Sec-Fetch-Site nor Origin, and passes.

    Raises:
        RefusedError: 403.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if (origin is not None and not _is_own(origin, request)) or (site is not None and site not in _OWN_SITES):
        raise RefusedError(403, "the request comes from a page of another site")


def _is_own(origin: str, request: Request) -> bool:
    own = urlsplit(request.host_url)
    return origin == f"{own.scheme}://{own.netloc}"


def require_form_token(request: Request, expected: str) -> None:
    """See that a form is one of ours, given to this browser.

    Raises:
        RefusedError: 403.
    """
    sent = request.headers.get(_CSRF_HEADER) or request.form.get(CSRF_FIELD, "")
    if not hmac.compare_digest(sent.encode("utf-8", "replace"), expected.encode()):
        raise RefusedError(403, "the form is not one of this session; open the page again")


def add_headers(request: Request, response: Response, frame_ancestors: Sequence[str]) -> Response:
    """Add what every answer carries; what a route set itself stays.

    Args:
        request: what is answered.
        response: the answer.
        frame_ancestors: origins that may show the chart page in a frame.
    """
    may_be_framed = bool(frame_ancestors) and request.path.startswith(_FRAMED)
    held = {name.lower() for name, _ in response.headers}
    for name, value in _wanted(" ".join(frame_ancestors) if may_be_framed else "", is_secure=request.is_secure):
        if name.lower() not in held:
            response.headers.add(name, value)
    return response


@cache
def _wanted(ancestors: str, *, is_secure: bool) -> tuple[tuple[str, str], ...]:
    """Return the headers, for pages that these origins may frame; empty: none may."""
    wanted = {**_HEADERS, "Content-Security-Policy": f"{_POLICY}; frame-ancestors {ancestors or _NOBODY}"}
    if not ancestors:
        wanted["X-Frame-Options"] = "DENY"
    if is_secure:
        wanted["Strict-Transport-Security"] = _YEAR
    wanted["Cache-Control"] = "no-store"
    return tuple(wanted.items())
