"""What the EHR holds of our scores: its Observations, read and set beside what was computed (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Final

import msgspec

from integration.outcomes import CODE_SYSTEM, IDENTIFIER_SYSTEM, Resource
from server.ledger.reading import Held
from server.service.chart.model import LABELS, SCALES, Said, Scale, Stranger
from server.service.chart.wording import moment, number, rounded_score

CODES: Final[dict[str, Scale]] = {f"{scale}-0-100": scale for scale in SCALES}
NOTHING_YET: Final = Said(words="nothing yet")
_IN_DOCUMENT: Final = Said(words="in a document, not as a number")
_WITHDRAWN: Final = "entered-in-error"


@dataclass(frozen=True, kw_only=True, slots=True)
class EhrReading:
    """What was read from the EHR for one page.

    Attributes:
        read_at: aware; None if the EHR was not read.
        problem: why not, or what of it could not be read; empty if all was.
        observations: Observations of the patient, as sent: those that we know the id of, and those with our codes.
        others: other resources of the patient by type, as sent; a type that could not be read is absent.
    """

    read_at: datetime | None = None
    problem: str = ""
    observations: tuple[bytes, ...] = ()
    others: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One Observation of the EHR, as far as the page looks at it.

    Attributes:
        ehr_id: the server's id.
        key: our identity among its identifiers, empty if there is none.
        scale: by our code, None if it has another.
        status: as written.
        value: None if it has none that is a number.
        has_reason: whether it says why there is no value.
        day: of the effective time, as written.
        subject: logical id of the patient; empty if it names none.
    """

    ehr_id: str
    key: str
    scale: Scale | None
    status: str
    value: Decimal | None
    has_reason: bool
    day: str
    subject: str


def observations(bodies: Iterable[bytes]) -> list[Found]:
    """Read Observations of any shape; what is none, or has no id, is left out; each id once."""
    found: dict[str, Found] = {}
    for body in bodies:
        one = _found(_decoded(body))
        if one is not None:
            found.setdefault(one.ehr_id, one)
    return list(found.values())


def of_entry(held: Held, found: Sequence[Found]) -> list[Found]:
    """Return what the EHR holds of an entry: by the id that it gave, else by our identity."""
    entry = held.entry
    return [one for one in found if one.ehr_id == entry.ehr_id] or [one for one in found if one.key == entry.key]


def said(held: Held | None, reading: EhrReading, found: Sequence[Found], score: Fraction | None) -> Said:
    """Say what the EHR holds of one score, beside what was computed; differences are words.

    Args:
        held: of the score; None if the ledger has none.
        reading: of the EHR.
        found: `observations` of that reading.
        score: as computed now, None without a score.
    """
    if held is None:
        return NOTHING_YET
    if held.entry.resource_type != "Observation":
        return _IN_DOCUMENT if held.entry.ehr_id else NOTHING_YET
    if reading.read_at is None:
        return _as_last_read(held)
    ours = of_entry(held, found)
    if not ours:
        return Said(words="not found", tone="alarm") if held.entry.ehr_id else NOTHING_YET
    if len(ours) > 1:
        return Said(words=f"found {len(ours)} times", tone="alarm")
    return _compared(held, ours[0], score)


def strangers(known: Iterable[Held], found: Sequence[Found], patient_ids: frozenset[str]) -> tuple[Stranger, ...]:
    """Return the EHR's scores with our codes that the ledger does not know, of this patient."""
    entries = [one.entry for one in known]
    ids, keys = {entry.ehr_id for entry in entries}, {entry.key for entry in entries}
    return tuple(
        Stranger(ehr_id=one.ehr_id, scale=one.scale, day=one.day[:10], value=one.value, status=one.status)
        for one in sorted(found, key=lambda one: (one.day, one.ehr_id))
        if one.scale and one.ehr_id not in ids and one.key not in keys and one.subject in patient_ids
    )


def title(scale: Scale) -> str:
    """Return a subscale's label."""
    return LABELS[scale]


def value_of(resource: Resource) -> Decimal | None:
    """Return the number that an Observation holds, whichever of FHIR's types holds it; None if there is none."""
    quantity = resource.get("valueQuantity")
    raw = quantity.get("value") if isinstance(quantity, dict) else None
    for name in ("valueInteger", "valueDecimal", "valueString"):
        raw = resource.get(name) if raw is None else raw
    if isinstance(raw, bool) or not isinstance(raw, int | float | str | Decimal):
        return None
    try:
        value = Decimal(str(raw).strip())
    except InvalidOperation:
        return None
    return value if value.is_finite() and abs(value) < 10**9 else None


def _compared(held: Held, one: Found, score: Fraction | None) -> Said:
    shown = number(one.value) if one.value is not None else "no value"
    if one.subject and one.subject != held.entry.patient_id:
        return Said(words=f"{shown}, but filed for another patient", tone="alarm")
    if one.status == _WITHDRAWN:
        return Said(words=f"{shown}, entered in error", tone="plain" if held.entry.is_withdrawn else "alarm")
    if held.entry.is_withdrawn:
        return Said(words=f"{shown}, not yet taken back", tone="warn")
    computed = rounded_score(score) if score is not None else None
    if one.value == computed or (one.value is not None and one.value == value_of(held.entry.resource())):
        return Said(words=f"{shown}, the same" if computed is not None else "no value, the same", tone="good")
    other = number(computed) if computed is not None else "no score"
    return Said(words=f"{shown}, differs: {other} was computed", tone="alarm")


def _as_last_read(held: Held) -> Said:
    known = held.entry.known_resource()
    if known is None:
        return Said(words="not read now; nothing was read before")
    value = value_of(known)
    shown = number(value) if value is not None else "no value"
    return Said(words=f"not read now; {shown} on {moment(held.changed_at)}", tone="plain")


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _found(resource: Any) -> Found | None:
    if not isinstance(resource, dict) or resource.get("resourceType") != "Observation":
        return None
    ehr_id = resource.get("id")
    if not isinstance(ehr_id, str) or not ehr_id:
        return None
    codes = [str(one.get("code")) for one in _codings(resource.get("code")) if one.get("system") == CODE_SYSTEM]
    return Found(
        ehr_id=ehr_id,
        key=next((str(one.get("value")) for one in _dicts(resource.get("identifier"))
                  if one.get("system") == IDENTIFIER_SYSTEM), ""),
        scale=next((CODES[code] for code in codes if code in CODES), None),
        status=_text(resource.get("status")),
        value=value_of(resource),
        has_reason=isinstance(resource.get("dataAbsentReason"), dict),
        day=_text(resource.get("effectiveDateTime")),
        subject=_subject(resource.get("subject")),
    )  # fmt: skip


def _subject(subject: Any) -> str:
    reference = _text(subject.get("reference")) if isinstance(subject, dict) else ""
    before, _, after = reference.partition("/_history/")[0].rpartition("Patient/")
    return after if after and (not before or before.endswith("/")) else ""


def _codings(concept: Any) -> list[dict[str, Any]]:
    return _dicts(concept.get("coding")) if isinstance(concept, dict) else []


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
