from collections.abc import Callable

from integration.outcomes import Outcome
from server.sites import Abilities, WriteProfile

BuildOutcome = Callable[..., Outcome]
Profile = Callable[[str], WriteProfile]


def test_a_score_is_a_vital_sign_under_the_name_of_a_practitioner(profile: Profile, outcome: BuildOutcome) -> None:
    built = outcome()

    physical = profile("oracle").shape(built)[0]

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
        "issued": "2012-05-04T09:15:00+02:00",
        "performer": [
            {
                "extension": [
                    {
                        "url": "http://hl7.org/fhir/StructureDefinition/event-performerFunction",
                        "valueCodeableConcept": {
                            "coding": [
                                {"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "LA"}
                            ]
                        },
                    }
                ],
                "reference": "Practitioner/9",
            }
        ],
        "valueQuantity": built.physical["valueQuantity"],
        "note": built.physical["note"],
    }
    assert (physical.observations, physical.problem) == (1, "")
    assert physical.dropped == (
        "meta", "identifier", "category[0].coding[0].code", "category[0].coding[0].display", "category[1]",
        "code.coding[0].system", "code.coding[0].code", "code.coding[0].display", "code.text",
        "performer[0].reference", "method", "device", "derivedFrom",
    )  # fmt: skip


def test_a_laboratory_result_needs_no_performer(profile: Profile, outcome: BuildOutcome) -> None:
    physical = profile("oracle, laboratory").shape(outcome())[0].resource

    assert physical["category"][0]["coding"][0]["code"] == "laboratory"
    assert "performer" not in physical
    assert physical["valueQuantity"]["unit"] == "points"
    assert "code" not in physical["valueQuantity"]


def test_a_change_is_an_amended_value_and_nothing_is_taken_back(profile: Profile, outcome: BuildOutcome) -> None:
    site = profile("oracle")
    physical = site.shape(outcome())[0].resource

    assert site.abilities == Abilities(keeps_all=False)
    assert site.amended(physical) == {**physical, "status": "amended"}
    assert site.shape(outcome(status="amended"))[0].resource["status"] == "amended"
    assert site.retracted(physical) is None


def test_a_score_without_a_value_is_left_out(profile: Profile, outcome: BuildOutcome) -> None:
    assert [one.kind for one in profile("oracle").shape(outcome(skipped=11))] == ["psychological"]
    assert set(profile("oracle").left_out()) == {"score without a value", "panel", "provenance", "device"}


def test_a_day_without_a_time_waits_for_a_person(profile: Profile, many: dict[str, Outcome]) -> None:
    site = profile("oracle")
    shaped = site.shape(many["only the day"])
    stand_in = site.stand_in([one.resource for one in shaped])

    assert stand_in is not None
    assert all("no time of day" in one.problem for one in (*shaped, stand_in))


def test_a_search_never_names_the_code(profile: Profile, outcome: BuildOutcome) -> None:
    """Millennium answers a search of vital signs by a proprietary code with nothing, whatever is there."""
    physical = profile("oracle").shape(outcome())[0].resource

    assert profile("oracle").search(physical) == {
        "patient": "p1", "category": "vital-signs", "date": "eq2012-05-04T07:15:00Z"
    }  # fmt: skip


def test_a_pdf_stands_in(profile: Profile, outcome: BuildOutcome) -> None:
    site = profile("oracle")

    stand_in = site.stand_in([one.resource for one in site.shape(outcome())])

    assert stand_in is not None
    assert [one["attachment"]["contentType"] for one in stand_in.resource["content"]] == ["application/pdf"]
    assert site.amended(stand_in.resource) is None
    assert site.is_it(stand_in.resource, _as_a_link(stand_in.resource))


def _as_a_link(resource: dict[str, object]) -> dict[str, object]:
    """Millennium gives back a link in place of the data."""
    content = resource["content"]
    assert isinstance(content, list)
    title = content[0]["attachment"]["title"]
    return {**resource, "id": "1", "content": [{"attachment": {"title": title, "url": "http://h/Binary/1"}}]}
