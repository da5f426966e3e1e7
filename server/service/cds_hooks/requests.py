"""What an EHR sends to the service, checked (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from integration.intake import logical_id
from server.service.operation_outcome import RefusedError

HOOK: Final = "patient-view"
_UUID: Final = re.compile(r"(urn:uuid:)?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_OUTCOMES: Final = ("accepted", "overridden")
_MOST_FEEDBACK: Final = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A call of the service.

    Attributes:
        patient_id: whose chart is being opened.
        fhir_server: the EHR's FHIR base, empty if it does not say.
        scores: the Observations that came along, as JSON; None if none were asked for or could be had.
    """

    patient_id: str
    fhir_server: str
    scores: tuple[bytes, ...] | None


def call(body: bytes) -> Call:
    """Read a call.

    Raises:
        RefusedError: 400, with the field that is wrong.
    """
    sent = _object(body)
    if sent.get("hook") != HOOK:
        raise _refused("hook", f"must be {HOOK}, the hook of this service")
    if not isinstance(sent.get("hookInstance"), str) or not _UUID.fullmatch(sent["hookInstance"]):
        raise _refused("hookInstance", "must be a UUID")
    context = sent.get("context")
    if not isinstance(context, dict):
        raise _refused("context", "must be an object")
    if not isinstance(context.get("userId"), str) or not context["userId"]:
        raise _refused("context.userId", "must say who looks")
    patient_id = context.get("patientId")
    if not logical_id.is_valid(patient_id):
        raise _refused("context.patientId", "must be the logical id of a Patient")
    server = sent.get("fhirServer", "")
    if not isinstance(server, str):
        raise _refused("fhirServer", "must be an address")
    if sent.get("fhirAuthorization") is not None and not server:
        raise _refused("fhirServer", "is needed where fhirAuthorization is given")
    return Call(patient_id=str(patient_id), fhir_server=server, scores=_scores(sent.get("prefetch")))


def feedback(body: bytes) -> list[str]:
    """Return what became of cards, one word a card.

    Raises:
        RefusedError: 400, with the field that is wrong.
    """
    entries = _object(body).get("feedback")
    if not isinstance(entries, list) or not entries or len(entries) > _MOST_FEEDBACK:
        raise _refused("feedback", f"must be a list of 1 to {_MOST_FEEDBACK} entries")
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("card"), str):
            raise _refused(f"feedback[{number}].card", "must be the card's uuid")
        if entry.get("outcome") not in _OUTCOMES:
            raise _refused(f"feedback[{number}].outcome", f"must be {' or '.join(_OUTCOMES)}")
    return [entry["outcome"] for entry in entries]


def _scores(prefetch: Any) -> tuple[bytes, ...] | None:
    """Return the Observations of a prefetched searchset; null stands for one that the EHR could not have."""
    if prefetch is not None and not isinstance(prefetch, dict):
        raise _refused("prefetch", "must be an object")
    bundle = (prefetch or {}).get("scores")
    if bundle is None:
        return None
    entries = bundle.get("entry", []) if isinstance(bundle, dict) else None
    if entries is None or bundle.get("resourceType") != "Bundle" or not isinstance(entries, list):
        raise _refused("prefetch.scores", "must be a Bundle")
    resources = [entry.get("resource") for entry in entries if isinstance(entry, dict)]
    return tuple(msgspec.json.encode(one) for one in resources if isinstance(one, dict))


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RefusedError(400, "the body must be a JSON object") from None


def _refused(path: str, problem: str) -> RefusedError:
    return RefusedError(400, f"{path} {problem}", expression=path)
