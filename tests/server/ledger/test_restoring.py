"""A ledger that comes from a backup takes what was due for sent, and forgets versions; on both databases."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from integration import outcomes
from integration.settings import Site
from server.jobs import stores
from server.ledger import Ledger, Settlement, restoring

NOW = datetime(2026, 1, 6, tzinfo=UTC)
NORTH = Site(name="north", base_url="http://127.0.0.1/fhir")


@pytest.fixture
def used(place: Any, build_outcome: Callable[..., Any], device: outcomes.Resource) -> Any:
    """The place of a ledger with one response in the chart, one due, and one refused."""
    with Ledger.open(place) as ledger:
        planner = stores.planner(ledger, NORTH)
        planner.plan(device, [build_outcome(one) for one in ("a", "b", "c")])
        ledger.lease("north", "w", after=None, responses=10, seconds=60)
        for response_id, state in (("", "accepted"), ("a", "accepted"), ("c", "refused")):
            keys = [entry.key for entry in ledger.of_responses("north", [response_id])]
            ledger.claim("north", keys, request_id=f"q{response_id}", interaction="create", worker="w", seconds=60)
            ledger.settle("north", [_settlement(key, state) for key in keys], request_id=f"q{response_id}")
        ledger.unlease("north", "w")
        planner.plan(device, [build_outcome("a", answer=2, version_id="2")])
    return place


def _settlement(key: str, state: Any) -> Settlement:
    taken = state == "accepted"
    return Settlement(key=key, state=state, ehr_id=f"id-{key[:8]}" if taken else "", ehr_version="7" if taken else "")


def test_what_was_due_is_taken_for_sent_and_no_version_is_known(used: Any) -> None:
    doubted = restoring.doubt(used, now=lambda: NOW)

    assert (doubted.creates, doubted.updates) == (4, 5)
    with Ledger.open(used) as ledger:
        due = ledger.of_responses("north", ["b"])
        assert {(one.state, one.reason, one.sent_content == one.content) for one in due} == {
            ("sending", restoring.RESTORED, True)
        }
        assert {one.ehr_version for one in ledger.of_responses("north", ["", "a"])} == {""}
        scores = [one for one in ledger.of_responses("north", ["a"]) if one.kind in ("physical", "psychological")]
        assert {one.state for one in scores} == {"planned"}  # updates, which are read before they are written
        assert {one.state for one in ledger.of_responses("north", ["c"])} == {"refused"}


def test_doubt_upon_doubt_changes_nothing(used: Any) -> None:
    restoring.doubt(used, now=lambda: NOW)

    assert restoring.doubt(used, now=lambda: NOW) == restoring.Doubted(creates=0, updates=0)


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
def test_a_database_that_was_dumped_and_restored_can_be_doubted(used: str, cluster: Any, tmp_path: Path) -> None:
    programs = cluster_programs()
    schema = used.rpartition("search_path%3D")[2] or used.rpartition("=")[2]
    dump = tmp_path / "outcomes.dump"
    where = ["-h", str(cluster.folder), "-U", "postgres", "-d", "postgres"]
    environ = {"PGPASSFILE": str(cluster.folder / "pgpass"), "PATH": "/usr/bin:/bin"}

    command = [str(programs / "pg_dump"), *where, "--format=custom", f"--schema={schema}", f"--file={dump}"]
    subprocess.run(command, env=environ, check=True)
    cluster.execute(f"DROP SCHEMA {schema} CASCADE")
    subprocess.run([str(programs / "pg_restore"), *where, str(dump)], env=environ, check=True)

    assert restoring.doubt(used, now=lambda: NOW).creates == 4


def cluster_programs() -> Path:
    import postgresql_cluster  # noqa: PLC0415 - the fixtures' own module, found by their conftest

    programs = postgresql_cluster.program_folder()
    assert programs is not None
    return programs
