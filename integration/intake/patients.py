"""Who is who: Patients, and those merged into others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from integration.intake.rejection import RejectedError
from integration.records import Patient


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """The patients of the data.

    Attributes:
        patients: by id; merged ones are not here.
        merged: the id of a merged Patient to the one that it is now.
    """

    patients: Mapping[str, Patient]
    merged: Mapping[str, str]

    def find(self, subject: str) -> str | None:
        """Return the id of the patient that a subject's id stands for, None if no such Patient is in the data."""
        found = self.patients.get(subject)
        return found.patient_id if found else self.merged.get(subject)


def resolve(
    found: Mapping[str, tuple[Patient, frozenset[str]]],
) -> tuple[Directory, dict[str, RejectedError]]:
    """Follow `link.type = replaced-by` to its end.

    Args:
        found: every Patient by id, with the ids of those that replace it.

    Returns:
        The directory, and by id the rejection of a Patient whose replacement cannot be found.
    """
    patients = {patient_id: patient for patient_id, (patient, replaced_by) in found.items() if not replaced_by}
    merged: dict[str, str] = {}
    rejected: dict[str, RejectedError] = {}
    for patient_id, (_, replaced_by) in found.items():
        if replaced_by:
            try:
                merged[patient_id] = _follow(patient_id, found)
            except RejectedError as error:
                rejected[patient_id] = error
    return Directory(patients=patients, merged=merged), rejected


def _follow(patient_id: str, found: Mapping[str, tuple[Patient, frozenset[str]]]) -> str:
    passed = {patient_id}
    current = patient_id
    while replaced_by := found[current][1]:
        if len(replaced_by) > 1:
            raise RejectedError("link", "replaced by several Patients")
        (current,) = replaced_by
        if current not in found:
            raise RejectedError("link", "unknown patient")
        if current in passed:
            raise RejectedError("link", "replaced-by links form a circle")
        passed.add(current)
    return current
