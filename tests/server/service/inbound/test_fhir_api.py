"""The FHIR interface: what is taken, what is refused, and that neither loses nor doubles anything."""

import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SECRET = "Zylpha-4711"  # stands for whatever a patient's resource says


def issue(answer: Any) -> dict[str, Any]:
    assert answer.content_type == "application/fhir+json"
    outcome = answer.get_json(force=True)
    get_fhir_model_class("OperationOutcome").model_validate(outcome)
    (only,) = outcome["issue"]
    return dict(only)


def test_a_new_response_is_created_and_the_worker_woken(service: Any, body: Any) -> None:
    answer = service.post(body())

    assert answer.status_code == 201
    assert answer.headers["Location"] == "http://localhost/fhir/QuestionnaireResponse/r1/_history/1"
    assert answer.headers["ETag"] == 'W/"1"'
    assert issue(answer)["severity"] == "information"
    assert service.inbox.counts() == {"received": 1}
    assert service.wakes == ["woken"]


def test_a_response_is_on_the_disk_before_it_is_answered(service: Any, body: Any, tmp_path: Path) -> None:
    service.post(body())

    with sqlite3.connect(tmp_path / "inbox.sqlite") as other:
        stored = other.execute("SELECT resource_id, body FROM arrival").fetchall()
        (mode,) = other.execute("PRAGMA journal_mode").fetchone()
    other.close()
    assert stored == [("r1", body())]
    assert mode == "wal"


def test_a_put_creates_with_the_id_of_the_url_and_then_updates(service: Any, body: Any) -> None:
    created = service.put("r1", body())
    updated = service.put("r1", body(status="amended"))

    assert (created.status_code, updated.status_code) == (201, 200)
    assert updated.headers["ETag"] == 'W/"2"'
    assert updated.headers["Location"].endswith("/r1/_history/2")


def test_a_replay_is_answered_as_the_first_and_stores_nothing(service: Any, body: Any) -> None:
    sent = body()
    reordered = json.dumps(dict(reversed(json.loads(sent).items())), indent=2).encode()

    answers = [
        service.post(sent),
        service.put("r1", body(status="amended")),
        service.post(sent),
        service.post(reordered),
    ]

    first, _, *replays = answers
    assert {(r.status_code, r.headers["Location"], r.headers["ETag"], r.data) for r in replays} == {
        (first.status_code, first.headers["Location"], first.headers["ETag"], first.data)
    }
    assert service.inbox.counts() == {"received": 2}
    assert service.wakes == ["woken", "woken"]


def test_without_an_id_it_is_given_one_and_a_replay_gets_the_same(service: Any, body: Any) -> None:
    first, replay, other = (
        service.post(body(id=None)),
        service.post(body(id=None)),
        service.post(body(id=None, answer=4)),
    )

    assert first.status_code == replay.status_code == other.status_code == 201
    assert first.headers["Location"] == replay.headers["Location"] != other.headers["Location"]
    (stored, *_) = service.inbox.waiting()
    assert json.loads(stored.body)["id"] == stored.resource_id
    assert stored.resource_id in first.headers["Location"]


def test_the_digits_of_a_decimal_survive_when_an_id_is_given(service: Any, body: Any) -> None:
    sent = body(id=None).replace(b'"valueInteger": 3', b'"valueDecimal": 3.00')

    service.post(sent)

    (stored,) = service.inbox.waiting()
    assert stored.body.count(b'"valueDecimal":3.00') == 29


def test_one_of_many_at_once_creates_and_the_others_are_replays(service: Any, body: Any) -> None:
    sent, answers = body(), []

    def send() -> None:
        client = service.client.application.test_client()
        answers.append(client.post("/fhir/QuestionnaireResponse", data=sent, content_type="application/fhir+json"))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {(answer.status_code, answer.headers["ETag"]) for answer in answers} == {(201, 'W/"1"')}
    assert service.inbox.counts() == {"received": 1}
    assert service.wakes == ["woken"]


@pytest.mark.parametrize(
    "prefer", ["return=minimal", "handling=strict, return=minimal", 'return="minimal"', "RETURN=Minimal"]
)
def test_a_minimal_answer_has_no_body(service: Any, body: Any, prefer: str) -> None:
    answer = service.post(body(), Prefer=prefer)

    assert (answer.status_code, answer.data, answer.headers["ETag"]) == (201, b"", 'W/"1"')


@pytest.mark.parametrize("prefer", ["return=representation", 'handling=strict; return="representation"'])
def test_a_representation_is_the_version_that_was_stored(service: Any, body: Any, prefer: str) -> None:
    nameless = body(id=None, meta={"versionId": "7"}, identifier={"system": "urn:example", "value": "17"})
    created = service.post(nameless, Prefer=prefer)
    given = json.loads(created.data)["id"]
    updated = service.put(given, body(id=given, answer=4), Prefer=prefer)

    for answer, status, version in ((created, 201, 1), (updated, 200, 2)):
        stored = service.client.get(f"/fhir/QuestionnaireResponse/{given}/_history/{version}")
        assert (answer.status_code, answer.headers["ETag"], answer.data) == (status, f'W/"{version}"', stored.data)
        assert answer.content_type == "application/fhir+json"
        assert answer.headers["Location"].endswith(f"/{given}/_history/{version}")
    assert json.loads(created.data) == json.loads(nameless) | {"id": given}


def test_each_repetition_is_answered_in_the_form_that_it_prefers(service: Any, body: Any) -> None:
    first = service.post(body(), Prefer="return=minimal")
    service.put("r1", body(answer=4))

    whole, plain, none = (
        service.post(body(), Prefer=f"return={form}") for form in ("representation", "OperationOutcome", "minimal")
    )

    assert {(one.status_code, one.headers["ETag"], one.headers["Location"]) for one in (first, whole, plain, none)} == {
        (201, 'W/"1"', "http://localhost/fhir/QuestionnaireResponse/r1/_history/1")
    }
    assert (first.data, none.data, json.loads(whole.data)) == (b"", b"", json.loads(body()))
    assert issue(plain)["severity"] == "information"


@pytest.mark.parametrize("form", ["minimal", "representation"])
def test_that_a_version_is_not_used_is_said_whatever_is_preferred(service: Any, body: Any, form: str) -> None:
    service.post(body(meta={"versionId": "9"}))

    answers = [service.post(body(meta={"versionId": "3"}), Prefer=f"return={form}") for _ in range(2)]

    assert [(one.headers["ETag"], issue(one)["severity"]) for one in answers] == [('W/"2"', "warning")] * 2


def test_who_repeats_in_a_bundle_a_version_that_does_not_count_is_told(service: Any, body: Any) -> None:
    unused = body(meta={"versionId": "3"})
    service.post(body(meta={"versionId": "9"}, answer=4))
    service.post(unused)
    service.post(body(meta={"versionId": "10"}, answer=5))
    entry = {"resource": json.loads(unused), "request": {"method": "PUT", "url": "QuestionnaireResponse/r1"}}
    bundle = json.dumps({"resourceType": "Bundle", "type": "batch", "entry": [entry]})

    answer = service.client.post("/fhir", data=bundle, content_type="application/fhir+json")

    [told] = answer.get_json(force=True)["entry"]
    assert told["response"]["etag"] == 'W/"2"'
    assert "not used" in told["response"]["outcome"]["issue"][0]["details"]["text"]


def test_a_refusal_is_an_outcome_whatever_is_preferred(service: Any, body: Any) -> None:
    answer = service.post(body(subject=None), Prefer="return=representation")

    assert (answer.status_code, issue(answer)["severity"]) == (422, "error")


def test_an_update_of_the_expected_version_is_taken(service: Any, body: Any) -> None:
    etag = service.put("r1", body()).headers["ETag"]

    answer = service.put("r1", body(answer=4), **{"If-Match": etag})

    assert answer.status_code == 200


@pytest.mark.parametrize("etag", ['W/"7"', '"not ours"', 'W/"1", W/"2"'])
def test_an_update_of_another_version_is_refused_and_not_stored(service: Any, body: Any, etag: str) -> None:
    service.put("r1", body())
    service.put("r1", body(answer=2))
    service.put("r1", body(answer=5))

    answer = service.put("r1", body(answer=4), **{"If-Match": etag})

    assert answer.status_code == 412
    assert issue(answer)["code"] == "conflict"
    assert service.inbox.counts() == {"received": 3}


@pytest.mark.parametrize(
    "content_type",
    [
        "application/fhir+json",
        "application/json",
        "application/fhir+json; charset=UTF-8",
        "application/fhir+json; fhirVersion=4.0",
    ],
)
def test_fhir_json_is_taken(service: Any, body: Any, content_type: str) -> None:
    assert service.post(body(), **{"Content-Type": content_type}).status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/fhir+xml"},
        {"Content-Type": "text/plain"},
        {"Content-Type": ""},
        {"Content-Type": "application/fhir+json; charset=iso-8859-1"},
        {"Content-Type": "application/fhir+json; fhirVersion=5.0"},
        {"Content-Encoding": "br"},
        {"Content-Encoding": "gzip, gzip"},
    ],
)
def test_other_content_is_refused(service: Any, body: Any, headers: dict[str, str]) -> None:
    answer = service.post(body(), **headers)

    assert answer.status_code == 415
    assert issue(answer)["code"] == "not-supported"
    assert service.inbox.counts() == {}


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "application/*",
        "application/json",
        "text/html, application/fhir+json;q=0.5",
        "application/fhir+json; fhirVersion=4.0",
    ],
)
def test_whoever_takes_json_is_answered(service: Any, body: Any, accept: str) -> None:
    assert service.post(body(), Accept=accept).status_code == 201


@pytest.mark.parametrize(
    "accept", ["application/fhir+xml", "text/html", "application/json;q=0", "application/fhir+json; fhirVersion=5.0"]
)
def test_whoever_takes_no_json_is_told_so(service: Any, body: Any, accept: str) -> None:
    answer = service.post(body(), Accept=accept)

    assert answer.status_code == 406
    assert issue(answer)["severity"] == "error"
    assert service.inbox.counts() == {}


def test_the_format_parameter_goes_before_accept(service: Any) -> None:
    assert service.client.get("/fhir/metadata?_format=json", headers={"Accept": "text/html"}).status_code == 200
    assert service.client.get("/fhir/metadata?_format=application/fhir+json").status_code == 200
    assert service.client.get("/fhir/metadata?_format=xml").status_code == 406


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just("Patient/p1"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ELEMENTS = ("id", "meta", "status", "subject", "authored", "item", "questionnaire", "extension", "encounter", "source")


@given(changes=st.dictionaries(st.sampled_from(ELEMENTS), JSON_VALUES, min_size=1, max_size=3))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_json_makes_the_service_fail(service: Any, body: Any, changes: dict[str, Any]) -> None:
    resource = json.loads(body()) | changes

    answer = service.post(json.dumps(resource).encode())

    assert answer.status_code in {200, 201, 400, 422}
    assert service.reader.plan_waiting().failed == 0


@pytest.mark.parametrize("number", ["9" * 400, "1e99999", "-1e-999999999", "1e99999999999999999999999", "3.0", "3e0"])
@pytest.mark.parametrize("kind", ["valueInteger", "valueDecimal"])
def test_no_number_makes_the_service_fail(service: Any, body: Any, kind: str, number: str) -> None:
    sent = body(id=None).replace(b'"valueInteger": 3', f'"{kind}": {number}'.encode(), 1)

    answer = service.post(sent)

    assert answer.status_code in {201, 400, 422}
    assert service.reader.plan_waiting().failed == 0


@pytest.mark.parametrize("depth", [*range(100, 1000, 100), *range(930, 1000, 3), 10_000, 100_000])
def test_no_nesting_makes_the_service_fail(service: Any, body: Any, depth: int) -> None:
    sent = body(id=None, text="deep").replace(b'"deep"', b"[" * depth + b"]" * depth)

    answer = service.client.post("/fhir/QuestionnaireResponse", data=sent[:19_000], content_type="application/json")
    assert answer.status_code in {201, 400, 422}
    assert service.reader.plan_waiting().failed == 0


@pytest.mark.parametrize("sent", [b"", b"{", b'{"resourceType": "\xff"}', b"[]", b"3", b"[" * 10_000])
def test_what_is_no_json_object_is_refused(service: Any, sent: bytes) -> None:
    answer = service.post(sent)

    assert answer.status_code == 400
    assert issue(answer)["code"] == "structure"


@pytest.mark.parametrize("response_id", ["", "a b", "x" * 65, 7, "ä", "r1\n"])
def test_an_id_that_fhir_does_not_allow_is_refused(service: Any, body: Any, response_id: object) -> None:
    answer = service.post(body(id=response_id))

    assert answer.status_code == 400
    assert issue(answer)["expression"] == ["QuestionnaireResponse.id"]


@pytest.mark.parametrize("changes", [{"id": "other"}, {"id": None}])
def test_a_put_whose_body_has_another_id_is_refused(service: Any, body: Any, changes: dict[str, Any]) -> None:
    assert service.put("r1", body(**changes)).status_code == 400


@pytest.mark.parametrize(
    ("changes", "expression"),
    [
        ({"resourceType": "Observation"}, "resourceType"),
        ({"resourceType": None}, "resourceType"),
        ({"subject": {"reference": f"Patient/{SECRET}"}}, "QuestionnaireResponse.subject"),
        ({"subject": None}, "QuestionnaireResponse.subject"),
        ({"authored": "2012-05"}, "QuestionnaireResponse.authored"),
        ({"modifierExtension": [{"url": "urn:x", "valueString": SECRET}]}, "QuestionnaireResponse.modifierExtension"),
        ({"item": SECRET}, "QuestionnaireResponse.item"),
    ],
)
def test_what_can_never_be_used_is_refused_with_its_path_and_without_its_values(
    service: Any, body: Any, changes: dict[str, Any], expression: str
) -> None:
    answer = service.post(body(**changes))

    assert answer.status_code == 422
    assert issue(answer)["expression"] == [expression]
    assert SECRET.encode() not in answer.data
    assert service.inbox.counts() == {}
    assert service.wakes == []


def test_a_replay_is_answered_even_when_its_patient_is_gone(service: Any, body: Any) -> None:
    service.post(body())
    service.patients.clear()

    assert service.post(body()).status_code == 201
    assert service.post(body(answer=4)).status_code == 422


@pytest.mark.parametrize("changes", [{"status": "entered-in-error"}, {"questionnaire": "urn:phq-9"}])
def test_what_is_valid_but_has_no_outcome_is_taken(service: Any, body: Any, changes: dict[str, str]) -> None:
    assert service.post(body(**changes)).status_code == 201


def test_conditional_create_is_refused_rather_than_ignored(service: Any, body: Any) -> None:
    answer = service.post(body(), **{"If-None-Exist": "identifier=1"})

    assert answer.status_code == 400
    assert service.inbox.counts() == {}


def test_a_body_over_the_limit_is_refused_with_the_limit(service: Any, body: Any) -> None:
    answer = service.post(body(text={"div": "x" * 20_000}))

    assert answer.status_code == 413
    assert "20000 bytes" in issue(answer)["details"]["text"]
    assert service.inbox.counts() == {}


def test_a_body_of_exactly_the_limit_is_taken(service: Any, body: Any) -> None:
    sent = body()

    assert service.post(sent + b" " * (20_000 - len(sent))).status_code == 201
    assert service.post(sent + b" " * (20_001 - len(sent))).status_code == 413
