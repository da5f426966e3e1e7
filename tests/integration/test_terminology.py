from __future__ import annotations

from typing import Any

import pytest

from integration.errors import MappingError
from integration.terminology import ConceptMap, ValueSet, read_concept_map, read_value_set

SNOMED, CM, ICD10 = (
    "http://snomed.info/sct",
    "http://hl7.org/fhir/sid/icd-10-cm",
    "http://hl7.org/fhir/sid/icd-10",
)
IS_A_G35 = {"property": "concept", "op": "is-a", "value": "G35"}


def value_set(*includes: Any, **more: Any) -> ValueSet:
    return read_value_set(
        {"resourceType": "ValueSet", "url": "urn:x", "compose": {"include": list(includes), **more}}, "valuesets/x.json"
    )


def codes(system: str, *values: str) -> dict[str, Any]:
    return {"system": system, "concept": [{"code": value} for value in values]}


def concept_map(*groups: Any) -> ConceptMap:
    return read_concept_map({"resourceType": "ConceptMap", "url": "urn:x", "group": list(groups)}, "conceptmaps/x.json")


def element(code: str, *targets: Any) -> dict[str, Any]:
    return {"code": code, "target": list(targets)}


def group(*elements: Any) -> dict[str, Any]:
    return {"source": SNOMED, "target": "urn:t", "element": list(elements)}


# Membership


def test_a_listed_code_of_its_system_is_in_the_set() -> None:
    found = value_set(codes(SNOMED, "24700007", "426373005"), codes(CM, "G35"))

    assert found.has(SNOMED, "24700007")
    assert found.has(SNOMED, "426373005")
    assert not found.has(CM, "24700007")
    assert not found.has(SNOMED, "G35")


@pytest.mark.parametrize(("system", "code"), [(None, "24700007"), ("", "24700007"), (SNOMED, None), (SNOMED, "")])
def test_a_code_without_its_system_never_matches(system: str | None, code: str | None) -> None:
    assert not value_set(codes(SNOMED, "24700007")).has(system, code)


def test_a_listed_code_does_not_bring_the_codes_below_it() -> None:
    assert not value_set(codes(CM, "G35")).has(CM, "G35.A")


@pytest.mark.parametrize("code", ["G35", "G35.A", "G35.B", "G35.B0", "G35.C2", "G35.D"])
def test_is_a_takes_the_code_and_everything_below_it(code: str) -> None:
    """The codes of ICD-10-CM's 2026 edition below G35 (in force since October 2025)."""
    assert value_set({"system": CM, "filter": [IS_A_G35]}).has(CM, code)


@pytest.mark.parametrize("code", ["G3", "G350", "G36", "G36.0", "XG35", "g35.A ", "G35A"])
def test_is_a_takes_no_code_that_only_begins_alike(code: str) -> None:
    assert not value_set({"system": CM, "filter": [IS_A_G35]}).has(CM, code)


def test_is_a_of_a_subcategory_takes_its_own_only() -> None:
    found = value_set({"system": CM, "filter": [{"property": "concept", "op": "is-a", "value": "G35.C"}]})

    assert [code for code in ("G35", "G35.B1", "G35.C", "G35.C0", "G35.D") if found.has(CM, code)] == [
        "G35.C",
        "G35.C0",
    ]


def test_is_a_stays_in_its_system() -> None:
    found = value_set({"system": CM, "filter": [IS_A_G35]})

    assert not found.has(ICD10, "G35")


def test_the_answer_is_the_same_when_asked_again() -> None:
    found = value_set(codes(SNOMED, "1"), {"system": CM, "filter": [IS_A_G35]})

    assert [found.has(CM, "G35.A"), found.has(CM, "G35.A"), found.has(CM, "Z"), found.has(CM, "Z")] == [
        True, True, False, False,
    ]  # fmt: skip


# What a ValueSet may not hold


@pytest.mark.parametrize(
    ("compose", "path"),
    [
        ({"include": [codes(SNOMED, "1")], "exclude": [codes(SNOMED, "2")]}, "compose.exclude"),
        ({"include": [{"valueSet": ["urn:other"]}]}, "compose.include[0].valueSet"),
        ({"include": [codes(SNOMED, "1") | {"version": "2012"}]}, "compose.include[0].version"),
        ({"include": [codes(SNOMED, "1"), {"concept": [{"code": "1"}]}]}, "compose.include[1].system"),
        ({"include": [codes(SNOMED, "1"), {"system": SNOMED}]}, "compose.include[1]"),
        ({"include": [{"system": SNOMED, "filter": [IS_A_G35]}]}, "compose.include[0].filter[0]"),
        ({"include": [{"system": CM, "filter": [IS_A_G35, IS_A_G35]}]}, "compose.include[0]"),
        ({"include": [codes(CM, "G35") | {"filter": [IS_A_G35]}]}, "compose.include[0]"),
        ({"include": [{"system": CM, "filter": [IS_A_G35 | {"op": "descendent-of"}]}]}, "compose.include[0].filter[0]"),
        ({"include": [{"system": CM, "filter": [{**IS_A_G35, "value": ""}]}]}, "compose.include[0].filter[0].value"),
        ({"include": [{"system": SNOMED, "concept": [{"display": "x"}]}]}, "compose.include[0].concept[0].code"),
        ({"include": [{"system": SNOMED, "concept": ["1"]}]}, "compose.include[0].concept[0]"),
        ({"include": [{"system": SNOMED, "concept": None}]}, "compose.include[0].concept"),
        ({"include": ["1"]}, "compose.include[0]"),
        ({"include": None}, "compose.include"),
        ({"include": []}, "compose.include"),
        ("1", "compose"),
        (None, "compose.include"),
    ],
)  # fmt: skip
def test_a_value_set_that_means_more_than_is_understood_is_refused(compose: Any, path: str) -> None:
    with pytest.raises(MappingError) as caught:
        read_value_set({"resourceType": "ValueSet", "compose": compose}, "valuesets/x.json")

    assert (caught.value.file, caught.value.path) == ("valuesets/x.json", path)


@pytest.mark.parametrize("resource", [{"resourceType": "CodeSystem"}, {}])
def test_a_file_that_is_no_value_set_is_refused(resource: dict[str, Any]) -> None:
    with pytest.raises(MappingError, match="must be ValueSet"):
        read_value_set(resource, "valuesets/x.json")


# Translation


def test_a_code_is_translated_in_its_system_only() -> None:
    found = concept_map(group(element("7771000", {"code": "left", "equivalence": "equivalent"})))

    assert found.translate(SNOMED, "7771000") == ("left",)
    assert found.translate(CM, "7771000") == ()
    assert found.translate(None, "7771000") == ()
    assert found.translate(SNOMED, None) == ()
    assert found.translate(SNOMED, "24028007") == ()


def test_the_relationship_of_release_5_is_understood() -> None:
    found = concept_map(group(element("1", {"code": "a", "relationship": "equivalent"})))

    assert found.translate(SNOMED, "1") == ("a",)


@pytest.mark.parametrize(
    "target",
    [
        {"code": "a", "equivalence": "unmatched"},
        {"code": "a", "equivalence": "disjoint"},
        {"code": "a", "relationship": "not-related-to"},
        {"equivalence": "unmatched"},
    ],
)
def test_a_target_that_is_no_match_is_not_one(target: dict[str, Any]) -> None:
    assert concept_map(group(element("1", target))).translate(SNOMED, "1") == ()


def test_an_empty_map_translates_nothing() -> None:
    assert concept_map().translate(SNOMED, "1") == ()


@pytest.mark.parametrize(
    ("groups", "path"),
    [
        ([group(element("1"), element("1"))], "group[0].element[1]"),
        ([group(element("1")), group(element("1"))], "group[1].element[0]"),
        ([group(element("1")) | {"unmapped": {"mode": "provided"}}], "group[0].unmapped"),
        ([group(element("1", {"code": "a", "dependsOn": [{}]}))], "group[0].element[0].target[0]"),
        ([group(element("1", {"code": "a", "product": [{}]}))], "group[0].element[0].target[0]"),
        ([group(element("1", {"equivalence": "equivalent"}))], "group[0].element[0].target[0].code"),
        ([group(element("1", "a"))], "group[0].element[0].target[0]"),
        ([group({"code": "1", "target": None})], "group[0].element[0].target"),
        ([group({"code": "1", "valueSet": "urn:other"})], "group[0].element[0].valueSet"),
        ([group({"target": []})], "group[0].element[0].code"),
        ([{"element": []}], "group[0].source"),
        (["1"], "group[0]"),
        (None, "group"),
    ],
)
def test_a_concept_map_that_means_more_than_is_understood_is_refused(groups: Any, path: str) -> None:
    with pytest.raises(MappingError) as caught:
        read_concept_map({"resourceType": "ConceptMap", "group": groups}, "conceptmaps/x.json")

    assert (caught.value.file, caught.value.path) == ("conceptmaps/x.json", path)


def test_a_file_that_is_no_concept_map_is_refused() -> None:
    with pytest.raises(MappingError, match="must be ConceptMap"):
        read_concept_map({"resourceType": "ValueSet"}, "conceptmaps/x.json")
