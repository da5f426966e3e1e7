"""Whose the entries of a Bundle are."""

from typing import Any

import pytest
from inbound_requests import URN, bundle, entry, post, read, response, statuses

from integration import intake

ELSEWHERE = "https://other.example/fhir"


@pytest.mark.parametrize("kind", ["transaction", "batch", "collection", "message"])
def test_what_is_at_another_server_is_not_taken_for_ours(service: Any, body: Any, kind: str) -> None:
    service.patients.add("p9")
    patient = entry({"resourceType": "Patient", "id": "p9"}, fullUrl=f"{ELSEWHERE}/Patient/p9")
    theirs = entry(
        response(body, id="a", subject={"reference": f"{ELSEWHERE}/Patient/p9"}),
        fullUrl=f"{ELSEWHERE}/QuestionnaireResponse/a",
    )
    header = [{"resource": {"resourceType": "MessageHeader", "eventUri": "urn:x"}}] if kind == "message" else []

    answer = post(service, bundle(*header, patient, theirs, kind=kind))

    if kind in ("batch", "collection"):
        assert statuses(answer) == ["422", "422"]
        [issue] = read(answer)["entry"][0]["response"]["outcome"]["issue"]
        assert issue["expression"] == ["Bundle.entry[0].fullUrl"]
    else:
        assert answer.status_code == 422
    assert service.inbox.counts() == {}
    assert service.warehouse.read("north", "Patient", "p9") is None


def test_a_url_inside_a_bundle_leads_where_it_says(service: Any, body: Any) -> None:
    subject = {"reference": f"{ELSEWHERE}/Patient/p1"}

    answer = post(service, bundle(entry(response(body, subject=subject), fullUrl=URN), kind="batch"))

    assert statuses(answer) == ["422"]


@pytest.mark.parametrize("full_url", ["Patient/p1", "#p1"])
def test_what_is_no_absolute_address_is_no_name_inside_a_bundle(service: Any, body: Any, full_url: str) -> None:
    patient = entry({"resourceType": "Patient", "id": "p9"}, fullUrl=full_url)
    about_p1 = response(body, subject={"reference": full_url})

    post(service, bundle(patient, entry(about_p1), kind="batch"))

    service.reader.plan_waiting()
    assert {one["subject"]["reference"] for one in service.planned().values() if "subject" in one} <= {"Patient/p1"}


def test_a_patient_who_is_refused_is_known_to_no_other_entry(service: Any, body: Any) -> None:
    patient = entry({"resourceType": "Patient", "id": "p9"}, fullUrl=f"{ELSEWHERE}/Patient/p9")

    answer = post(service, bundle(patient, entry(response(body, subject={"reference": "Patient/p9"})), kind="batch"))

    assert statuses(answer) == ["422", "422"]


@pytest.mark.parametrize("goes_along", [[], [{"resourceType": "Patient", "id": "p9"}]])
def test_a_patient_is_looked_up_once_a_bundle(
    service: Any, body: Any, goes_along: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def find(_: Any, patient_id: str, __: Any) -> None:
        asked.append(patient_id)

    monkeypatch.setattr(intake, "find_patient", find)
    unknown = [entry(response(body, id=f"b{n}", subject={"reference": "Patient/nobody"})) for n in range(5)]

    answer = post(service, bundle(*(entry(one) for one in goes_along), *unknown, kind="batch"))

    assert statuses(answer)[-5:] == ["422"] * 5
    assert asked == ["nobody"]
