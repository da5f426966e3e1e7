"""Two processes of a gunicorn of one's own: replays, a stop in the middle, and what is in the chart afterwards."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import Any

import live_service
import pytest
import requests
from live_hospital import PATIENCE, Hospital
from live_messages import FHIR, Resource, encoded, response, score_of
from live_service import SITE, Service

from server.demo import fhir_server

THREADS = 4
REPLAYS = 50


def _gunicorn(folder: Path, hospital: Hospital) -> AbstractContextManager[Service]:
    port = fhir_server.free_port()
    settings = f'[service]\nport = {port}\nsite = "{SITE}"\n[service.process]\nworkers = 2\n'
    file = live_service.configure(folder, hospital, settings)
    command = [sys.executable, "-m", "gunicorn", "-c", "python:server.service.gunicorn_settings"]
    return live_service.started(command, folder, port, {**os.environ, "OUTCOME_BRIDGE_SETTINGS": str(file)})


@pytest.fixture(scope="module")
def workers(hospital: Hospital, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of two processes."""
    with _gunicorn(tmp_path_factory.mktemp("workers"), hospital) as running:
        yield running


def _post(service: Service, path: str, body: bytes, **headers: str) -> requests.Response:
    return requests.post(
        f"{service.fhir}{path}", data=body, headers={"Content-Type": FHIR, **headers}, timeout=PATIENCE
    )


def _message(name: str, patient_id: str) -> Resource:
    header = {
        "resourceType": "MessageHeader",
        "id": f"{name}-header",
        "eventUri": "urn:example:event:response",
        "source": {"endpoint": "urn:example:engine"},
    }
    resources = [header, response(name, patient_id, answer=3)]
    entries = [{"fullUrl": f"urn:uuid:{one['id']}", "resource": one} for one in resources]
    return {
        "resourceType": "Bundle",
        "type": "message",
        "identifier": {"system": "urn:example:message", "value": name},
        "entry": entries,
    }


@pytest.mark.parametrize("kind", ["resource", "key", "message"])
def test_a_message_sent_again_and_again_by_four_threads_is_one_outcome_and_one_answer(
    hospital: Hospital, workers: Service, kind: str
) -> None:
    name, patient = f"again-{kind}", hospital.admit(f"again-{kind}")
    is_message = kind == "message"
    body = encoded(_message(name, patient) if is_message else response(name, patient, answer=3))
    path = "/$process-message" if is_message else "/QuestionnaireResponse"
    headers = {"Idempotency-Key": name} if kind == "key" else {}

    def send(_: int) -> tuple[Any, ...]:
        answer = _post(workers, path, body, **headers)
        return answer.status_code, answer.text, answer.headers.get("Location"), answer.headers.get("ETag")

    with ThreadPoolExecutor(THREADS) as pool:
        answers = set(pool.map(send, range(THREADS * REPLAYS)))

    (answer,) = answers
    assert answer[0] == (200 if is_message else 201)
    hospital.wait_for(name, values={score_of(3)})
    held = requests.get(f"{workers.fhir}/QuestionnaireResponse/{name}", timeout=PATIENCE)
    assert held.headers["ETag"] == 'W/"1"'


def test_whatever_was_answered_before_a_stop_is_in_the_chart_once_after_the_next_start(
    hospital: Hospital, tmp_path: Path
) -> None:
    patient, taken, numbers, is_over = hospital.admit("stopped"), list[str](), count(), threading.Event()

    def send(service: Service) -> None:
        while not is_over.wait(0.05):  # between two posts, for what was taken is looked for one by one
            name = f"stopped-{next(numbers)}"
            try:
                answer = _post(service, "/QuestionnaireResponse", encoded(response(name, patient)))
            except requests.RequestException:  # the service is gone: nothing was promised
                return
            if answer.ok:
                taken.append(name)

    with _gunicorn(tmp_path, hospital) as service:
        with ThreadPoolExecutor(THREADS) as pool:
            sending = [pool.submit(send, service) for _ in range(THREADS)]
            time.sleep(0.5)  # in the middle of everything: the same rules hold wherever that is
            service.process.send_signal(signal.SIGTERM)
            status = service.process.wait(PATIENCE)
            is_over.set()
            for one in sending:
                one.result()
        assert status == 0
        assert "Traceback" not in service.log()
    with _gunicorn(tmp_path, hospital) as service:
        for name in taken:
            hospital.wait_for(name, values={score_of(2)})  # which wants three Observations, no more

    assert len(taken) > THREADS
