from collections.abc import Callable

from integration.outcomes import Outcome
from server.sites import Abilities, WriteProfile

BuildOutcome = Callable[..., Outcome]
Profile = Callable[[str], WriteProfile]


def test_a_score_is_a_screener_score_and_no_answer_leaves(profile: Profile, outcome: BuildOutcome) -> None:
    built = outcome()

    physical, psychological = profile("athena").shape(built)

    assert physical.resource == {
        "resourceType": "QuestionnaireResponse",
        "id": built.physical["id"],
        "extension": [
            {
                "url": "https://fhir.athena.io/StructureDefinition/ah-questionnaire-response-screener",
                "valueString": str(built.physical["valueQuantity"]["value"]),
            },
            {
                "url": "https://fhir.athena.io/StructureDefinition/ah-practice",
                "valueReference": {"reference": "Organization/a-1"},
            },
        ],
        "identifier": built.physical["identifier"][0],
        "questionnaire": "urn:q:1",
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "authored": "2012-05-04T09:15:00+02:00",
    }
    assert psychological.resource["questionnaire"] == "urn:q:2"
    assert [(one.kind, one.observations, one.problem) for one in (physical, psychological)] == [
        ("physical", 1, ""), ("psychological", 1, "")
    ]  # fmt: skip


def test_what_a_screener_does_not_hold_is_named(profile: Profile, outcome: BuildOutcome) -> None:
    assert profile("athena").shape(outcome(status="amended"))[0].dropped == (
        "meta", "status", "category", "code", "encounter", "issued", "performer", "method", "device",
        "valueQuantity.unit", "valueQuantity.system", "valueQuantity.code", "note", "derivedFrom",
    )  # fmt: skip


def test_nothing_is_changed_or_taken_back_and_nothing_stands_in(profile: Profile, outcome: BuildOutcome) -> None:
    site = profile("athena")
    shaped = [one.resource for one in site.shape(outcome())]

    assert site.abilities == Abilities(updates=False, keeps_all=False)
    assert site.amended(shaped[0]) is None
    assert site.retracted(shaped[0]) is None
    assert site.stand_in(shaped) is None
    assert site.search(shaped[0]) is None


def test_a_screener_is_ours_by_its_one_identifier(profile: Profile, outcome: BuildOutcome) -> None:
    site = profile("athena")
    physical, psychological = (one.resource for one in site.shape(outcome()))

    assert site.is_it(physical, {"resourceType": "QuestionnaireResponse", "identifier": physical["identifier"]})
    assert not site.is_it(physical, psychological)
    assert not site.is_it(physical, {"resourceType": "QuestionnaireResponse"})


def test_a_score_without_a_value_is_left_out(profile: Profile, outcome: BuildOutcome) -> None:
    assert [one.kind for one in profile("athena").shape(outcome(skipped=11))] == ["psychological"]
