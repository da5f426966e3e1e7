"""From raw resources to records: the newest version of each, guarded, read through the views, sorted by patient."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from integration.intake import logical_id, newest, patients, rejection
from integration.intake.reader import FindPatient, Reader, Reading
from integration.intake.rejection import RejectedError, Rejection
from integration.mapping import Mapping
from integration.records import AdverseEvent, Condition, Patient, PatientRows, Procedure, Response
from integration.sources.files import EMPTY
from integration.sources.resource import RawResource, Source, Unreadable

__all__ = ["READ_TYPES", "FindPatient", "Intake", "RejectedError", "Rejection", "find_patient", "read", "read_response"]

_NAME: Final = re.compile(r"[A-Za-z]{1,64}")
READ_TYPES: Final = ("Patient", "Condition", "Procedure", "AdverseEvent", "QuestionnaireResponse")
Progress = Callable[[RawResource | Unreadable], None]
"""Called for every resource met, twice in all: resources are looked at in two passes."""


@dataclass(frozen=True, kw_only=True)
class Intake:
    """What was read.

    Attributes:
        patients: by id, merged ones aside.
        merged: how many Patients were merged into others.
        responses: every QuestionnaireResponse after de-duplication, usable or not.
        rejections: what was not used, in order of reading.
        unknown: lines of which no resource of a known type could be got.
        counts_by_file: resources met, by file and type; older versions included.
        superseded: how many of them were older versions.
        not_read: how many are of a type that no view reads.
        accepted: how many were read, by type.
    """

    patients: dict[str, PatientRows]
    merged: int
    responses: list[Response]
    rejections: list[Rejection]
    unknown: int
    counts_by_file: dict[str, Counter[str]]
    superseded: int
    not_read: int
    accepted: Counter[str]

    @property
    def counts(self) -> Counter[str]:
        """Resources met, by type; older versions included."""
        return sum(self.counts_by_file.values(), Counter())

    @property
    def is_empty(self) -> bool:
        """Whether there was neither a resource nor a line that might have been one: empty files are none."""
        return not self.counts_by_file and all(one.problem == EMPTY for one in self.rejections)

    @property
    def is_synthetic(self) -> bool:
        """Whether any patient is labelled as test data."""
        return any(rows.patient.is_synthetic for rows in self.patients.values())

    @property
    def balance(self) -> dict[str, int]:
        """Every input resource or line, by what became of it; the parts add up to `input`."""
        return {
            "input": self.counts.total() + self.unknown,
            "accepted": self.accepted.total(),
            "superseded": self.superseded,
            "not_read": self.not_read,
            "rejected": len(self.rejections),
        }


def read(source: Source, mapping: Mapping, on_resource: Progress = lambda _: None) -> Intake:
    """Read everything that a source holds.

    The source is gone through twice: once for the newest version of each resource and for the patients, once for the
    rest, so that no more than the records is ever in memory.
    """
    survey = _Survey(mapping)
    for position, found in enumerate(source):
        on_resource(found)
        survey.see(found, position)
    collected = _Collection(mapping, survey)
    for position, found in enumerate(source):
        on_resource(found)
        if isinstance(found, RawResource) and position not in survey.rejections:
            collected.take(found, position)
    return collected.intake()


def read_response(mapping: Mapping, body: bytes, find_patient: FindPatient) -> Response | Rejection:
    """Read and score one QuestionnaireResponse by itself.

    Args:
        mapping: the study.
        body: the resource as JSON.
        find_patient: who a subject is.
    """
    header = None
    try:
        header = newest.header(body)
        newest.require_known_type(header)
        if header.resource_type != "QuestionnaireResponse":
            raise RejectedError("resourceType", "not a QuestionnaireResponse")
        if fault := logical_id.fault(header.id):
            raise fault
        reader = Reader(mapping, find_patient)
        reader.guard(body)
        response, problem = reader.response(body)
    except RejectedError as error:
        return rejection.of(RawResource("", 1, "", body), _reference(header), error)
    return rejection.of(RawResource("", 1, "", body), _reference(header), problem) if problem else response


def find_patient(mapping: Mapping, patient_id: str, fetch: Callable[[str], bytes | None]) -> str | None:
    """Return who a patient is after merging, looking up one Patient after the other; None if that cannot be told.

    Args:
        mapping: the study.
        patient_id: logical id of a Patient.
        fetch: returns a Patient as JSON, None if there is none of this id.
    """
    reader = Reader(mapping, lambda _: None)
    found: dict[str, tuple[Patient, frozenset[str]]] = {}
    pending = [patient_id]
    while pending:
        current = pending.pop()
        body = fetch(current) if logical_id.is_valid(current) and current not in found else None
        if body is not None:
            try:
                reader.guard(body)
                found[current] = reader.patient(body)
            except RejectedError:
                continue
            pending.extend(found[current][1])
    directory, _ = patients.resolve(found)
    return directory.find(patient_id)


class _Survey:
    """The first pass: versions and patients."""

    def __init__(self, mapping: Mapping) -> None:
        self._reader = Reader(mapping, lambda _: None)
        self.newest = newest.Newest()
        self.counts_by_file: dict[str, Counter[str]] = defaultdict(Counter)
        self.not_read = 0
        self.unnamed_responses = 0
        self.unknown = 0
        self.rejections: dict[int, Rejection] = {}
        self._patients: dict[int, tuple[RawResource, tuple[Patient, frozenset[str]] | RejectedError]] = {}

    def see(self, found: RawResource | Unreadable, position: int) -> None:
        """Take notice of one resource."""
        header = self._header(found, position)
        if header is None or isinstance(found, Unreadable):
            self.unknown += 1
            return
        self.counts_by_file[found.file][header.resource_type] += 1
        if header.resource_type not in READ_TYPES:
            self.not_read += 1
        elif fault := logical_id.fault(header.id):
            self.rejections[position] = rejection.of(found, f"{header.resource_type}/", fault)
            self.unnamed_responses += header.resource_type == "QuestionnaireResponse"
        else:
            self.newest.see((header.resource_type, header.id), header, position)
            if header.resource_type == "Patient":
                self._patients[position] = (
                    RawResource(found.file, found.line, found.within, b""),
                    self._patient(found),
                )

    def _header(self, found: RawResource | Unreadable, position: int) -> newest.Header | None:
        """Read the header of a resource of a known type; anything else is rejected and gives None."""
        if isinstance(found, Unreadable):
            self.rejections[position] = rejection.of_unreadable(found)
            return None
        header = None
        try:
            header = newest.header(found.body)
            newest.require_known_type(header)
        except RejectedError as error:
            self.rejections[position] = rejection.of(found, _reference(header), error)
            return None
        return header

    def directory(self) -> tuple[patients.Directory, int]:
        """Return the patients of the data and how many Patients were accepted; rejects those that cannot be used.

        The survey ends with it: what it kept to tell versions apart is let go.
        """
        found: dict[str, tuple[Patient, frozenset[str]]] = {}
        places: dict[str, tuple[int, RawResource]] = {}
        for position, patient_id, raw, read_patient in self._newest_patients():
            places[patient_id] = position, raw
            if isinstance(read_patient, RejectedError):
                self.rejections[position] = rejection.of(raw, _named("Patient", patient_id), read_patient)
            else:
                found[patient_id] = read_patient
        directory, rejected = patients.resolve(found)
        for patient_id, error in rejected.items():
            position, raw = places[patient_id]
            self.rejections[position] = rejection.of(raw, _named("Patient", patient_id), error)
        self.newest.forget()
        self._patients.clear()
        return directory, len(found) - len(rejected)

    def _newest_patients(
        self,
    ) -> Iterator[tuple[int, str, RawResource, tuple[Patient, frozenset[str]] | RejectedError]]:
        for patient_id, position in self.newest.positions_of("Patient"):
            raw, read_patient = self._patients[position]
            yield position, patient_id, raw, read_patient

    def _patient(self, raw: RawResource) -> tuple[Patient, frozenset[str]] | RejectedError:
        try:
            self._reader.guard(raw.body)
            return self._reader.patient(raw.body)
        except RejectedError as error:
            return error


class _Collection:
    """The second pass: the records of everything but patients."""

    def __init__(self, mapping: Mapping, survey: _Survey) -> None:
        self._survey = survey
        directory, accepted_patients = survey.directory()
        self._rows = {one.patient_id: PatientRows(patient=one) for one in directory.patients.values()}
        self._merged = len(directory.merged)
        self._reader = Reader(mapping, directory.find)
        self._responses = [Response(response_id="", reason="rejected") for _ in range(survey.unnamed_responses)]
        self._accepted: Counter[str] = Counter(Patient=accepted_patients)
        self._rejections = survey.rejections

    def take(self, raw: RawResource, position: int) -> None:
        """Read one resource, unless it is a Patient, an older version, or of a type that the study does not read."""
        header = newest.header(raw.body)
        kind = header.resource_type
        if kind in READ_TYPES and kind != "Patient" and not self._survey.newest.is_older(position):
            self._keep(raw, position, kind, self._reader.read(kind, header.id, raw.body))

    def _keep(self, raw: RawResource, position: int, kind: str, reading: Reading) -> None:
        record = reading.record
        if isinstance(record, Response):
            self._responses.append(record)
        if reading.problem:
            self._rejections[position] = rejection.of(raw, _named(kind, reading.logical_id), reading.problem)
        else:
            self._accepted[kind] += 1
        if record is not None and record.patient_id in self._rows:
            self._sort_in(self._rows[record.patient_id], record)

    @staticmethod
    def _sort_in(rows: PatientRows, record: Condition | Procedure | AdverseEvent | Response) -> None:
        if isinstance(record, Response):
            rows.responses.append(record)
        elif isinstance(record, Procedure):
            rows.procedures.append(record)
        elif isinstance(record, Condition):
            rows.conditions.append(record)
        else:
            rows.adverse_events.append(record)

    def intake(self) -> Intake:
        """Return everything that was collected."""
        return Intake(
            patients=self._rows,
            merged=self._merged,
            responses=self._responses,
            rejections=[self._rejections[position] for position in sorted(self._rejections)],
            unknown=self._survey.unknown,
            counts_by_file=self._survey.counts_by_file,
            superseded=self._survey.newest.superseded,
            not_read=self._survey.not_read,
            accepted=self._accepted,
        )


def _reference(header: newest.Header | None) -> str:
    return _named(header.resource_type, header.id) if header else ""


def _named(kind: object, an_id: object) -> str:
    """Return `Type/id` as far as it reads like one: what stands there was not checked and is printed."""
    if not isinstance(kind, str) or not _NAME.fullmatch(kind):
        return ""
    return f"{kind}/{an_id}" if logical_id.is_valid(an_id) else f"{kind}/"
