"""Let the tests here import the modules beside them, which `python tests/faults/ehr_simulator.py` finds by itself."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # their names are their own: ehr_*, tcp_proxy

from ehr_samples import Client
from ehr_simulator import Simulator


@pytest.fixture
def ehr() -> Iterator[Simulator]:
    """A simulated EHR, general rules; `ehr.configure(...)` makes it another."""
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def client(ehr: Simulator) -> Iterator[Client]:
    """Requests to an EHR that knows one patient with one open encounter."""
    ehr.add_patient("p1", identifier=[{"system": "urn:example:mrn", "value": "7"}])
    ehr.add_encounter("e1", "Patient/p1")
    made = Client(ehr)
    with made.session:
        yield made
