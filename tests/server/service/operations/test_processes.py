"""Several processes on one ledger: nothing is lost, nothing written twice, and a stop leaves nothing half done."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

PATIENCE = 120.0
"""Longer than what a process had on its way when it was killed is left to it; and for a busy machine."""
MOST = 400
"""More than are answered before a stop."""
HEADERS = {"Content-Type": "application/fhir+json"}
Body = Callable[..., bytes]
Start = Callable[..., Any]


def post(service: Any, body: bytes) -> int:
    url = f"{service.url}/fhir/QuestionnaireResponse"
    return requests.post(url, data=body, headers=HEADERS, timeout=PATIENCE).status_code


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("database", "gunicorn"),
    [("sqlite", False), ("postgresql", False), ("sqlite", True)],
    ids=["serve, SQLite", "serve, PostgreSQL", "gunicorn, SQLite"],
    indirect=["database"],
)
def test_two_processes_take_plan_and_deliver_everything_once(
    start: Start, chart: Any, body: Body, tmp_path: Path, gunicorn: bool
) -> None:
    service = start(gunicorn=gunicorn)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: post(service, body(id=f"r{number}")), range(40)))
    wait(lambda: len(chart.all("Provenance")) == 40)

    assert answers == [201] * 40
    wait(lambda: bool(service.metric('outcome_bridge_outcomes{site="north",state="verified"}') == 161))
    assert service.metric('outcome_bridge_received_total{site="north"}') == 40
    assert service.metric('outcome_bridge_request_seconds_count{method="POST"') == 40  # over both processes
    keys = chart.keys()
    assert len(keys) == len(set(keys)) == 162  # the patient's among them
    assert service.stop() == 0
    events = [json.loads(line) for line in (tmp_path / "state" / "audit.ndjson").read_text().splitlines()]
    about = [one["entity"][-2]["what"] for one in events]
    assert sorted(one["reference"] for one in about if "QuestionnaireResponse" in str(one)) == sorted(
        f"QuestionnaireResponse/r{number}" for number in range(40)
    )
    assert sum("Observation/" in str(one) for one in about) == 120  # and what was written


@pytest.mark.parametrize(
    ("database", "signal_number"),
    [("sqlite", signal.SIGTERM), ("postgresql", signal.SIGTERM), ("sqlite", signal.SIGINT)],
    ids=["SIGTERM, SQLite", "SIGTERM, PostgreSQL", "Ctrl-C, SQLite"],
    indirect=["database"],
)
def test_what_was_answered_before_a_stop_is_kept_and_delivered_after_it(
    start: Start, chart: Any, body: Body, signal_number: int
) -> None:
    service = start()
    answered: list[str] = []
    stopping = threading.Event()

    def send(number: int) -> None:
        try:
            if post(service, body(id=f"r{number}")) == 201:
                answered.append(f"r{number}")
        except requests.ConnectionError:
            assert stopping.is_set()

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(send, number) for number in range(MOST)]
        wait(lambda: len(answered) > 30)
        stopping.set()
        status = service.stop(signal_number)
        for future in futures:
            future.result()

    assert status == 0
    assert 30 < len(answered) < MOST
    again = start()
    wait(lambda: len(chart.all("Provenance")) >= len(answered))
    sources = {one["entity"][0]["what"]["reference"].partition("/_history")[0] for one in chart.all("Provenance")}
    assert {f"QuestionnaireResponse/{one}" for one in answered} <= sources
    assert len(chart.keys()) == len(set(chart.keys()))
    assert again.stop() == 0


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_process_that_is_killed_is_replaced_and_nothing_is_lost(start: Start, chart: Any, body: Body) -> None:
    service = start()
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
    assert post(service, body(id="before")) == 201

    assert len(children) == 2
    for one in children:
        os.kill(int(one), signal.SIGKILL)
    service.wait_until_ready()

    assert post(service, body(id="after")) == 201
    wait(lambda: len(chart.all("Provenance")) == 2)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("gunicorn", [False, True], ids=["serve", "gunicorn"])
def test_a_start_and_a_stop_are_recorded_and_no_path_no_patient_and_no_control_code(
    start: Start, body: Body, gunicorn: bool
) -> None:
    service = start(gunicorn=gunicorn)

    post(service, body(id="secret-response"))
    requests.get(f"{service.url}/chart/secret-patient", timeout=PATIENCE)
    requests.get(f"{service.url}/fhir/QuestionnaireResponse/secret-patient", timeout=PATIENCE)
    assert service.stop() == 0

    text = service.log.read_text(encoding="utf-8")
    records = [json.loads(line) for line in text.splitlines()]
    own = [one for one in records if one.get("action") in ("listening", "stopped")]
    assert [one["action"] for one in own] == ["listening", "stopped"]
    assert f"listening on {service.url}" in own[0]["message"]
    assert {"listening", "request", "stopped"} <= {one.get("action") for one in records}
    assert "secret-patient" not in text
    assert "\x1b" not in text
    routes = {one["route"] for one in records if one.get("action") == "request"}
    assert all("secret" not in one for one in routes)
