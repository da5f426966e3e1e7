"""Reading the EHR for a page: in bounded time, in the way that the server knows, and never with a fault."""

import json
import socket
from datetime import UTC, datetime
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from server.service.chart import ehr
from server.service.chart.ehr import Question
from server.service.chart.found import EhrReading
from server.service.chart.smart.routes import bounded_client

NOW = datetime(2013, 6, 1, tzinfo=UTC)


def searchset(*resources: dict[str, Any]) -> str:
    return json.dumps(
        {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in resources]}
    )


def read(server: HTTPServer, question: Question, seconds: float = 60.0) -> EhrReading:
    url = server.url_for("/fhir")
    return ehr.read(
        lambda: bounded_client(url, authenticator=None, ca_file=None), question, now=lambda: NOW, seconds=seconds
    )


@pytest.fixture
def asked(httpserver: HTTPServer) -> list[Request]:
    """Have the server answer every search with one resource of the type; return what it was asked."""
    requests: list[Request] = []

    def answer(request: Request) -> Response:
        requests.append(request)
        return Response(searchset({"resourceType": request.path.rpartition("/")[2], "id": "x"}))

    httpserver.expect_request("/fhir/Observation").respond_with_handler(answer)
    httpserver.expect_request("/fhir/QuestionnaireResponse").respond_with_handler(answer)
    httpserver.expect_request("/fhir/Procedure").respond_with_handler(answer)
    return requests


def test_scores_responses_and_procedures_are_read(httpserver: HTTPServer, asked: list[Request]) -> None:
    reading = read(httpserver, Question(patient_id="p1", ehr_ids=("a", "b")))

    assert (reading.read_at, reading.problem) == (NOW, "")
    assert len(reading.observations) == 2
    assert {name: len(found) for name, found in reading.others.items()} == {"QuestionnaireResponse": 1, "Procedure": 1}
    assert {one.args.get("_id") for one in asked if one.path.endswith("Observation")} == {"a,b", None}


def test_many_known_observations_are_asked_for_in_parts(httpserver: HTTPServer, asked: list[Request]) -> None:
    read(httpserver, Question(patient_id="p1", ehr_ids=tuple(f"o{number}" for number in range(100))))

    ids = [one.args["_id"].split(",") for one in asked if "_id" in one.args]
    assert [len(one) for one in ids] == [40, 40, 20]


def test_a_server_that_knows_no_patient_parameter_is_asked_by_subject(httpserver: HTTPServer) -> None:
    def answer(request: Request) -> Response:
        if "subject" not in request.args and "_id" not in request.args:
            return Response(json.dumps({"resourceType": "OperationOutcome"}), status=400)
        return Response(searchset())

    httpserver.expect_request("/fhir/Observation").respond_with_handler(answer)
    httpserver.expect_request("/fhir/QuestionnaireResponse").respond_with_handler(answer)
    httpserver.expect_request("/fhir/Procedure").respond_with_handler(answer)

    reading = read(httpserver, Question(patient_id="p1", ehr_ids=()))

    assert (reading.read_at, reading.problem) == (NOW, "")


def test_a_server_that_finds_no_responses_of_a_patient_is_asked_for_those_that_are_known(
    httpserver: HTTPServer,
) -> None:
    def answer(request: Request) -> Response:
        known = request.args.get("_id", "")
        if not known:
            return Response(json.dumps({"resourceType": "OperationOutcome"}), status=400)
        return Response(searchset(*({"resourceType": "QuestionnaireResponse", "id": one} for one in known.split(","))))

    httpserver.expect_request("/fhir/QuestionnaireResponse").respond_with_handler(answer)
    httpserver.expect_request("/fhir/Observation").respond_with_data(searchset())
    httpserver.expect_request("/fhir/Procedure").respond_with_data(searchset())

    reading = read(httpserver, Question(patient_id="p1", ehr_ids=(), response_ids=("r1", "r2")))

    assert reading.problem == ""
    assert len(reading.others["QuestionnaireResponse"]) == 2


def test_what_could_not_be_read_is_said_and_the_rest_is_kept(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/fhir/Observation").respond_with_data(searchset())
    httpserver.expect_request("/fhir/Procedure").respond_with_data("no", status=500)
    httpserver.expect_request("/fhir/QuestionnaireResponse").respond_with_data("<html>")

    reading = read(httpserver, Question(patient_id="p1", ehr_ids=("a",)))

    assert reading.read_at == NOW
    assert reading.problem == (
        "not read: QuestionnaireResponses (its answer cannot be used), Procedures (it answered with status 500)"
    )


def test_a_search_that_the_server_does_not_know_is_said_to_be_that(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/fhir/Observation").respond_with_data(searchset())
    httpserver.expect_request("/fhir/Procedure").respond_with_data(searchset())
    httpserver.expect_request("/fhir/QuestionnaireResponse").respond_with_data("", status=400)

    reading = read(httpserver, Question(patient_id="p1", ehr_ids=()))

    assert reading.problem == "not read: QuestionnaireResponses (it does not know this search: status 400)"


@pytest.mark.parametrize(
    ("status", "words"), [(401, "it answered with status 401"), (503, "it answered with status 503")]
)
def test_without_the_scores_the_ehr_was_not_read(httpserver: HTTPServer, status: int, words: str) -> None:
    httpserver.expect_request("/fhir/Observation").respond_with_data("", status=status)

    reading = read(httpserver, Question(patient_id="p1", ehr_ids=("a",)))

    assert (reading.read_at, reading.problem) == (None, words)


def test_a_slow_ehr_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/fhir"

        reading = ehr.read(
            lambda: bounded_client(url, authenticator=None, ca_file=None),
            Question(patient_id="p1", ehr_ids=("a",)),
            now=lambda: NOW,
            seconds=0.2,
        )

    assert (reading.read_at, reading.problem) == (None, "it did not answer in time")


def test_an_ehr_that_is_not_there_is_said() -> None:
    url = "http://127.0.0.1:1/fhir"
    reading = ehr.read(
        lambda: bounded_client(url, authenticator=None, ca_file=None),
        Question(patient_id="p1", ehr_ids=()),
        now=lambda: NOW,
    )

    assert (reading.read_at, reading.problem) == (None, "it did not answer")


def test_a_login_without_observations_asks_nothing(httpserver: HTTPServer, asked: list[Request]) -> None:
    reading = read(httpserver, Question(patient_id="p1", ehr_ids=("a",), granted=frozenset({"Procedure"})))

    assert asked == []
    assert reading.problem == "the login does not allow to read Observations"
