"""What a document says, in words for a clinician (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from integration.outcomes import Resource
from integration.write_profile import ProfileKeys

SCORE_TITLES: Final[Mapping[str, str]] = {
    "physical": "MSIS-29 physical subscale, 0-100",
    "psychological": "MSIS-29 psychological subscale, 0-100",
}
TEST_DATA: Final = "TEST DATA, not about a real person."
_TEST_LABEL: Final = "HTEST"
_ALWAYS: Final = (
    "resourceType",
    "id",
    "status",
    "subject",
    "encounter",
    "effectiveDateTime",
    "performer",
    "derivedFrom",
)
_INSIDE: Final[Mapping[str, tuple[str, ...]]] = {
    "meta": ("security",),
    "code": ("coding", "text"),
    "valueQuantity": ("value",),
    "dataAbsentReason": ("text",),
    "method": ("text",),
}

Titles = Mapping[tuple[str, str], str]
"""By system and code, what a score is called where the Observation does not say it itself."""


def carried(observation: Resource) -> Resource:
    """Return the part of an Observation that a document says; `lines` reads nothing else.

    A panel's note repeats those of its scores. Of a code the text is said, and the codings only where there is none.
    """
    names = _ALWAYS if "hasMember" in observation else (*_ALWAYS, "note")
    part = {name: observation[name] for name in names if name in observation}
    for name, inner in _INSIDE.items():
        if kept := {one: observation[name][one] for one in inner if one in observation.get(name, {})}:
            part[name] = kept
    if "text" in part.get("code", {}):
        part["code"] = {"text": part["code"]["text"]}
    return part


def lines(observations: Sequence[Resource], titles: Titles) -> Iterator[str]:
    """Yield the document's lines, but for the reference at its end.

    Args:
        observations: what `carried` returned, of one response.
        titles: what to call scores.
    """
    yield "MSIS-29 (Multiple Sclerosis Impact Scale)"
    if is_test_data(observations):
        yield TEST_DATA
    yield f"Answered {_answered(observations[0])}"
    if any(one["status"] in ("amended", "corrected") for one in observations):
        yield "The answers were amended after they were first given; these are the scores of the amended answers."
    yield ""
    for observation in observations:
        yield from _of_score(observation, titles)
    if any("valueQuantity" in one for one in observations):
        yield "On each scale 0 is the best and 100 the worst score."
    yield from _origin(observations)


def labels(observations: Iterable[Resource]) -> list[Any]:
    """Return the security labels of the Observations, each once."""
    found = [label for one in observations for label in one.get("meta", {}).get("security", [])]
    return [label for number, label in enumerate(found) if label not in found[:number]]


def is_test_data(observations: Iterable[Resource]) -> bool:
    """Whether the label for test data is on one of them."""
    return any(label.get("code") == _TEST_LABEL for label in labels(observations))


def titles(keys: ProfileKeys) -> Titles:
    """Return what the site's own codes stand for."""
    if keys.codes is None:
        return {}
    both = {"physical": keys.codes.physical, "psychological": keys.codes.psychological}
    return {(coding.system, coding.code): SCORE_TITLES[name] for name, coding in both.items()}


def _answered(observation: Resource) -> str:
    moment = observation["effectiveDateTime"]
    performer = observation.get("performer", [{}])[0].get("reference", "")
    if not performer:
        return str(moment)
    is_patient = performer == observation["subject"].get("reference")
    return f"{moment} by {'the patient' if is_patient else performer}"


def _of_score(observation: Resource, known: Titles) -> Iterator[str]:
    title = _title(observation["code"], known)
    if "valueQuantity" in observation:
        yield f"{title}: {observation['valueQuantity']['value']}"
    elif "dataAbsentReason" in observation:
        yield f"{title}: no score, {observation['dataAbsentReason']['text']}"
    else:
        return
    yield from (f"    {note['text']}" for note in observation.get("note", []))


def _title(code: Resource, known: Titles) -> str:
    if "text" in code:
        return str(code["text"])
    names = [known.get((one["system"], one["code"]), one["code"]) for one in code["coding"]]
    return str(names[0])


def _origin(observations: Sequence[Resource]) -> Iterator[str]:
    methods = dict.fromkeys(one["method"]["text"] for one in observations if "method" in one)
    sources = dict.fromkeys(source["reference"] for one in observations for source in one.get("derivedFrom", []))
    yield from ("", *(f"Method: {method}" for method in methods))
    yield "Computed by Outcome Bridge from the answers to the questionnaire, which are not repeated here."
    yield from (f"Source: {source}" for source in sources)
