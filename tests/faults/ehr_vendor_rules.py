"""The rule sets that refuse much: Epic-like, Oracle-like, athena-like; and each by its name.

Sources are named in ehr_rules.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Literal

from ehr_chart import Chart, Resource
from ehr_rules import (
    AH_PRACTICE,
    LOINC,
    PERFORMER_FUNCTION,
    READS,
    SCREENER_SCORE,
    TYPES,
    RefusedError,
    Rules,
    Single,
    attachment,
    one_category,
    only,
    require,
)
from ehr_search import interval

_CLOSED: Final = frozenset(("finished", "cancelled", "entered-in-error"))
_NOT_PROFILE_SEARCH: Final = frozenset(
    "_tag _security identifier status gender questionnaire authored recorded target derived-from".split()
)


@dataclass(frozen=True, kw_only=True)
class EpicLike(Rules):
    """Vital signs into flowsheet rows, and plain-text notes; nothing is ever changed over FHIR.

    Attributes:
        flowsheet_system: system of the site's own row ids; they differ by organisation and environment (spec 963).
        flowsheets: the ids of the rows of this site.
        loincs: the LOINC codes that this site maps, and the row of each.
        encounter_required: the backend must name an encounter that exists, is open and is this patient's (spec 963).
        default_unit: the unit of a value that names none (spec 963: varies between organisations).
    """

    name: ClassVar[str] = "epic-like"
    # patient with category, code and date; no _lastUpdated (smart-fetch docs/since.md); identifiers are not searched
    unsupported: ClassVar[frozenset[str]] = _NOT_PROFILE_SEARCH | {"_lastUpdated"}

    bundles: bool = False  # no system-level interaction (sandbox CapabilityStatement, August 2026)
    honours_if_none_exist: bool = False  # conditionalCreate and conditionalUpdate are false on every resource
    location: Literal["absolute", "relative", "none"] = "relative"  # sandbox: always `Type/id`
    location_history: bool = False
    etag: bool = False  # sandbox: none
    write_body: bool = False  # sandbox: 201 with an empty body unless Prefer asks for the representation
    write_content_type: str = "text/html"
    strict_search: bool | None = False
    warns: bool = True  # an OperationOutcome entry of mode outcome in the searchset
    last_updated_search: bool = False
    subject_must_exist: bool = True
    create_status: int = 403  # an API that is not on the client: 403
    flowsheet_system: str = "urn:oid:1.2.840.114350.1.13.9.9.7.2.707679"
    flowsheets: tuple[str, ...] = ("flowsheet-physical", "flowsheet-psychological")
    loincs: tuple[tuple[str, str], ...] = ()
    encounter_required: bool = True
    default_unit: str = "{score}"

    def allows(self, interaction: str, resource_type: str) -> bool:
        """Read and search all but history; create Observation and DocumentReference (963, 1046); no update, delete."""
        if interaction == "create":
            return resource_type in ("Observation", "DocumentReference")
        return interaction in ("read", "search") and resource_type not in ("Provenance",) and resource_type in TYPES

    def refusal(self, interaction: str) -> RefusedError:
        """Answer a create that is not on the client with an empty 403, as the sandbox did."""
        refused = super().refusal(interaction)
        return RefusedError(403, is_empty=True) if refused.status == 403 else refused

    def check(self, resource: Resource, held: Resource | None, chart: Chart) -> None:
        """Apply the rules of spec 963 or 1046."""
        if resource["resourceType"] == "DocumentReference":
            self._check_note(resource, chart)
        else:
            self._check_vital_sign(resource, chart)
        super().check(resource, held, chart)

    def _check_vital_sign(self, resource: Resource, chart: Chart) -> None:
        kind = "Observation"
        for name in ("status", "category", "code", "subject", "effectiveDateTime", "valueQuantity"):
            require(name in resource, name, kind, status=400, details="59108")  # a required element is missing
        # an unaccepted modifier value fails the whole request (change of November 2022; Condition: 422 59012)
        require(resource["status"] == "final", "status", kind, details="59012")
        require(bool(one_category(resource, ("vital-signs",))), "category", kind, status=400)
        codings = resource["code"].get("coding", [])
        require(len(codings) == 1 and self._row(codings[0]) != "", "code", kind, status=400)
        moment = resource["effectiveDateTime"]
        has_zone = moment.endswith("Z") or moment[-6:-5] in ("+", "-")
        require("T" in moment and has_zone and interval(moment) is not None, "effective", kind, status=400)
        require("value" in resource["valueQuantity"], "value", kind, status=400)
        notes = [note.get("text", "") for note in resource.get("note", [])]
        require(len(notes) <= 1 and all(len(note) <= 254 for note in notes), "note", kind, status=400)
        self.check_subject(resource, chart)
        self._check_encounter(resource.get("encounter"), resource, chart, is_open=True)
        code, patient = codings[0]["code"], resource["subject"].get("reference", "")
        rows = [self._row(codings[0]), code]
        if any(chart.at(patient, row, moment) for row in rows):
            # whatever the value; seen in the sandbox for an identical replay
            raise RefusedError(400, "processing", details="59189", expression="code/instant")

    def _check_note(self, resource: Resource, chart: Chart) -> None:
        kind = "DocumentReference"
        for name in ("status", "subject", "type", "content"):
            require(name in resource, name, kind, status=400, details="59108")
        require(resource["status"] == "current", "status", kind, details="59012")
        require(attachment(resource).get("contentType", "").startswith("text/plain"), "content", kind, status=400)
        require("data" in attachment(resource), "content", kind, status=400)
        encounters = resource.get("context", {}).get("encounter", [None])
        # a finished encounter took a note in the sandbox
        self._check_encounter(encounters[0], resource, chart, is_open=False)

    def _check_encounter(self, reference: Resource | None, resource: Resource, chart: Chart, *, is_open: bool) -> None:
        kind = resource["resourceType"]
        if reference is None:
            require(not self.encounter_required, "encounter", kind, status=400, details="59108")
            return
        encounter = chart.get("/".join(reference.get("reference", "").split("/")[-2:]))
        if encounter is None:
            raise RefusedError(404, "not-found", expression=f"{kind}.encounter")
        same_patient = encounter.get("subject", {}).get("reference") == resource["subject"].get("reference")
        require(same_patient, "encounter", kind, status=400)
        require(not is_open or encounter.get("status") not in _CLOSED, "encounter", kind, status=400)

    def _row(self, coding: Resource) -> str:
        """Return the flowsheet row of a coding, empty if it resolves to none."""
        system, code = coding.get("system"), coding.get("code", "")
        if system == LOINC:
            return dict(self.loincs).get(code, "")
        return code if system == self.flowsheet_system and code in self.flowsheets else ""

    def kept(self, resource: Resource, held: Resource | None, chart: Chart) -> Resource:  # noqa: ARG002
        """Return what a flowsheet row, or a note, holds: no identifier, no tag, no derivedFrom, device or method."""
        if resource["resourceType"] == "DocumentReference":
            names = ("status", "docStatus", "type", "subject", "date", "content", "context")
            note = only({**resource, "content": resource["content"][:1]}, names)
            clinical = {"system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category"}
            # sandbox: files under the background user, adds the clinical-note category
            author = [{"reference": "Practitioner/background", "display": "background user"}]
            return {**note, "category": [{"coding": [{**clinical, "code": "clinical-note"}]}], "author": author}
        row = self._row(resource["code"]["coding"][0])
        kept = only(resource, ("status", "category", "code", "subject", "encounter", "valueQuantity", "note"))
        moment = datetime.fromisoformat(resource["effectiveDateTime"]).astimezone(UTC)
        added = {"system": self.flowsheet_system, "code": row, "display": f"row {row}"}
        codings = [one for one in kept["code"]["coding"] if one != added and one.get("code") != row]
        quantity = {"unit": self.default_unit, **kept["valueQuantity"]}
        return {
            **kept,
            "code": {"coding": [*codings, added], "text": f"row {row}"},
            "subject": {**kept["subject"], "display": "display name"},
            "effectiveDateTime": moment.isoformat().replace("+00:00", "Z"),
            "valueQuantity": quantity,
            "performer": [{"reference": "Practitioner/background", "display": "background user"}],
        }


@dataclass(frozen=True, kw_only=True)
class OracleLike(Rules):
    """One category of two, a performer for vital signs, corrections by If-Match.

    Attributes:
        if_match_status: the answer to an update without If-Match (no source says which).
    """

    name: ClassVar[str] = "oracle-like"
    unsupported: ClassVar[frozenset[str]] = _NOT_PROFILE_SEARCH

    bundles: bool = False
    honours_if_none_exist: bool = False
    location_history: bool = False  # `Location: .../Observation/L-197392513`
    write_body: bool = False  # `Content-Length: 0`
    write_content_type: str = "text/html"
    strict_search: bool | None = True
    subject_must_exist: bool = True
    if_match_status: int = 428

    def allows(self, interaction: str, resource_type: str) -> bool:
        """Create Observation and DocumentReference, update Observation; Provenance is only read."""
        creatable = ("Observation", "DocumentReference")
        if interaction in ("create", "update"):
            return resource_type in creatable[: 1 if interaction == "update" else 2]
        return interaction in ("read", "search") and resource_type in TYPES

    def check_if_match(self, header: str | None) -> None:
        """Refuse an update without If-Match."""
        if header is None:
            raise RefusedError(self.if_match_status, "conflict")

    def check(self, resource: Resource, held: Resource | None, chart: Chart) -> None:
        """Apply the body fields of observation.yaml; unsupported fields are ignored, modifier fields fail."""
        kind = resource["resourceType"]
        for name in ("modifierExtension", "implicitRules"):
            require(name not in resource, name, kind)
        if kind == "DocumentReference":
            self._check_document(resource)
        else:
            self._check_observation(resource, held)
        super().check(resource, held, chart)

    def _check_document(self, resource: Resource) -> None:
        kind = "DocumentReference"
        types = {one.get("attachment", {}).get("contentType", "").partition(";")[0] for one in resource["content"]}
        require(types <= {"application/pdf", "text/plain"}, "content", kind)
        require("subject" in resource and "type" in resource, "type", kind)

    def _check_observation(self, resource: Resource, held: Resource | None) -> None:
        kind = "Observation"
        for name in ("status", "category", "code", "subject", "effectiveDateTime"):
            require(name in resource, name, kind)
        statuses = ("final", "amended", "corrected") if held is None else ("amended", "corrected")
        require(resource["status"] in statuses, "status", kind)
        category = one_category(resource, ("vital-signs", "laboratory"))
        require(category != "", "category", kind)
        require(resource["subject"].get("reference", "").startswith("Patient/"), "subject", kind)
        values = ("valueQuantity",) if category == "vital-signs" else ("valueQuantity", "valueCodeableConcept")
        values = values if category == "vital-signs" else (*values, "valueString", "valueDateTime", "valueAttachment")
        require(any(name in resource for name in values), "value", kind)
        require(not any(name.startswith("value") and name not in values for name in resource), "value", kind)
        if category == "vital-signs":
            self._check_performer(resource.get("performer", []))
        if held is not None:  # updates on patient and category are not supported
            require(resource["subject"]["reference"] == held["subject"]["reference"], "subject", kind)
            require(category == one_category(held, (category,)), "category", kind)

    def _check_performer(self, performers: list[Resource]) -> None:
        require(1 <= len(performers) <= 2, "performer", "Observation")
        for performer in performers:
            require(performer.get("reference", "").startswith("Practitioner/"), "performer", "Observation")
        functions = {
            coding.get("code")
            for performer in performers
            for extension in performer.get("extension", [])
            if extension.get("url") == PERFORMER_FUNCTION
            for coding in extension.get("valueCodeableConcept", {}).get("coding", [])
        }
        require("LA" in functions, "performer.extension", "Observation")

    def kept(self, resource: Resource, held: Resource | None, chart: Chart) -> Resource:  # noqa: ARG002
        """Return the fields that are supported; the identifier is the server's own."""
        if resource["resourceType"] == "DocumentReference":
            note = ("status", "docStatus", "type", "category", "subject", "date", "author", "content", "context")
            return only(resource, note)
        names = ("status", "category", "code", "subject", "encounter", "effectiveDateTime", "issued", "performer")
        values = tuple(name for name in resource if name.startswith("value"))
        kept = only(resource, (*names, *values, "interpretation", "note", "referenceRange"))
        kept["code"].setdefault("text", "event code")
        kept["subject"]["display"] = "display name"
        return kept

    def new_id(self, resource: Resource, chart: Chart) -> str:
        """Return `VS-...` for a vital sign, `L-...` for a laboratory result."""
        is_vital = bool(one_category(resource, ("vital-signs",)))
        prefix = ("VS-" if is_vital else "L-") if resource["resourceType"] == "Observation" else ""
        return chart.new_id(prefix)


@dataclass(frozen=True, kw_only=True)
class AthenaLike(Rules):
    """A questionnaire response can be created, and nothing else.

    Attributes:
        score_extension: URL of the extension that must be there once with a string (slice ahScreenerScore 1..1).
        practice_required: whether the slice ahPractice (1..1 in the profile) must come from the client too; no source
            says whether the server adds it.
    """

    name: ClassVar[str] = "athena-like"

    bundles: bool = False
    honours_if_none_exist: bool = False
    location_history: bool = False
    subject_must_exist: bool = True
    score_extension: str = SCREENER_SCORE
    practice_required: bool = False

    def allows(self, interaction: str, resource_type: str) -> bool:
        """Read everything; create QuestionnaireResponse."""
        if interaction == "create":
            return resource_type == "QuestionnaireResponse"
        return interaction in READS and resource_type in TYPES

    def check(self, resource: Resource, held: Resource | None, chart: Chart) -> None:
        """Apply the profile ah-questionnaireresponse."""
        super().check(resource, held, chart)
        kind, extensions = resource["resourceType"], resource.get("extension", [])
        scores = [one.get("valueString") for one in extensions if one.get("url") == self.score_extension]
        require(len(scores) == 1 and isinstance(scores[0], str), "extension", kind)
        practices = [one for one in extensions if one.get("url") == AH_PRACTICE]
        require(len(practices) == 1 or not self.practice_required, "extension", kind)
        require(resource.get("subject", {}).get("reference", "").startswith("Patient/"), "subject", kind)


def rules(name: str, **switches: Any) -> Rules:
    """Return a rule set by its name, with switches.

    Raises:
        ValueError: an unknown rule set or switch; the message lists the known ones.
    """
    kinds = {one.name: one for one in (Rules, Single, EpicLike, OracleLike, AthenaLike)}
    if name not in kinds:
        raise ValueError(f"no rule set {name!r}; there are {', '.join(kinds)}")
    _check_switches(kinds[name], switches)
    return kinds[name](**switches)


def with_switches(rule_set: Rules, **switches: Any) -> Rules:
    """Return the rule set with other switches.

    Raises:
        ValueError: an unknown switch; the message lists the known ones.
    """
    _check_switches(type(rule_set), switches)
    return dataclasses.replace(rule_set, **switches)


def _check_switches(kind: type[Rules], switches: Mapping[str, Any]) -> None:
    known = [field.name for field in dataclasses.fields(kind)]
    unknown = sorted(set(switches) - set(known))
    if unknown:
        raise ValueError(f"{kind.name} has no switch {', '.join(unknown)}; it has {', '.join(known)}")
