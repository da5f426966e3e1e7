"""What the service can do, as FHIR tells it: a CapabilityStatement that claims nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from integration.outcomes import Resource
from server.service.inbound.submission import INPUT_TYPES, RESPONSE
from server.service.operation_outcome import FHIR_JSON

_EXTRACT: Final = "http://hl7.org/fhir/uv/sdc/OperationDefinition/QuestionnaireResponse-extract"
_PROCESS_MESSAGE: Final = "http://hl7.org/fhir/OperationDefinition/MessageHeader-process-message"
_NOTE: Final = (
    "A resource keeps the id that it is sent with, by POST as by PUT; without one it is given one that follows from its"
    " content. The same content sent again is answered as the first time and changes nothing; so is a repeated"
    " Idempotency-Key. Versions in ETag and Location are counted by this service; what is read is what was sent, with"
    " the sender's own meta. Prefer: return=minimal, OperationOutcome (as without it) or representation says"
    " what the answer to a create or update holds; that a version is not used is said in any case."
)
_RESPONSE_NOTE: Final = (
    f"{_NOTE} Without an id, a response of the same identifier is the same response."
    " Of the versions of a response the highest meta.versionId counts, else the latest meta.lastUpdated, else the one"
    " that came last. entered-in-error withdraws its outcome."
)
_REST_NOTE: Final = (
    "Bundles of type transaction, batch, collection and message are taken at the base. Notifications of a Subscription"
    " (rest-hook) go to subscription/SITE; they are taken as a hint to read what changed. Prefer: respond-async is"
    " answered with 202 and the URL of the result."
)
_SECURITY_NOTE: Final = (
    "A bearer token, an API key or a client certificate names a source and what it may do; without any configured,"
    " the service answers on the loopback interface only."
)


def capability_statement(*, software_version: str, fhir_version: str, url: str, started: datetime) -> Resource:
    """Build the CapabilityStatement.

    Args:
        software_version: of Outcome Bridge.
        fhir_version: `4.0.1`.
        url: the base URL of the FHIR interface.
        started: when the service was started.
    """
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": started.isoformat(timespec="seconds"),
        "kind": "instance",
        "software": {"name": "Outcome Bridge", "version": software_version},
        "implementation": {"description": "Takes MSIS-29 responses and returns their scores to the chart", "url": url},
        "fhirVersion": fhir_version,
        "format": [FHIR_JSON, "json"],
        "rest": [
            {
                "mode": "server",
                "documentation": _REST_NOTE,
                "security": {"description": _SECURITY_NOTE},
                "resource": [_resource(one) for one in sorted(INPUT_TYPES)],
                "interaction": [{"code": "transaction"}, {"code": "batch"}],
                "operation": [{"name": "process-message", "definition": _PROCESS_MESSAGE}],
            }
        ],
    }


def _resource(resource_type: str) -> Resource:
    stated: Resource = {
        "type": resource_type,
        "documentation": _RESPONSE_NOTE if resource_type == RESPONSE else _NOTE,
        "interaction": [{"code": code} for code in ("create", "update", "read", "vread")],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": False,
        "conditionalRead": "not-match",
        "conditionalUpdate": False,
    }
    if resource_type == RESPONSE:
        stated["operation"] = [{"name": "extract", "definition": _EXTRACT}]
    return stated
