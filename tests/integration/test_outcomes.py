"""The resources that one scored response becomes."""

import dataclasses
import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration import msis29, outcomes
from integration.records import Moment, Response

SURVEY = ("http://terminology.hl7.org/CodeSystem/observation-category", "survey")
FUNCTIONAL_STATUS = ("http://hl7.org/fhir/us/core/CodeSystem/us-core-category", "functional-status")
DATA_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
COMPLETE: Mapping[int, list[int | None]] = {item: [3] for item in msis29.ITEMS}
ORIGIN = outcomes.Origin(
    site="north",
    software_version="0.1.0",
    mapping="msis29_venoplasty 1.0.0",
    recorded=datetime(2012, 6, 1, 12, 30, tzinfo=UTC),
    minimum_answered=msis29.HALF_OF_THE_ITEMS,
)
AUTHORED = Moment(
    day=date(2012, 5, 4),
    instant=datetime.fromisoformat("2012-05-04T09:15:00+02:00"),
    text="2012-05-04T09:15:00+02:00",
)


def response(answers: msis29.Answers = COMPLETE, version: msis29.Version = "1", **changes: Any) -> Response:
    score = msis29.score(answers, version)
    scored = Response(
        response_id="r1",
        patient_id="p1",
        status="completed",
        version_id="3",
        moment=AUTHORED,
        instrument_version=version,
        questionnaire=f"urn:outcome-bridge:questionnaire:msis-29-v{version}",
        answered_by="Patient/p1",
        score=score,
        reason=score.reason,
    )
    return dataclasses.replace(scored, **changes)


def built(answers: msis29.Answers = COMPLETE, version: msis29.Version = "1", **changes: Any) -> outcomes.Outcome:
    return outcomes.build(response(answers, version, **changes), ORIGIN)


def without(*items: int) -> dict[int, list[int | None]]:
    return {item: answers for item, answers in COMPLETE.items() if item not in items}


def categories(resource: outcomes.Resource) -> list[tuple[str, str]]:
    return [(coding["system"], coding["code"]) for category in resource["category"] for coding in category["coding"]]


def absent(resource: outcomes.Resource) -> tuple[str, str, str]:
    (coding,) = resource["dataAbsentReason"]["coding"]
    return coding["system"], coding["code"], resource["dataAbsentReason"]["text"]


def test_a_panel_has_both_scores_as_members_and_no_value() -> None:
    outcome = built()

    members = [member["reference"] for member in outcome.panel["hasMember"]]

    assert members == [f"Observation/{outcome.physical['id']}", f"Observation/{outcome.psychological['id']}"]
    assert not [key for key in outcome.panel if key.startswith("value") or key == "dataAbsentReason"]


def test_a_score_is_a_ucum_score_quantity() -> None:
    # UK MS Register, doi:10.1371/journal.pone.0055422: half way between all lowest and all highest is 50.
    assert built().physical["valueQuantity"] == {
        "value": Decimal(50),
        "unit": "{score}",
        "system": "http://unitsofmeasure.org",
        "code": "{score}",
    }


def test_the_codes_and_categories_are_those_of_the_contract() -> None:
    outcome = built()

    codes = [resource["code"]["coding"][0] for resource in (outcome.panel, outcome.physical, outcome.psychological)]
    assert [code["code"] for code in codes] == ["panel", "physical-0-100", "psychological-0-100"]
    assert {code["system"] for code in codes} == {"urn:outcome-bridge:CodeSystem:msis-29"}
    assert categories(outcome.panel) == categories(outcome.physical) == [SURVEY, FUNCTIONAL_STATUS]
    assert categories(outcome.psychological) == [SURVEY]


@pytest.mark.parametrize(("status", "expected"), [("completed", "final"), ("amended", "amended")])
def test_an_amended_response_gives_amended_observations(status: str, expected: str) -> None:
    assert {resource["status"] for resource in built(status=status).observations} == {expected}


def test_the_time_is_as_written_and_issued_needs_a_time() -> None:
    with_time = built().physical
    without_time = built(moment=Moment(day=date(2012, 5, 4), instant=None, text="2012-05-04")).physical

    assert with_time["effectiveDateTime"] == with_time["issued"] == "2012-05-04T09:15:00+02:00"
    assert without_time["effectiveDateTime"] == "2012-05-04"
    assert "issued" not in without_time


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2012-05-04T09:15:00.250+02:00", "2012-05-04T09:15:00.250+02:00"),
        ("2012-05-04T09:15+02:00", "2012-05-04T09:15:00+02:00"),
        ("2012-05-04 09:15:00Z", "2012-05-04T09:15:00+00:00"),
    ],
)
def test_a_time_that_fhir_does_not_allow_is_written_as_it_does(text: str, written: str) -> None:
    moment = Moment(day=date(2012, 5, 4), instant=datetime.fromisoformat(text), text=text)

    resource = built(moment=moment).physical

    assert resource["effectiveDateTime"] == resource["issued"] == written


def test_of_a_time_without_a_zone_only_the_day_is_known() -> None:
    resource = built(moment=Moment(day=date(2012, 5, 4), instant=None, text="2012-05-04T09:15:00")).physical

    assert resource["effectiveDateTime"] == "2012-05-04"
    assert "issued" not in resource


def agents(outcome: outcomes.Outcome) -> dict[str, outcomes.Resource]:
    return {agent["type"]["coding"][0]["code"]: agent for agent in outcome.provenance["agent"]}


@pytest.mark.parametrize(
    "who", ["Patient/p1", "Patient/p2", "RelatedPerson/s", "Practitioner/n", "PractitionerRole/n-at-w"]
)
def test_who_answered_is_performer_and_author(who: str) -> None:
    outcome = built(answered_by=who)

    assert all(resource["performer"] == [{"reference": who}] for resource in outcome.observations)
    assert agents(outcome)["author"]["who"] == {"reference": who}


def test_where_nobody_is_known_to_have_answered_there_is_no_performer_and_no_author() -> None:
    outcome = built(answered_by="")

    assert not [resource for resource in outcome.observations if "performer" in resource]
    assert set(agents(outcome)) == {"assembler"}


@pytest.mark.parametrize(
    ("who", "is_tagged"),
    [
        ("Patient/p1", True),
        ("RelatedPerson/s", True),
        ("Practitioner/n", False),
        ("PractitionerRole/n", False),
        ("", False),
    ],
)
def test_what_the_patients_side_supplied_is_tagged_as_us_core_asks(who: str, is_tagged: bool) -> None:
    """https://hl7.org/fhir/us/core/STU7/vitals-write.html: a patient or designee, rather than a healthcare provider."""
    tag = {"system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-tags", "code": "patient-supplied"}

    for resource in built(answered_by=who).observations:
        assert resource["meta"].get("tag", []) == ([tag] if is_tagged else [])


@pytest.mark.parametrize("who", ["Patient/p1", "RelatedPerson/s", "Practitioner/n", "PractitionerRole/n", ""])
def test_the_provenance_keeps_the_rules_of_the_us_core_profile_it_claims(who: str) -> None:
    """http://hl7.org/fhir/us/core/StructureDefinition/us-core-provenance: cardinalities, types, rule provenance-1."""
    provenance = built(answered_by=who).provenance

    assert provenance["meta"]["profile"] == ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-provenance"]
    assert all(target["reference"] for target in provenance["target"])
    assert provenance["recorded"]
    assert provenance["agent"]
    for agent in provenance["agent"]:
        kind = agent["who"]["reference"].partition("/")[0]
        assert kind in ("Practitioner", "PractitionerRole", "Organization", "Patient", "Device", "RelatedPerson")
        assert ("onBehalfOf" in agent) == (kind in ("Practitioner", "Device"))


def test_an_encounter_is_named_when_it_is_known() -> None:
    assert "encounter" not in built().panel
    assert built(encounter_id="e1").physical["encounter"] == {"reference": "Encounter/e1"}


def test_every_observation_names_its_response_its_device_and_its_method() -> None:
    device = outcomes.device(ORIGIN)

    for resource in built(version="2", answers={item: [2] for item in msis29.ITEMS}).observations:
        assert resource["derivedFrom"] == [{"reference": "QuestionnaireResponse/r1"}]
        assert resource["device"] == {"reference": f"Device/{device['id']}"}
        assert resource["method"]["coding"][0]["code"] == "msis-29-v2"
        assert "version 2" in resource["method"]["text"]


def test_the_method_names_the_missing_item_rule_of_the_site() -> None:
    rule = msis29.MissingItemRule(physical=15, psychological=7)

    method = outcomes.build(response(), dataclasses.replace(ORIGIN, minimum_answered=rule)).physical["method"]

    assert method["coding"][0]["code"] == "msis-29-v1"
    assert "15 of 20 physical, 7 of 9 psychological" in method["text"]


def test_the_note_counts_items_and_gives_the_sum_that_the_exact_value_is_recomputed_from() -> None:
    outcome = built(without(1, 2, 3))

    note = outcome.physical["note"][0]["text"]
    answered, _, imputed, raw, _, highest = (int(number) for number in re.findall(r"\d+", note))
    assert (answered, imputed, raw, highest) == (17, 3, 51, 5)
    assert Fraction(100 * (raw - answered), answered * (highest - 1)) == 50
    panel_note = outcome.panel["note"][0]["text"]
    assert panel_note.startswith("Physical: 17 of 20 items answered, 3 imputed. Psychological: 9 of 9")


def test_one_subscale_may_be_scored_without_the_other() -> None:
    outcome = built(without(*range(21, 26)))

    assert outcome.physical["valueQuantity"]["value"] == 50
    assert absent(outcome.psychological) == (DATA_ABSENT, "unknown", "too few answers")
    assert "valueQuantity" not in outcome.psychological
    assert outcome.psychological["note"][0]["text"] == "4 of 9 items answered, no score."
    assert "dataAbsentReason" not in outcome.panel


@pytest.mark.parametrize(
    ("answers", "code", "reason"),
    [
        ({1: [3]}, "unknown", "too few answers"),
        ({}, "unknown", "too few answers"),
        ({**COMPLETE, 4: [6]}, "error", "answer out of range"),
        ({**COMPLETE, 4: [1, 2]}, "error", "several answers"),
        ({**COMPLETE, 4: [None]}, "error", "answer not understood"),
    ],
)
def test_a_response_without_any_score_says_why_three_times(answers: msis29.Answers, code: str, reason: str) -> None:
    for resource in built(answers).observations:
        assert absent(resource) == (DATA_ABSENT, code, reason)
        assert not [key for key in resource if key.startswith("value")]


def test_an_unscored_subscale_shows_no_sum_because_the_sum_of_one_answer_is_the_answer() -> None:
    outcome = built({1: [3]})

    assert outcome.physical["note"] == [{"text": "1 of 20 items answered, no score."}]


def test_only_test_data_is_labelled_and_only_as_test_data() -> None:
    labelled, unlabelled = built(is_synthetic=True), built()

    for resource in (*labelled.observations, labelled.provenance):
        assert [label["code"] for label in resource["meta"]["security"]] == ["HTEST"]
    assert not [r for r in (*unlabelled.observations, unlabelled.provenance) if "security" in r["meta"]]


def test_how_confidential_a_response_is_goes_with_its_outcome() -> None:
    restricted = built(confidentiality=("R", "V"))

    for resource in (*restricted.observations, restricted.provenance):
        assert [label["code"] for label in resource["meta"]["security"]] == ["R", "V"]


def test_the_observations_claim_the_us_core_profile() -> None:
    assert {tuple(resource["meta"]["profile"]) for resource in built().observations} == {(outcomes.PROFILE,)}


def test_the_identity_does_not_depend_on_the_score_the_version_or_the_software() -> None:
    first = built()
    corrected = outcomes.build(
        response(without(1), status="amended", version_id="4"),
        dataclasses.replace(ORIGIN, software_version="9", mapping="other 2", recorded=datetime(2026, 1, 1, tzinfo=UTC)),
    )

    for before, after in zip(first.observations, corrected.observations, strict=True):
        assert before["id"] == after["id"] == after["identifier"][0]["value"]
        assert before["identifier"] == after["identifier"]
    assert first.provenance["id"] == corrected.provenance["id"]
    assert first.provenance["meta"]["tag"] == corrected.provenance["meta"]["tag"]


def test_the_identity_tells_site_response_version_and_part_apart() -> None:
    others = [
        built(),
        built(response_id="r2"),
        built(version="2", answers={}),
        outcomes.build(response(), dataclasses.replace(ORIGIN, site="south")),
        outcomes.build(response(response_id='1","r'), dataclasses.replace(ORIGIN, site="north")),
        outcomes.build(response(response_id="r"), dataclasses.replace(ORIGIN, site='north","1')),
    ]

    ids = [r["id"] for outcome in others for r in (*outcome.observations, outcome.provenance)]
    assert len(set(ids)) == len(ids) == 24
    assert all(re.fullmatch(r"[A-Za-z0-9.-]{1,64}", resource_id) for resource_id in ids)


def test_the_provenance_tells_source_version_software_and_site() -> None:
    outcome = built()

    provenance = outcome.provenance
    assert provenance["entity"] == [
        {"role": "source", "what": {"reference": "QuestionnaireResponse/r1/_history/3"}},
    ]
    assert sorted(target["reference"] for target in provenance["target"]) == sorted(
        f"Observation/{resource['id']}" for resource in outcome.observations
    )
    assembler = agents(outcome)["assembler"]
    assert assembler["who"]["reference"] == f"Device/{outcomes.device(ORIGIN)['id']}"
    assert assembler["onBehalfOf"]["identifier"]["value"] == "north"
    assert provenance["recorded"] == "2012-06-01T12:30:00.000Z"


def test_a_response_without_a_version_is_named_without_one() -> None:
    what = built(version_id="").provenance["entity"][0]["what"]

    assert what == {"reference": "QuestionnaireResponse/r1"}


def test_the_device_is_one_version_of_the_software_with_one_mapping() -> None:
    device = outcomes.device(ORIGIN)

    assert device["version"] == [
        {"type": {"text": "software"}, "value": "0.1.0"},
        {"type": {"text": "mapping"}, "value": "msis29_venoplasty 1.0.0"},
    ]
    assert device == outcomes.device(dataclasses.replace(ORIGIN, recorded=datetime(2026, 1, 1, tzinfo=UTC)))
    assert device["id"] != outcomes.device(dataclasses.replace(ORIGIN, software_version="0.2.0"))["id"]


@pytest.mark.parametrize("change", [{"reason": "status"}, {"response_id": ""}, {"score": None}, {"moment": None}])
def test_a_response_without_an_outcome_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has no outcome"):
        built(**change)


@given(raw=st.integers(20, 100), answered=st.integers(10, 20))
def test_a_value_is_within_half_a_hundredth_of_the_exact_score_and_a_json_number(raw: int, answered: int) -> None:
    raw = max(answered, min(raw, 5 * answered))
    values = [1 + (raw - answered) * n // answered for n in range(answered + 1)]
    answers: dict[int, list[int | None]] = {n: [values[n] - values[n - 1] + 1] for n in range(1, answered + 1)}
    scored = response(answers)

    value = outcomes.build(scored, ORIGIN).physical["valueQuantity"]["value"]

    assert scored.score is not None
    assert scored.score.physical is not None
    assert scored.score.physical.score is not None
    assert abs(Fraction(value) - scored.score.physical.score) <= Fraction(5, 1000)
    written = re.search(rb'"value":([0-9.E+-]+)', outcomes.encode({"value": value}))
    assert written is not None
    assert re.fullmatch(rb"\d{1,3}(\.\d{1,2})?", written[1])
    assert not re.search(rb"\.\d*0$", written[1])


def test_rounding_is_half_to_even() -> None:
    # Physical, version 1, 16 of 20 items: 100 (raw - 16) / 64 = 1.5625 for raw 17 -> 1.56 and 4.6875 for 19 -> 4.69;
    # psychological, version 1, 8 items: 100 x 1 / 32 = 3.125, a tie -> 3.12; 9.375, a tie -> 9.38.
    one = built({**{item: [1] for item in range(1, 16)}, 16: [2], **{item: [1] for item in range(21, 28)}, 28: [2]})
    three = built({**{item: [1] for item in range(1, 16)}, 16: [4], **{item: [1] for item in range(21, 28)}, 28: [4]})

    assert one.physical["valueQuantity"]["value"] == Decimal("1.56")
    assert one.psychological["valueQuantity"]["value"] == Decimal("3.12")
    assert three.physical["valueQuantity"]["value"] == Decimal("4.69")
    assert three.psychological["valueQuantity"]["value"] == Decimal("9.38")


def test_the_highest_score_is_written_as_one_hundred() -> None:
    outcome = built({item: [5] for item in msis29.ITEMS})

    assert b'"value":100,' in outcomes.encode(outcome.physical)


def test_encoding_is_deterministic_and_starts_with_the_resource_type() -> None:
    once, again = built(), built()

    assert outcomes.encode(once.panel) == outcomes.encode(again.panel)
    assert outcomes.encode(once.panel).startswith(b'{"resourceType":"Observation"')


def test_no_resource_shares_a_part_with_another() -> None:
    outcome = built()

    outcome.panel["category"][0]["coding"][0]["code"] = "changed"

    assert categories(outcome.physical)[0] == categories(built().panel)[0] == SURVEY


@pytest.mark.parametrize("name", ["panel", "physical", "psychological", "provenance"])
def test_the_hash_is_the_same_after_a_round_trip_through_json(name: str) -> None:
    resource = getattr(built(without(7)), name)
    read_back = json.loads(outcomes.encode(resource))
    reordered = dict(reversed(read_back.items()))

    assert outcomes.content_hash(resource) == outcomes.content_hash(read_back) == outcomes.content_hash(reordered)


def test_the_hash_leaves_out_what_says_nothing() -> None:
    before = built()
    after = outcomes.build(
        response(), dataclasses.replace(ORIGIN, software_version="9", recorded=datetime(2026, 1, 1, tzinfo=UTC))
    )
    served = before.physical | {"id": "77", "meta": {**before.physical["meta"], "versionId": "2", "lastUpdated": "x"}}
    served["valueQuantity"] = served["valueQuantity"] | {"value": 50.0}

    assert outcomes.content_hash(served) == outcomes.content_hash(before.physical)
    assert outcomes.content_hash(before.physical) == outcomes.content_hash(after.physical)
    assert outcomes.content_hash(before.provenance) == outcomes.content_hash(after.provenance)


def test_what_says_who_computed_it_is_left_out_of_any_shape_of_resource() -> None:
    software = {"who": {"reference": "https://ehr.example.org/fhir/Device/7/_history/2"}}
    served = {"recorded": "x", "device": {}, "agent": ["text", {"who": "Device/1"}, software], "status": "final"}

    assert outcomes.without_origin(served) == {"agent": ["text", {"who": "Device/1"}], "status": "final"}
    assert outcomes.without_origin({"agent": {"who": 1}}) == {"agent": {"who": 1}}


def test_the_hash_sees_every_change_of_meaning() -> None:
    base = built().physical
    changed = [
        built({**COMPLETE, 1: [4]}).physical,
        built(without(1)).physical,
        built(status="amended").physical,
        built(patient_id="p2").physical,
        built(encounter_id="e1").physical,
        built(is_synthetic=True).physical,
        built(confidentiality=("R",)).physical,
        built(answered_by="").physical,
        built(answered_by="RelatedPerson/p1").physical,
        built(moment=Moment(day=date(2012, 5, 5), instant=None, text="2012-05-05")).physical,
        outcomes.withdrawn(base),
    ]

    hashes = {outcomes.content_hash(resource) for resource in (base, *changed)}
    assert len(hashes) == len(changed) + 1
    provenance = built().provenance
    for other in (built(version_id="4"), built(answered_by=""), built(answered_by="Practitioner/p1")):
        assert outcomes.content_hash(other.provenance) != outcomes.content_hash(provenance)


def test_withdrawing_marks_an_observation_and_keeps_what_it_said() -> None:
    outcome = built()

    taken_back = outcomes.withdrawn(outcome.physical)

    assert taken_back == outcome.physical | {"status": "entered-in-error"}
    assert outcome.physical["status"] == "final"
    assert outcomes.withdrawn(outcome.provenance) == outcome.provenance
