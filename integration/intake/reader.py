"""Read one resource through the study's views into a record, or say why it cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from integration import msis29
from integration.errors import ViewError
from integration.intake import logical_id, veins
from integration.intake.answers import answers
from integration.intake.guards import undeclared_modifier
from integration.intake.moments import NotADateTimeError, first_full, is_partial, moment
from integration.intake.rejection import RejectedError
from integration.mapping import Mapping
from integration.records import (
    AdverseEvent,
    Condition,
    Moment,
    MsType,
    Patient,
    Procedure,
    Response,
    ResponseReason,
)

Row = tuple[Any, ...]
FindPatient = Callable[[str], str | None]
"""Takes the logical id of a subject; returns the patient's id after merging, None if no such Patient is known."""

USABLE_RESPONSE: Final = frozenset(("completed", "amended"))
UNUSABLE_CONDITION: Final = frozenset(("refuted", "entered-in-error"))
_PERSONS: Final = ("Patient", "Practitioner", "PractitionerRole", "RelatedPerson")
"""Who may have answered, in the order of the view's columns: what R4 allows as `source`. An `author` may also be a
Device or an Organization, but those answer nothing.
"""
_MS_TYPES: Final[tuple[tuple[str, MsType], ...]] = (("ms-rrms", "RRMS"), ("ms-spms", "SPMS"), ("ms-ppms", "PPMS"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What reading one resource gave.

    Attributes:
        logical_id: of the resource.
        record: None where the study has no use for the resource, or it was rejected; a QuestionnaireResponse always
            has one.
        problem: why it is rejected; None if it is not.
    """

    logical_id: str
    record: Condition | Procedure | AdverseEvent | Response | None
    problem: RejectedError | None = None


class Reader:
    """Reads resources one by one.

    Args:
        mapping: the study.
        find_patient: who a subject is.

    Every method takes a resource as JSON; all but `read` raise RejectedError where it cannot be used.
    """

    def __init__(self, mapping: Mapping, find_patient: FindPatient) -> None:
        self._views, self._sets, self._maps = mapping.views, mapping.value_sets, mapping.concept_maps
        self._instrument = mapping.study.instrument
        self._rule = mapping.study.instrument.missing_item_rule
        self._declared = frozenset(mapping.study.modifier_extensions.urls)
        self._find_patient = find_patient

    def read(self, kind: str, logical_id: str, body: bytes) -> Reading:
        """Read a resource of one of the types that the study reads, Patient aside."""
        try:
            self.guard(body)
            if kind == "QuestionnaireResponse":
                response, problem = self.response(body)
                return Reading(logical_id=logical_id, record=response, problem=problem)
            record = {"Condition": self.condition, "Procedure": self.procedure, "AdverseEvent": self.adverse_event}
            return Reading(logical_id=logical_id, record=record[kind](body))
        except RejectedError as error:
            kept = self.rejected_response(logical_id, body) if kind == "QuestionnaireResponse" else None
            return Reading(logical_id=logical_id, record=kept, problem=error)

    def patient(self, body: bytes) -> tuple[Patient, frozenset[str]]:
        """Return the Patient and the ids of those that replace it."""
        patient_id, gender, birth_date, replaced_by, is_synthetic = self._described(body, "patient")[0]
        patient = Patient(
            patient_id=patient_id, sex=gender or "", birth_date=birth_date or "", is_synthetic=bool(is_synthetic)
        )
        return patient, frozenset(one for one in replaced_by if one)

    def condition(self, body: bytes) -> Condition | None:
        """Return the Condition if it is multiple sclerosis, else None."""
        rows = self._described(body, "condition")
        condition_id, subject, has_subject, status, onset, onset_start, recorded, _, _ = rows[0]
        patient_id = self._patient_of(subject, has_subject=has_subject)
        codes = [(row[-2], row[-1]) for row in rows]
        if not self._any("multiple-sclerosis", codes):
            return None
        return Condition(
            condition_id=condition_id,
            patient_id=patient_id,
            ms_type=self._ms_type(codes),
            moment=_full_date((onset, onset_start, recorded), path="onset"),
            is_usable=UNUSABLE_CONDITION.isdisjoint(status),
        )

    def procedure(self, body: bytes) -> Procedure | None:
        """Return the Procedure if it is treatment or imaging, else None."""
        rows = self._described(body, "procedure")
        procedure_id, subject, has_subject, status, performed, performed_start, _, _ = rows[0]
        patient_id = self._patient_of(subject, has_subject=has_subject)
        written = performed if performed is not None else performed_start
        when = _date(written, path="performed")
        codes = [(row[-2], row[-1]) for row in rows]
        kinds = self._kinds(codes)
        if not any(kinds.values()):
            return None
        if when is None:
            if status == "completed":
                raise RejectedError("performed", "no date")
            return None
        return self._treatment(
            body, codes, kinds, procedure_id=procedure_id, patient_id=patient_id, status=status or "", moment=when
        )

    def adverse_event(self, body: bytes) -> AdverseEvent | None:
        """Return the AdverseEvent if it is actual, else None."""
        rows = self._described(body, "adverse_event")
        event_id, subject, has_subject, actuality, *dates, systems, codes, severity, outcome, suspects = rows[0][:-3]
        patient_id = self._patient_of(subject, has_subject=has_subject)
        when = _full_date(dates, path="date")
        if actuality != "actual":
            return None
        system, code, display = next((row[-3:] for row in rows if row[-2]), ("", "", ""))
        return AdverseEvent(
            event_id=event_id,
            patient_id=patient_id,
            code=code,
            code_system=system or "",
            display=display or "",
            moment=when,
            seriousness=self._seriousness(systems, codes),
            severity=severity or "",
            outcome=outcome or "",
            suspects=frozenset(suspects),
        )

    def response(self, body: bytes) -> tuple[Response, RejectedError | None]:
        """Return the QuestionnaireResponse, usable or not, and the rejection if it is one."""
        row = self._described(body, "response")[0]
        (
            response_id,
            subject,
            has_subject,
            status,
            questionnaire,
            authored,
            version_id,
            encounter,
            *who,
            is_synthetic,
            confidentiality,
        ) = row
        patient_id = self._known(subject)
        when = _date_if_full(authored)
        version = self._instrument.version_of(questionnaire)
        reason, problem = _first_problem(
            status=status, version=version, has_subject=has_subject, patient_id=patient_id, authored=authored
        )
        score = msis29.score(self._answers(body), version, self._rule) if version and not reason else None
        response = Response(
            response_id=response_id,
            patient_id=patient_id or _shown(subject),
            status=status or "",
            version_id=version_id or "",
            authored=authored or "",
            moment=when,
            instrument_version=version,
            questionnaire=questionnaire or "",
            encounter_id=_shown(encounter),
            answered_by=self._answered_by(who),
            is_synthetic=bool(is_synthetic),
            confidentiality=tuple(confidentiality or ()),
            score=score,
            reason=reason or (score.reason if score else ""),
        )
        return response, problem

    def rejected_response(self, response_id: str, body: bytes) -> Response:
        """Return a rejected QuestionnaireResponse with what can still be read of it, so that staff can find it."""
        try:
            _, subject, _, status, questionnaire, authored, *_ = self._described(body, "response")[0]
        except RejectedError:
            return Response(response_id=response_id, reason="rejected")
        return Response(
            response_id=response_id,
            patient_id=self._known(subject) or _shown(subject),
            status=status or "",
            authored=authored or "",
            questionnaire=questionnaire or "",
            reason="rejected",
        )

    def guard(self, body: bytes) -> None:
        """Raise RejectedError if the resource carries a modifier that nobody declared."""
        try:
            found = undeclared_modifier(body, self._declared)
        except RecursionError as error:
            raise RejectedError("", "not read: nested too deep") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RejectedError("", "not JSON") from error
        if found:
            raise RejectedError(*found)

    def _rows(self, body: bytes, view: str) -> list[Row]:
        try:
            return self._views[view].read(body)
        except ViewError as error:
            raise RejectedError(error.path, error.problem) from error

    def _described(self, body: bytes, view: str) -> list[Row]:
        """Return the rows of a view that has one or more a resource, unless a site's `where` leaves it out."""
        rows = self._rows(body, view)
        if not rows:
            raise RejectedError("", f"left out by the view {view}")
        return rows

    def _answers(self, body: bytes) -> msis29.Answers:
        return answers(self._rows(body, "response_answer"), self._maps["answer"])

    def _patient_of(self, subject: str | None, *, has_subject: bool) -> str:
        if not has_subject:
            raise RejectedError("subject", "no subject")
        patient_id = self._known(subject)
        if not patient_id:
            raise RejectedError("subject", "unknown patient")
        return patient_id

    def _known(self, subject: str | None) -> str:
        return (self._find_patient(subject) or "") if logical_id.is_valid(subject) else ""

    def _answered_by(self, who: list[Any]) -> str:
        """Return who answered; the columns are `has_source`, then the ids of `source` and of `author` by type."""
        has_source, *ids = who
        of_one = ids[: len(_PERSONS)] if has_source else ids[len(_PERSONS) :]
        kind, person_id = next((pair for pair in zip(_PERSONS, of_one, strict=True) if pair[1]), ("", ""))
        if kind == "Patient":
            person_id = self._known(person_id)
        return f"{kind}/{person_id}" if logical_id.is_valid(person_id) else ""

    def _any(self, value_set: str, codes: Iterable[tuple[str | None, str | None]]) -> bool:
        return any(self._sets[value_set].has(system, code) for system, code in codes)

    def _ms_type(self, codes: list[tuple[str | None, str | None]]) -> MsType:
        """The one type that the codes name; codes that contradict each other name none."""
        named = [ms_type for value_set, ms_type in _MS_TYPES if self._any(value_set, codes)]
        return named[0] if len(named) == 1 else "unspecified"

    def _kinds(self, codes: list[tuple[str | None, str | None]]) -> dict[str, bool]:
        names = ("venoplasty", "venous-stent", "venoplasty-of-a-named-vein", "venous-stent-of-a-named-vein", "imaging")
        return {name: self._any(name, codes) for name in names}

    def _treatment(
        self, body: bytes, codes: list[tuple[str | None, str | None]], kinds: dict[str, bool], **facts: Any
    ) -> Procedure:
        maps = self._maps
        named = veins.of_codes(codes, maps["procedure-vein"], maps["procedure-laterality"])
        needs_site = kinds["venoplasty"] or kinds["venous-stent"]
        written = self._rows(body, "procedure_body_site") if needs_site or named else []
        sites = named | veins.of_body_sites(written, maps["vein"], maps["laterality"])
        return Procedure(
            is_venoplasty=kinds["venoplasty-of-a-named-vein"] or (kinds["venoplasty"] and bool(sites)),
            is_stent=kinds["venous-stent-of-a-named-vein"] or (kinds["venous-stent"] and bool(sites)),
            is_imaging=kinds["imaging"],
            sites=sites,
            near_miss="no target vein among its body sites" if needs_site and not sites else "",
            **facts,
        )

    def _seriousness(self, systems: list[str], codes: list[str]) -> str:
        """The code, lower case; `serious` only in the value set's system."""
        lowered = [code.lower() for code in codes]
        pairs = zip(systems, lowered, strict=False)
        if any(self._sets["serious-adverse-event"].has(system, code) for system, code in pairs):
            return "serious"
        return next((code for code in lowered if code != "serious"), "")


def _shown(an_id: str | None) -> str:
    """Return an id that a reference gave, nothing if FHIR allows no such id: it may be anything, and is printed."""
    return an_id if logical_id.is_valid(an_id) else ""


def _date(text: str | None, path: str) -> Moment | None:
    """Read a date that may be missing but not partial."""
    if is_partial(text):
        raise RejectedError(path, "partial date")
    try:
        return moment(text)
    except NotADateTimeError as error:
        raise RejectedError(path, str(error)) from error


def _full_date(texts: Iterable[str | None], path: str) -> Moment | None:
    """Read the first date that is neither missing nor partial."""
    try:
        return first_full(*texts)
    except NotADateTimeError as error:
        raise RejectedError(path, str(error)) from error


def _date_if_full(authored: str | None) -> Moment | None:
    return _full_date((authored,), path="authored")


def _first_problem(
    *, status: str | None, version: str, has_subject: bool, patient_id: str, authored: str | None
) -> tuple[ResponseReason, RejectedError | None]:
    """Return why a response is unusable, and its rejection.

    A response that refers to nobody we know, or has a partial date, is rejected whatever else it is; but the reason
    that is shown is the first of the contract's list.
    """
    is_usable = status in USABLE_RESPONSE
    where: tuple[ResponseReason, RejectedError | None] = ("", None)
    if not has_subject:
        where = ("no subject", RejectedError("subject", "no subject"))
    elif not patient_id:
        where = ("unknown patient", RejectedError("subject", "unknown patient"))
    elif is_partial(authored):
        where = ("partial date", RejectedError("authored", "partial date"))
    elif authored is None and is_usable and version:
        where = ("partial date", RejectedError("authored", "no date"))
    if not is_usable:
        return "status", where[1]
    return (where[0], where[1]) if version else ("not msis-29", where[1])
