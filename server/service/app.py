"""The Flask application: its routes, its limits, and how everything that goes wrong is answered."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable
from typing import Any, Final

from flask import Flask, Response, g, request
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException

from integration.errors import DeliveryError, LedgerError
from server.service import pages
from server.service.access import gate
from server.service.inbound import fhir_api
from server.service.operation_outcome import Refusal, RefusedError, refused
from server.service.operations import audited, requests, routes
from server.service.services import Services
from server.service.staff import routes as staff_pages

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS: Final = 5
_REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_PROBLEMS: Final = {
    400: "the request is not understood",
    404: "there is nothing at this address; /fhir/metadata tells what there is",
    405: "this address does not take this method; /fhir/metadata tells what it takes",
}


class _Application(Flask):
    """A Flask application of plain functions."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function as it is; Flask would see with every call of it whether it is a coroutine's."""
        return func


def create_app(services: Services) -> Flask:
    """Build the application. It starts nothing: whoever calls starts the worker and the server."""
    app = _Application("outcome-bridge", static_folder=None)
    # Werkzeug cuts a chunked body off at its limit without a word; one byte more tells that it was too long.
    app.config["MAX_CONTENT_LENGTH"] = services.body_limit_bytes + 1
    requests.install(app, services.operations.timings.observe)
    audited.install(app, services.operations.audit, services.now)
    app.register_blueprint(fhir_api.blueprint(services))
    app.register_blueprint(pages.blueprint())
    for one in services.clinical.blueprints() if services.clinical else ():
        app.register_blueprint(one)
    _add_request_ids(app, services)
    gate.install(app, services.gate)
    app.register_blueprint(routes.blueprint(services.operations))
    if services.staff is not None:
        app.register_blueprint(staff_pages.blueprint(services.staff))
    _add_error_answers(app, services)
    return app


def _add_request_ids(app: Flask, services: Services) -> None:
    @app.before_request
    def _take_request_id() -> None:
        sent = request.headers.get("X-Request-Id", "")
        g.request_id = sent if _REQUEST_ID.fullmatch(sent) else services.new_id()

    @app.after_request
    def _echo_request_id(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        return response


def _add_error_answers(app: Flask, services: Services) -> None:
    @app.errorhandler(RefusedError)
    def _refused(error: RefusedError) -> Response:
        if pages.is_for_a_person():
            return pages.of_refused(error)
        return refused(error.refusal)

    @app.errorhandler(HTTPException)
    def _http(error: HTTPException) -> Response:
        if pages.is_for_a_person():
            return pages.of_http(error)
        return refused(_of_http(error, services.body_limit_bytes))

    @app.errorhandler(LedgerError)
    @app.errorhandler(DBAPIError)
    def _storage(error: DBAPIError | LedgerError) -> Response:
        _log_fault("storage_failed", error)
        headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
        return refused(Refusal(status=503, problem="nothing was stored: the disk refuses; try again", headers=headers))

    @app.errorhandler(DeliveryError)
    def _ehr(error: DeliveryError) -> Response:
        facts = {"action": "ehr_not_asked", "request": g.request_id, "error": type(error).__name__}
        logger.warning("the EHR's server cannot be asked about a patient", extra=facts)
        problem = "nothing was stored: the EHR's server cannot be asked about the patient now; try again"
        return refused(Refusal(status=503, problem=problem, headers={"Retry-After": str(RETRY_AFTER_SECONDS)}))

    @app.errorhandler(Exception)
    def _unforeseen(error: Exception) -> Response:
        _log_fault("request_failed", error)
        return refused(Refusal(status=500, problem="an unforeseen fault; the service's log names it by X-Request-Id"))


def _of_http(error: HTTPException, body_limit_bytes: int) -> Refusal:
    status = error.code or 500
    if status == 413:
        return Refusal(status=413, problem=f"the body is longer than {body_limit_bytes} bytes")
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    return Refusal(status=status, problem=_PROBLEMS.get(status, error.name), headers=headers)


def _log_fault(action: str, error: Exception) -> None:
    """Log where a fault arose; not its message, which may quote a body."""
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    facts = {"action": action, "request": g.request_id, "error": type(error).__name__, "frames": frames}
    logger.error("%s: %s", action, type(error).__name__, extra=facts)
