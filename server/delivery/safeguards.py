"""What must hold before a write, beyond what the ledger knows: the right patient, consent, and a person's release."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from integration.errors import ServerRefusedError
from integration.outcomes import Resource
from integration.settings import Site
from integration.sources import search
from integration.sources.client import FhirClient
from server.delivery.lookup import elements
from server.ledger import Entry, Ledger, Settlement
from server.ledger.states import DUE

OPTED_OUT: Final = "withheld: the patient opted out"
LABELLED: Final = "withheld: a security label stops it"
NOT_RELEASED: Final = "withheld: waits for a person's release"
_GONE = (404, 410)
_PATIENTS_PER_SEARCH: Final = 40

FindPatient = Callable[[str], bytes | None]
"""The Patient as the source of the responses has it, JSON; None if it has none of this id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What may be written and what may not.

    Attributes:
        withheld: by an entry's key, why it stays planned.
        patients: by the id of each patient who is compared, why nothing may be written; empty: nothing in the way.
    """

    withheld: Mapping[str, str]
    patients: Mapping[str, str]

    def problem(self, entry: Entry) -> str:
        """Return why a person must see to an entry that nothing else holds back; empty if nobody must."""
        return "" if entry.key in self.withheld else self.patients.get(entry.patient_id, "")

    def allows(self, entry: Entry) -> bool:
        """Whether an entry may be written."""
        return entry.key not in self.withheld and not self.problem(entry)


class Safeguards:
    """Lets through what may be written to one site; one object serves the connections of a run.

    Each patient is read from the EHR once a run, before the first write, and must agree with the source's Patient:
    share an identifier, or be of the same birth date and sex. Otherwise the outcome becomes `manual`. What is withheld
    for consent, a label or a release stays planned, and is looked at again by every delivery.

    Args:
        ledger: where is kept who was checked and what was released.
        site: its settings.
        find_patient: the source's Patients.
    """

    def __init__(self, ledger: Ledger, site: Site, find_patient: FindPatient) -> None:
        self._ledger, self._site, self._find_patient = ledger, site, find_patient
        self._settings = site.safeguards
        self._opted_out = self._settings.opted_out()
        self._lock = threading.Lock()
        self._withheld: dict[str, str] = {}
        self._found: dict[str, str] = {}

    @property
    def withheld(self) -> Counter[str]:
        """Resources held back in this run, by reason."""
        with self._lock:
            return Counter(self._withheld.values())

    def allowed(self, entries: Sequence[Entry], client: FhirClient) -> list[Entry]:
        """Return the entries that may be written; the others are settled, or noted with what holds them back."""
        judgement = self.judge(entries, client)
        self._record(entries, judgement)
        return [entry for entry in entries if judgement.allows(entry)]

    def judge(self, entries: Sequence[Entry], client: FhirClient) -> Judgement:
        """Say which entries may be written and why the others may not; reads the EHR's Patients, records nothing."""
        stopped = self._stopped(entries)
        withheld = {entry.key: reason for entry in entries if (reason := self._reason(entry, stopped))}
        free = [entry for entry in entries if entry.key not in withheld]
        withheld |= {entry.key: NOT_RELEASED for entry in self._unreleased(free)}
        patient_ids = {entry.patient_id for entry in free if entry.key not in withheld and entry.patient_id}
        return Judgement(withheld=withheld, patients=self._checked(patient_ids, client))

    def _reason(self, entry: Entry, stopped: set[str]) -> str:
        if entry.patient_id and entry.patient_id in self._opted_out:
            return OPTED_OUT
        return LABELLED if entry.response_id and entry.response_id in stopped else ""

    def _stopped(self, entries: Sequence[Entry]) -> set[str]:
        """Return the responses that a label stops: of the outcome as it was built, or of a resource as it is sent.

        Not every site's shape carries labels, and what was planned by an older version says them only there.
        """
        stop = set(self._settings.stop_labels)
        if not stop:
            return set()
        labels = self._ledger.decisions.labels(self._site.name, {entry.response_id for entry in entries})
        built = {response_id for response_id, codes in labels.items() if codes & stop}
        return built | {entry.response_id for entry in entries if _labels(entry.resource()) & stop}

    def _unreleased(self, entries: Sequence[Entry]) -> list[Entry]:
        wanted = self._settings.release
        if wanted != "all" and (wanted == 0 or self._ledger.decisions.written(self._site.name, most=wanted) >= wanted):
            return []
        adding = [entry for entry in entries if not entry.is_withdrawn]  # what is taken back waits for nobody
        released = self._ledger.decisions.released(self._site.name, {one.response_id for one in adding}) | {""}
        return [entry for entry in adding if entry.response_id not in released]

    def _checked(self, patient_ids: set[str], client: FhirClient) -> dict[str, str]:
        """Return what is in the way of writing to patients, by id; whom this run has not read yet is read now.

        What an earlier run found says nothing: a Patient may have been merged, labelled or corrected since.
        """
        if not self._settings.check_patient:
            return {}
        with self._lock:
            found = {one: self._found[one] for one in patient_ids if one in self._found}
        new = sorted(patient_ids - found.keys())
        together = self._read_together(new, client) if len(new) > 1 else {}
        read = {one: self._problem(one, client, together.get(one)) for one in new}
        with self._lock:
            self._found |= read
        return found | read

    def _read_together(self, patient_ids: Sequence[str], client: FhirClient) -> dict[str, Resource]:
        """Read Patients by search, many at once, by id; who is not among what was found is read alone."""
        found: dict[str, Resource] = {}
        for start in range(0, len(patient_ids), _PATIENTS_PER_SEARCH):
            some = patient_ids[start : start + _PATIENTS_PER_SEARCH]
            try:
                page = next(search.pages(client, "Patient", {"_id": ",".join(some), "_count": str(len(some))}))
            except ServerRefusedError:
                return found
            patients = [msgspec.json.decode(body) for body in page.resources]
            found |= {one["id"]: one for one in patients if one.get("resourceType") == "Patient" and one["id"] in some}
        return found

    def _record(self, entries: Sequence[Entry], judgement: Judgement) -> None:
        with self._lock:
            self._withheld |= judgement.withheld
        for reason in sorted(set(judgement.withheld.values())):
            keys = [one.key for one in entries if judgement.withheld.get(one.key) == reason and one.state in DUE]
            self._ledger.block(self._site.name, keys, reason)
        if judgement.patients:
            self._ledger.decisions.note_patients(self._site.name, judgement.patients)
        problems = {one.key: problem for one in entries if (problem := judgement.problem(one))}
        if problems:
            settlements = [Settlement(key=key, state="manual", reason=reason) for key, reason in problems.items()]
            self._ledger.settle(self._site.name, settlements)

    def _problem(self, patient_id: str, client: FhirClient, theirs: Any) -> str:
        """Return why nothing may be written to a patient; empty if the EHR's Patient agrees with the source's."""
        try:
            theirs = theirs or client.read("Patient", patient_id).json()
        except ServerRefusedError as error:
            if error.status in _GONE:
                return "the EHR does not know the patient"
            raise
        source = self._find_patient(patient_id)
        if source is None:
            return "the source has no Patient to compare the EHR's with"
        if not isinstance(theirs, dict):
            return "the EHR's Patient cannot be read"
        return _disagreement(msgspec.json.decode(source), theirs, set(self._settings.stop_labels))


def _disagreement(ours: Resource, theirs: Resource, stop_labels: set[str]) -> str:
    """Return why the EHR's Patient is not the source's, or may not be written to; names elements, never values."""
    if any(link.get("type") == "replaced-by" for link in elements(theirs.get("link"))):
        return "the EHR merged the patient into another"
    if _labels(theirs) & stop_labels:
        return "a security label of the EHR's Patient stops it"
    if _identifiers(ours) & _identifiers(theirs):
        return ""
    differing = [name for name in ("birthDate", "gender") if not ours.get(name) or ours.get(name) != theirs.get(name)]
    return f"the EHR's Patient does not agree with the source: identifier, {', '.join(differing)}" if differing else ""


def _identifiers(patient: Resource) -> set[tuple[str, str]]:
    found = {(str(one.get("system", "")), str(one.get("value", ""))) for one in elements(patient.get("identifier"))}
    return {(system, value) for system, value in found if system and value}


def _labels(resource: Resource) -> set[str]:
    meta = resource.get("meta")
    security = meta.get("security") if isinstance(meta, dict) else None
    return {str(one.get("code", "")) for one in elements(security)}
