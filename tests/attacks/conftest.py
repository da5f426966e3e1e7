"""A service to attack, and the hospital behind it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # for the modules beside this one, whose names are their own: attack_*
sys.path.append(str(Path(__file__).parents[1] / "clients"))  # live_*

import live_hospital
import live_service
from attack_case import NEVER_SHOWN
from attack_catalogue import SETTINGS
from live_hospital import Hospital
from live_service import Service


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """A FHIR server by others with one patient, p1."""
    with live_hospital.running(tmp_path_factory.mktemp("hospital")) as running:
        running.admit("p1")
        yield running


@pytest.fixture(scope="session")
def attacked(hospital: Hospital, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, which must have lived through every attack when the last one is over."""
    with live_service.running(tmp_path_factory.mktemp("attacked"), hospital, SETTINGS) as running:
        yield running


@pytest.fixture
def target(attacked: Service) -> Iterator[Service]:
    """The service; it must still be well after the test, and have written nothing that must not be seen."""
    length = len(attacked.log())
    yield attacked
    assert attacked.process.poll() is None
    assert attacked.is_well()
    assert [word for word in NEVER_SHOWN if word in attacked.log()[length:]] == []
