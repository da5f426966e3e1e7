"""One scored response as the FHIR R4 resources that go into the chart: a panel, two scores, and where they come from.

The panel and the scores follow US Core's Observation Screening Assessment
(http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-screening-assessment): the panel has members
and no value, anything that is trended is an Observation of its own, the QuestionnaireResponse stays the source of
truth. There is no LOINC code for the MSIS-29, so the code system is ours. The Provenance follows US Core's
(http://hl7.org/fhir/us/core/StructureDefinition/us-core-provenance). The CodeSystems that our codes come from lie
with the mapping, in `codesystems/`.

Who answered the response is the performer of its Observations, as US Core has it, and the Provenance's author. What a
patient or somebody close to the patient answered is tagged `patient-supplied`, as US Core asks of applications that
write patients' data (https://hl7.org/fhir/us/core/STU7/vitals-write.html, written for vital signs).

Identity. An outcome is known by its site, response, instrument version and part; neither the score nor the software
that computed it is in the identity, so running again and correcting reach the same resource. R4 gives a Provenance
no identifier, so the Provenance carries its identity as a tag: it is found by
`_tag=urn:outcome-bridge:CodeSystem:outcome|<id>`, or on servers that search no tags by `target=Observation/<id>`
(US Core asks servers for that one) and then told from others by the tag.

The Device stands for one version of the software with one version of a mapping. A newer software that computes the
same content changes nothing in the chart: `content_hash` leaves out who computed it, so an outcome keeps the Device
that did.

References among these resources use their own derived ids (`Observation/<id>`); who sends them writes the server's
ids instead. All functions are pure.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec

from integration import msis29
from integration.records import Moment, Response

Resource = dict[str, Any]
"""A FHIR resource, or a part of one, as JSON values."""
Part = Literal["panel", "physical-0-100", "psychological-0-100"]

CODE_SYSTEM: Final = "urn:outcome-bridge:CodeSystem:msis-29"
METHOD_SYSTEM: Final = "urn:outcome-bridge:CodeSystem:scoring-method"
TAG_SYSTEM: Final = "urn:outcome-bridge:CodeSystem:outcome"
IDENTIFIER_SYSTEM: Final = "urn:outcome-bridge:identifier:outcome"
DEVICE_IDENTIFIER_SYSTEM: Final = "urn:outcome-bridge:identifier:device"
SITE_IDENTIFIER_SYSTEM: Final = "urn:outcome-bridge:identifier:site"
PROFILE: Final = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-screening-assessment"
PROVENANCE_PROFILE: Final = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-provenance"
UCUM: Final = "http://unitsofmeasure.org"

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
_US_CORE_CATEGORY = "http://hl7.org/fhir/us/core/CodeSystem/us-core-category"
_US_CORE_TAGS = "http://hl7.org/fhir/us/core/CodeSystem/us-core-tags"
_PATIENT_SIDE: Final = ("Patient/", "RelatedPerson/")
_ORIGIN_ELEMENTS: Final = frozenset(("recorded", "device"))
_TITLES: Final[dict[Part, str]] = {
    "panel": "MSIS-29 panel",
    "physical-0-100": "MSIS-29 physical subscale, 0-100",
    "psychological-0-100": "MSIS-29 psychological subscale, 0-100",
}
_PARTS_WITH_FUNCTIONAL_STATUS: Final = frozenset[Part](("panel", "physical-0-100"))
_ABSENT_CODES: Final[dict[str, tuple[str, str]]] = {"too few answers": ("unknown", "Unknown")}
"""`unknown`: there is a true score, and the answers given do not determine it. Every other reason is an `error`: the
answers contradict the instrument, so the form is not what it claims to be
(https://hl7.org/fhir/R4/valueset-data-absent-reason.html).
"""
_ERROR: Final = ("error", "Error")
_FULL_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")

_encoder = msgspec.json.Encoder(decimal_format="number")
_canonical_encoder = msgspec.json.Encoder(decimal_format="number", order="deterministic")


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where outcomes are computed, by what, and when.

    Attributes:
        site: the name of the site whose responses these are.
        software_version: of Outcome Bridge.
        mapping: name and version of the mapping (`msis29_venoplasty 1.0.0`).
        recorded: when the outcomes were computed; aware, UTC.
        minimum_answered: the missing-item rule that the scores were computed with.
    """

    site: str
    software_version: str
    mapping: str
    recorded: datetime
    minimum_answered: msis29.MissingItemRule


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The resources of one response.

    Attributes:
        response_id: of the QuestionnaireResponse.
        patient_id: whose it is.
        response_version: `meta.versionId` of the response, empty if it has none.
        panel: Observation without a value, with the two scores as members.
        physical: Observation, 0 (best) to 100 (worst), or the reason why there is no score.
        psychological: likewise.
        provenance: of the three Observations.
    """

    response_id: str
    patient_id: str
    response_version: str
    panel: Resource
    physical: Resource
    psychological: Resource
    provenance: Resource

    @property
    def observations(self) -> tuple[Resource, Resource, Resource]:
        """The scores, then the panel: in this order every reference points to what was sent before."""
        return self.physical, self.psychological, self.panel


def build(response: Response, origin: Origin) -> Outcome:
    """Build the outcome resources of one response.

    Raises:
        ValueError: the response has no outcome (`Response.has_outcome`) or no id; callers look first.
    """
    score, moment, version = response.score, response.moment, response.instrument_version
    if not response.has_outcome or not response.response_id or score is None or moment is None or not version:
        raise ValueError(f"QuestionnaireResponse/{response.response_id} has no outcome: ask has_outcome first")
    ids = {part: _identity(origin.site, response.response_id, version, part) for part in _TITLES}
    common = _Common(response=response, moment=moment, version=version, origin=origin)
    return Outcome(
        response_id=response.response_id,
        patient_id=response.patient_id,
        response_version=response.version_id,
        panel=_panel(common, ids, score),
        physical=_score(common, "physical-0-100", ids, score.physical),
        psychological=_score(common, "psychological-0-100", ids, score.psychological),
        provenance=_provenance(common, ids),
    )


def device(origin: Origin) -> Resource:
    """Build the Device that stands for this software with this mapping at this site.

    It has no UDI: the software carries none. `Origin.recorded` does not enter.
    """
    identity = _device_id(origin)
    return {
        "resourceType": "Device",
        "id": identity,
        "identifier": [{"system": DEVICE_IDENTIFIER_SYSTEM, "value": identity}],
        "status": "active",
        "deviceName": [{"name": "Outcome Bridge", "type": "model-name"}],
        "type": {"text": "Software that scores patient-reported outcomes"},
        "version": [
            {"type": {"text": "software"}, "value": origin.software_version},
            {"type": {"text": "mapping"}, "value": origin.mapping},
        ],
    }


def withdrawn(resource: Resource) -> Resource:
    """Return the resource as it stands after its response was withdrawn: an Observation becomes entered-in-error.

    Its content stays, as FHIR asks of entered-in-error. A Provenance is returned as it is: R4 has no status for it,
    and that the Observations came from that response remains true. A Device likewise.
    """
    return {**resource, "status": "entered-in-error"} if resource["resourceType"] == "Observation" else resource


def encode(resource: Resource) -> bytes:
    """Return the resource as JSON, `resourceType` first, decimals exact; the same input gives the same bytes."""
    return _encoder.encode(resource)


def without_origin(resource: Resource) -> Resource:
    """Return the resource without who computed it and when, so that two runs can be compared.

    Left out are `Provenance.recorded`, `Observation.device`, and every Device among `Provenance.agent`. The resource
    may be one that a server sent, of any shape.
    """
    content = {name: value for name, value in resource.items() if name not in _ORIGIN_ELEMENTS}
    if isinstance(agents := resource.get("agent"), list):
        content["agent"] = [agent for agent in agents if not _is_device(agent)]
    return content


def content_hash(resource: Resource) -> str:
    """Return the SHA-256 (hex) of what a resource of ours says; for deciding whether the chart must change.

    Left out is what may differ between two runs or two servers without any difference in meaning: `id`,
    `meta.versionId`, `meta.lastUpdated`, `meta.source`, and who computed it and when (`without_origin`). The order of
    keys does not matter, nor whether a number was read back as `50`, `50.0` or `50.00`.

    It is taken of the canonical form: a resource whose references were rewritten to a server's ids hashes
    differently.
    """
    content = {key: value for key, value in without_origin(resource).items() if key not in ("id", "meta")}
    if lasting := _lasting_meta(resource.get("meta", {})):
        content["meta"] = lasting
    if "valueQuantity" in content:
        content["valueQuantity"] = _with_plain_number(content["valueQuantity"])
    return hashlib.sha256(_canonical_encoder.encode(content)).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Common:
    """What all resources of one response share; the checked form of `Response`."""

    response: Response
    moment: Moment
    version: msis29.Version
    origin: Origin


def _panel(common: _Common, ids: dict[Part, str], score: msis29.Score) -> Resource:
    resource = _observation(common, "panel", ids)
    if score.reason:
        resource["dataAbsentReason"] = _absent(score.reason)
    if score.physical and score.psychological:
        text = f"Physical: {_answered(score.physical)}. Psychological: {_answered(score.psychological)}."
        resource["note"] = [{"text": text}]
    resource["hasMember"] = [
        {"reference": f"Observation/{ids[part]}"} for part in ("physical-0-100", "psychological-0-100")
    ]
    return resource | _derived_from(common)


def _score(common: _Common, part: Part, ids: dict[Part, str], score: msis29.SubscaleScore | None) -> Resource:
    resource = _observation(common, part, ids)
    value = _value(score) if score else None
    if value is None:
        resource["dataAbsentReason"] = _absent(common.response.reason or "too few answers")
    else:
        resource["valueQuantity"] = {"value": value, "unit": "{score}", "system": UCUM, "code": "{score}"}
    if score:
        resource["note"] = [{"text": _note(score)}]
    return resource | _derived_from(common)


def _observation(common: _Common, part: Part, ids: dict[Part, str]) -> Resource:
    """Return what the panel and both scores have in common, in FHIR's order of elements up to `method` and `device`."""
    response, moment = common.response, common.moment
    resource: Resource = {
        "resourceType": "Observation",
        "id": ids[part],
        "meta": _meta(response, profile=[PROFILE]) | _patient_supplied(response),
        "identifier": [{"system": IDENTIFIER_SYSTEM, "value": ids[part]}],
        "status": "amended" if response.status == "amended" else "final",
        "category": _categories(part),
        "code": {"coding": [{"system": CODE_SYSTEM, "code": part, "display": _TITLES[part]}], "text": _TITLES[part]},
        "subject": {"reference": f"Patient/{response.patient_id}"},
    }
    if response.encounter_id:
        resource["encounter"] = {"reference": f"Encounter/{response.encounter_id}"}
    resource["effectiveDateTime"] = _date_time(moment)
    if moment.instant is not None:
        resource["issued"] = _date_time(moment)
    if response.answered_by:
        resource["performer"] = [{"reference": response.answered_by}]
    resource["method"] = _method(common.version, common.origin.minimum_answered)
    resource["device"] = {"reference": f"Device/{_device_id(common.origin)}"}
    return resource


def _provenance(common: _Common, ids: dict[Part, str]) -> Resource:
    response, origin = common.response, common.origin
    identity = _identity(origin.site, response.response_id, common.version, "provenance")
    agents = [*_authors(response, origin), _assembler(origin)]
    version = f"/_history/{response.version_id}" if response.version_id else ""
    source = {"reference": f"QuestionnaireResponse/{response.response_id}{version}"}
    return {
        "resourceType": "Provenance",
        "id": identity,
        "meta": _meta(response, profile=[PROVENANCE_PROFILE], tag=[{"system": TAG_SYSTEM, "code": identity}]),
        "target": [{"reference": f"Observation/{ids[part]}"} for part in _TITLES],
        "recorded": _instant(origin.recorded),
        "activity": {
            "coding": [{"system": f"{_TERMINOLOGY}v3-DataOperation", "code": "CREATE", "display": "create"}],
            "text": "Scores derived from a QuestionnaireResponse",
        },
        "agent": agents,
        "entity": [{"role": "source", "what": source}],
    }


def _authors(response: Response, origin: Origin) -> list[Resource]:
    """Return the agent who answered, if known. They come before the software, whose place nothing depends on."""
    if not response.answered_by:
        return []
    author: Resource = {"type": _participant("author"), "who": {"reference": response.answered_by}}
    if response.answered_by.startswith("Practitioner/"):
        author["onBehalfOf"] = _site(origin)
    return [author]


def _assembler(origin: Origin) -> Resource:
    """Return the agent that is the software."""
    device = {"reference": f"Device/{_device_id(origin)}"}
    return {"type": _participant("assembler"), "who": device, "onBehalfOf": _site(origin)}


def _site(origin: Origin) -> Resource:
    """Return whom a Device and a Practitioner act for: US Core's rule provenance-1 asks for that of these two."""
    site = {"system": SITE_IDENTIFIER_SYSTEM, "value": origin.site}
    return {"type": "Organization", "identifier": site, "display": origin.site}


def _participant(code: str) -> Resource:
    coding = {"system": f"{_TERMINOLOGY}provenance-participant-type", "code": code, "display": code.capitalize()}
    return {"coding": [coding]}


def _meta(response: Response, **elements: Any) -> Resource:
    """Return `meta`, with the labels of the response: test data (HTEST), and how confidential it is."""
    labels = [("v3-ActReason", "HTEST")] if response.is_synthetic else []
    labels += [("v3-Confidentiality", code) for code in response.confidentiality]
    if labels:
        elements["security"] = [{"system": f"{_TERMINOLOGY}{system}", "code": code} for system, code in labels]
    return elements


def _patient_supplied(response: Response) -> Resource:
    is_patient_side = response.answered_by.startswith(_PATIENT_SIDE)
    return {"tag": [{"system": _US_CORE_TAGS, "code": "patient-supplied"}]} if is_patient_side else {}


def _categories(part: Part) -> list[Resource]:
    survey = {"system": f"{_TERMINOLOGY}observation-category", "code": "survey", "display": "Survey"}
    functional = {"system": _US_CORE_CATEGORY, "code": "functional-status", "display": "Functional Status"}
    codings = [survey, functional] if part in _PARTS_WITH_FUNCTIONAL_STATUS else [survey]
    return [{"coding": [coding]} for coding in codings]


def _method(version: msis29.Version, rule: msis29.MissingItemRule) -> Resource:
    text = (
        f"MSIS-29 version {version}: linear transformation to 0-100, higher is worse; scored with at least"
        f" {rule.physical} of 20 physical, {rule.psychological} of 9 psychological items answered;"
        " a missing item takes the person's mean of the subscale"
    )
    coding = {"system": METHOD_SYSTEM, "code": f"msis-29-v{version}", "display": f"MSIS-29 version {version}"}
    return {"coding": [coding], "text": text}


def _absent(reason: str) -> Resource:
    code, display = _ABSENT_CODES.get(reason, _ERROR)
    coding = {"system": f"{_TERMINOLOGY}data-absent-reason", "code": code, "display": display}
    return {"coding": [coding], "text": reason}


def _derived_from(common: _Common) -> Resource:
    return {"derivedFrom": [{"reference": f"QuestionnaireResponse/{common.response.response_id}"}]}


def _answered(score: msis29.SubscaleScore) -> str:
    counts = f"{score.answered} of {score.items} items answered"
    return f"{counts}, {score.imputed} imputed" if score.is_scored else f"{counts}, no score"


def _note(score: msis29.SubscaleScore) -> str:
    """Return the counts, and for a score the exact sum that it can be recomputed from; never an answer."""
    if not score.is_scored:
        return f"{_answered(score)}."
    return f"{_answered(score)}; sum of the answered items {score.raw}, answers 1-{score.highest_answer}."


@lru_cache(maxsize=4096)
def _value(score: msis29.SubscaleScore) -> Decimal | None:
    """Return the score 0-100, rounded half to even at two decimals, without trailing zeros; None without a score.

    The exact score is a fraction (100 x 1 / 36 has no end) and JSON needs an end. Two decimals are finer by two
    orders of magnitude than the smallest step between two scores (1.25 points: physical, version 1, complete), and
    half to even does not drift. Without trailing zeros, because a server that keeps floats gives `62.5` back for
    `62.50`. The note holds what the exact value is recomputed from.
    """
    exact = score.score
    if exact is None:
        return None
    rounded = round(exact, 2)
    value = Decimal(rounded.numerator) / Decimal(rounded.denominator)
    return value.quantize(Decimal(1)) if value == value.to_integral_value() else value


def _identity(*parts: str) -> str:
    """Return the SHA-256 (hex: a valid FHIR id) of the parts as a JSON array, so that no two lists of parts are one."""
    return hashlib.sha256(msgspec.json.encode(["outcome-bridge", "msis-29", *parts])).hexdigest()


@lru_cache(maxsize=16)
def _device_id(origin: Origin) -> str:
    return _identity(origin.site, origin.software_version, origin.mapping, "device")


def _date_time(moment: Moment) -> str:
    """Return the moment as written where FHIR allows that, else as the nearest that it allows.

    FHIR wants seconds and a zone with every time (https://hl7.org/fhir/R4/datatypes.html#dateTime): a time without
    a zone is no instant, so only its day is known; one without seconds is written with them.
    """
    if moment.instant is None:
        return moment.day.isoformat()
    return moment.text if _FULL_TIME.fullmatch(moment.text) else moment.instant.isoformat()


@lru_cache(maxsize=16)
def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _lasting_meta(meta: Resource) -> Resource:
    return {key: value for key, value in meta.items() if key not in ("versionId", "lastUpdated", "source")}


def _with_plain_number(quantity: Resource) -> Resource:
    if "value" not in quantity:
        return quantity
    return quantity | {"value": format(Decimal(str(quantity["value"])).normalize(), "f")}


def _is_device(agent: Any) -> bool:
    who = agent.get("who") if isinstance(agent, dict) else None
    reference = who.get("reference") if isinstance(who, dict) else None
    return isinstance(reference, str) and "/Device/" in f"/{reference}"
