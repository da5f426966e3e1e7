"""A service in processes of its own, on either database."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

ROOT = Path(__file__).parents[4]
PATIENCE = 60.0


class Running:
    """A service that was started as an operator starts it.

    Attributes:
        url: where it answers.
        process: its parent.
        log: what it writes to standard error.
    """

    def __init__(self, command: list[str], environ: dict[str, str], port: int, log: Path) -> None:
        self.url, self.log = f"http://127.0.0.1:{port}", log
        with log.open("ab") as file:
            self.process = subprocess.Popen(command, env=environ, cwd=ROOT, stdout=file, stderr=file)

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if requests.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return
            except (requests.ConnectionError, requests.Timeout):
                time.sleep(0.05)
        raise AssertionError(self.log.read_text(encoding="utf-8"))

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        self.process.send_signal(signal_number)
        return self.process.wait(PATIENCE)

    def metric(self, name: str) -> float:
        """Return the sum of a metric over its labels, or of one line if the labels are in the name."""
        lines = requests.get(f"{self.url}/metrics", timeout=PATIENCE).text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """`ledger.url` of a new installation, once for each kind of database."""
    return "" if request.param == "sqlite" else request.getfixturevalue("cluster").new_schema()


@pytest.fixture
def installation(tmp_path: Path, chart: Any, database: str) -> Path:
    """The settings file of a site whose server is in this process."""
    patient = {"resourceType": "Patient", "id": "p1", "identifier": [{"system": "urn:example:mrn", "value": "7"}]}
    chart.held["Patient"] = {"p1": patient | {"meta": {"versionId": "1"}}}
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "north.toml").write_text(
        f'base_url = "{chart.base_url}"\n[limits]\ntimeout_seconds = 10\nsettle_seconds = 1\n'  # so leases are short
        "[safeguards]\ncheck_patient = false\n",
        encoding="utf-8",
    )
    file = tmp_path / "outcome-bridge.toml"
    file.write_text(
        f'[ledger]\nurl = "{database}"\n[service]\nsite = "north"\nport = {free_port()}\n'
        "[service.process]\nworkers = 2\nstop_seconds = 20\n",
        encoding="utf-8",
    )
    return file


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def start(installation: Path, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Return a function that starts the service, as `serve` or under gunicorn, and waits until it is ready."""
    started: list[Running] = []
    line = next(one for one in installation.read_text().splitlines() if one.startswith("port"))
    port = int(line.partition("=")[2])

    def run(*, gunicorn: bool = False) -> Running:
        environ = {**os.environ, "OUTCOME_BRIDGE_SETTINGS": str(installation)}
        by_gunicorn = ["-m", "gunicorn", "-c", "python:server.service.gunicorn_settings"]
        command = [sys.executable, *(by_gunicorn if gunicorn else ["-m", "server", "serve"])]
        running = Running(command, environ, port, tmp_path / "service.log")
        started.append(running)
        running.wait_until_ready()
        return running

    yield run
    for one in started:
        if one.process.poll() is None:
            one.stop()
