"""The application: health, request ids, and what becomes of everything that goes wrong."""

import dataclasses
import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from integration.errors import ServerUnreachableError
from server.service.app import create_app


def with_reading(service: Any, read: Any) -> Any:
    """Return the services with another way to read resources."""
    inbound = service.services.inbound
    desk = dataclasses.replace(inbound.desk, read=read)
    return dataclasses.replace(service.services, inbound=dataclasses.replace(inbound, desk=desk))


def test_a_worker_that_does_not_work_is_not_healthy(service: Any) -> None:
    service.health["is_working"] = False

    assert service.client.get("/healthz").status_code == 503


@pytest.mark.parametrize("path", ["/healthz", "/fhir/metadata", "/nowhere"])
def test_a_request_id_is_echoed_on_every_answer(service: Any, path: str) -> None:
    answer = service.client.get(path, headers={"X-Request-Id": "engine-17"})

    assert answer.headers["X-Request-Id"] == "engine-17"


@pytest.mark.parametrize("sent", ["", "two words", "x" * 129])
def test_a_request_id_that_cannot_be_logged_is_replaced(service: Any, sent: str) -> None:
    answer = service.client.get("/healthz", headers={"X-Request-Id": sent})

    assert answer.headers["X-Request-Id"] == "given-1"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not-found"),
        ("POST", "/fhir/Nothing", 404, "not-found"),
        ("PUT", "/fhir/QuestionnaireResponse/a/b", 404, "not-found"),
        ("GET", "/fhir/QuestionnaireResponse/nobody", 404, "not-found"),
        ("GET", "/fhir/QuestionnaireResponse", 405, "not-supported"),
        ("DELETE", "/fhir/QuestionnaireResponse/r1", 405, "not-supported"),
        ("POST", "/fhir/metadata", 405, "not-supported"),
    ],
)
def test_an_error_is_an_operation_outcome(service: Any, method: str, path: str, status: int, code: str) -> None:
    answer = service.client.open(path, method=method)

    outcome = answer.get_json(force=True)
    get_fhir_model_class("OperationOutcome").model_validate(outcome)
    assert (answer.status_code, answer.content_type) == (status, "application/fhir+json")
    assert outcome["issue"][0]["code"] == code
    assert ("Allow" in answer.headers) == (status == 405)


def test_a_foreign_host_name_is_refused(service: Any, body: Any) -> None:
    answer = service.post(body(), Host="evil.example")

    assert answer.status_code == 400
    assert answer.get_json(force=True)["resourceType"] == "OperationOutcome"
    assert service.inbox.counts() == {}


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:9", "[::1]:8080"])
def test_a_loopback_name_is_served(service: Any, host: str) -> None:
    assert service.client.get("/healthz", headers={"Host": host}).status_code == 200


def test_a_disk_that_refuses_is_answered_with_503_and_nothing_is_lost_later(
    service: Any, body: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with sqlite3.connect(tmp_path / "inbox.sqlite") as other:
        other.execute("CREATE TRIGGER full BEFORE INSERT ON arrival BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    other.close()

    answer = service.post(body())

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.get_json(force=True)["issue"][0]["code"] == "transient"
    assert "valueInteger" not in caplog.text
    with sqlite3.connect(tmp_path / "inbox.sqlite") as other:
        other.execute("DROP TRIGGER full")
    other.close()
    assert service.post(body()).status_code == 201


def test_a_patient_who_cannot_be_asked_for_now_is_no_reason_to_refuse(
    service: Any, body: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object) -> Any:
        raise ServerUnreachableError(url="http://example.invalid/Patient/p1", problem="no answer")

    client = create_app(with_reading(service, away)).test_client()

    answer = client.post("/fhir/QuestionnaireResponse", data=body(), content_type="application/fhir+json")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.get_json(force=True)["issue"][0]["code"] == "transient"
    assert service.inbox.counts() == {}
    [record] = [one for one in caplog.records if getattr(one, "action", "") == "ehr_not_asked"]
    assert (record.levelname, hasattr(record, "frames")) == ("WARNING", False)


def test_what_is_taken_later_is_answered_without_a_body_and_its_type(service: Any, body: Any) -> None:
    headers = {"Content-Type": "application/fhir+json", "Prefer": "respond-async"}

    answer = service.client.post("/fhir/QuestionnaireResponse", data=body(), headers=headers)

    assert (answer.status_code, answer.data, answer.content_type) == (202, b"", None)


def test_an_unforeseen_fault_is_answered_without_a_traceback_and_logged_without_its_message(
    service: Any, body: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError("answer 3 of Zylpha-4711")

    services = with_reading(service, broken)
    client = create_app(services).test_client()

    with caplog.at_level(logging.INFO):
        answer = client.post("/fhir/QuestionnaireResponse", data=body(), content_type="application/fhir+json")

    assert answer.status_code == 500
    assert answer.get_json(force=True)["issue"][0]["code"] == "exception"
    assert b"Zylpha" not in answer.data
    assert b"Traceback" not in answer.data
    assert "Zylpha" not in caplog.text
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.__dict__["error"] == "RuntimeError"
    assert any("test_app.py" in frame for frame in record.__dict__["frames"])


def test_nothing_of_a_response_is_logged(service: Any, body: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        service.post(body(source={"display": "Zylpha-4711"}))
        service.post(body(subject={"reference": "Patient/Zylpha-4711"}))

    records = [record for record in caplog.records if record.name.startswith("server")]
    assert {record.__dict__["action"] for record in records} == {"request"}
    assert not [record for record in caplog.records if "Zylpha" in str(record.__dict__)]
