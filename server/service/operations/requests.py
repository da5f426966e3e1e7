"""One record and one measurement for each request, by the template of its route: a path may hold a patient's id."""

from __future__ import annotations

import logging
import re
import time
from functools import lru_cache
from typing import Any, Final, Protocol

from flask import Flask, Response, g, request

logger = logging.getLogger(__name__)

UNMATCHED: Final = "unmatched"
"""Route of a request that no route takes."""
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_PART: Final = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")
_QUIET: Final = frozenset(("/healthz", "/readyz", "/metrics"))
"""Asked every few seconds; a record of each would bury the others."""


class Observe(Protocol):
    """Measures one request."""

    def __call__(self, series: tuple[str, str, str], seconds: float) -> None:
        """Count a request of this method, route and status."""


def install(app: Flask, observe: Observe) -> None:
    """Have every request of an application recorded, refused ones too; call it before other hooks are added."""

    @app.before_request
    def _begin() -> None:
        g.began = time.perf_counter()

    @app.after_request
    def _end(response: Response) -> Response:
        seconds = time.perf_counter() - g.get("began", time.perf_counter())
        observe((method(), route(), str(response.status_code)), seconds)
        level = logging.DEBUG if route() in _QUIET and response.status_code < 400 else logging.INFO
        if logger.isEnabledFor(level):
            logger.log(level, "request", extra=_facts(response, seconds))
        return response


def route() -> str:
    """Return the template of the request's route, as documentation writes it: `/chart/{patient}`."""
    rule = request.url_rule
    return _template(rule.rule) if rule is not None else UNMATCHED


@lru_cache(maxsize=256)
def _template(rule: str) -> str:
    return _PART.sub(r"{\1}", rule)


def method() -> str:
    """Return the request's method, `other` for one that is none of HTTP's usual ones."""
    return request.method if request.method in _METHODS else "other"


def _facts(response: Response, seconds: float) -> dict[str, Any]:
    caller = g.get("caller")
    return {
        "action": "request",
        "request": g.get("request_id", ""),
        "method": method(),
        "route": route(),
        "status": response.status_code,
        "milliseconds": round(seconds * 1000, 1),
        "bytes_in": request.content_length or 0,
        "bytes_out": response.content_length or 0,
        "caller": caller.name if caller is not None else "",
    }
