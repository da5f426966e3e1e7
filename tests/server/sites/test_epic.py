from collections.abc import Callable
from typing import Any

import pytest

from integration.outcomes import Outcome
from server.sites import Abilities, WriteProfile

BuildOutcome = Callable[..., Outcome]
Profile = Callable[[str], WriteProfile]


def test_a_score_is_a_vital_sign_with_one_code_of_the_site(profile: Profile, outcome: BuildOutcome) -> None:
    built = outcome()

    physical, psychological = profile("epic").shape(built)

    assert physical.resource == {
        "resourceType": "Observation",
        "id": built.physical["id"],
        "status": "final",
        "category": [
            {
                "coding": [
                    {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}
                ]
            }
        ],
        "code": {"coding": [{"system": "urn:rows", "code": "11"}]},
        "subject": {"reference": "Patient/p1"},
        "encounter": {"reference": "Encounter/e1"},
        "effectiveDateTime": "2012-05-04T09:15:00+02:00",
        "valueQuantity": {"value": built.physical["valueQuantity"]["value"], "unit": "points"},
        "note": built.physical["note"],
    }
    assert psychological.resource["code"]["coding"] == [
        {"system": "urn:rows", "code": "12", "display": "row of the site"}
    ]
    assert [(one.kind, one.observations, one.problem) for one in (physical, psychological)] == [
        ("physical", 1, ""), ("psychological", 1, "")
    ]  # fmt: skip


def test_what_a_row_does_not_hold_is_named(profile: Profile, outcome: BuildOutcome) -> None:
    physical = profile("epic, default unit").shape(outcome())[0]

    assert physical.dropped == (
        "meta", "identifier", "category[0].coding[0].code", "category[0].coding[0].display", "category[1]",
        "code.coding[0].system", "code.coding[0].code", "code.coding[0].display", "code.text", "encounter", "issued",
        "performer", "method", "device", "valueQuantity.unit", "valueQuantity.system", "valueQuantity.code",
        "derivedFrom",
    )  # fmt: skip
    assert physical.resource["valueQuantity"] == {"value": outcome().physical["valueQuantity"]["value"]}


def test_an_amended_score_is_final_and_says_so_as_dropped(profile: Profile, outcome: BuildOutcome) -> None:
    physical = profile("epic").shape(outcome(status="amended"))[0]

    assert physical.resource["status"] == "final"
    assert "status" in physical.dropped


def test_a_score_without_a_value_is_left_out(profile: Profile, outcome: BuildOutcome) -> None:
    assert [one.kind for one in profile("epic").shape(outcome(skipped=11))] == ["psychological"]
    assert profile("epic").shape(outcome(skipped=29)) == ()
    assert set(profile("epic").left_out()) == {"score without a value", "panel", "provenance", "device"}


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("epic", {"encounter_id": ""}, ["no encounter"]),
        ("epic, default unit", {"encounter_id": ""}, []),
        ("epic", {"moment": "day"}, ["no time of day"]),
        ("epic", {"moment": "day", "encounter_id": ""}, ["no encounter", "no time of day"]),
    ],
)
def test_what_no_row_could_be_filed_with_waits_for_a_person(
    name: str,
    changes: dict[str, Any],
    words: list[str],
    profile: Profile,
    outcome: BuildOutcome,
    many: dict[str, Outcome],
) -> None:
    built = outcome(**{key: value for key, value in changes.items() if key != "moment"})
    if "moment" in changes:
        day = {"effectiveDateTime": many["only the day"].physical["effectiveDateTime"]}
        built.physical.update(day)

    problem = profile(name).shape(built)[0].problem

    assert bool(problem) == bool(words)
    assert all(word in problem for word in words)


@pytest.mark.parametrize(
    ("sentences", "kept"),
    [
        (["A" * 252 + ".", "Second."], ["A" * 252 + "."]),
        (["A" * 100 + ".", "B" * 100 + "!", "C" * 60 + "?"], ["A" * 100 + ".", "B" * 100 + "!"]),
        (["A" * 300 + ".", "Short."], []),
        (["Short.", "Too."], ["Short.", "Too."]),
    ],
)
def test_a_note_keeps_whole_sentences_from_its_start(
    sentences: list[str], kept: list[str], profile: Profile, outcome: BuildOutcome
) -> None:
    built = outcome()
    built.physical["note"] = [{"text": " ".join(sentences)}]

    physical = profile("epic").shape(built)[0]

    assert physical.resource.get("note") == ([{"text": " ".join(kept)}] if kept else None)
    assert len(" ".join(kept)) <= 254
    assert any(path.startswith("note") for path in physical.dropped) == (kept != sentences)


def test_test_data_say_so_where_no_label_is_kept(profile: Profile, outcome: BuildOutcome) -> None:
    physical = profile("epic").shape(outcome(is_synthetic=True))[0]

    assert physical.resource["note"][0]["text"].startswith("TEST DATA, not about a real person.")


def test_nothing_is_changed_or_taken_back(profile: Profile, outcome: BuildOutcome) -> None:
    site = profile("epic")
    physical = site.shape(outcome())[0].resource

    assert site.abilities == Abilities(updates=False, keeps_all=False)
    assert site.amended(physical) is None
    assert site.retracted(physical) is None


def test_a_row_is_searched_by_patient_category_and_second(profile: Profile, outcome: BuildOutcome) -> None:
    physical = profile("epic").shape(outcome())[0].resource

    assert profile("epic").search(physical) == {
        "patient": "p1", "category": "vital-signs", "date": "eq2012-05-04T07:15:00Z"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"valueQuantity": {"value": 1}}, True),
        ({"effectiveDateTime": "2012-05-04T07:15:00.000Z"}, True),
        ({"effectiveDateTime": "2012-05-04T07:15:01Z"}, False),
        ({"effectiveDateTime": "2012-05-04"}, False),
        ({"effectivePeriod": {}, "effectiveDateTime": None}, False),
        ({"code": {"coding": [{"system": "urn:other", "code": "x"}, {"system": "urn:rows", "code": "11"}]}}, True),
        ({"code": {"coding": [{"system": "urn:rows", "code": "12"}]}}, False),
        ({"code": {"text": "x"}}, False),
        ({"code": {"coding": ["x", {"code": "11"}]}}, False),
        ({"subject": {"reference": "http://h/fhir/Patient/p1/_history/2"}}, True),
        ({"subject": {"reference": "Patient/p2"}}, False),
        ({"subject": {"reference": "Group/p1"}}, False),
        ({"subject": {"display": "p1"}}, False),
        ({"subject": None}, False),
    ],
)
def test_a_row_is_ours_by_patient_code_and_second(
    changes: dict[str, Any], expected: bool, profile: Profile, outcome: BuildOutcome
) -> None:
    physical = profile("epic").shape(outcome())[0].resource

    assert profile("epic").is_it(physical, {**physical, **changes}) is expected


def test_a_note_stands_in_with_the_encounter_and_the_sites_type(profile: Profile, outcome: BuildOutcome) -> None:
    site = profile("epic")

    stand_in = site.stand_in([one.resource for one in site.shape(outcome())])
    without = site.stand_in([one.resource for one in site.shape(outcome(encounter_id=""))])

    assert stand_in is not None
    assert list(stand_in.resource) == [
        "resourceType", "id", "status", "docStatus", "type", "subject", "content", "context"
    ]  # fmt: skip
    assert stand_in.resource["type"] == {"coding": [{"system": "urn:notes", "code": "7"}]}
    assert stand_in.resource["context"]["encounter"] == [{"reference": "Encounter/e1"}]
    assert [one["attachment"]["contentType"] for one in stand_in.resource["content"]] == ["text/plain"]
    assert (stand_in.observations, stand_in.problem) == (2, "")
    assert without is not None
    assert "no encounter" in without.problem
    assert site.amended(stand_in.resource) is None
    assert site.retracted(stand_in.resource) is None
    assert site.search(stand_in.resource) == {"patient": "p1"}
