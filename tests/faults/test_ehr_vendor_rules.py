"""The simulated vendors' EHRs take, keep and answer what the documents of the real ones say."""

from typing import Any

import pytest
from ehr_rules import SCREENER_SCORE
from ehr_samples import (
    MOMENT,
    ROW,
    Client,
    bundle,
    category,
    note,
    observation,
    questionnaire_response,
    signed,
    vital_sign,
)

BUNDLE_ANSWERS = {404, 405, 501}


# --- Epic-like: specifications 963 and 1046


def test_an_epic_like_server_keeps_what_a_flowsheet_row_holds(client: Client) -> None:
    client.simulator.configure("epic-like")
    sent = vital_sign(
        derivedFrom=[{"reference": "QuestionnaireResponse/q"}], method={"text": "m"}, device={"display": "d"}
    )

    created = client.create(sent, If_None_Exist="identifier=urn:example:outcome|one")
    (held,) = client.simulator.chart.current("Observation")
    read = client.send("GET", created.headers["Location"]).json()

    assert (created.status_code, created.content) == (201, b"")
    assert created.headers["Location"] == f"Observation/{held['id']}"
    assert created.headers["Content-Type"] == "text/html"
    assert "ETag" not in created.headers
    assert not {"identifier", "derivedFrom", "method", "device"} & set(read)
    assert read["effectiveDateTime"] == "2012-05-04T07:15:00Z"
    assert {"performer", "encounter"} <= set(read)
    assert client.simulator.chart.ids_of("urn:example:outcome|one") == [f"Observation/{held['id']}"]


@pytest.mark.parametrize(
    ("elements", "status"),
    [
        ({"category": category("survey")}, 400),
        ({"category": category("vital-signs") * 2}, 400),
        ({"status": "amended"}, 422),
        ({"code": {"coding": [{"system": ROW, "code": "flowsheet-physical"}] * 2}}, 400),
        ({"code": {"coding": [{"system": ROW, "code": "of another site"}]}}, 400),
        ({"code": {"coding": [{"system": "http://loinc.org", "code": "1-8"}]}}, 400),
        ({"effectiveDateTime": "2012-05-04"}, 400),
        ({"valueQuantity": None}, 400),
        ({"note": [{"text": "x" * 255}]}, 400),
        ({"subject": {"reference": "Patient/unheard-of"}}, 404),
        ({"encounter": None}, 400),
        ({"encounter": {"reference": "Encounter/closed"}}, 400),
        ({"encounter": {"reference": "Encounter/of-another"}}, 400),
        ({"note": [{"text": "x" * 254}]}, 201),
    ],
)
def test_an_epic_like_server_refuses_what_its_specification_does_not_take(
    client: Client, elements: dict[str, Any], status: int
) -> None:
    client.simulator.configure("epic-like")
    client.simulator.add_encounter("closed", "Patient/p1", status="finished")
    client.simulator.add_encounter("of-another", client.simulator.add_patient("p2"))
    body = {name: value for name, value in vital_sign(**elements).items() if value is not None}

    assert client.create(body).status_code == status
    assert len(client.simulator.chart.current("Observation")) == (status == 201)


def test_an_epic_like_server_takes_no_second_reading_of_the_moment_whatever_its_value(client: Client) -> None:
    client.simulator.configure("epic-like")
    client.create(vital_sign())

    again = client.create(vital_sign(valueQuantity={"value": 1.0}, effectiveDateTime="2012-05-04T07:15:00Z"))
    (issue,) = again.json()["issue"]

    assert again.status_code == 400
    assert issue["details"]["coding"][0]["code"] == "59189"
    assert issue["expression"] == ["code/instant"]


def test_an_epic_like_server_takes_a_loinc_that_the_site_mapped(client: Client) -> None:
    client.simulator.configure("epic-like", loincs=(("1-8", "flowsheet-physical"),), encounter_required=False)
    body = vital_sign(code={"coding": [{"system": "http://loinc.org", "code": "1-8"}]})
    del body["encounter"]

    created = client.create(body)
    twice = client.create(vital_sign(encounter=None) | {"encounter": {"reference": "Encounter/e1"}})

    assert (created.status_code, twice.status_code) == (201, 400)  # the row is the same
    assert len(client.simulator.chart.at("Patient/p1", "flowsheet-physical", MOMENT)) == 1


@pytest.mark.parametrize("status", [405, 403])
def test_an_epic_like_server_changes_nothing(client: Client, status: int) -> None:
    client.simulator.configure("epic-like", update_status=status)
    place = client.create(vital_sign()).headers["Location"]

    answers = [client.send(method, place, vital_sign()).status_code for method in ("PUT", "PATCH", "DELETE")]

    assert answers == [status] * 3
    assert client.send("POST", "", bundle("transaction")).status_code in BUNDLE_ANSWERS
    assert client.create({"resourceType": "Device"}).status_code == 403


@pytest.mark.parametrize(("policy", "count"), [("all", 1), ("none", 0)])
def test_an_epic_like_server_does_not_search_identifiers_and_warns(client: Client, policy: str, count: int) -> None:
    client.simulator.configure("epic-like", unknown_parameter=policy)
    client.create(vital_sign())

    entries = client.send("GET", "Observation?patient=p1&identifier=unheard-of").json()["entry"]

    assert [one["search"]["mode"] for one in entries] == ["match"] * count + ["outcome"]
    assert len(client.found("Observation?patient=p1&category=vital-signs&date=2012-05-04")) == 1


def test_without_the_right_a_read_is_forbidden_without_a_word(client: Client) -> None:
    client.simulator.configure("epic-like", may_read=False)
    place = client.create(vital_sign()).headers["Location"]

    answer = client.send("GET", place)

    assert (answer.status_code, answer.content) == (403, b"")
    assert client.send("GET", "Patient/p1").status_code == 200


@pytest.mark.parametrize(
    ("rules", "content_type", "status"),
    [
        ("epic-like", "text/plain", 201),
        ("epic-like", "application/pdf", 400),
        ("oracle-like", "application/pdf", 201),
        ("oracle-like", "text/html", 422),
        ("athena-like", "text/plain", 404),
    ],
)
def test_each_kind_takes_its_own_documents(client: Client, rules: str, content_type: str, status: int) -> None:
    client.simulator.configure(rules)

    assert client.create(note(content_type)).status_code == status


def test_a_document_may_come_back_by_url(client: Client) -> None:
    client.simulator.configure("epic-like", documents_by_url=True)

    read = client.send("GET", client.create(note()).headers["Location"]).json()
    attached = client.send("GET", read["content"][0]["attachment"]["url"])

    assert (attached.text, attached.headers["Content-Type"]) == ("score", "text/plain")


def test_an_epic_like_note_needs_its_encounter(client: Client) -> None:
    client.simulator.configure("epic-like")
    body = note()
    del body["context"]

    assert client.create(body).status_code == 400


# --- Oracle-like: observation.md and observation.yaml


def test_an_oracle_like_server_answers_without_a_body_and_drops_what_it_does_not_support(client: Client) -> None:
    client.simulator.configure("oracle-like")

    created = client.create(signed(derivedFrom=[{"reference": "QuestionnaireResponse/q"}]))
    (held,) = client.simulator.chart.current("Observation")

    assert (created.status_code, created.content, created.headers["ETag"]) == (201, b"", 'W/"1"')
    assert created.headers["Location"] == f"{client.simulator.base_url}/Observation/{held['id']}"
    assert held["id"].startswith("VS-")
    assert not {"identifier", "derivedFrom"} & set(held)


@pytest.mark.parametrize(
    ("elements", "status"),
    [
        ({"category": category("survey")}, 422),
        ({"category": category("vital-signs") + category("laboratory")}, 422),
        ({"category": category("laboratory"), "performer": []}, 201),
        ({"status": "preliminary"}, 422),
        ({"status": "corrected"}, 201),
        ({"performer": [{"reference": "Practitioner/d1"}]}, 422),
        ({"performer": [{"reference": "Patient/p1"}]}, 422),
        ({"valueQuantity": None, "valueString": "61"}, 422),
        ({"effectiveDateTime": None, "effectiveInstant": "2012-05-04T07:15:00Z"}, 422),
        ({"modifierExtension": [{"url": "urn:x", "valueString": "y"}]}, 422),
        ({"subject": {"reference": "Patient/unheard-of"}}, 404),
    ],
)
def test_an_oracle_like_server_refuses_what_its_documents_do_not_take(
    client: Client, elements: dict[str, Any], status: int
) -> None:
    client.simulator.configure("oracle-like")
    body = {name: value for name, value in signed(**elements).items() if value not in (None, [])}

    assert client.create(body).status_code == status


@pytest.mark.parametrize("missing", [428, 412])
def test_an_oracle_like_update_needs_if_match_and_takes_two_statuses(client: Client, missing: int) -> None:
    client.simulator.configure("oracle-like", if_match_status=missing)
    place = client.create(signed()).headers["Location"]

    def status(body: dict[str, Any], **headers: str) -> int:
        return client.send("PUT", place, body, **headers).status_code

    assert status(signed(status="amended")) == missing
    assert status(signed(status="entered-in-error"), If_Match='W/"1"') == 422
    assert status(signed(status="amended", category=category("laboratory")), If_Match='W/"1"') == 422
    assert status(signed(status="amended"), If_Match='W/"1"') == 200
    assert status(signed(status="amended"), If_Match='W/"1"') == 412
    assert client.send("DELETE", place).status_code == 405


@pytest.mark.parametrize("is_known", [True, False])
def test_an_oracle_like_search_knows_last_updated_by_a_switch(client: Client, is_known: bool) -> None:
    client.simulator.configure("oracle-like", last_updated_search=is_known)

    answer = client.send("GET", "Observation?patient=p1&_lastUpdated=ge2020-01-01")

    assert answer.status_code == (200 if is_known else 400)
    assert client.send("GET", "Observation?identifier=x").status_code == 400


# --- athena-like: profile ah-questionnaireresponse


def test_an_athena_like_server_takes_questionnaire_responses_with_one_score_and_nothing_else(client: Client) -> None:
    client.simulator.configure("athena-like", create_status=403)
    score = questionnaire_response()["extension"]

    created = client.create(questionnaire_response())

    assert created.status_code == 201
    assert client.found("QuestionnaireResponse?patient=p1") == [created.json()["id"]]
    assert client.create(questionnaire_response(extension=score * 2)).status_code == 422
    assert (
        client.create(questionnaire_response(extension=[{"url": SCREENER_SCORE, "valueInteger": 3}])).status_code == 422
    )
    assert client.create(observation()).status_code == 403
    assert client.send("PUT", created.headers["Location"], created.json()).status_code == 405
