"""A hospital's FHIR server by others, and the service for it, both running."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # for the modules beside this one, whose names are their own: live_*

import live_hospital
import live_service
from live_hospital import Hospital
from live_service import Service


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """A FHIR server by others, its chart empty at first."""
    with live_hospital.running(tmp_path_factory.mktemp("hospital")) as running:
        yield running


@pytest.fixture(scope="session")
def service(hospital: Hospital, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service for that hospital, on loopback, where nobody needs to log in."""
    with live_service.running(tmp_path_factory.mktemp("service"), hospital) as running:
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = terminalreporter.getreports("passed")
    told = [value for report in reports for name, value in report.user_properties if name == "measured"]
    if told:
        terminalreporter.section("the running service")
    for line in sorted(told):
        terminalreporter.write_line(str(line))
