import sqlite3
import tracemalloc
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from integration import outcomes
from integration.settings import Site
from server.jobs import stores
from server.ledger import Entry, Ledger, PlanCounts, Settlement
from server.ledger.states import IllegalTransitionError, State

BuildOutcome = Callable[..., outcomes.Outcome]
Resource = outcomes.Resource

SOUTH = Site(name="south", base_url="http://127.0.0.1/fhir")
NORTH = Site(name="north", base_url="http://127.0.0.1/fhir")


def keys(outcome: outcomes.Outcome) -> list[str]:
    return [resource["id"] for resource in (*outcome.observations, outcome.provenance)]


def entry(ledger: Ledger, key: str) -> Entry:
    (found,) = ledger.entries("north", [key])
    return found


def claim(ledger: Ledger, keys: Sequence[str], *, request_id: str = "x", interaction: str = "create") -> list[Entry]:
    """Claim as the one worker that holds a lease of everything due."""
    ledger.lease("north", "w", after=None, responses=1000, seconds=60)
    return ledger.claim("north", keys, request_id=request_id, interaction=interaction, worker="w", seconds=60)


def send(ledger: Ledger, key: str, state: State = "accepted", ehr_id: str = "1", **facts: object) -> None:
    """Claim one entry and settle it."""
    claim(ledger, [key], request_id=f"of-{key}", interaction="create")
    settlement = Settlement(key=key, state=state, ehr_id=ehr_id, ehr_version="1" if ehr_id else "", **facts)  # type: ignore[arg-type]  # facts by name
    ledger.settle("north", [settlement], request_id=f"of-{key}")


def attempts(ledger: Ledger) -> list[tuple[object, ...]]:
    query = "SELECT key, request_id, interaction, http_status, result, reason FROM attempt ORDER BY number"
    with ledger._reading.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def test_planning_again_changes_nothing(ledger: Ledger, build_outcome: BuildOutcome, device: Resource) -> None:
    first = stores.planner(ledger, NORTH).plan(device, [build_outcome("a"), build_outcome("b")])
    again = stores.planner(ledger, NORTH).plan(device, [build_outcome("a"), build_outcome("b")])

    assert first == PlanCounts(new=9)
    assert again == PlanCounts(unchanged=9)
    assert ledger.counts("north") == {"planned": 9}


def test_an_outcome_computed_later_by_newer_software_says_the_same(
    ledger: Ledger, build_outcome: BuildOutcome, device: Resource
) -> None:
    outcome = build_outcome()
    stores.planner(ledger, NORTH).plan(device, [outcome])
    newer = {**outcome.physical, "device": {"reference": "Device/newer"}}
    later = {**outcome.provenance, "recorded": "2030-01-01T00:00:00Z"}

    counts = stores.planner(ledger, NORTH).plan(
        {**device, "id": "newer"},
        [
            outcomes.Outcome(
                response_id="r1", patient_id="p", response_version="1", panel=outcome.panel, physical=newer,
                psychological=outcome.psychological, provenance=later,
            )
        ],
    )  # fmt: skip

    assert counts == PlanCounts(new=1, unchanged=4)
    assert entry(ledger, outcome.physical["id"]).resource()["device"] == outcome.physical["device"]


def test_a_changed_outcome_is_planned_as_an_update(
    ledger: Ledger, build_outcome: BuildOutcome, device: Resource
) -> None:
    outcome = build_outcome()
    stores.planner(ledger, NORTH).plan(device, [outcome])
    for key in keys(outcome):
        send(ledger, key, ehr_id=f"ehr-{key}")

    counts = stores.planner(ledger, NORTH).plan(device, [build_outcome(answer=4, status="amended", version_id="2")])

    assert counts == PlanCounts(changed=4, unchanged=1)
    assert {entry(ledger, key).state for key in keys(outcome)} == {"planned"}
    assert entry(ledger, outcome.panel["id"]).ehr_id == f"ehr-{outcome.panel['id']}"


def test_only_what_is_due_is_claimed_and_the_intent_is_recorded(
    ledger: Ledger, build_outcome: BuildOutcome, device: Resource
) -> None:
    outcome = build_outcome()
    stores.planner(ledger, NORTH).plan(device, [outcome])

    first = claim(ledger, keys(outcome), request_id="x", interaction="transaction")
    second = claim(ledger, keys(outcome), request_id="y", interaction="transaction")

    assert [one.kind for one in first] == ["physical", "psychological", "panel", "provenance"]
    assert all(one.state == "sending" and one.sent_hash == one.content_hash for one in first)
    assert second == []
    assert [attempt[1:5] for attempt in attempts(ledger)] == [("x", "transaction", None, "sending")] * 4


def test_every_attempt_is_kept_with_its_answer(ledger: Ledger, build_outcome: BuildOutcome, device: Resource) -> None:
    key = build_outcome().panel["id"]
    stores.planner(ledger, NORTH).plan(device, [build_outcome()])

    send(ledger, key, "waiting", "", http_status=429, reason="throttled", due="2026-01-05T11:00:00.000Z")
    claim(ledger, [key], request_id="second", interaction="update")

    assert attempts(ledger) == [
        (key, f"of-{key}", "create", 429, "waiting", "throttled"),
        (key, "second", "update", None, "sending", ""),
    ]


def test_a_content_that_changed_on_its_way_is_sent_after_the_first_is_settled(
    ledger: Ledger, build_outcome: BuildOutcome, device: Resource
) -> None:
    key = build_outcome().physical["id"]
    stores.planner(ledger, NORTH).plan(device, [build_outcome()])
    claim(ledger, [key], request_id="x", interaction="create")

    stores.planner(ledger, NORTH).plan(device, [build_outcome(answer=5)])
    on_its_way = entry(ledger, key)
    ledger.settle("north", [Settlement(key=key, state="accepted", ehr_id="7", ehr_version="1")], request_id="x")

    assert on_its_way.state == "sending"
    settled = entry(ledger, key)
    assert (settled.state, settled.ehr_id, settled.ehr_version, settled.sent_hash) == ("planned", "7", "1", "")


def test_an_unknown_whose_content_changed_stays_unknown_until_it_is_found(
    ledger: Ledger, build_outcome: BuildOutcome, device: Resource
) -> None:
    key = build_outcome().physical["id"]
    stores.planner(ledger, NORTH).plan(device, [build_outcome()])
    send(ledger, key, "unknown", "", maybe_sent=True)

    stores.planner(ledger, NORTH).plan(device, [build_outcome(answer=5)])
    before = entry(ledger, key).state
    ledger.settle("north", [Settlement(key=key, state="already_there", ehr_id="7", ehr_version="1")])

    assert before == "unknown"
    assert (entry(ledger, key).state, entry(ledger, key).ehr_id) == ("planned", "7")


@pytest.mark.parametrize("state", ["accepted", "held"])
def test_what_was_taken_without_an_id_is_never_planned_as_a_second_create(
    ledger: Ledger, build_outcome: BuildOutcome, device: Resource, state: State
) -> None:
    key = build_outcome().physical["id"]
    stores.planner(ledger, NORTH).plan(device, [build_outcome()])
    send(ledger, key, state, ehr_id="")

    stores.planner(ledger, NORTH).plan(device, [build_outcome(answer=5)])
    waiting = entry(ledger, key).state
    ledger.settle("north", [Settlement(key=key, state="already_there", ehr_id="7", ehr_version="1")])

    assert waiting == state
    assert (entry(ledger, key).state, entry(ledger, key).ehr_id) == ("planned", "7")


def test_what_was_never_sent_is_retracted_without_sending(
    ledger: Ledger, build_outcome: BuildOutcome, device: Resource
) -> None:
    stores.planner(ledger, NORTH).plan(device, [build_outcome()])

    assert stores.planner(ledger, NORTH).withdraw("r1", reason="status") == 4
    assert ledger.counts("north") == {"planned": 1, "retracted": 4}
    assert [one.kind for one in ledger.due("north", after=None, limit=100)] == ["device"]


def test_what_the_chart_holds_shall_become_entered_in_error(
    ledger: Ledger, build_outcome: BuildOutcome, device: Resource
) -> None:
    outcome = build_outcome()
    stores.planner(ledger, NORTH).plan(device, [outcome])
    for key in keys(outcome):
        send(ledger, key, ehr_id=f"ehr-{key}")

    stores.planner(ledger, NORTH).withdraw("r1", reason="status")

    due = [one for one in ledger.due("north", after=None, limit=100) if one.kind != "device"]
    assert [one.resource()["status"] for one in due] == ["entered-in-error"] * 3
    assert entry(ledger, outcome.provenance["id"]).state == "accepted"
    assert stores.planner(ledger, NORTH).withdraw("r1", reason="status") == 0


def test_a_withdrawn_unknown_is_retracted_once_it_is_proven_absent(
    ledger: Ledger, build_outcome: BuildOutcome, device: Resource
) -> None:
    key = build_outcome().physical["id"]
    stores.planner(ledger, NORTH).plan(device, [build_outcome()])
    send(ledger, key, "unknown", "", maybe_sent=True)

    stores.planner(ledger, NORTH).withdraw("r1", reason="status")
    before = entry(ledger, key).state
    ledger.settle("north", [Settlement(key=key, state="planned")])

    assert (before, entry(ledger, key).state) == ("unknown", "retracted")


def test_a_response_that_counts_again_is_planned_again(
    ledger: Ledger, build_outcome: BuildOutcome, device: Resource
) -> None:
    stores.planner(ledger, NORTH).plan(device, [build_outcome()])
    stores.planner(ledger, NORTH).withdraw("r1", reason="status")

    assert stores.planner(ledger, NORTH).plan(device, [build_outcome()]) == PlanCounts(changed=4, unchanged=1)
    assert ledger.counts("north") == {"planned": 5}


def test_another_version_of_the_instrument_withdraws_the_outcomes_of_the_first(
    ledger: Ledger, build_outcome: BuildOutcome, device: Resource
) -> None:
    stores.planner(ledger, NORTH).plan(device, [build_outcome(instrument="1")])

    counts = stores.planner(ledger, NORTH).plan(device, [build_outcome(instrument="2")])

    assert counts == PlanCounts(new=4, changed=4, unchanged=1)
    assert ledger.counts("north") == {"planned": 5, "retracted": 4}
    assert ledger.books("north").difference == 0


def test_a_state_that_may_not_follow_is_refused_and_nothing_is_written(
    ledger: Ledger, build_outcome: BuildOutcome, device: Resource
) -> None:
    first, second, *_ = keys(build_outcome())
    stores.planner(ledger, NORTH).plan(device, [build_outcome()])
    claim(ledger, [first], request_id="x", interaction="create")

    with pytest.raises(IllegalTransitionError):
        ledger.settle("north", [Settlement(key=first, state="accepted"), Settlement(key=second, state="verified")])

    assert (entry(ledger, first).state, entry(ledger, second).state) == ("sending", "planned")


def test_waiting_is_due_after_its_time(place: Path | str, build_outcome: BuildOutcome, device: Resource) -> None:
    clock = [datetime(2026, 1, 5, 12, tzinfo=UTC)]
    key = build_outcome().physical["id"]
    with Ledger.open(place, now=lambda: clock[0]) as ledger:
        stores.planner(ledger, NORTH).plan(device, [build_outcome()])
        send(ledger, key, "waiting", "", due="2026-01-05T12:01:00.000Z")

        early = [one.key for one in ledger.due("north", after=None, limit=100)]
        clock[0] += timedelta(seconds=61)
        late = [one.key for one in ledger.due("north", after=None, limit=100)]

    assert (key in early, key in late) == (False, True)


def test_due_returns_whole_responses_in_order(ledger: Ledger, build_outcome: BuildOutcome, device: Resource) -> None:
    stores.planner(ledger, NORTH).plan(device, [build_outcome(f"r{number}") for number in range(9)])

    seen: list[str] = []
    after: str | None = None
    while batch := ledger.due("north", after=after, limit=10):
        by_response = {one.response_id: sum(1 for x in batch if x.response_id == one.response_id) for one in batch}
        assert set(by_response.values()) <= ({1, 4} if "" in by_response else {4})
        seen += by_response
        after = batch[-1].response_id

    assert seen == ["", *(f"r{number}" for number in range(9))]


def test_books_count_every_response_and_every_outcome(
    ledger: Ledger, build_outcome: BuildOutcome, device: Resource
) -> None:
    stores.planner(ledger, NORTH).plan(device, [build_outcome("a"), build_outcome("b", answer=None)])
    stores.planner(ledger, SOUTH).plan(device, [build_outcome("z")])
    stores.planner(ledger, NORTH).withdraw_all([("c", "status"), ("d", "not msis-29"), ("e", "status")])
    send(ledger, build_outcome("a").physical["id"], "unknown", "", maybe_sent=True)

    books = ledger.books("north")

    assert (books.outcomes, books.is_balanced, books.is_proven) == (6, True, False)
    assert {line: count for line, count in books.lines.items() if count} == {"pending": 5, "unknown": 1}
    assert (books.responses, books.scored) == (5, 1)
    assert books.not_scorable == {"not msis-29": 1, "status": 2, "too few answers": 1}


def test_books_say_by_how_much_they_do_not_balance(
    ledger: Ledger, build_outcome: BuildOutcome, device: Resource
) -> None:
    stores.planner(ledger, NORTH).plan(device, [build_outcome("a")])
    with ledger._engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM outcome WHERE kind = 'panel'")

    assert ledger.books("north").difference == 1
    assert not ledger.books("north").is_balanced


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_the_searches_of_every_run_use_an_index(ledger: Ledger) -> None:
    def plan_of(run: Callable[[], object]) -> list[str]:
        seen: list[tuple[str, object]] = []

        def note(_: object, __: object, statement: str, parameters: object, *___: object) -> None:
            seen.append((statement, parameters))

        sa.event.listen(ledger._engine, "before_cursor_execute", note)
        run()
        sa.event.remove(ledger._engine, "before_cursor_execute", note)
        with sqlite3.connect(str(ledger._engine.url.database)) as connection:
            queries = [one for one in seen if one[0].startswith(("SELECT", "UPDATE"))]
            steps = [
                row[3] for query in queries for row in connection.execute(f"EXPLAIN QUERY PLAN {query[0]}", query[1])
            ]
        connection.close()
        return steps

    assert set(plan_of(lambda: ledger.due("north", after="r", limit=10))) == {
        "SEARCH outcome USING INDEX outcome_by_state (site=? AND state=? AND response_id>?)"
    }
    assert plan_of(lambda: ledger.claim("north", ["k"], request_id="x", interaction="create", worker="w", seconds=1))[
        0
    ].endswith("(site=? AND key=?)")
    steps = plan_of(lambda: ledger.lease("north", "w", after="r", responses=10, seconds=1))
    assert [step for step in steps if step.startswith(("SCAN outcome", "SCAN response"))] == []
    assert (
        "SEARCH outcome USING INDEX outcome_open"
        in plan_of(lambda: ledger.lease_open("north", "w", after="r", responses=10, seconds=1))[0]
    )


def test_planning_holds_a_batch_at_a_time(ledger: Ledger, build_outcome: BuildOutcome, device: Resource) -> None:
    stores.planner(ledger, NORTH).plan(device, [build_outcome("warm")])
    tracemalloc.start()

    stores.planner(ledger, NORTH).plan(device, (build_outcome(f"r{number:05}") for number in range(1500)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert ledger.books("north").outcomes == 4503
    assert peak < 15_000_000
