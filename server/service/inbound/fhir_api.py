"""The FHIR interface: one QuestionnaireResponse in, a receipt out.

A response is read before it is taken, so that what can never be used is refused while its sender still listens
(422); it is stored before it is answered; planning and delivery come afterwards and never change the answer.
"""

from __future__ import annotations

import logging
import re

from flask import Blueprint, Response, g, request
from werkzeug.datastructures import ETags
from werkzeug.exceptions import RequestEntityTooLarge

from integration.intake import Rejection
from server.service import negotiation
from server.service.inbound import submission
from server.service.inbound.capability import capability_statement
from server.service.inbound.inbox import Arrival, Receipt, VersionConflictError
from server.service.inbound.submission import RESOURCE_TYPE, Submission
from server.service.operation_outcome import RefusedError, answer, operation_outcome
from server.service.services import Services

logger = logging.getLogger(__name__)

PREFIX = "/fhir"
_MINIMAL = re.compile(r"(^|[,;\s])return\s*=\s*\"?minimal\"?($|[,;\s])")
_STORED = "stored; if it is a usable MSIS-29 response, its outcome is planned and delivered now"


def blueprint(services: Services) -> Blueprint:
    """Build the routes below /fhir."""
    api = Blueprint("fhir", __name__, url_prefix=PREFIX)
    started = services.now()

    @api.before_request
    def _require_acceptable() -> None:
        negotiation.require_acceptable(request, services.fhir_release)

    @api.get("/metadata")
    def metadata() -> Response:
        statement = capability_statement(
            software_version=services.software_version,
            fhir_version=services.fhir_version,
            url=_base_url(),
            started=started,
        )
        return answer(statement, 200)

    @api.post(f"/{RESOURCE_TYPE}")
    def create() -> Response:
        if "If-None-Exist" in request.headers:
            raise RefusedError(400, "conditional create is not supported: a repetition is known by its content")
        return _taken(services, submission.read(_body(services)))

    @api.put(f"/{RESOURCE_TYPE}/<response_id>")
    def update(response_id: str) -> Response:
        return _taken(services, submission.read(_body(services), url_id=response_id), request.if_match)

    return api


def _body(services: Services) -> bytes:
    negotiation.require_json_body(request, services.fhir_release)
    body = request.get_data(cache=False)
    if len(body) > services.body_limit_bytes:
        raise RequestEntityTooLarge
    return body


def _taken(services: Services, sent: Submission, if_match: ETags | None = None) -> Response:
    receipt = services.inbox.find(sent.content_hash) or _stored(services, sent, if_match)
    if not receipt.is_replay:
        services.wake()
    facts = {"response": receipt.response_id, "version": receipt.version, "is_replay": receipt.is_replay}
    logger.info("response received", extra={"action": "response_received", "request": g.request_id, **facts})
    return _receipt(receipt)


def _stored(services: Services, sent: Submission, if_match: ETags | None) -> Receipt:
    response_id, body = sent.with_id(services.new_id)
    read = services.read(body)
    if isinstance(read, Rejection):
        raise RefusedError(422, read.problem, expression=".".join(filter(None, (RESOURCE_TYPE, read.path))))
    arrival = Arrival(
        response_id=response_id,
        content_hash=sent.content_hash,
        body=body,
        request_id=g.request_id,
        expected_version=_expected_version(if_match),
    )
    try:
        return services.inbox.store(arrival)
    except VersionConflictError as error:
        raise RefusedError(412, "If-Match is not the latest version; nothing was stored") from error


def _expected_version(if_match: ETags | None) -> int | None:
    """Return the version of If-Match; 0, which no stored version has, if it cannot be one of ours."""
    if not if_match:
        return None
    tags = [tag for tag in if_match.as_set(include_weak=True) if tag.isascii() and tag.isdecimal()]
    return None if if_match.star_tag else int(tags[0]) if len(tags) == 1 else -1


def _receipt(receipt: Receipt) -> Response:
    """Return the answer; it follows from the receipt alone, so a repetition is answered as the first time."""
    location = f"{_base_url()}/{RESOURCE_TYPE}/{receipt.response_id}/_history/{receipt.version}"
    headers = {"Location": location, "ETag": f'W/"{receipt.version}"'}
    status = 201 if receipt.version == 1 else 200
    if _MINIMAL.search(request.headers.get("Prefer", "")):
        return Response(status=status, headers=headers)
    return answer(operation_outcome("information", "informational", _STORED), status, headers)


def _base_url() -> str:
    return f"{request.root_url.rstrip('/')}{PREFIX}"
