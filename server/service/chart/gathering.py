"""Fetch what is staged of one patient: who it is, the responses and the procedures, newest version of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from integration import intake, versions
from integration.errors import ServerRefusedError
from integration.intake import logical_id
from integration.intake.reader import Reader
from integration.intake.rejection import RejectedError
from integration.mapping import Mapping
from integration.outcomes import Resource
from integration.records import Patient, PatientRows, Procedure, Response
from integration.warehouse import Warehouse
from server.ledger import Ledger
from server.ledger.reading import Held, of_patients
from server.service.chart.ehr import Connect
from server.service.chart.found import EhrReading
from server.service.chart.model import Identity

_RESPONSE: Final = "QuestionnaireResponse"
_GONE: Final = (404, 410)
_USES: Final = ("official", "usual", "")
Versions = Callable[[Sequence[str]], Sequence[bytes]]
"""Returns what was posted of responses, by id, in order of arrival, as JSON."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """A patient, and every id that it goes by.

    Attributes:
        patient_id: after merging.
        aliases: that id, and those of the Patients that were merged into it.
    """

    patient_id: str
    aliases: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathering:
    """Where the service's own knowledge of a patient is.

    Attributes:
        mapping: the study.
        site: name of the site.
        warehouse: what was pulled.
        ledger: what was planned and written.
        posted: what was posted.
    """

    mapping: Mapping
    site: str
    warehouse: Warehouse
    ledger: Ledger
    posted: Versions

    def person(self, patient_id: str, connect: Connect | None = None) -> Person | None:
        """Return who a patient is; None if nobody is known by this id.

        Args:
            patient_id: any id.
            connect: to the EHR, which is asked for whom is not staged; None: it is not asked.

        Raises:
            DeliveryError: only the EHR knows, and it cannot be asked.
        """
        if not logical_id.is_valid(patient_id):
            return None
        current = intake.find_patient(self.mapping, patient_id, lambda one: self._patient_body(one, connect))
        if current is None:
            return None
        known = self.person_known_as(current)
        return Person(patient_id=current, aliases=known.aliases | {patient_id})

    def person_known_as(self, current: str) -> Person:
        """Return a patient of whom nothing is asked but what is staged.

        Args:
            current: the patient's id after merging.
        """
        return Person(patient_id=current, aliases=frozenset({current, *self._merged_into(current)}))

    def held(self, person: Person) -> list[Held]:
        """Return what the ledger holds of a patient."""
        return of_patients(self.ledger, self.site, person.aliases)

    def rows(self, person: Person, held: Iterable[Held], ehr: EhrReading) -> PatientRows:
        """Return the patient's procedures and responses, the newest version of each that is known."""
        reader = Reader(self.mapping, lambda subject: person.patient_id if subject in person.aliases else None)
        rows = PatientRows(patient=self._patient(reader, person))
        for kind in ("Procedure", _RESPONSE):
            for resource_id, body in self._newest(kind, person, held, ehr).items():
                record = reader.read(kind, resource_id, body).record
                if isinstance(record, Procedure):
                    rows.procedures.append(record)
                elif isinstance(record, Response) and record.patient_id == person.patient_id:
                    rows.responses.append(record)
        return rows

    def response(self, person: Person, response_id: str, ehr: EhrReading) -> bytes | None:
        """Return a response of this patient in its newest version; None if it is not held, or is another's."""
        return self._newest(_RESPONSE, person, self.held(person), ehr, only=response_id).get(response_id)

    def identity(self, person: Person) -> Identity | None:
        """Return who the patient is in words; None if the Patient is not held."""
        body = self.warehouse.read(self.site, "Patient", person.patient_id)
        return identity(msgspec.json.decode(body)) if body else None

    def _newest(
        self, kind: str, person: Person, held: Iterable[Held], ehr: EhrReading, only: str = ""
    ) -> dict[str, bytes]:
        """Return the newest version by id of each resource whose newest version is this person's.

        Which version counts is seen before whose it is: a response that was corrected to another patient is gone from
        this one's chart, whatever its earlier versions say. Where versions do not tell, what was posted counts before
        what the EHR shows now, and that before what was pulled from it earlier: outcomes are planned from what was
        posted.
        """
        found: dict[str, tuple[versions.Version, Resource, bytes]] = {}
        for resource_id, resource, body in self._all(kind, person, held, ehr):
            if only and resource_id != only:
                continue
            version = versions.version(resource.get("meta"))
            if resource_id not in found or versions.is_newer(version, found[resource_id][0]):
                found[resource_id] = version, resource, body
        newest = ((resource_id, resource, body) for resource_id, (_, resource, body) in found.items())
        return {resource_id: body for resource_id, resource, body in newest if _subject(resource) in person.aliases}

    def _all(
        self, kind: str, person: Person, held: Iterable[Held], ehr: EhrReading
    ) -> Iterator[tuple[str, Resource, bytes]]:
        """Yield every version at hand of what any version says is this person's, those of other persons included."""
        staged = self.warehouse.mentioning(self.site, kind, person.aliases)
        others = ehr.others.get(kind, ())
        ids = {one for one, resource, _ in _named(kind, [*staged, *others]) if _subject(resource) in person.aliases}
        if kind == _RESPONSE:
            ids |= {one.entry.response_id for one in held} - {""}
        elsewhere = ids - {one for one, _, _ in _named(kind, staged)}  # staged, perhaps, as another person's
        staged += [body for one in sorted(elsewhere) if (body := self.warehouse.read(self.site, kind, one))]
        posted = self.posted(sorted(ids)) if kind == _RESPONSE and ids else ()
        yield from (one for one in _named(kind, [*staged, *others, *posted]) if one[0] in ids)

    def _patient_body(self, patient_id: str, connect: Connect | None) -> bytes | None:
        staged = self.warehouse.read(self.site, "Patient", patient_id)
        if staged is not None or connect is None:
            return staged
        try:
            with connect() as client:
                return client.read("Patient", patient_id).body
        except ServerRefusedError as error:
            if error.status in _GONE:
                return None
            raise

    def _merged_into(self, patient_id: str) -> Iterator[str]:
        """Yield the ids of the staged Patients that were merged into this one, over any number of steps."""
        reader, seen, pending = Reader(self.mapping, lambda _: None), {patient_id}, [patient_id]
        while pending:
            current = pending.pop()
            for body in self.warehouse.mentioning(self.site, "Patient", {current}):
                try:
                    reader.guard(body)
                    patient, replaced_by = reader.patient(body)
                except RejectedError:
                    continue
                if current in replaced_by and patient.patient_id not in seen:
                    seen.add(patient.patient_id)
                    pending.append(patient.patient_id)
                    yield patient.patient_id

    def _patient(self, reader: Reader, person: Person) -> Patient:
        body = self.warehouse.read(self.site, "Patient", person.patient_id)
        unknown = Patient(patient_id=person.patient_id, sex="", birth_date="", is_synthetic=False)
        try:
            return reader.patient(body)[0] if body else unknown
        except RejectedError:
            return unknown


def identity(patient: Any) -> Identity | None:
    """Return who a Patient is in words, whatever its shape; None if it is no object."""
    if not isinstance(patient, dict):
        return None
    names = [one for one in _listed(patient.get("name")) if isinstance(one, dict)]
    chosen = min(names, key=lambda one: _USES.index(one["use"]) if one.get("use") in _USES else 9, default={})
    parts = [*_listed(chosen.get("given")), chosen.get("family")]
    whole = chosen.get("text") or " ".join(part for part in parts if isinstance(part, str) and part)
    return Identity(
        name=str(whole), birth_date=str(patient.get("birthDate") or ""), sex=str(patient.get("gender") or "")
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _named(kind: str, bodies: Iterable[bytes]) -> Iterator[tuple[str, Resource, bytes]]:
    for body in bodies:
        try:
            resource = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        resource_id = resource.get("id") if isinstance(resource, dict) else None
        if logical_id.is_valid(resource_id) and resource.get("resourceType") == kind:
            yield str(resource_id), resource, body


def _subject(resource: Resource) -> str:
    subject = resource.get("subject")
    reference = subject.get("reference") if isinstance(subject, dict) else None
    path = str(reference or "").partition("/_history/")[0]
    before, _, patient_id = path.rpartition("Patient/")
    return patient_id if not before or before.endswith("/") else ""
