"""The routes of CDS Hooks: what there is, a call of the service, and what became of its cards."""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import flask
from flask import Blueprint, Response, g, request
from werkzeug.exceptions import RequestEntityTooLarge

from integration.outcomes import CODE_SYSTEM
from server.ledger.reading import Held
from server.service import access
from server.service.access.caller import unauthenticated
from server.service.cds_hooks import cards, requests
from server.service.cds_hooks.client_token import ClientTokens
from server.service.chart import found
from server.service.chart.found import CODES
from server.service.chart.smart.discovery import normalized
from server.service.operation_outcome import RefusedError
from server.service.operations import audited

logger = logging.getLogger(__name__)

PREFIX: Final = "/cds-services"
SERVICE_ID: Final = "msis29-outcomes"
_SCORES: Final = "Observation?patient={{context.patientId}}&code=" + ",".join(f"{CODE_SYSTEM}|{one}" for one in CODES)
_DESCRIPTION: Final = (
    "Shows the latest MSIS-29 scores (physical and psychological, 0 to 100, higher is worse) of the patient whose"
    " chart is opened, with a link to all of them over time. It advises nothing."
)
_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "600",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Hooks:
    """What CDS Hooks work with.

    Attributes:
        held: returns what the ledger holds of a patient, by any id that the patient goes by.
        tokens: of the EHRs that may ask; None: only this machine may, where nobody needs to log in.
        fhir_servers: normalized FHIR bases whose patients' ids are ours.
        launches: whether the chart page is opened by a SMART launch.
        origins: of pages that may call from a browser.
        public_url: as others reach the service; empty: as asked.
        body_limit_bytes: a longer body is refused.
        now: the clock; aware, UTC.
    """

    held: Callable[[str], list[Held]]
    tokens: ClientTokens | None
    fhir_servers: frozenset[str]
    launches: bool
    origins: frozenset[str]
    public_url: str
    body_limit_bytes: int
    now: Callable[[], datetime]


def blueprint(hooks: Hooks) -> Blueprint:
    """Build the routes below /cds-services."""
    place = Blueprint("cds_hooks", __name__, url_prefix=PREFIX)

    @place.after_request
    def _allow_origin(answer: Response) -> Response:
        return _with_origin(answer, hooks.origins)

    @place.get("")
    def discovery() -> Response:
        return flask.jsonify({"services": [service_document()]})

    @place.post(f"/{SERVICE_ID}")
    def called() -> Response:
        _require_ehr(hooks, f"{_base(hooks)}/{SERVICE_ID}")
        return flask.jsonify({"cards": _cards(hooks, requests.call(_body(hooks)))})

    @place.post(f"/{SERVICE_ID}/feedback")
    def feedback() -> Response:
        endpoint = f"{_base(hooks)}/{SERVICE_ID}"
        _require_ehr(hooks, endpoint, f"{endpoint}/feedback")
        outcomes = requests.feedback(_body(hooks))
        facts = {"action": "cards_judged", "request": g.get("request_id", ""), **Counter(outcomes)}
        logger.info("feedback on cards", extra=facts)
        return flask.jsonify({})

    return place


def service_document() -> dict[str, Any]:
    """Return what the discovery says of the service."""
    return {
        "hook": requests.HOOK,
        "id": SERVICE_ID,
        "title": "MSIS-29 scores",
        "description": _DESCRIPTION,
        "prefetch": {"scores": _SCORES},
        "usageRequirements": "Needs no FHIR access; with the prefetch it says where the EHR holds other scores.",
    }


def _cards(hooks: Hooks, call: requests.Call) -> list[dict[str, Any]]:
    """Return the card of a patient; none if nothing is known, or the ids are another server's, or may be."""
    may_be_unsaid = hooks.tokens is None or len(hooks.tokens.keys) == 1
    if not call.fhir_server and not may_be_unsaid:
        return []
    if call.fhir_server and normalized(call.fhir_server) not in hooks.fhir_servers:
        return []
    scores = None if call.scores is None else found.observations(call.scores)
    shown = cards.answered(hooks.held(call.patient_id), scores)
    if not shown:
        return []
    audited.note("read", "Patient", call.patient_id, patient_id=call.patient_id)
    root = hooks.public_url or request.root_url.rstrip("/")
    link = {"type": "smart", "url": f"{root}/launch"}
    if not hooks.launches:
        link = {"type": "absolute", "url": f"{root}/chart/{call.patient_id}"}
    return [cards.card(shown, today=hooks.now().date(), link=link, url=root, uuid=str(uuid.uuid4()))]


def _require_ehr(hooks: Hooks, *endpoints: str) -> None:
    """See who asks.

    Raises:
        RefusedError: 401 or 503.
    """
    if hooks.tokens is None:
        caller = access.current()
        if caller is None or caller.kind != "loopback":
            raise unauthenticated("service.cds_hooks names no EHR that may ask")
        return
    g.caller = hooks.tokens.check(request.headers.get("Authorization", ""), endpoints)


def _body(hooks: Hooks) -> bytes:
    if request.mimetype != "application/json":
        raise RefusedError(415, "the body must be application/json")
    body = request.get_data(cache=False)
    if len(body) > hooks.body_limit_bytes:
        raise RequestEntityTooLarge
    return body


def _base(hooks: Hooks) -> str:
    return f"{hooks.public_url or request.root_url.rstrip('/')}{PREFIX}"


def _with_origin(answer: Response, origins: Collection[str]) -> Response:
    """Let a page of the EHR read the answer (CORS); no cookie counts here, so none is allowed."""
    answer.headers["Vary"] = "Origin"
    origin = request.headers.get("Origin", "")
    if origin in origins:
        answer.headers["Access-Control-Allow-Origin"] = origin
        answer.headers["Access-Control-Expose-Headers"] = "X-Request-Id"
        if request.method == "OPTIONS":
            answer.headers.update(_PREFLIGHT)
    return answer
