"""What becomes of a response that is another patient's now (pure): nothing in a chart is moved to another patient.

What a chart may hold stays the former patient's, and is taken back there. For the new one everything is planned under
keys of its own, which no search for the former's finds, nor the other way round.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from integration.outcomes import encode
from server.ledger.planning import GOES_ALONG, Desired, Shaped, is_by_hand, may_be_in_chart


def of_its_patient(held: Mapping[str, dict[str, Any]], desired: Desired) -> Desired:
    """Return what a response calls for, under other keys if a chart may hold it as another patient's.

    What was never sent is simply the new patient's, and so is what is of a patient who was merged into that one.

    Args:
        held: the rows of the response, by key.
        desired: as its site takes it.
    """
    rows = [held[key] for shaped in desired.resources if (key := shaped.resource["id"]) in held]
    if not desired.patient_id or all(row["patient_id"] == desired.patient_id for row in rows):
        return desired
    keys = {one.resource["id"]: _key(one.resource["id"], desired.patient_id) for one in desired.resources}
    in_charts = {row["patient_id"] for row in rows if _may_count(row)} - {desired.patient_id}
    is_moved = any(key in held and _counts(held[key]) for key in keys.values())
    if not is_moved and all(desired.was_merged(one) for one in in_charts):
        return desired
    return dataclasses.replace(desired, resources=_renamed(desired.resources, keys))


def _may_count(row: dict[str, Any]) -> bool:
    """Whether a chart may hold it as somebody's; a Provenance names no patient."""
    return row["kind"] not in GOES_ALONG and (may_be_in_chart(row) or is_by_hand(row))


def _counts(row: Mapping[str, Any]) -> bool:
    return not row["is_withdrawn"] and row["kind"] not in GOES_ALONG


def _key(key: str, patient_id: str) -> str:
    return hashlib.sha256(f"{key}|Patient/{patient_id}".encode()).hexdigest()


def _renamed(resources: Sequence[Shaped], keys: Mapping[str, str]) -> list[Shaped]:
    """Return resources under other keys, which are long enough to be nothing else wherever they occur."""
    renamed = []
    for shaped in resources:
        content = encode(shaped.resource).decode()
        for before, after in keys.items():
            content = content.replace(before, after)
        renamed.append(dataclasses.replace(shaped, resource=msgspec.json.decode(content)))
    return renamed
