"""npm's fhir-kit-client, as it is, gets on with the service."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from live_hospital import Hospital
from live_messages import bundle, response, score_of
from live_service import Service

NPM = Path(__file__).parents[2] / ".npm-clients"
DRIVER = Path(__file__).with_name("fhir_kit.mjs")
RESPONSE = "QuestionnaireResponse"
Answers = list[dict[str, Any]]
Calls = Callable[..., Answers]


@pytest.fixture
def calls(service: Service, hospital: Hospital) -> Calls:
    """Return a function that makes calls (name, arguments) one after the other, and returns the answers."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed: npm's client cannot run")
    if not (NPM / "node_modules").is_dir():
        pytest.skip("npm's client is not installed: `make test` installs it")
    hospital.admit("kit")

    def make(*given: tuple[str, dict[str, Any]]) -> Answers:
        command = ["node", DRIVER, NPM, service.fhir, ""]
        run = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 0, run.stderr
        answers: Answers = json.loads(run.stdout)
        return answers

    return make


def _create(name: str, **elements: Any) -> tuple[str, dict[str, Any]]:
    return "create", {"resourceType": RESPONSE, "body": response(name, "kit", **elements)}


def _update(name: str, tag: str, **elements: Any) -> tuple[str, dict[str, Any]]:
    options = {"headers": {"If-Match": tag}}
    return "update", {
        "resourceType": RESPONSE,
        "id": name,
        "body": response(name, "kit", **elements),
        "options": options,
    }


def test_it_reads_what_the_service_offers(calls: Calls) -> None:
    (answer,) = calls(("capabilityStatement", {}))

    kinds = {one["type"] for one in answer["body"]["rest"][0]["resource"]}
    assert answer["status"] == 200
    assert RESPONSE in kinds


def test_a_response_is_created_read_amended_and_kept_from_a_stale_writer(calls: Calls, hospital: Hospital) -> None:
    created, read, amended, stale, past = calls(
        _create("kit-1"),
        ("read", {"resourceType": RESPONSE, "id": "kit-1"}),
        _update("kit-1", 'W/"1"', status="amended", answer=3),
        _update("kit-1", 'W/"1"', status="amended", answer=4),
        ("vread", {"resourceType": RESPONSE, "id": "kit-1", "version": "1"}),
    )

    assert (created["status"], created["headers"]["etag"]) == (201, 'W/"1"')
    assert created["headers"]["location"].endswith(f"/{RESPONSE}/kit-1/_history/1")
    assert read["body"] == past["body"] == response("kit-1", "kit")
    assert (amended["status"], amended["headers"]["etag"]) == (200, 'W/"2"')
    assert (stale["status"], stale["body"]["resourceType"]) == (412, "OperationOutcome")
    hospital.wait_for("kit-1", status="amended", values={score_of(3)})


def test_a_transaction_is_taken_whole_or_not_at_all(calls: Calls, hospital: Hospital) -> None:
    good, other = response("kit-2", "kit"), response("kit-3", "kit", answer=5)
    bad = response("kit-4", "nobody")

    taken, refused, there, not_there = calls(
        ("transaction", {"body": bundle("transaction", good, other)}),
        ("transaction", {"body": bundle("transaction", response("kit-5", "kit"), bad)}),
        ("read", {"resourceType": RESPONSE, "id": "kit-3"}),
        ("read", {"resourceType": RESPONSE, "id": "kit-5"}),
    )

    assert taken["body"]["type"] == "transaction-response"
    assert [one["response"]["status"][:3] for one in taken["body"]["entry"]] == ["201", "201"]
    assert (refused["status"], refused["body"]["resourceType"]) == (422, "OperationOutcome")
    assert (there["status"], not_there["status"]) == (200, 404)
    hospital.wait_for("kit-3", values={score_of(5)})


def test_a_batch_is_answered_entry_by_entry(calls: Calls) -> None:
    sent = bundle("batch", response("kit-6", "kit"), response("kit-7", "nobody"), response("kit-8", "kit"))

    (answer,) = calls(("batch", {"body": sent}))

    entries = answer["body"]["entry"]
    assert answer["body"]["type"] == "batch-response"
    assert [one["response"]["status"][:3] for one in entries] == ["201", "422", "201"]
    assert entries[1]["response"]["outcome"]["resourceType"] == "OperationOutcome"


def test_an_operation_extracts_the_scores_and_stores_nothing(calls: Calls) -> None:
    extract, after = calls(
        ("operation", {"name": "extract", "resourceType": RESPONSE, "input": response("kit-9", "kit", answer=4)}),
        ("read", {"resourceType": RESPONSE, "id": "kit-9"}),
    )

    resources = [one["resource"] for one in extract["body"]["entry"]]
    values = [one["valueQuantity"]["value"] for one in resources if "valueQuantity" in one]
    assert extract["body"]["type"] == "transaction"
    assert values == [score_of(4)] * 2
    assert after["status"] == 404


def test_every_refusal_is_an_operation_outcome_that_it_can_read(calls: Calls) -> None:
    answers = calls(
        _create("kit-10", subject=None),
        _create("kit-11", authored="yesterday"),
        ("read", {"resourceType": RESPONSE, "id": "kit-nowhere"}),
        ("delete", {"resourceType": RESPONSE, "id": "kit-1"}),
        ("search", {"resourceType": RESPONSE, "searchParams": {"patient": "kit"}}),
        ("read", {"resourceType": "Medication", "id": "1"}),
        ("operation", {"name": "everything", "resourceType": "Patient", "id": "kit"}),
    )

    assert [one["status"] for one in answers[:4]] == [422, 422, 404, 405]
    assert all(one["status"] in (404, 405) for one in answers[4:])
    assert {one["body"]["resourceType"] for one in answers} == {"OperationOutcome"}
    assert all(one["body"]["issue"][0]["severity"] == "error" for one in answers)
