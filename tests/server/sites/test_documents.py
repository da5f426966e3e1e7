import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from integration.outcomes import Outcome, Resource, encode
from server.ledger.planning import Shaped
from server.sites import WriteProfile, documents

BuildOutcome = Callable[..., Outcome]
Profile = Callable[[str], WriteProfile]


def text_of(shaped: Shaped) -> str:
    return base64.b64decode(shaped.resource["content"][0]["attachment"]["data"]).decode()


def test_a_response_is_one_document_in_words(profile: Profile, outcome: BuildOutcome) -> None:
    (shaped,) = profile("document").shape(outcome(skipped=1, status="amended"))
    reference = shaped.resource["id"][:16]

    assert text_of(shaped).splitlines() == [
        "MSIS-29 (Multiple Sclerosis Impact Scale)",
        "Answered 2012-05-04T09:15:00+02:00 by the patient",
        "The answers were amended after they were first given; these are the scores of the amended answers.",
        "",
        "MSIS-29 physical subscale, 0-100: 51.32",
        "    19 of 20 items answered, 1 imputed; sum of the answered items 58, answers 1-5.",
        "MSIS-29 psychological subscale, 0-100: 55.56",
        "    9 of 9 items answered, 0 imputed; sum of the answered items 29, answers 1-5.",
        "On each scale 0 is the best and 100 the worst score.",
        "",
        "Method: " + outcome().physical["method"]["text"],
        "Computed by Outcome Bridge from the answers to the questionnaire, which are not repeated here.",
        "Source: QuestionnaireResponse/r1",
        f"Reference: {reference}",
    ]


def test_the_resource_around_the_words(profile: Profile, outcome: BuildOutcome) -> None:
    (shaped,) = profile("document").shape(outcome())
    resource = {name: value for name, value in shaped.resource.items() if name != "content"}

    assert (shaped.kind, shaped.observations, shaped.problem) == ("document", 3, "")
    assert resource == {
        "resourceType": "DocumentReference",
        "id": shaped.resource["id"],
        "identifier": [{"system": "urn:outcome-bridge:identifier:outcome", "value": shaped.resource["id"]}],
        "status": "current",
        "docStatus": "final",
        "type": {"text": "MSIS-29 scores"},
        "category": [
            {
                "coding": [
                    {
                        "system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
                        "code": "clinical-note",
                        "display": "Clinical Note",
                    }
                ]
            }
        ],
        "subject": {"reference": "Patient/p1"},
        "date": "2012-05-04T09:15:00+02:00",
        "context": {
            "encounter": [{"reference": "Encounter/e1"}],
            "period": {"start": "2012-05-04T09:15:00+02:00", "end": "2012-05-04T09:15:00+02:00"},
            "related": [{"reference": "QuestionnaireResponse/r1"}],
        },
    }


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("no score", ["physical subscale, 0-100: no score, too few answers", "panel: no score, too few answers"]),
        ("contradicts", ["MSIS-29 panel: no score, several answers"]),
        ("test data", ["TEST DATA, not about a real person."]),
        ("only the day", ["Answered 2012-05-04 by the patient"]),
        ("by nobody known", ["Answered 2012-05-04T09:15:00+02:00\n"]),
        ("by a practitioner", ["Answered 2012-05-04T09:15:00+02:00 by Practitioner/d7"]),
    ],
)
def test_the_words_say_what_is_particular(
    kind: str, words: list[str], profile: Profile, many: dict[str, Outcome]
) -> None:
    (shaped,) = profile("document").shape(many[kind])

    assert all(word in text_of(shaped) for word in words)
    assert ("0 is the best" in text_of(shaped)) == (kind not in ("no score", "contradicts"))


def test_the_label_of_test_data_is_kept(profile: Profile, outcome: BuildOutcome) -> None:
    built = outcome(is_synthetic=True)

    assert profile("document").shape(built)[0].resource["meta"] == {"security": built.panel["meta"]["security"]}


def test_what_the_words_leave_out_is_named(profile: Profile, outcome: BuildOutcome) -> None:
    (shaped,) = profile("document").shape(outcome())

    assert shaped.dropped == (
        "meta", "identifier", "category", "code.coding", "issued", "method.coding", "device", "valueQuantity.unit",
        "valueQuantity.system", "valueQuantity.code", "note", "hasMember",
    )  # fmt: skip


def test_a_pdf_is_the_same_bytes_every_time_and_says_the_same(profile: Profile, outcome: BuildOutcome) -> None:
    first, second = (profile("document, both").shape(outcome())[0].resource["content"] for _ in range(2))
    pdf = base64.b64decode(first[1]["attachment"]["data"])

    assert first == second
    assert [one["attachment"]["contentType"] for one in first] == ["text/plain", "application/pdf"]
    assert pdf.startswith(b"%PDF-")
    assert b"CreationDate" not in pdf
    assert first[1] != profile("document, both").shape(outcome(skipped=2))[0].resource["content"][1]


def test_a_document_is_written_over_only_where_the_site_takes_updates(profile: Profile, outcome: BuildOutcome) -> None:
    fixed, changeable = profile("document"), profile("document, both")
    document = fixed.shape(outcome())[0].resource

    assert (fixed.abilities.updates, changeable.abilities.updates) == (False, True)
    assert (fixed.amended(document), fixed.retracted(document)) == (None, None)
    assert changeable.amended(document) == document
    assert changeable.retracted(document) == {**document, "status": "entered-in-error"}


def test_a_document_is_the_same_whether_made_from_the_outcome_or_from_the_ledger(
    profile: Profile, outcome: BuildOutcome
) -> None:
    site = profile("single")
    observations = outcome().observations
    stored: list[Resource] = [msgspec.json.decode(encode(one)) for one in observations]

    assert site.stand_in(stored) == site.stand_in(observations)


def test_the_key_is_of_the_observations_not_of_their_order(profile: Profile, outcome: BuildOutcome) -> None:
    site = profile("single")
    physical, psychological, panel = outcome().observations
    both, reverse = site.stand_in([physical, psychological]), site.stand_in([psychological, physical])
    all_three = site.stand_in([physical, psychological, panel])

    assert both is not None
    assert reverse is not None
    assert all_three is not None
    assert both.resource["id"] == reverse.resource["id"] != all_three.resource["id"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"content": [{"attachment": {"data": "no base64"}}]}, False),
        ({"content": [{"attachment": {"data": base64.b64encode(b"other words").decode()}}]}, False),
        ({"content": [{"attachment": {"url": "http://h/Binary/1"}}]}, False),
        ({"content": ["x", {"attachment": 3}]}, False),
        ({"content": None}, False),
        ({"subject": {"reference": "Patient/p2"}}, False),
    ],
)
def test_a_document_is_ours_by_the_reference_in_it(
    changes: dict[str, Any], expected: bool, profile: Profile, outcome: BuildOutcome
) -> None:
    document = profile("document").shape(outcome())[0].resource

    assert profile("document").is_it(document, {**document, **changes}) is expected


def test_the_text_alone_holds_the_reference(profile: Profile, outcome: BuildOutcome) -> None:
    document = profile("document").shape(outcome())[0].resource
    data = document["content"][0]["attachment"]["data"]

    assert profile("document").is_it(document, {**document, "content": [{"attachment": {"data": data}}]})


def test_what_a_document_links_to_is_put_in_its_place(profile: Profile, outcome: BuildOutcome) -> None:
    document = profile("document, both").shape(outcome())[0].resource
    text, pdf = (one["attachment"] for one in document["content"])
    linked = {**{name: value for name, value in text.items() if name != "data"}, "url": "Binary/7"}
    found = {**document, "content": [{"attachment": linked}, {"attachment": pdf}, "not a content"]}

    read = documents.with_data(found, lambda url: base64.b64decode(text["data"]) if url == "Binary/7" else b"")

    assert read["content"] == [{"attachment": text}, {"attachment": pdf}, "not a content"]
    assert documents.with_data(document, lambda _: b"unused") is document
    assert documents.with_data({"content": "text"}, lambda _: b"unused") == {"content": "text"}


@pytest.mark.parametrize(
    ("elements", "attachment", "may_be"),
    [
        ({}, {"url": "Binary/1", "contentType": "text/plain"}, True),
        ({}, {"url": "Binary/1"}, True),
        ({}, {"url": "Binary/1", "contentType": "image/jpeg"}, False),
        ({}, {"data": "d29yZHM=", "contentType": "text/plain"}, False),
        ({"subject": {"reference": "Patient/p2"}}, {"url": "Binary/1"}, False),
        ({}, {"url": "Binary/1", "title": "Discharge summary"}, True),
        ({"context": {"period": {"start": "2011-01-01"}}}, {"url": "Binary/1", "title": "Discharge summary"}, False),
        ({"context": {"period": {"start": "2011-01-01"}}}, {"url": "Binary/1"}, True),
    ],
)
def test_only_a_link_can_tell_whether_a_document_of_the_patient_is_ours(
    elements: Resource, attachment: Resource, profile: Profile, outcome: BuildOutcome, *, may_be: bool
) -> None:
    document = profile("document").shape(outcome())[0].resource
    found = {"resourceType": "DocumentReference", "subject": document["subject"], **elements}

    assert documents.may_be(document, {**found, "content": [{"attachment": attachment}]}) is may_be


def test_a_response_has_one_document_whichever_observations_it_stands_for(
    profile: Profile, outcome: BuildOutcome
) -> None:
    site, (physical, psychological, panel) = profile("single"), outcome().observations

    some = site.stand_in([physical, panel], of="north/r1")
    others = site.stand_in([psychological], of="north/r1")
    of_another = site.stand_in([psychological], of="north/r2")

    assert some is not None
    assert others is not None
    assert of_another is not None
    assert some.resource["id"] == others.resource["id"] != of_another.resource["id"]
