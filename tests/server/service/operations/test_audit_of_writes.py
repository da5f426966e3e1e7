"""What the ledger says was sent becomes AuditEvents, each once, in order, and after a while also what had no answer."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from integration import outcomes
from integration.outcomes import Resource
from server.jobs import stores
from server.ledger import Ledger, Settlement
from server.ledger.overview import Overview
from server.service.operations.audit_of_writes import WritesAudit
from server.service.operations.marks import Marks


class World:
    """A ledger, and what is written down of it.

    Attributes:
        events: so far.
        now: the clock.
    """

    def __init__(self, ledger: Ledger, overview: Overview, folder: Path) -> None:
        self.ledger, self.events = ledger, list[Resource]()
        self.now = datetime.fromisoformat(ledger.now())
        self._overview, self._marks = overview, Marks(folder / "marks")

    def audit(self) -> WritesAudit:
        return WritesAudit(
            site="north",
            server="https://ehr.example/fhir",
            overview=self._overview,
            marks=self._marks,
            append=self.events.append,
            now=lambda: self.now,
        )

    def claim(self, response_id: str) -> list[str]:
        keys = [entry.key for entry in self.ledger.of_responses("north", [response_id])]
        self.ledger.lease("north", "w", after=None, responses=10, seconds=60)
        self.ledger.claim("north", keys, request_id=f"q-{response_id}", interaction="create", worker="w", seconds=60)
        return keys

    def settle(self, response_id: str, keys: list[str], state: Any = "accepted", http_status: int | None = 201) -> None:
        taken = {"ehr_id": "7", "ehr_version": "1"} if state == "accepted" else {}
        settlements = [Settlement(key=key, state=state, http_status=http_status, **taken) for key in keys]
        self.ledger.settle("north", settlements, request_id=f"q-{response_id}")

    def close(self) -> None:
        self._marks.close()


@pytest.fixture
def world(
    ledger: Ledger, tmp_path: Path, build_outcome: Callable[..., Any], device: outcomes.Resource, site: Any
) -> Iterator[World]:
    stores.planner(ledger, site).plan(device, [build_outcome(one) for one in ("a", "b")])
    with Overview.open(tmp_path / "state" / "ledger.sqlite") as overview:
        made = World(ledger, overview, tmp_path)
        made.audit().begin()
        yield made
        made.close()


@pytest.mark.parametrize("site", ["generic"], indirect=True)
def test_each_write_is_one_event_about_its_patient(world: World) -> None:
    world.settle("a", world.claim("a"))

    assert (world.audit().step(), world.audit().step()) == (4, 0)
    event = world.events[0]
    assert (event["action"], event["outcome"]) == ("C", "0")
    assert event["entity"][0]["what"] == {"reference": "Patient/patient-of-a"}
    assert event["entity"][1]["what"]["reference"] == "Observation/7"
    assert event["entity"][2]["what"] == {"identifier": {"value": "q-a"}}
    assert event["agent"][1]["network"] == {"address": "https://ehr.example/fhir", "type": "5"}


@pytest.mark.parametrize("site", ["generic"], indirect=True)
def test_what_is_on_its_way_holds_up_those_behind_it_until_it_is_given_up(world: World) -> None:
    world.claim("a")
    world.settle("b", world.claim("b"), "refused", 422)

    early = world.audit().step()
    world.now += timedelta(minutes=16)
    late = world.audit().step()

    assert (early, late) == (0, 8)
    assert [one["outcome"] for one in world.events] == ["8"] * 4 + ["4"] * 4
    assert world.events[0]["outcomeDesc"] == "HTTP no answer"
    assert "meta" not in world.events[0]
