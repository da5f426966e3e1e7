"""What must hold before a write, beyond what the ledger knows: the right patient, consent, and a person's release."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from integration.errors import ServerRefusedError
from integration.outcomes import Resource
from integration.settings import Site
from integration.sources.client import FhirClient
from server.ledger import Entry, Ledger, Settlement
from server.ledger.states import DUE

OPTED_OUT: Final = "withheld: the patient opted out"
LABELLED: Final = "withheld: a security label stops it"
NOT_RELEASED: Final = "withheld: waits for a person's release"
_GONE = (404, 410)

FindPatient = Callable[[str], bytes | None]
"""The Patient as the source of the responses has it, JSON; None if it has none of this id."""


class Safeguards:
    """Lets through what may be written to one site; one object serves the connections of a run.

    A patient who was not written to before is read from the EHR, and must agree with the source's Patient: share an
    identifier, or be of the same birth date and sex. Otherwise the outcome becomes `manual`. What is withheld for
    consent, a label or a release stays planned, and is looked at again by every delivery.

    Args:
        ledger: where is kept who was checked and what was released.
        site: its settings.
        find_patient: the source's Patients.

    Attributes:
        withheld: resources held back, by reason.
    """

    def __init__(self, ledger: Ledger, site: Site, find_patient: FindPatient) -> None:
        self._ledger, self._site, self._find_patient = ledger, site, find_patient
        self._settings = site.safeguards
        self._opted_out = self._settings.opted_out()
        self._lock = threading.Lock()
        self.withheld: Counter[str] = Counter()

    def allowed(self, entries: Sequence[Entry], client: FhirClient) -> list[Entry]:
        """Return the entries that may be written; the others are settled, or noted with what holds them back."""
        free = [entry for entry in entries if not self._is_withheld(entry)]
        released = self._released(free)
        return list(self._of_right_patients(released, client))

    def _is_withheld(self, entry: Entry) -> bool:
        if entry.patient_id and entry.patient_id in self._opted_out:
            return self._withhold([entry], OPTED_OUT)
        if _labels(entry.resource()) & set(self._settings.stop_labels):
            return self._withhold([entry], LABELLED)
        return False

    def _released(self, entries: Sequence[Entry]) -> list[Entry]:
        wanted = self._settings.release
        if wanted != "all" and (wanted == 0 or self._ledger.decisions.written(self._site.name, most=wanted) >= wanted):
            return list(entries)
        ids = {entry.response_id for entry in entries}
        released = self._ledger.decisions.released(self._site.name, ids) | {""}
        waiting = [entry for entry in entries if entry.response_id not in released]
        self._withhold(waiting, NOT_RELEASED)
        return [entry for entry in entries if entry.response_id in released]

    def _of_right_patients(self, entries: Sequence[Entry], client: FhirClient) -> Iterator[Entry]:
        if not self._settings.check_patient:
            yield from entries
            return
        patient_ids = {entry.patient_id for entry in entries if entry.patient_id}
        checked = self._ledger.decisions.patients(self._site.name, patient_ids)
        new = {one: self._problem(one, client) for one in sorted(patient_ids) if checked.get(one) != ""}
        if new:
            self._ledger.decisions.note_patients(self._site.name, new)
        for patient_id, group in itertools.groupby(entries, key=lambda entry: entry.patient_id):
            if problem := new.get(patient_id):
                settlements = [Settlement(key=entry.key, state="manual", reason=problem) for entry in group]
                self._ledger.settle(self._site.name, settlements)
            else:
                yield from group

    def _problem(self, patient_id: str, client: FhirClient) -> str:
        """Return why nothing may be written to a patient; empty if the EHR's Patient agrees with the source's."""
        try:
            theirs = client.read("Patient", patient_id).json()
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

    def _withhold(self, entries: Sequence[Entry], reason: str) -> bool:
        with self._lock:
            self.withheld[reason] += len(entries)
        due = [entry.key for entry in entries if entry.state in DUE]
        self._ledger.block(self._site.name, due, reason)
        return True


def _disagreement(ours: Resource, theirs: Resource, stop_labels: set[str]) -> str:
    """Return why the EHR's Patient is not the source's, or may not be written to; names elements, never values."""
    if any(link.get("type") == "replaced-by" for link in _elements(theirs.get("link"))):
        return "the EHR merged the patient into another"
    if _labels(theirs) & stop_labels:
        return "a security label of the EHR's Patient stops it"
    if _identifiers(ours) & _identifiers(theirs):
        return ""
    differing = [name for name in ("birthDate", "gender") if not ours.get(name) or ours.get(name) != theirs.get(name)]
    return f"the EHR's Patient does not agree with the source: identifier, {', '.join(differing)}" if differing else ""


def _identifiers(patient: Resource) -> set[tuple[str, str]]:
    found = {(str(one.get("system", "")), str(one.get("value", ""))) for one in _elements(patient.get("identifier"))}
    return {(system, value) for system, value in found if system and value}


def _labels(resource: Resource) -> set[str]:
    meta = resource.get("meta")
    security = meta.get("security") if isinstance(meta, dict) else None
    return {str(one.get("code", "")) for one in _elements(security)}


def _elements(value: Any) -> list[Resource]:
    return [element for element in value if isinstance(element, dict)] if isinstance(value, list) else []
