"""What the service can do, as FHIR tells it: a CapabilityStatement that claims nothing else."""

from __future__ import annotations

from datetime import datetime

from integration.outcomes import Resource
from server.service.inbound.submission import RESOURCE_TYPE
from server.service.operation_outcome import FHIR_JSON

_RESOURCE_NOTE = (
    "A response keeps the id that it is sent with, by POST as by PUT; without one it is given one."
    " The same content sent again is answered as the first time and changes nothing."
    " Of the versions of a response the highest meta.versionId counts, else the latest meta.lastUpdated, else the one"
    " that came last. entered-in-error withdraws its outcome."
)
_SECURITY_NOTE = "None: the service answers on the loopback interface only."


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
                "security": {"description": _SECURITY_NOTE},
                "resource": [_questionnaire_response()],
            }
        ],
    }


def _questionnaire_response() -> Resource:
    return {
        "type": RESOURCE_TYPE,
        "documentation": _RESOURCE_NOTE,
        "interaction": [{"code": "create"}, {"code": "update"}],
        "readHistory": False,
        "updateCreate": True,
        "conditionalCreate": False,
        "conditionalUpdate": False,
    }
