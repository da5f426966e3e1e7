"""What one patient's resources say, in the study's words: the rows of the views after terminology was applied.

Everything downstream (cohort, outcomes) works on these values only; no FHIR JSON goes past this point.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from integration import msis29

MsType = Literal["RRMS", "SPMS", "PPMS", "unspecified"]
Side = Literal["left", "right", ""]
Site = tuple[str, Side]
"""A treated vein: its name in the study (`internal_jugular`, `azygos`, ...) and its side, empty if there is none."""

ResponseReason = Literal[
    "", "status", "not msis-29", "no subject", "unknown patient", "partial date", "answer out of range",
    "several answers", "answer not understood", "too few answers", "rejected",
]  # fmt: skip
WITHOUT_OUTCOME: frozenset[ResponseReason] = frozenset(
    ("status", "not msis-29", "no subject", "unknown patient", "partial date", "rejected")
)
"""Reasons that make a response unusable: it gets no outcome resources. Every other response gets them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """A FHIR dateTime: the calendar date as written, in its own offset, and the instant where a time was written.

    Attributes:
        day: the date as written.
        instant: timezone-aware; None if only a date was written.
        text: as written.
    """

    day: date
    instant: datetime | None
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Patient:
    """A Patient who is not merged into another.

    Attributes:
        patient_id: logical id.
        sex: `Patient.gender`, empty if absent.
        birth_date: as written; may be partial or empty.
        is_synthetic: whether the resource is labelled as test data (security label HTEST).
    """

    patient_id: str
    sex: str
    birth_date: str
    is_synthetic: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Procedure:
    """A Procedure of a known patient, whatever its status.

    Attributes:
        procedure_id: logical id.
        patient_id: after merging.
        status: as written.
        moment: when it was performed or started.
        is_venoplasty: its code is a venoplasty; where the code does not name the vein, a body site is a target vein.
        is_stent: likewise for a venous stent.
        is_imaging: its code is the study's imaging.
        sites: the target veins treated, bilateral as two.
        near_miss: why a code of treatment does not count as one (`no target vein`), empty otherwise.
    """

    procedure_id: str
    patient_id: str
    status: str
    moment: Moment
    is_venoplasty: bool
    is_stent: bool
    is_imaging: bool
    sites: frozenset[Site]
    near_miss: str = ""

    @property
    def is_treatment(self) -> bool:
        """Whether it is venoplasty or a venous stent, and was completed."""
        return self.status == "completed" and (self.is_venoplasty or self.is_stent)


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """A Condition coded as multiple sclerosis, of a known patient.

    Attributes:
        condition_id: logical id.
        patient_id: after merging.
        ms_type: `unspecified` if no code says it, or if codes contradict each other.
        moment: onset, else recorded; None if undated.
        is_usable: verificationStatus is neither refuted nor entered-in-error.
    """

    condition_id: str
    patient_id: str
    ms_type: MsType
    moment: Moment | None
    is_usable: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class AdverseEvent:
    """An actual AdverseEvent of a known patient.

    Attributes:
        event_id: logical id.
        patient_id: after merging.
        code: the event's first code; `code_system` is its system.
        display: how the record words the code, empty if it does not.
        moment: date, else detected, else recorded; None if undated.
        seriousness: FHIR's code, lower case; not the regulatory sense of the word.
        severity: FHIR's code.
        outcome: FHIR's code.
        suspects: ids of the Procedures named in suspectEntity.
    """

    event_id: str
    patient_id: str
    code: str
    code_system: str
    display: str
    moment: Moment | None
    seriousness: str
    severity: str
    outcome: str
    suspects: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """A QuestionnaireResponse, newest version, usable or not.

    Attributes:
        response_id: logical id; empty if the resource had none.
        patient_id: after merging; as referred to if nobody is known by it; empty if there is no subject.
        status: as written.
        version_id: `meta.versionId`, empty if absent.
        authored: as written, empty if absent.
        moment: `authored` read; None where it is missing or partial (then `reason` is `partial date`).
        instrument_version: `1` or `2`; empty if the questionnaire is not the MSIS-29.
        questionnaire: the canonical as written.
        encounter_id: logical id of the Encounter, empty if there is none.
        answered_by: who answered, `Type/id`: `source`, else `author`, where that is a Patient (after merging), a
            Practitioner, a PractitionerRole or a RelatedPerson; empty if nobody is known to have.
        is_synthetic: labelled as test data.
        confidentiality: codes of v3-Confidentiality that it is labelled with.
        score: None where `reason` is one of WITHOUT_OUTCOME.
        reason: empty if at least one subscale has a score.
    """

    response_id: str
    patient_id: str = ""
    status: str = ""
    version_id: str = ""
    authored: str = ""
    moment: Moment | None = None
    instrument_version: msis29.Version | Literal[""] = ""
    questionnaire: str = ""
    encounter_id: str = ""
    answered_by: str = ""
    is_synthetic: bool = False
    confidentiality: tuple[str, ...] = ()
    score: msis29.Score | None = None
    reason: ResponseReason

    @property
    def is_scorable(self) -> bool:
        """Whether at least one subscale has a score."""
        return not self.reason

    @property
    def has_outcome(self) -> bool:
        """Whether outcome resources are built for it, with a value or with the reason why there is none."""
        return self.reason not in WITHOUT_OUTCOME


@dataclass(frozen=True, kw_only=True, slots=True)
class PatientRows:
    """Everything of one patient: what the cohort's functions take.

    Attributes:
        patient: who.
        procedures: treatments and imaging, whatever their status, and treatment codes that fell short.
        conditions: multiple sclerosis.
        adverse_events: actual ones.
        responses: to any questionnaire, usable or not.
    """

    patient: Patient
    procedures: list[Procedure] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    adverse_events: list[AdverseEvent] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)
