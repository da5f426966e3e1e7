"""One patient's outcomes, with their times."""

from typing import Any

import pytest
import sqlalchemy as sa

from integration import outcomes
from integration.settings import Site
from server.jobs import stores
from server.ledger import Ledger, reading


@pytest.fixture
def planned(ledger: Ledger, build_outcome: Any, origin: Any) -> Ledger:
    planner = stores.planner(ledger, Site(name="north", base_url="http://127.0.0.1/fhir"))
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
