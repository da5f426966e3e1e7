"""The hospital of these tests: a FHIR server that others wrote, and what its chart holds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from server.demo import fhir_server

SEKMET = Path(__file__).resolve().parents[2] / ".sekmet" / "bin" / "sekmet"
PATIENCE = 30.0
Resource = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Hospital:
    """A FHIR server by others that runs.

    Attributes:
        base_url: of its FHIR interface.
        folder: where its settings and its log are.
    """

    base_url: str
    folder: Path

    def put(self, resource: Resource) -> Resource:
        """File a resource under its id; returns it as the server holds it."""
        url = f"{self.base_url}/{resource['resourceType']}/{resource['id']}"
        requests.put(url, json=resource, timeout=PATIENCE).raise_for_status()
        held: Resource = requests.get(url, timeout=PATIENCE).json()
        return held

    def admit(self, patient_id: str) -> str:
        """File a Patient."""
        self.put({"resourceType": "Patient", "id": patient_id, "gender": "female", "birthDate": "1970-01-01"})
        return patient_id

    def outcome(self, response_id: str) -> list[Resource]:
        """The Observations that the chart holds of a response: panel, physical, psychological."""
        asked = {"derived-from": f"QuestionnaireResponse/{response_id}", "_count": "50"}
        answer = requests.get(f"{self.base_url}/Observation", params=asked, timeout=PATIENCE)
        answer.raise_for_status()
        return [entry["resource"] for entry in answer.json().get("entry", [])]

    def wait_for(self, response_id: str, *, status: str = "final", values: set[float] | None = None) -> list[Resource]:
        """Wait until the chart holds a response's three Observations with this status, and these values if given."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = self.outcome(response_id)
            if len(found) == 3 and {one["status"] for one in found} == {status}:
                held = {one["valueQuantity"]["value"] for one in found if "valueQuantity" in one}
                if values is None or held == values:
                    return found
            time.sleep(0.05)
        seen = [(one["status"], one.get("valueQuantity", {}).get("value")) for one in self.outcome(response_id)]
        raise AssertionError(f"{response_id} is not {status} {values} in the chart after {PATIENCE:.0f} s: {seen}")


@contextmanager
def running(folder: Path) -> Iterator[Hospital]:
    """Run one; the test skips where it is not installed."""
    if not SEKMET.is_file():
        pytest.skip("sekmet-fhir is not installed in .sekmet: `make test` does it")
    with fhir_server.running(SEKMET, folder) as base_url:
        yield Hospital(base_url=base_url, folder=folder)
