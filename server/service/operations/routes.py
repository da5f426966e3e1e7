"""`/healthz`, `/readyz` and `/metrics`: for whatever watches over the service."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import flask
from flask import Blueprint, Response, g, request
from sqlalchemy.exc import SQLAlchemyError

from integration.errors import OutcomeBridgeError
from integration.outcomes import Resource
from server.service.operation_outcome import RefusedError
from server.service.operations.figures import Stores
from server.service.operations.metrics import Metrics
from server.service.operations.readiness import Readiness
from server.service.operations.timings import Timings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Operations:
    """What these routes work with.

    Attributes:
        is_working: whether the worker of this process does its work.
        readiness: of the stores.
        metrics: of the site.
        timings: of requests.
        figures: of the stores.
        audit: writes an AuditEvent down.
        keep_audit: does now what is done for the audit every second.
    """

    is_working: Callable[[], bool]
    readiness: Readiness
    metrics: Metrics
    timings: Timings
    figures: Stores
    audit: Callable[[Resource], None]
    keep_audit: Callable[[], None]


def blueprint(operations: Operations) -> Blueprint:
    """Build the routes. The first two need no login and tell nothing of a patient."""
    routes = Blueprint("operations", __name__)

    @routes.get("/healthz")
    def healthz() -> Response:
        is_working = operations.is_working()
        status = {"status": "ok" if is_working else "worker is not working"}
        return _uncached(flask.jsonify(status), 200 if is_working else 503)

    @routes.get("/readyz")
    def readyz() -> Response:
        checks = operations.readiness.checks()
        problems = {check.name: check.problem for check in checks if check.problem}
        if problems:
            facts = {"action": "not_ready", "request": g.get("request_id", ""), "problems": sorted(problems)}
            logger.warning("not ready", extra=facts)
        told = {
            "status": "not ready" if problems else "ready",
            "checks": {check.name: check.problem or "ok" for check in checks},
            "ehr": operations.readiness.ehr(),
        }
        return _uncached(flask.jsonify(told), 503 if problems else 200)

    @routes.get("/metrics")
    def metrics() -> Response:
        try:
            body, content_type = operations.metrics.answer(request.headers.get("Accept", ""))
        except (OutcomeBridgeError, SQLAlchemyError) as error:
            raise RefusedError(503, "the stores cannot be read now", headers={"Retry-After": "15"}) from error
        return _uncached(Response(body, content_type=content_type), 200)

    return routes


def _uncached(answer: Response, status: int) -> Response:
    answer.status_code = status
    answer.headers["Cache-Control"] = "no-store"
    return answer
