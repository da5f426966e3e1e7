import itertools
import json
import sqlite3
import subprocess
import sys
import textwrap
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from integration.errors import InputError
from integration.warehouse import StoreCounts, Warehouse

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with Warehouse.open(tmp_path / "state" / "warehouse.sqlite") as opened:
        yield opened


def body(resource_type: str, resource_id: str, **elements: Any) -> bytes:
    return json.dumps({"resourceType": resource_type, "id": resource_id, **elements}).encode()


def patient(version: str | None = None, updated: str | None = None, **elements: Any) -> bytes:
    meta = {key: value for key, value in (("versionId", version), ("lastUpdated", updated)) if value}
    return body("Patient", "p", **({"meta": meta} if meta else {}), **elements)


def test_resources_come_back_as_they_came_by_type_and_id(warehouse: Warehouse) -> None:
    given = [body("Patient", "b"), b'{ "resourceType":"Patient",\n"id":"a", "x": 1.50 }', body("Condition", "z")]

    counts = warehouse.store("north", given)

    assert counts == StoreCounts(new=3)
    assert list(warehouse.resources("north")) == [given[2], given[1], given[0]]
    assert list(warehouse.resources("north", "Patient")) == [given[1], given[0]]
    assert warehouse.counts("north") == {"Condition": 1, "Patient": 2}


def test_a_site_sees_only_its_own_resources(warehouse: Warehouse) -> None:
    warehouse.store("north", [body("Patient", "a")])

    assert warehouse.has("north", "Patient", "a")
    assert warehouse.read("north", "Patient", "a") == body("Patient", "a")
    assert not warehouse.has("south", "Patient", "a")
    assert warehouse.read("south", "Patient", "a") is None
    assert list(warehouse.resources("south")) == []


def test_storing_the_same_again_changes_nothing(warehouse: Warehouse) -> None:
    warehouse.store("north", [patient("1")])

    assert warehouse.store("north", [patient("1")]) == StoreCounts(unchanged=1)


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (patient("9", n=1), patient("10", n=2), 2),
        (patient("10", n=1), patient("9", n=2), 1),
        (patient("9", "2026-01-02T00:00:00Z", n=1), patient("10", "2026-01-01T00:00:00Z", n=2), 2),
        (patient("b", "2026-01-02T00:00:00Z", n=1), patient("a", "2026-01-01T00:00:00Z", n=2), 1),
        (patient(None, "2026-01-01T10:00:00+02:00", n=1), patient(None, "2026-01-01T09:00:00Z", n=2), 2),
        (patient("b", n=1), patient("a", n=2), 2),
        (patient(n=1), patient(n=2), 2),
        (patient("2", n=1), patient("2", n=2), 2),
    ],
    ids=["number", "older number", "number over date", "date", "date with offset", "no date", "nothing", "same number"],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_the_newest_version_is_kept(
    warehouse: Warehouse, first: bytes, second: bytes, kept: int, at_once: bool
) -> None:
    for batch in [[first, second]] if at_once else [[first], [second]]:
        warehouse.store("north", batch)

    assert [json.loads(found)["n"] for found in warehouse.resources("north")] == [kept]


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b'{"resourceType": "Patient"}', b'{"id": "a"}', b"\xff"])
def test_what_has_no_type_or_id_is_counted_and_not_kept(warehouse: Warehouse, broken: bytes) -> None:
    assert warehouse.store("north", [broken, body("Patient", "a")]) == StoreCounts(new=1, unusable=1)
    assert warehouse.counts("north") == {"Patient": 1}


def test_a_killed_store_leaves_whole_resources_and_can_be_repeated(tmp_path: Path) -> None:
    path = tmp_path / "w.sqlite"
    script = """
        import json, os, signal, sys
        from pathlib import Path
        from integration.warehouse import Warehouse

        def bodies():
            for number in range(2000):
                if number == 1200:
                    os.kill(os.getpid(), signal.SIGKILL)
                yield json.dumps({"resourceType": "Patient", "id": f"{number:04}"}).encode()

        Warehouse.open(Path(sys.argv[1])).store("north", bodies())
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(path)], cwd=ROOT, check=False)

    with Warehouse.open(path) as warehouse:
        assert killed.returncode == -9
        assert warehouse.counts("north") == {"Patient": 1000}
        again = warehouse.store("north", [body("Patient", f"{number:04}") for number in range(2000)])
        assert again == StoreCounts(new=1000, unchanged=1000)


def test_storing_and_reading_hold_a_batch_at_a_time(warehouse: Warehouse) -> None:
    filler = "x" * 10_000
    tracemalloc.start()

    warehouse.store("north", (body("Patient", f"{number:05}", text=filler) for number in range(4000)))
    total = sum(len(found) for found in warehouse.resources("north"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert total > 40_000_000
    assert peak < 20_000_000


def test_a_reader_does_not_stop_a_writer(warehouse: Warehouse) -> None:
    warehouse.store("north", [body("Patient", f"{number:04}") for number in range(1200)])

    reader = warehouse.resources("north")
    first = list(itertools.islice(reader, 600))
    warehouse.store("north", [body("Patient", "9999")])

    assert len(first) + len(list(reader)) == 1200
    assert warehouse.counts("north") == {"Patient": 1201}


@pytest.mark.parametrize(
    "reference", ["Patient/p1", "http://h/fhir/Patient/p1", "Patient/p1/_history/2", "Patient\\/p1"]
)
def test_what_mentions_a_patient_is_found_however_it_is_written(warehouse: Warehouse, reference: str) -> None:
    mentioning = b'{"resourceType":"Procedure","id":"a","subject":{"reference":"%s"}}' % reference.encode()
    of_another = body("Procedure", "b", subject={"reference": "Patient/p2"})
    warehouse.store("north", [mentioning, of_another, body("Condition", "c", subject={"reference": "Patient/p1"})])
    warehouse.store("south", [mentioning])

    assert warehouse.mentioning("north", "Procedure", ["p1"]) == [mentioning]
    assert warehouse.mentioning("north", "Procedure", []) == []


def test_what_mentions_a_patient_is_that_of_the_newest_version(warehouse: Warehouse) -> None:
    first = body("Procedure", "a", meta={"versionId": "1"}, subject={"reference": "Patient/p1"})
    corrected = body("Procedure", "a", meta={"versionId": "2"}, subject={"reference": "Patient/p2"})
    warehouse.store("north", [first])
    warehouse.store("north", [corrected])

    assert warehouse.mentioning("north", "Procedure", ["p1"]) == []
    assert warehouse.mentioning("north", "Procedure", ["p1", "p2"]) == [corrected]


def test_what_mentions_very_many_patients_is_found_for_each_and_noted_once(warehouse: Warehouse) -> None:
    crowd = body("Group", "g", member=[{"entity": {"reference": f"Patient/p{number}"}} for number in range(5000)])
    warehouse.store("north", [crowd])

    assert [warehouse.mentioning("north", "Group", [one]) for one in ("p0", "p4999")] == [[crowd], [crowd]]
    assert warehouse.mentioning("north", "Group", ["p5000"]) == []
    with warehouse._engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM mention").scalar_one() == 1


def test_what_mentions_a_patient_is_found_without_looking_through_the_others(warehouse: Warehouse) -> None:
    plans: list[str] = []

    @sa.event.listens_for(warehouse._engine, "before_cursor_execute")
    def _explain(*given: Any) -> None:
        with closing(sqlite3.connect(str(warehouse._engine.url.database))) as beside:
            plans.extend(row[3] for row in beside.execute(f"EXPLAIN QUERY PLAN {given[2]}", given[3]))

    warehouse.mentioning("north", "Procedure", ["p1"])

    assert [plan for plan in plans if plan.startswith(("SCAN", "SEARCH"))] == [
        "SEARCH staged USING INDEX sqlite_autoindex_staged_1 (site=? AND type=? AND id=?)",
        "SEARCH mention USING PRIMARY KEY (site=? AND type=? AND patient_id=?)",
    ]


def test_a_file_of_the_first_version_is_taken_over_with_what_mentions_whom(tmp_path: Path) -> None:
    mentioning = [body("Procedure", f"r{number:04}", subject={"reference": "Patient/p1"}) for number in range(1200)]
    with Warehouse.open(tmp_path / "w.sqlite") as warehouse:
        warehouse.store("north", mentioning)
    with closing(sqlite3.connect(tmp_path / "w.sqlite")) as connection:
        connection.execute("DROP TABLE mention")
        connection.execute("ALTER TABLE staged RENAME TO resource")
        connection.execute("PRAGMA user_version = 1")

    for _ in range(2):
        with Warehouse.open(tmp_path / "w.sqlite") as warehouse:
            assert warehouse.mentioning("north", "Procedure", ["p1"]) == mentioning
    with closing(sqlite3.connect(tmp_path / "w.sqlite")) as connection, pytest.raises(sqlite3.OperationalError):
        connection.execute("INSERT INTO resource SELECT * FROM staged")  # as a process would that is still open


def test_a_server_whose_address_ends_in_patient_is_no_patient(warehouse: Warehouse) -> None:
    one = body("Procedure", "r", subject={"reference": "https://gateway.example/ePatient/Patient/p1"})
    warehouse.store("north", [one])

    assert warehouse.mentioning("north", "Procedure", ["p1"]) == [one]


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "w.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(InputError, match="newer version"):
        Warehouse.open(tmp_path / "w.sqlite")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.sqlite").write_bytes(b"not a database" * 100)

    with pytest.raises(InputError, match="cannot be opened as a database"):
        Warehouse.open(tmp_path / "w.sqlite")


def test_the_file_is_written_ahead_and_synced_in_full(tmp_path: Path) -> None:
    with Warehouse.open(tmp_path / "w.sqlite") as warehouse, warehouse._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
