from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integration import outcomes
from integration.settings import Site
from server.jobs import stores
from server.ledger import Entry, Ledger, Settlement
from server.ledger.repairs import Noted, Repair
from server.ledger.states import State

BuildOutcome = Callable[..., outcomes.Outcome]
NORTH = Site(name="north", base_url="http://127.0.0.1/fhir")
Moving = Callable[[float], None]


@pytest.fixture
def later(ledger: Ledger) -> Moving:
    """Let time go by for the ledger."""
    passed = [datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)]
    ledger._now = lambda: passed[0]

    def go(seconds: float) -> None:
        passed[0] += timedelta(seconds=seconds)

    return go


@pytest.fixture
def key(ledger: Ledger, build_outcome: BuildOutcome, device: outcomes.Resource) -> str:
    outcome = build_outcome()
    stores.planner(ledger, NORTH).plan(device, [outcome])
    return str(outcome.physical["id"])


def claim(ledger: Ledger, worker: str, key: str, request_id: str) -> list[Entry]:
    ledger.lease("north", worker, after=None, responses=10, seconds=10)
    return ledger.claim("north", [key], request_id=request_id, interaction="create", worker=worker, seconds=10)


def answer(ledger: Ledger, key: str, state: State, request_id: Any = "", ehr_id: str = "") -> None:
    ledger.settle("north", [Settlement(key=key, state=state, ehr_id=ehr_id)], request_id=request_id)


def row(ledger: Ledger, key: str) -> tuple[str, str]:
    [found] = ledger.entries("north", [key])
    return found.state, found.ehr_id


def attempts(ledger: Ledger) -> list[tuple[str, str]]:
    with ledger._reading.connect() as connection:
        found = connection.exec_driver_sql("SELECT request_id, result FROM attempt ORDER BY number")
        return [(one[0], one[1]) for one in found]


def resent_by_another(ledger: Ledger, key: str, later: Moving) -> None:
    """A claims and hangs until its lease is over; B finds nothing and claims the same."""
    claim(ledger, "A", key, "of-a")
    later(20)
    ledger.lease_open("north", "B", after="", responses=10, seconds=10)
    answer(ledger, key, "planned")
    claim(ledger, "B", key, "of-b")


def test_what_a_worker_gives_back_after_its_lease_changes_nothing_of_anothers_request(
    ledger: Ledger, key: str, later: Moving
) -> None:
    resent_by_another(ledger, key, later)

    answer(ledger, key, "planned", "of-a")
    between = row(ledger, key)
    answer(ledger, key, "accepted", "of-b", ehr_id="7")

    assert (between, row(ledger, key)) == (("sending", ""), ("accepted", "7"))
    assert attempts(ledger) == [("of-a", "planned"), ("of-b", "accepted")]


def test_a_late_answer_is_kept_with_its_attempt_and_gives_no_id_to_anothers_row(
    ledger: Ledger, key: str, later: Moving
) -> None:
    resent_by_another(ledger, key, later)

    answer(ledger, key, "accepted", {key: "of-a"}, ehr_id="6")
    answer(ledger, key, "accepted", {key: "of-b"}, ehr_id="7")

    assert row(ledger, key) == ("accepted", "7")
    assert attempts(ledger) == [("of-a", "accepted"), ("of-b", "accepted")]


def test_an_answer_after_the_row_was_taken_over_is_left_to_the_look_up(ledger: Ledger, key: str, later: Moving) -> None:
    claim(ledger, "A", key, "of-a")
    later(20)
    ledger.lease_open("north", "B", after="", responses=10, seconds=10)

    answer(ledger, key, "accepted", "of-a", ehr_id="7")
    between = row(ledger, key)
    answer(ledger, key, "already_there", ehr_id="7")

    assert (between, row(ledger, key)) == (("sending", ""), ("already_there", "7"))


def test_an_answer_after_the_lease_counts_as_long_as_nobody_took_the_row(
    ledger: Ledger, key: str, later: Moving
) -> None:
    claim(ledger, "A", key, "of-a")
    later(20)

    answer(ledger, key, "accepted", "of-a", ehr_id="7")

    assert row(ledger, key) == ("accepted", "7")


def test_a_look_up_that_ends_after_its_lease_changes_nothing_that_another_sends(
    ledger: Ledger, key: str, later: Moving
) -> None:
    resent_by_another(ledger, key, later)

    answer(ledger, key, "already_there", ehr_id="6")

    assert row(ledger, key) == ("sending", "")


def test_what_is_being_sent_is_neither_marked_as_read_nor_repaired(
    ledger: Ledger, key: str, build_outcome: BuildOutcome, device: outcomes.Resource
) -> None:
    claim(ledger, "A", key, "of-a")
    answer(ledger, key, "accepted", "of-a", ehr_id="7")
    read = ledger.entries("north", [key])
    stores.planner(ledger, NORTH).plan(device, [build_outcome(answer=5)])
    claim(ledger, "A", key, "of-b")

    altered = [(read[0], Settlement(key=key, state="altered", ehr_id="7"))]
    noted = ledger.note_read("north", altered, {key: Repair(content=read[0].resource(), ehr_version="2")})

    assert (noted, row(ledger, key)) == (Noted(read=0, repaired=0), ("sending", "7"))


def test_what_is_as_it_was_read_is_noted_and_repaired_at_once(ledger: Ledger, key: str) -> None:
    claim(ledger, "A", key, "of-a")
    answer(ledger, key, "accepted", "of-a", ehr_id="7")
    [read] = ledger.entries("north", [key])

    noted = ledger.note_read("north", [(read, Settlement(key=key, state="missing"))], {key: Repair()})

    assert (noted, row(ledger, key)) == (Noted(read=1, repaired=1), ("planned", ""))
