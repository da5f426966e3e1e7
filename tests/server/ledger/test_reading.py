"""One patient's outcomes, with their times."""

import sqlite3
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa

from integration import outcomes
from integration.settings import Site
from server.jobs import stores
from server.ledger import Ledger, reading, states
from server.ledger.overview import Overview
from server.ledger.states import State
from server.sites import profile_of

NORTH = Site(name="north", base_url="http://127.0.0.1/fhir")


@pytest.fixture
def planned(ledger: Ledger, build_outcome: Any, origin: Any) -> Ledger:
    planner = stores.planner(ledger, NORTH)
    planner.plan(outcomes.device(origin), [build_outcome("r1"), build_outcome("r2")])
    return ledger


def test_only_these_patients_outcomes_come(planned: Ledger) -> None:
    held = reading.of_patients(planned, "north", ["patient-of-r1"])

    assert {one.entry.response_id for one in held} == {"r1"}
    assert {one.entry.kind for one in held} >= {"physical", "psychological", "panel"}
    assert all(one.planned_at and one.changed_at for one in held)
    assert [one.entry.key for one in held] == sorted(one.entry.key for one in held)


@pytest.mark.parametrize("patient_ids", [[], [""], ["nobody"]])
def test_a_device_is_no_patients(planned: Ledger, patient_ids: list[str]) -> None:
    assert reading.of_patients(planned, "north", patient_ids) == []
    assert reading.of_patients(planned, "south", ["patient-of-r1"]) == []


def test_a_patient_is_found_by_an_index(planned: Ledger) -> None:
    with planned._reading.connect() as connection:
        if connection.dialect.name != "sqlite":  # how PostgreSQL plans depends on how many rows there are
            assert "outcome_by_patient" in {one["name"] for one in sa.inspect(connection).get_indexes("outcome")}
            return
        asked = reading.query("north", ["a", "b"]).compile(connection, compile_kwargs={"literal_binds": True})
        plan = " ".join(str(row) for row in connection.execute(sa.text(f"EXPLAIN QUERY PLAN {asked}")))

    assert "outcome_by_patient" in plan


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_what_is_in_some_states_is_read_in_parts_each_entry_once(planned: Ledger, limit: int) -> None:
    wanted_states: list[State] = ["planned", "retracted"]
    planned.withdraw_all("north", profile_of(NORTH), [("r1", "withdrawn")])
    wanted = {one.key for one in planned.of_responses("north", ["", "r1", "r2"])}

    parts = [planned.in_state("north", wanted_states, limit=limit)]
    while parts[-1]:
        parts.append(planned.in_state("north", wanted_states, after=parts[-1][-1].key, limit=limit))
    read = [(one.response_id, one.key) for part in parts for one in part]

    assert max(map(len, parts)) <= limit
    assert read == sorted(read)
    assert {key for _, key in read} == wanted
    assert len(read) == len(wanted)
    assert {one.state for part in parts for one in part} == set(wanted_states)


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_what_is_in_some_states_is_found_without_reading_the_others(planned: Ledger) -> None:
    plans: list[str] = []

    @sa.event.listens_for(planned._engine, "before_cursor_execute", retval=True)
    def _explained(*given: Any) -> tuple[str, Any]:
        statement, parameters = given[2:4]
        with closing(sqlite3.connect(str(planned._engine.url.database))) as beside:
            plans.extend(str(row[3]) for row in beside.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))
        return statement, parameters

    [*_, last] = planned.in_state("north", ["planned"], limit=3)
    planned.in_state("north", ["planned"], after=last.key)

    searches = {plan for plan in plans if plan.startswith(("SCAN", "SEARCH"))}
    assert searches == {
        "SEARCH outcome USING INDEX outcome_by_state (site=? AND state=? AND response_id>?)",
        "SEARCH outcome USING INDEX sqlite_autoindex_outcome_1 (site=? AND key=?)",
    }


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_the_books_and_the_ages_are_read_from_indexes_without_the_rows(planned: Ledger) -> None:
    steps: list[str] = []

    def explained(*given: Any) -> None:
        with closing(sqlite3.connect(str(planned._engine.url.database))) as beside:
            steps.extend(str(row[3]) for row in beside.execute(f"EXPLAIN QUERY PLAN {given[2]}", given[3]))

    overview = Overview(planned._engine)
    sa.event.listen(planned._engine, "before_cursor_execute", explained)
    planned.books("north")
    overview.oldest("north", states.DUE)
    overview.withheld("north", "a reason")
    sa.event.remove(planned._engine, "before_cursor_execute", explained)

    assert [step for step in steps if "outcome" in step] == [
        "SEARCH outcome USING COVERING INDEX outcome_by_state (site=?)",
        "SEARCH outcome USING INDEX outcome_withdrawn_document (site=?)",
        "SEARCH outcome USING COVERING INDEX outcome_by_state (site=? AND state=?)",
        "SEARCH outcome USING INDEX outcome_withheld (site=? AND reason=?)",
    ]
