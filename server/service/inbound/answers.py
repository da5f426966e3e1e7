"""The answers to what was taken: receipts as FHIR, for one resource and for Bundles."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import msgspec

from integration.outcomes import Resource
from server.service.inbound.deposits import ANOTHERS, Answer, Receipt
from server.service.inbound.submission import RESPONSE
from server.service.operation_outcome import Refusal, operation_outcome, outcome_of

_STORED: Final = operation_outcome(
    "information",
    "informational",
    "stored; its outcome is planned and delivered now",
)
_STORED_ONLY: Final = operation_outcome("information", "informational", "stored")
NO_OUTCOME: Final = "no outcome comes of it"
"""Begins the note on a response that calls for no outcome; any other note says what its outcome lacks or waits for."""
_KEPT: Final = operation_outcome("information", "informational", "stored; the next run of the study reads it")
_SET_ASIDE: Final = (
    "stored, but set aside and not used until a person has it taken again; staff see it in the quarantine"
)
_SUPERSEDED: Final = (
    "stored, but not used: a version that came before has a higher meta.versionId or a later meta.lastUpdated and "
    "counts; a QuestionnaireResponse that names the latest version by If-Match counts whatever its meta says"
)
_RESPONSE_TYPE: Final = b'"batch-response"'  # a transaction or a message is refused as a whole
_REFUSALS: Final = ("4", "5")
_encoder = msgspec.json.Encoder(decimal_format="number")
_STORED_BYTES: Final = _encoder.encode(_STORED)


def single(receipt: Receipt, *, base_url: str, note: str = "") -> Answer:
    """Return the answer to a create or update.

    Args:
        receipt: of the resource.
        base_url: of the FHIR interface.
        note: what else the sender should know of a response that was stored.
    """
    if receipt.problem:
        return Answer(status=200, body=_encoder.encode(_outcome(receipt, note)))
    headers = {"Location": f"{base_url}/{receipt.location}", "ETag": f'W/"{receipt.version}"'}
    status = 201 if receipt.version == 1 else 200
    is_plain = receipt.resource_type == RESPONSE and not note and not receipt.is_superseded
    body = _STORED_BYTES if is_plain else _encoder.encode(_outcome(receipt, note))
    return Answer(status=status, headers=headers, body=body)


def entry(receipt: Receipt, *, base_url: str, note: str = "") -> Resource:
    """Return the entry of a response Bundle for what was stored, set aside, or stood in conflict."""
    if receipt.is_anothers:
        return refused_entry(Refusal(status=409, problem=ANOTHERS))
    if receipt.is_conflict:
        return refused_entry(Refusal(status=412, problem="ifMatch is not the latest version; nothing was stored"))
    outcome = _outcome(receipt, note)
    if receipt.problem:
        return {"response": {"status": status_line(200), "outcome": outcome}}
    status = status_line(201 if receipt.version == 1 else 200)
    location = f"{base_url}/{receipt.location}"
    return {"response": {"status": status, "location": location, "etag": f'W/"{receipt.version}"', "outcome": outcome}}


def refused_entry(refusal: Refusal) -> Resource:
    """Return the entry of a response Bundle for what was refused."""
    return {"response": {"status": status_line(refusal.status), "outcome": outcome_of(refusal)}}


def passed_over_entry(text: str) -> Resource:
    """Return the entry of a response Bundle for what was neither stored nor refused."""
    outcome = operation_outcome("information", "informational", text)
    return {"response": {"status": status_line(200), "outcome": outcome}}


def bundle(kind: str, entries: Sequence[Resource], *, status: int = 200) -> Answer:
    """Return a response Bundle: `transaction-response` or `batch-response`."""
    resource: Resource = {"resourceType": "Bundle", "type": kind}
    if entries:  # an empty array is not FHIR
        resource["entry"] = list(entries)
    return Answer(status=status, body=_encoder.encode(resource))


def as_result(answer: Answer) -> bytes:
    """Return an answer as the result of a request that was worked on later: a Bundle."""
    body = msgspec.json.decode(answer.body) if answer.body else None
    if body is not None and body.get("resourceType") == "Bundle":
        return answer.body
    response: Resource = {"status": status_line(answer.status)}
    if "Location" in answer.headers:
        response |= {"location": answer.headers["Location"], "etag": answer.headers["ETag"]}
    if body is not None:
        response["outcome"] = body
    return bundle("batch-response", [{"response": response}]).body


def has_refusal(body: bytes) -> bool:
    """Whether an answer, or the result of a request that was worked on later, says of any entry that it is refused.

    What is refused now may be taken in the next moment, when its patient is there; so such an answer is no last word.
    """
    if _RESPONSE_TYPE not in body:
        return False
    entries = msgspec.json.decode(body).get("entry", [])
    return any(entry.get("response", {}).get("status", "")[:1] in _REFUSALS for entry in entries)


def status_line(status: int) -> str:
    """Return a status with its words: `201 Created`."""
    return f"{status} {HTTPStatus(status).phrase}"


def encode(resource: Resource) -> bytes:
    """Write an answer's resource."""
    return _encoder.encode(resource)


def _outcome(receipt: Receipt, note: str) -> Resource:
    if receipt.problem:
        return operation_outcome("warning", "processing", f"{_SET_ASIDE}: {receipt.problem}")
    if receipt.is_superseded:
        return operation_outcome("warning", "processing", _SUPERSEDED)
    if receipt.resource_type != RESPONSE:
        return _KEPT
    if not note:
        return _STORED
    [stored] = _STORED_ONLY["issue"]
    code = "business-rule" if note.startswith(NO_OUTCOME) else "suppressed"
    [told] = operation_outcome("warning", code, note)["issue"]
    return {"resourceType": "OperationOutcome", "issue": [stored, told]}
