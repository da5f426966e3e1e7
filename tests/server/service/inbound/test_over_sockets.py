"""The service over a real connection, as an integration engine meets it."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hospital import listening

from server.service.inbound.worker import Step, Worker

PATIENCE = 10.0
HEADERS = {"Content-Type": "application/fhir+json"}


@pytest.fixture
def url(service: Any) -> Iterator[str]:
    with listening(service.client.application) as address:
        yield f"{address}/fhir/QuestionnaireResponse"


def test_a_response_goes_all_the_way_to_the_delivery(service: Any, body: Any, url: str) -> None:
    delivered = threading.Event()
    worker = Worker(Step(service.reader, lambda _: delivered.set() if len(service.planned()) == 4 else None))
    worker.start()
    try:
        answer = requests.post(url, data=body(), headers=HEADERS, timeout=PATIENCE)
        worker.wake()

        assert delivered.wait(PATIENCE)
    finally:
        assert worker.stop(PATIENCE)
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"{url}/r1/_history/1"


def test_a_body_in_chunks_is_taken(service: Any, body: Any, url: str) -> None:
    sent = body()

    answer = requests.post(url, data=iter([sent[:1000], sent[1000:]]), headers=HEADERS, timeout=PATIENCE)

    assert answer.status_code == 201
    assert [entry.body for entry in service.inbox.waiting()] == [sent]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_over_the_limit_is_answered_and_not_cut_off(service: Any, url: str, is_chunked: bool) -> None:
    pieces = [b"x" * 10_000] * 50

    answer = requests.post(
        url, data=iter(pieces) if is_chunked else b"".join(pieces), headers=HEADERS, timeout=PATIENCE
    )

    assert answer.status_code == 413
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert service.inbox.counts() == {}
