"""What the profiles that file a score as a vital sign or a laboratory result have in common (pure).

Such a row knows a patient, a code, an instant and a value. There is nothing in it that our identifier could be kept
in, so a score is found by patient, category and time, and told from others by its code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from integration.outcomes import Outcome, Resource
from integration.write_profile import Coding
from server.sites import wording

Subscale = Literal["physical", "psychological"]

CATEGORY_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
WITHOUT_VALUE: Final = "a row needs a value; why there is none stays in the response"
NO_ENCOUNTER: Final = "no encounter: this site files only into one, and the response names none"
NO_TIME: Final = "no time of day: this site files at an instant, and the response says only the day"


def scores(outcome: Outcome) -> Iterator[tuple[Subscale, Resource]]:
    """Yield the scores that have a value, in order of sending."""
    both: tuple[tuple[Subscale, Resource], ...] = (
        ("physical", outcome.physical),
        ("psychological", outcome.psychological),
    )
    yield from ((subscale, resource) for subscale, resource in both if "valueQuantity" in resource)


def category(code: str) -> list[Resource]:
    """Return Observation.category with this one code."""
    return [{"coding": [{"system": CATEGORY_SYSTEM, "code": code}]}]


def code(coding: Coding) -> Resource:
    """Return Observation.code with the site's one coding; no text, for the site has its own."""
    return {"coding": [coding_of(coding)]}


def coding_of(coding: Coding) -> Resource:
    """Return a coding of the site file as FHIR has it."""
    display = {"display": coding.display} if coding.display else {}
    return {"system": coding.system, "code": coding.code, **display}


def notes(score: Resource) -> list[str]:
    """Return the texts of the notes; before them what a label says, where the labels themselves are not kept."""
    texts = [note["text"] for note in score.get("note", [])]
    return [wording.TEST_DATA, *texts] if wording.is_test_data([score]) else texts


def has_time(resource: Resource) -> bool:
    """Whether it is known when on its day it was answered; FHIR has a zone with every time."""
    return "T" in resource["effectiveDateTime"]


def search(resource: Resource) -> dict[str, str]:
    """Return the parameters that find a row: patient, category and the second, in UTC.

    The code is left out. Oracle Health documents that a search of vital signs by a proprietary code finds nothing
    (https://github.com/cerner/fhir.cerner.com, content/millennium/r4/clinical/diagnostics/observation.md), which
    would pass for a proof of absence. The category is without its system, of which FHIR had two.
    """
    return {
        "patient": subject_id(resource),
        "category": resource["category"][0]["coding"][0]["code"],
        "date": f"eq{_searched(resource['effectiveDateTime'])}",
    }


def is_it(resource: Resource, found: Resource) -> bool:
    """Whether a row of the chart has the same code, instant and patient; its value does not matter."""
    return (
        _codes(resource) <= _codes(found)
        and is_same_moment(resource["effectiveDateTime"], found.get("effectiveDateTime"))
        and is_same_subject(resource, found)
    )


def is_same_subject(resource: Resource, found: Resource) -> bool:
    """Whether both are about one patient, whether or not the reference is absolute or names a version."""
    return subject_id(resource) == subject_id(found) != ""


def subject_id(resource: Resource) -> str:
    """Return the patient's logical id, empty if no patient is referred to."""
    subject = resource.get("subject")
    reference = subject.get("reference") if isinstance(subject, dict) else None
    parts = reference.partition("/_history/")[0].split("/") if isinstance(reference, str) else []
    return parts[-1] if parts[-2:-1] == ["Patient"] else ""


def is_same_moment(ours: str, theirs: Any) -> bool:
    """Whether two FHIR dateTimes are one second, in whatever offsets; a day is one only with itself as written."""
    if not isinstance(theirs, str):
        return False
    moments = [_second(text) for text in (ours, theirs)]
    return ours == theirs if None in moments else moments[0] == moments[1]


def _searched(text: str) -> str:
    second = _second(text)
    return text if second is None else second.isoformat().replace("+00:00", "Z")


def _second(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(UTC).replace(microsecond=0) if moment.tzinfo else None


def _codes(resource: Resource) -> set[tuple[str, str]]:
    concept = resource.get("code")
    codings = concept.get("coding") if isinstance(concept, dict) else None
    found = [one for one in codings if isinstance(one, Mapping)] if isinstance(codings, list) else []
    return {(str(one.get("system", "")), str(one.get("code", ""))) for one in found}
