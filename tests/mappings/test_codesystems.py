"""The CodeSystems that are shipped hold every code of ours that is written or mapped to."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.codesystem import CodeSystem

from integration import mapping, msis29, outcomes
from integration.records import Moment, Response

OURS = "urn:outcome-bridge:CodeSystem:"
FOLDER = mapping.load().folder
RULES = (msis29.HALF_OF_THE_ITEMS, msis29.MissingItemRule(physical=15, psychological=7))


def documents(subfolder: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((FOLDER / subfolder).glob("*.json"))]


SHIPPED = {system["url"]: system for system in documents("codesystems")}


def concepts(system: str) -> dict[str, str]:
    return {concept["code"]: concept["display"] for concept in SHIPPED[system].get("concept", [])}


def built(version: msis29.Version, rule: msis29.MissingItemRule) -> Iterator[outcomes.Resource]:
    score = msis29.score({item: [2] for item in msis29.ITEMS}, version)
    moment = Moment(day=date(2012, 5, 4), instant=None, text="2012-05-04")
    response = Response(
        response_id="r", patient_id="p", status="completed", moment=moment, instrument_version=version,
        answered_by="Patient/p", is_synthetic=True, score=score, reason=score.reason,
    )  # fmt: skip
    recorded = datetime(2012, 6, 1, tzinfo=UTC)
    origin = outcomes.Origin(
        site="north", software_version="1", mapping="m 1", recorded=recorded, minimum_answered=rule
    )
    outcome = outcomes.build(response, origin)
    yield from (*outcome.observations, outcome.provenance, outcomes.device(origin))


def codings(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every Coding of our systems, at any depth."""
    if isinstance(value, dict):
        if str(value.get("system", "")).startswith(OURS) and "code" in value:
            yield value
        for part in value.values():
            yield from codings(part)
    elif isinstance(value, list):
        for part in value:
            yield from codings(part)


WRITTEN = [
    coding for version in ("1", "2") for rule in RULES for one in built(version, rule) for coding in codings(one)
]


def test_every_code_that_is_written_is_in_its_codesystem_with_its_display() -> None:
    listed = [coding for coding in WRITTEN if SHIPPED[coding["system"]]["content"] == "complete"]

    assert {coding["system"] for coding in listed} == {outcomes.CODE_SYSTEM, outcomes.METHOD_SYSTEM}
    assert all(concepts(coding["system"])[coding["code"]] == coding["display"] for coding in listed)


@pytest.mark.parametrize("system", [outcomes.CODE_SYSTEM, outcomes.METHOD_SYSTEM])
def test_every_code_of_what_we_write_is_written(system: str) -> None:
    assert {coding["code"] for coding in WRITTEN if coding["system"] == system} == set(concepts(system))


def test_only_the_tags_of_provenances_have_codes_that_are_not_listed() -> None:
    assert {url for url, system in SHIPPED.items() if system["content"] != "complete"} == {outcomes.TAG_SYSTEM}


def test_every_target_of_a_concept_map_is_in_its_codesystem() -> None:
    targets = [
        (group["target"], target["code"])
        for concept_map in documents("conceptmaps")
        for group in concept_map["group"]
        for element in group["element"]
        for target in element["target"]
        if group["target"].startswith(OURS)
    ]

    assert {system for system, _ in targets} == {f"{OURS}vein", f"{OURS}laterality"}
    assert all(code in concepts(system) for system, code in targets)
    assert {code for system, code in targets if system == f"{OURS}vein"} == set(concepts(f"{OURS}vein"))


def test_the_answers_are_those_that_the_instrument_has() -> None:
    highest = max(subscale.highest_answer for subscale in _scored("1"))

    assert set(concepts(f"{OURS}msis-29-answer")) == {str(answer) for answer in range(1, highest + 1)}


def _scored(version: msis29.Version) -> Iterator[msis29.SubscaleScore]:
    score = msis29.score({item: [1] for item in msis29.ITEMS}, version)
    yield from (one for one in (score.physical, score.psychological) if one)


@pytest.mark.parametrize("path", sorted((FOLDER / "codesystems").glob("*.json")), ids=lambda path: path.stem)
def test_a_codesystem_is_fhir_and_counts_what_it_lists(path: Path) -> None:
    resource = json.loads(path.read_text(encoding="utf-8"))

    CodeSystem.model_validate(resource)

    assert resource["url"] == f"{OURS}{path.stem}"
    codes = [concept["code"] for concept in resource.get("concept", [])]
    assert len(set(codes)) == len(codes) == resource.get("count", 0)
