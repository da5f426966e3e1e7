"""What each kind of EHR takes, keeps and answers. A switch is a field: `rules("epic-like", may_read=False)`.

The facts are those the project's write profiles are built on; each rule names its source:

* FHIR R4 http.html, search.html: https://hl7.org/fhir/R4/http.html, https://hl7.org/fhir/R4/search.html
* Epic: fhir.epic.com specifications 963 (Observation.Create, vital signs) and 1046 (DocumentReference.Create) and
  sandbox findings of 2026-09-30 in Pegasus-One-USA/Segue, docs/backend/20-epic-r4-write-back.md
* Oracle Health (Millennium): cerner/fhir.cerner.com, content/millennium/r4/clinical/diagnostics/observation.md and
  lib/resources/r4/observation.yaml
* athenahealth: https://fhir.athena.io/athenacoreext/StructureDefinition-ah-questionnaireresponse-definitions.html

Where no source says what a server does, there is a switch, and its comment says so.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from ehr_chart import Chart, Resource
from ehr_search import PARAMETERS
from fhir.resources.R4B import get_fhir_model_class

OBSERVATION_CATEGORIES: Final = (
    "http://terminology.hl7.org/CodeSystem/observation-category",
    "http://hl7.org/fhir/observation-category",  # Epic's own text; its sandbox takes both
)
LOINC: Final = "http://loinc.org"
PERFORMER_FUNCTION: Final = "http://hl7.org/fhir/StructureDefinition/event-performerFunction"
SCREENER_SCORE: Final = "https://fhir.athena.io/StructureDefinition/ah-questionnaire-response-screener"
AH_PRACTICE: Final = "https://fhir.athena.io/StructureDefinition/ah-practice"

READS: Final = frozenset(("read", "vread", "history", "search"))
WRITES: Final = frozenset(("create", "update", "delete"))
TYPES: Final = (
    "Binary",
    "Device",
    "DocumentReference",
    "Encounter",
    "Observation",
    "Patient",
    "Practitioner",
    "Provenance",
    "QuestionnaireResponse",
)
"""The types that the simulated servers know."""
_STATUSES: Final[Mapping[str, frozenset[str]]] = {
    "Observation": frozenset(
        "registered preliminary final amended corrected cancelled entered-in-error unknown".split()
    ),
    "DocumentReference": frozenset("current superseded entered-in-error".split()),
    "QuestionnaireResponse": frozenset("in-progress completed amended entered-in-error stopped".split()),
}
_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = {
    "Observation": ("status", "code"),
    "DocumentReference": ("status", "content"),
    "QuestionnaireResponse": ("status",),
    "Provenance": ("target", "recorded", "agent"),
    "Encounter": ("status", "class"),
}


class RefusedError(Exception):
    """The server refuses a request.

    Args:
        status: HTTP status.
        code: OperationOutcome.issue.code.
        details: the vendor's own code in issue.details, empty for none.
        expression: the element, empty for none.
        is_empty: the answer has no body.
    """

    def __init__(
        self, status: int, code: str = "invalid", *, details: str = "", expression: str = "", is_empty: bool = False
    ) -> None:
        self.status, self.code, self.details = status, code, details
        self.expression, self.is_empty = expression, is_empty
        super().__init__(f"{status} {code} {details} {expression}".strip())


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What is common to all; the defaults are a general FHIR server's (HAPI, Medplum).

    Attributes:
        bundles: whether `POST [base]` takes a transaction or a batch.
        bundle_status: the answer to one where it does not.
        honours_if_none_exist: whether conditional create and update are done; else the header is ignored.
        location: form of the Location of a create.
        location_history: whether it ends in `/_history/n`.
        etag: whether a write and a read are answered with an ETag.
        write_body: whether a write is answered with the resource, unless `Prefer` asks otherwise.
        write_content_type: Content-Type of an answer without a body, empty for none.
        strict_search: an unknown parameter is refused (True), ignored (False), or as `Prefer: handling` asks (None).
        unknown_parameter: what one does where it is ignored: `all` it changes nothing; `none` nothing is found.
        warns: whether an ignored parameter is told in an OperationOutcome entry.
        last_updated_search: whether `_lastUpdated` is a search parameter.
        subject_must_exist: whether a subject that is unknown, or a patient merged away, is refused with 404.
        may_read: whether the client has the right to read what it may write; else 403 with an empty body.
        page_size: entries a page where `_count` does not say.
        update_status: the answer to an update or a deletion where there is none.
        create_status: the answer to a create of a type that is not creatable.
        documents_by_url: a stored document is answered with the URL of a Binary instead of the data.
        index_lag: how many searches a new resource stays hidden from.
        validates: whether a resource that is none by FHIR's structure is refused.
        invalid_status: with this status.
        not_created: types that nobody may create.
    """

    name: ClassVar[str] = "generic"
    unsupported: ClassVar[frozenset[str]] = frozenset()
    """Search parameters that this kind does not know, of those in PARAMETERS."""

    bundles: bool = True
    bundle_status: int = 404
    honours_if_none_exist: bool = True
    location: Literal["absolute", "relative", "none"] = "absolute"
    location_history: bool = True
    etag: bool = True
    write_body: bool = True
    write_content_type: str = ""
    strict_search: bool | None = None
    unknown_parameter: Literal["all", "none"] = "all"
    warns: bool = False
    last_updated_search: bool = True
    subject_must_exist: bool = False
    may_read: bool = True
    page_size: int = 100
    update_status: int = 405
    create_status: int = 404
    documents_by_url: bool = False
    index_lag: int = 0
    validates: bool = True
    invalid_status: int = 422
    not_created: frozenset[str] = frozenset()

    def allows(self, interaction: str, resource_type: str) -> bool:
        """Tell whether an interaction with a type is offered."""
        is_refused = interaction == "create" and resource_type in self.not_created
        return interaction in READS | WRITES and resource_type in TYPES and not is_refused

    def refusal(self, interaction: str) -> RefusedError:
        """Return the answer to an interaction that is not offered."""
        if interaction == "bundle":
            return RefusedError(self.bundle_status, "not-supported")
        if interaction in ("update", "delete", "patch"):
            return RefusedError(self.update_status, "not-supported")
        return RefusedError(self.create_status, "not-supported")

    def parameters(self) -> frozenset[str]:
        """Return the search parameters that are known."""
        unsupported = self.unsupported if self.last_updated_search else self.unsupported | {"_lastUpdated"}
        return frozenset(PARAMETERS) - unsupported

    def check_search(self, resource_type: str, names: frozenset[str]) -> None:
        """Refuse a search that lacks what this kind asks for."""

    def check(self, resource: Resource, held: Resource | None, chart: Chart) -> None:  # noqa: ARG002 - for subclasses
        """Refuse what may not be created, or with `held` not become its next version.

        Raises:
            RefusedError: with the answer.
        """
        resource_type = resource["resourceType"]
        for name in _REQUIRED.get(resource_type, ()):
            require(name in resource, name, resource_type)
        allowed = _STATUSES.get(resource_type)
        require(allowed is None or resource["status"] in allowed, "status", resource_type)
        if resource_type == "Observation":
            values = [name for name in resource if name.startswith("value")]
            # obs-6: a reason for absence only where there is no value
            require(len(values) <= 1 and not (values and "dataAbsentReason" in resource), "value", resource_type)
        if self.subject_must_exist:
            self.check_subject(resource, chart)

    def check_subject(self, resource: Resource, chart: Chart) -> None:
        """Refuse a subject that the chart does not know or that was merged into another."""
        reference = resource.get("subject", {}).get("reference")
        if reference is None:
            return
        subject = chart.get("/".join(reference.split("/")[-2:]))
        links = subject.get("link", []) if subject is not None else []
        if subject is None or any(link.get("type") == "replaced-by" for link in links):
            raise RefusedError(404, "not-found", expression=f"{resource['resourceType']}.subject")

    def kept(self, resource: Resource, held: Resource | None, chart: Chart) -> Resource:  # noqa: ARG002 - for subclasses
        """Return what is stored of a resource that passed the check."""
        return resource

    def new_id(self, resource: Resource, chart: Chart) -> str:  # noqa: ARG002 - for subclasses
        """Return the id of a resource that is to be created."""
        return chart.new_id()

    def check_if_match(self, header: str | None) -> None:
        """Refuse an update without If-Match where one is required."""

    def capabilities(self, base_url: str) -> Resource:
        """Return the CapabilityStatement."""
        interactions = ("create", "read", "vread", "update", "delete", "search")
        resources = []
        for resource_type in TYPES:
            offered = [name for name in interactions if self.allows(name, resource_type)]
            resources.append(
                {
                    "type": resource_type,
                    "interaction": [{"code": "search-type" if one == "search" else one} for one in offered],
                    "conditionalCreate": self.honours_if_none_exist,
                    "conditionalUpdate": self.honours_if_none_exist,
                    "searchParam": [{"name": name, "type": "special"} for name in sorted(self.parameters())],
                }
            )
        system = [{"code": "transaction"}, {"code": "batch"}] if self.bundles else []
        return {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": "2026-01-01",
            "kind": "instance",
            "software": {"name": f"simulated EHR, {self.name}"},
            "implementation": {"description": f"simulated EHR, {self.name}", "url": base_url},
            "fhirVersion": "4.0.1",
            "format": ["application/fhir+json"],
            "rest": [{"mode": "server", "resource": resources, "interaction": system}],
        }


@dataclass(frozen=True, kw_only=True)
class Single(Rules):
    """As generic, one resource a request."""

    name: ClassVar[str] = "single"
    bundles: bool = False


def is_valid(resource: Resource) -> bool:
    """Tell whether a resource has the structure that FHIR R4B gives its type (R4's, for the types here)."""
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    except (ValueError, LookupError):  # pydantic's ValidationError is a ValueError
        return False
    return True


def require(holds: bool, element: str, resource_type: str, *, status: int = 422, details: str = "") -> None:
    """Refuse unless a condition on an element holds."""
    if not holds:
        raise RefusedError(status, "invalid", details=details, expression=f"{resource_type}.{element}")


def one_category(resource: Resource, allowed: tuple[str, ...]) -> str:
    """Return the code of the only category; empty unless it is exactly one and allowed."""
    categories = resource.get("category", [])
    codings = [coding for category in categories for coding in category.get("coding", [])]
    if len(categories) != 1 or len(codings) != 1 or codings[0].get("system") not in OBSERVATION_CATEGORIES:
        return ""
    return codings[0].get("code", "") if codings[0].get("code") in allowed else ""


def only(resource: Resource, names: tuple[str, ...]) -> Resource:
    """Return a copy with these elements alone."""
    return copy.deepcopy({name: value for name, value in resource.items() if name in ("resourceType", *names)})


def attachment(resource: Resource) -> dict[str, Any]:
    """Return the first attachment of a document, empty if there is none."""
    contents = resource.get("content") or [{}]
    found: dict[str, Any] = contents[0].get("attachment", {})
    return found
