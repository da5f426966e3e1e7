"""Let the tests here import the modules beside them, which `python tests/faults/ehr_simulator.py` finds by itself."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # their names are their own: ehr_*, tcp_proxy

from ehr_simulator import Simulator


@pytest.fixture
def ehr() -> Iterator[Simulator]:
    """A simulated EHR, general rules; `ehr.configure(...)` makes it another."""
    with Simulator() as simulator:
        yield simulator
