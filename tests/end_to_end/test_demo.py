"""The demo, against a FHIR server that somebody else wrote, on a part of the synthetic export."""

import gzip
from pathlib import Path
from typing import Any

import pytest
import requests

from server import demo
from server.demo import fhir_server
from server.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
EXPORT = ROOT / "fixtures" / "export"
SEKMET = ROOT / ".sekmet" / "bin" / "sekmet"
PATIENTS = tuple(f"syn-{number:04d}" for number in range(1, 13))


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything of twelve patients out of the synthetic export."""
    folder = tmp_path_factory.mktemp("export")
    for file in sorted(EXPORT.glob("*.ndjson*")):
        text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        lines = [line for line in text.splitlines(keepends=True) if any(name.encode() in line for name in PATIENTS)]
        (folder / file.name.removesuffix(".gz")).write_bytes(b"".join(lines))
    return folder


@pytest.fixture(scope="module")
def demo_runs(export: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, dict[str, Any]]]:
    """Two demos in one folder: exit status and JSON documents."""
    if not SEKMET.is_file():
        pytest.skip("sekmet-fhir is not installed in .sekmet: `make test` does it")
    folder = tmp_path_factory.mktemp("demo")
    return [_run(folder, export) for _ in range(2)]


def _run(folder: Path, export: Path) -> tuple[int, dict[str, Any]]:
    terminal = Terminal("json")
    status = demo.run(folder, SEKMET, terminal, export=export)
    return status, terminal.documents


def test_the_chart_is_seen_to_hold_every_outcome(demo_runs: list[tuple[int, dict[str, Any]]]) -> None:
    status, documents = demo_runs[0]

    books = documents["books"]
    assert status == 0
    assert books["proven"] is True
    assert books["lines"]["verified"] == books["outcomes"] > 0
    assert books["responses"] == books["scored"] + sum(books["not_scorable"].values())


def test_every_outcome_was_sent_in_the_first_demo(demo_runs: list[tuple[int, dict[str, Any]]]) -> None:
    _, documents = demo_runs[0]

    assert documents["delivery"]["sent"] == {"accepted": documents["run"]["planned"]["new"]}


def test_a_second_demo_loads_nothing_and_sends_nothing(demo_runs: list[tuple[int, dict[str, Any]]]) -> None:
    status, documents = demo_runs[1]

    assert status == 0
    assert documents["loaded"] == {}
    assert documents["delivery"]["sent"] == {}
    assert documents["run"]["planned"]["new"] == documents["run"]["planned"]["changed"] == 0


def test_the_posted_response_reached_the_chart_once(demo_runs: list[tuple[int, dict[str, Any]]]) -> None:
    first, second = (documents["posted"] for _, documents in demo_runs)

    assert first["status"] == second["status"] == 201
    assert [row[1] for row in first["observations"]] == [row[1] for row in second["observations"]]
    assert len(first["observations"]) == 3


def test_the_server_keeps_its_data_over_a_restart(tmp_path: Path) -> None:
    if not SEKMET.is_file():
        pytest.skip("sekmet-fhir is not installed in .sekmet: `make test` does it")
    patient = {"resourceType": "Patient", "id": "kept"}
    with fhir_server.running(SEKMET, tmp_path / "server") as base_url:
        requests.put(f"{base_url}/Patient/kept", json=patient, timeout=30).raise_for_status()

    with fhir_server.running(SEKMET, tmp_path / "server") as base_url:
        answer = requests.get(f"{base_url}/Patient/kept", timeout=30)

    assert answer.json()["id"] == "kept"
