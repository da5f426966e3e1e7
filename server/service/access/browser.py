"""What protects a person's browser: forms that only our pages can send, and the headers of every answer.

Sources: OWASP Cross-Site Request Forgery Prevention Cheat Sheet; Fetch Metadata (https://www.w3.org/TR/fetch-metadata/);
Content Security Policy Level 3 (https://www.w3.org/TR/CSP3/).
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
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
_YEAR: Final = "max-age=31536000"


def require_own_origin(request: Request) -> None:
    """See that a request that changes something comes from one of our own pages, as far as the browser says.

    What is no browser sends neither Sec-Fetch-Site nor Origin, and passes.

    Raises:
        RefusedError: 403.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    own = urlsplit(request.host_url)
    is_foreign = origin is not None and origin != f"{own.scheme}://{own.netloc}"
    if is_foreign or (site is not None and site not in _OWN_SITES):
        raise RefusedError(403, "the request comes from a page of another site")


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
    ancestors = " ".join(frame_ancestors) if may_be_framed else "'none'"
    wanted = {**_HEADERS, "Content-Security-Policy": f"{_POLICY}; frame-ancestors {ancestors}"}
    if not may_be_framed:
        wanted["X-Frame-Options"] = "DENY"
    if request.is_secure:
        wanted["Strict-Transport-Security"] = _YEAR
    wanted["Cache-Control"] = "no-store"
    held = {name.lower() for name in response.headers.keys()}  # noqa: SIM118 - a list of pairs, not a mapping
    for name, value in wanted.items():
        if name.lower() not in held:
            response.headers.add(name, value)
    return response
