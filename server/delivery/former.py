"""A response that is another patient's now: the new patient's outcome waits until the former one's is taken back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from integration.outcomes import Resource
from server import work
from server.ledger import Entry, Ledger
from server.sites import flowsheets

FORMER_FIRST: Final = "waits until it is proven that the former patient's chart does not count it any more"
OF_ANOTHER: Final = "in the chart of another patient"


def waiting(ledger: Ledger, site: str, entries: Sequence[Entry]) -> set[str]:
    """Return the keys of what would be created while the outcome counts in another patient's chart.

    A person who says that it was done by hand there is believed.
    """
    new = [one for one in entries if one.response_id and not (one.is_withdrawn or one.ehr_id)]
    patients: defaultdict[str, set[str]] = defaultdict(set)
    for former in ledger.being_taken_back(site, {one.response_id for one in new}) if new else ():
        if not work.is_said_done(former):
            patients[former.response_id].add(former.patient_id)
    return {one.key for one in new if patients[one.response_id] - {one.patient_id}}


def is_of_another(found: Resource, ours: Iterable[Resource | None]) -> bool:
    """Whether what a chart holds is of a patient of whom neither what we sent nor what it shall hold is."""
    patients = {flowsheets.subject_id(one) for one in ours if one is not None} - {""}
    return bool(patients) and flowsheets.subject_id(found) not in patients | {""}
