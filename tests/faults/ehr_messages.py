"""Requests to a simulated EHR, its answers, and the forms that both take."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import Any, Final

from ehr_chart import Resource, Version, utc_now
from ehr_rules import RefusedError

FHIR_JSON: Final = "application/fhir+json"
DIAGNOSTICS: Final = "Case, Jane (a patient's name, as servers put into diagnostics)"
"""In every OperationOutcome: must never reach a log."""


@dataclass(kw_only=True, slots=True)
class Incoming:
    """One request, or one entry of a Bundle.

    Attributes:
        number: of the HTTP request, from 1.
        method: HTTP method.
        path: below the base URL, without slashes at its ends.
        parameters: of the query, and for `POST _search` of the form.
        headers: names in lower case.
        body: as received.
        new_id: the id that a create must give, empty for any; inside a transaction.
        interaction: create, update, delete, patch, bundle, read, vread, history, search, page, capabilities, other.
        resource_type: of the URL; `Bundle` for `POST [base]`, empty for none.
        resource_id: of the URL, empty for none.
        version: of the URL, empty for none.
    """

    number: int = 0
    method: str
    path: str
    parameters: list[tuple[str, str]] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    new_id: str = ""
    interaction: str = ""
    resource_type: str = ""
    resource_id: str = ""
    version: str = ""

    def __post_init__(self) -> None:
        parts = [part for part in self.path.split("/") if part]
        self.interaction = _interaction(self.method, parts)
        self.resource_type = parts[0] if parts and self.interaction != "capabilities" else ""
        if self.interaction == "bundle":
            self.resource_type = "Bundle"
        if self.interaction == "search" and any(name == "_offset" for name, _ in self.parameters):
            self.interaction = "page"
        self.resource_id = parts[1] if len(parts) > 1 and not parts[1].startswith("_") else ""
        self.version = parts[3] if len(parts) == 4 else ""

    @property
    def reference(self) -> str:
        """`Type/id` of the URL, empty if it names no single resource."""
        return f"{self.resource_type}/{self.resource_id}" if self.resource_id else ""

    @property
    def is_write(self) -> bool:
        """Whether it may change the chart."""
        return self.interaction in ("create", "update", "delete", "patch", "bundle")

    def resource(self) -> Resource:
        """Return the body as a resource.

        Raises:
            RefusedError: 400, it is none.
        """
        try:
            read = json.loads(self.body)
        except ValueError as error:
            raise RefusedError(400, "structure") from error
        if not isinstance(read, dict) or not isinstance(read.get("resourceType"), str):
            raise RefusedError(400, "structure", expression="resourceType")
        return read


@dataclass(kw_only=True, slots=True)
class Answer:
    """One answer.

    Attributes:
        status: HTTP status.
        body: JSON or bytes, empty for none.
        headers: without Content-Length.
        wrote: the versions that the request wrote.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    wrote: list[Version] = field(default_factory=list)


def json_answer(status: int, body: Any) -> Answer:
    """Return an answer with a FHIR JSON body."""
    return Answer(status=status, body=json.dumps(body).encode(), headers={"Content-Type": FHIR_JSON})


def outcome(severity: str, code: str, details: str = "", expression: str = "") -> Resource:
    """Return an OperationOutcome with one issue; its diagnostics hold what must not be logged."""
    issue: Resource = {"severity": severity, "code": code, "diagnostics": DIAGNOSTICS}
    if details:
        issue["details"] = {"coding": [{"system": "urn:oid:1.2.840.114350.1.13.0.1.7.2.657369", "code": details}]}
    if expression:
        issue["expression"] = [expression]
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def refusal(refused: RefusedError) -> Answer:
    """Return the answer of a refusal."""
    if refused.is_empty:
        return Answer(status=refused.status)
    body = outcome("error", refused.code, refused.details, refused.expression)
    return json_answer(refused.status, body)


def http_date(seconds_from_now: float) -> str:
    """Return an HTTP date, rounded up to a second so that it does not lie in the past."""
    moment = utc_now().timestamp() + seconds_from_now
    return format_datetime(utc_now().fromtimestamp(int(moment) + 1, tz=utc_now().tzinfo), usegmt=True)


def referenced(request: Incoming) -> Iterator[str]:
    """Yield the references of the patients that a request is about."""
    for name, value in request.parameters:
        if name in ("patient", "subject"):
            yield value if "/" in value else f"Patient/{value}"
    if request.resource_type == "Patient" and request.reference:
        yield request.reference
    if request.body:
        body = request.resource()
        for resource in [body, *(entry.get("resource", {}) for entry in body.get("entry", []))]:
            reference = resource.get("subject", {}).get("reference", "")
            if reference.startswith("Patient/"):
                yield reference


def _interaction(method: str, parts: list[str]) -> str:
    shape = tuple("_" if part.startswith("_") else "x" for part in parts)
    if parts == ["metadata"]:
        return "capabilities"
    if parts[1:] == ["_search"] and method == "POST":
        return "search"
    known = {
        ("POST", ()): "bundle",
        ("POST", ("x",)): "create",
        ("PUT", ("x",)): "update",
        ("PUT", ("x", "x")): "update",
        ("PATCH", ("x", "x")): "patch",
        ("DELETE", ("x", "x")): "delete",
        ("GET", ("x",)): "search",
        ("GET", ("x", "x")): "read",
        ("GET", ("x", "x", "_")): "history",
        ("GET", ("x", "x", "_", "x")): "vread",
    }
    return known.get((method, shape), "other")
