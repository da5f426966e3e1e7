"""Answers to messages (https://hl7.org/fhir/R4/messaging.html): a MessageHeader says how it went."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

from integration.intake import logical_id
from integration.outcomes import Resource
from server.service.inbound import answers
from server.service.inbound.deposits import Answer
from server.service.operation_outcome import Refusal, operation_outcome, outcome_of

Code = Literal["ok", "transient-error", "fatal-error"]
_AWAY: Final = "nothing was stored: the EHR's server cannot be asked about a patient now; send the message again"
RETRY_AFTER_SECONDS: Final = 5


def done(header: Resource, entries: Sequence[Resource], base_url: str, new_id: Callable[[], str]) -> Answer:
    """Return the answer to a message that was taken.

    Args:
        header: of the message.
        entries: what became of the message's other entries, as entries of a batch-response.
        base_url: of the FHIR interface.
        new_id: makes ids.
    """
    issues = [issue for entry in entries for issue in entry["response"]["outcome"]["issue"]]
    outcome: Resource = {"resourceType": "OperationOutcome", "issue": _without_repetitions(issues)}
    if not issues:
        outcome = operation_outcome("information", "informational", "the message has nothing besides its header")
    return _message(header, "ok", outcome, base_url, new_id, status=200)


def fatal(header: Resource, refusal: Refusal, base_url: str, new_id: Callable[[], str]) -> Answer:
    """Return the answer to a message that can never be taken; nothing of it is stored."""
    return _message(header, "fatal-error", outcome_of(refusal), base_url, new_id, status=refusal.status)


def transient(header: Resource, base_url: str, new_id: Callable[[], str]) -> Answer:
    """Return the answer to a message that may be taken later; nothing of it is stored."""
    outcome = operation_outcome("error", "transient", _AWAY)
    return _message(header, "transient-error", outcome, base_url, new_id, status=503)


def _message(
    header: Resource, code: Code, outcome: Resource, base_url: str, new_id: Callable[[], str], *, status: int
) -> Answer:
    name, details = new_id(), new_id()
    own = header.get("id")
    reply: Resource = {
        "resourceType": "MessageHeader",
        "id": name,
        **_event(header),
        "source": {"name": "Outcome Bridge", "endpoint": f"{base_url}/$process-message"},
        "response": {
            "identifier": own if logical_id.is_valid(own) else "unknown",
            "code": code,
            "details": {"reference": f"urn:uuid:{details}"},
        },
    }
    entries = [
        {"fullUrl": f"urn:uuid:{name}", "resource": reply},
        {"fullUrl": f"urn:uuid:{details}", "resource": {**outcome, "id": details}},
    ]
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if status == 503 else {}
    body = answers.encode({"resourceType": "Bundle", "type": "message", "entry": entries})
    return Answer(status=status, headers=headers, body=body)


def _event(header: Resource) -> Resource:
    """Return what the message was about, which its answer repeats; a MessageHeader must have one."""
    for name in ("eventUri", "eventCoding"):
        if name in header:
            return {name: header[name]}
    return {"eventUri": "urn:outcome-bridge:event:unknown"}


def _without_repetitions(issues: Sequence[Resource]) -> list[Resource]:
    kept: list[Resource] = []
    for issue in issues:
        if issue not in kept:
            kept.append(issue)
    return kept
