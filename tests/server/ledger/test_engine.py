"""Opening a ledger: its migrations, its faults in a sentence, and what is never shown."""

import logging
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import autogenerate
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from integration.errors import ConfigurationError, InputError, LedgerError
from integration.settings import Site
from server.jobs import stores
from server.ledger import Ledger, engine, schema

Place = Path | str
NORTH = Site(name="north", base_url="http://127.0.0.1/fhir")
FIRST_ROWS = {
    "outcome": {
        "site": "north", "key": "k", "response_id": "r", "patient_id": "p", "response_version": "1", "kind": "panel",
        "resource_type": "Observation", "observations": 1, "dropped": "", "content": b"{}", "content_hash": "h",
        "is_withdrawn": False, "state": "sending", "is_open": True, "sent_content": b"{}", "planned_at": "t",
        "changed_at": "t",
    },
    "attempt": {
        "site": "north", "key": "k", "request_id": "x", "interaction": "create", "content_hash": "h", "sent_at": "t",
        "result": "sending",
    },
    "response": {"site": "north", "response_id": "r", "observations": 3, "release": 1},
    "release": {"site": "north", "who": "w", "why": "y", "action": "release", "what": "1 responses", "at": "t"},
    "patient": {"site": "north", "patient_id": "p", "problem": "", "checked_at": "t"},
    "site": {"site": "north", "failures": 2, "origin": "o"},
}  # fmt: skip
"""One row for each table of revision 0001."""


def bare(place: Place) -> sa.Engine:
    """An engine that knows nothing of revisions."""
    if isinstance(place, Path):
        place.parent.mkdir(parents=True, exist_ok=True)
        return sa.create_engine(f"sqlite:///{place}")
    return sa.create_engine(place)


def test_the_migrations_lead_to_the_tables_that_the_program_uses(place: Place) -> None:
    opened = engine.open_ledger_engine(place)

    with opened.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        differences = autogenerate.compare_metadata(context, schema.metadata)
    opened.dispose()

    assert differences == []


def test_every_text_column_is_ordered_by_code_point(place: Place) -> None:
    opened = engine.open_ledger_engine(place)

    columns = [column for table in schema.metadata.tables for column in sa.inspect(opened).get_columns(table)]
    texts = [column["type"] for column in columns if isinstance(column["type"], sa.String)]
    is_sqlite = opened.dialect.name == "sqlite"
    opened.dispose()

    assert len(texts) > 40
    assert {text.collation for text in texts} == {None if is_sqlite else "C"}


def test_the_newest_revision_is_the_one_that_opening_looks_for() -> None:
    scripts = ScriptDirectory(str(Path(engine.__file__).with_name("migrations")))

    assert scripts.get_heads() == [engine.HEAD]


def test_a_migration_from_the_first_revision_keeps_every_row(place: Place) -> None:
    made = bare(place)
    with made.begin() as connection:
        engine.upgrade(connection, "0001")
        for name, row in FIRST_ROWS.items():
            connection.execute(sa.Table(name, sa.MetaData(), autoload_with=connection).insert(), [row])
    made.dispose()

    opened = engine.open_ledger_engine(place)
    with opened.connect() as connection:
        kept = {
            name: connection.execute(sa.select(schema.metadata.tables[name])).mappings().one() for name in FIRST_ROWS
        }
    opened.dispose()

    assert {name: {key: kept[name][key] for key in row} for name, row in FIRST_ROWS.items()} == FIRST_ROWS


def test_opening_again_loads_no_migrations(tmp_path: Path) -> None:
    Ledger.open(tmp_path / "l.sqlite").close()
    script = (
        "import sys, pathlib; from server.ledger import Ledger\n"
        "Ledger.open(pathlib.Path(sys.argv[1])).close(); print('alembic' in sys.modules)"
    )

    arguments = [sys.executable, "-c", script, str(tmp_path / "l.sqlite")]
    said = subprocess.run(
        arguments, capture_output=True, text=True, check=True, cwd=Path(engine.__file__).parents[2]
    ).stdout

    assert said == "False\n"


def test_a_ledger_of_a_newer_version_is_refused(place: Place) -> None:
    made = engine.open_ledger_engine(place)
    with made.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    made.dispose()

    with pytest.raises(InputError, match=r"written by a newer version \(schema 9999.*; update the software"):
        Ledger.open(place)


@pytest.mark.parametrize(("version", "words"), [(99, "a newer version"), (1, "before the first release")])
def test_a_file_of_another_version_without_revisions_is_refused(tmp_path: Path, version: int, words: str) -> None:
    with sqlite3.connect(tmp_path / "l.sqlite") as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()

    with pytest.raises(InputError, match=words):
        Ledger.open(tmp_path / "l.sqlite")


def test_tables_of_another_program_are_left_alone(place: Place) -> None:
    made = bare(place)
    with made.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE outcome (theirs integer)")

    with pytest.raises(InputError, match="another program"):
        Ledger.open(place)

    assert sa.inspect(made).get_table_names() == ["outcome"]
    made.dispose()


def test_a_ledger_from_just_before_revisions_is_taken_over_with_its_rows(
    tmp_path: Path, build_outcome: Callable[..., Any], device: Any
) -> None:
    place = tmp_path / "l.sqlite"
    with Ledger.open(place) as ledger:
        stores.planner(ledger, NORTH).plan(device, [build_outcome()])
    with sqlite3.connect(place) as connection:
        connection.execute("ALTER TABLE response DROP COLUMN labels")  # which came later
        connection.execute("ALTER TABLE outcome DROP COLUMN request_id")  # likewise
        connection.execute("ALTER TABLE attempt DROP COLUMN ehr_id")  # likewise
        connection.execute("ALTER TABLE release DROP COLUMN ended")  # likewise
        connection.execute("ALTER TABLE site DROP COLUMN failed_contact")  # likewise
        connection.execute("DROP INDEX outcome_by_ehr_id")  # likewise
        connection.execute("DROP INDEX outcome_by_patient")  # likewise
        connection.execute("DROP INDEX response_leased")  # likewise
        connection.execute("DROP INDEX outcome_withdrawn_document")  # likewise
        connection.execute("DROP INDEX outcome_withheld")  # likewise
        connection.execute("DROP TABLE alembic_version")
        connection.execute("PRAGMA user_version = 2")
    connection.close()

    with Ledger.open(place) as ledger:
        assert ledger.counts("north") == {"planned": 5}


def test_what_is_no_database_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "l.sqlite").write_text("text " * 1000, encoding="utf-8")
    (tmp_path / "file").touch()

    for place in (tmp_path / "l.sqlite", tmp_path / "file" / "l.sqlite", tmp_path):
        with pytest.raises(InputError, match="cannot be opened as a database; see that it may be written") as caught:
            Ledger.open(place)
        assert str(caught.value).startswith(f"{place}: ")


def test_a_full_disk_is_a_sentence_and_what_was_written_is_kept(
    tmp_path: Path, build_outcome: Callable[..., Any], device: Any
) -> None:
    with Ledger.open(tmp_path / "l.sqlite") as ledger:
        stores.planner(ledger, NORTH).plan(device, [build_outcome()])

        @sa.event.listens_for(ledger._engine, "begin")
        def _limit(connection: sa.Connection) -> None:  # SQLite says of a file at its limit what it says of a full disk
            connection.exec_driver_sql("PRAGMA max_page_count = 1")

        with pytest.raises(LedgerError, match="the disk is full; make room and run it again") as caught:
            stores.planner(ledger, NORTH).plan(device, [build_outcome(f"r{number}") for number in range(100)])

        assert caught.value.exit_status == 1
        assert ledger.counts("north") == {"planned": 5}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"database": "nosuch"}, 'database "nosuch" does not exist'),
        ({"user": "nosuch"}, 'password authentication failed for user "nosuch"'),
        ({"password": "wrong-secret"}, 'password authentication failed for user "postgres"'),
    ],
)
def test_what_the_server_refuses_is_a_sentence_without_the_password(
    cluster: Any, options: dict[str, str], words: str
) -> None:
    with pytest.raises(InputError) as caught:
        Ledger.open(cluster.url(**options))

    assert words in str(caught.value)
    assert "see that the server runs and that user, database and password are right" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be used \(.*\); see that the server runs") as caught:
        Ledger.open(f"postgresql+psycopg://bridge:secret@/outcomes?host={tmp_path}")

    assert str(caught.value).startswith("postgresql+psycopg://bridge@/outcomes: ")
    assert "secret" not in str(caught.value)


def test_a_user_without_rights_is_told_which_are_missing(cluster: Any) -> None:
    url = cluster.new_schema()
    cluster.execute("DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN PASSWORD 'not-a-secret'")

    with pytest.raises(InputError, match="grant CREATE and USAGE on"):
        Ledger.open(url.replace("//postgres@", "//reader@"))


def test_a_server_that_goes_away_is_a_sentence(cluster: Any) -> None:
    with Ledger.open(cluster.new_schema()) as ledger:
        with ledger._engine.connect() as connection:
            process = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        cluster.execute(f"SELECT pg_terminate_backend({process})")

        with pytest.raises(LedgerError, match="run it again"):
            ledger.counts("north")

        assert ledger.counts("north") == {}


@pytest.mark.parametrize("url", ["nonsense", "postgresql+psycopg://h:port/d", "mysql://h/d", "sqlite:///l.sqlite"])
def test_a_url_that_is_none_of_postgresql_is_a_fault_of_the_settings(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"ledger\.url: "):
        Ledger.open(url)


def test_no_password_and_no_content_is_in_what_is_logged_or_shown(
    cluster: Any, caplog: pytest.LogCaptureFixture, build_outcome: Callable[..., Any], device: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    url = cluster.new_schema().replace("//postgres@", "//postgres:not-a-secret@")

    with Ledger.open(url) as ledger:
        stores.planner(ledger, NORTH).plan(device, [build_outcome()])

    assert ledger._engine.hide_parameters  # of a statement that fails: they are patients' data
    assert "not-a-secret" not in caplog.text + repr(ledger._engine) + engine.shown(url)


def test_the_migrations_are_in_the_package_and_not_only_in_the_checkout(tmp_path: Path) -> None:
    package = Path(engine.__file__).parent
    shutil.copytree(package, tmp_path / "ledger with 100% blank", ignore=shutil.ignore_patterns("__pycache__"))

    scripts = ScriptDirectory(str(tmp_path / "ledger with 100% blank" / "migrations"))

    assert scripts.get_heads() == [engine.HEAD]


def test_the_time_is_the_database_s_where_machines_share_it(
    place: Place, monkeypatch: pytest.MonkeyPatch, build_outcome: Callable[..., Any], device: Any
) -> None:
    class SlowClock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(2000, 1, 1, tzinfo=tz)

    monkeypatch.setattr(engine, "datetime", SlowClock)
    with Ledger.open(place) as ledger:
        stores.planner(ledger, NORTH).plan(device, [build_outcome()])
        ledger.lease("north", "w", after=None, responses=1, seconds=60)

        assert ledger.leased_until("north").startswith("2000") == isinstance(place, Path)
        assert ledger.now().startswith("2000") == isinstance(place, Path)
