"""Every answer that says no, and the few that explain a yes, are FHIR OperationOutcomes.

A text here names elements, limits and ids; it never repeats what a resource says about a patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from flask import Response

from integration import outcomes
from integration.outcomes import Resource

FHIR_JSON: Final = "application/fhir+json"
Severity = Literal["error", "warning", "information"]

_CODES: Final[Mapping[int, str]] = {
    400: "structure",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    406: "not-supported",
    409: "conflict",
    412: "conflict",
    413: "too-long",
    414: "too-long",
    415: "not-supported",
    422: "processing",
    429: "throttled",
    431: "too-long",
    500: "exception",
    503: "transient",
}
"""HTTP status to issue type (https://hl7.org/fhir/R4/valueset-issue-type.html)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why a request is refused.

    Attributes:
        status: HTTP status.
        problem: what is wrong and what to do, without a patient's values.
        expression: the element that decided it, as FHIRPath; empty if it is not one element.
        headers: further headers of the answer.
    """

    status: int
    problem: str
    expression: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """Ends the handling of a request with a refusal; the application turns it into an answer."""

    def __init__(
        self, status: int, problem: str, *, expression: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        self.refusal = Refusal(status=status, problem=problem, expression=expression, headers=headers or {})
        super().__init__(problem)


def operation_outcome(severity: Severity, code: str, text: str, expression: str = "") -> Resource:
    """Build an OperationOutcome with one issue."""
    issue: Resource = {"severity": severity, "code": code, "details": {"text": text}}
    if expression:
        issue["expression"] = [expression]
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def outcome_of(refusal: Refusal) -> Resource:
    """Return the OperationOutcome that says why something is refused."""
    code = _CODES.get(refusal.status, "processing")
    return operation_outcome("error", code, refusal.problem, refusal.expression)


def refused(refusal: Refusal) -> Response:
    """Return the answer to a refused request."""
    return answer(outcome_of(refusal), refusal.status, refusal.headers)


def answer(resource: Resource, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return a FHIR resource as an answer."""
    return Response(outcomes.encode(resource), status, headers, content_type=FHIR_JSON)
