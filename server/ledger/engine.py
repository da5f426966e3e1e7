"""The ledger's database: a SQLite file, or PostgreSQL by URL; opened, brought to the newest schema, and its faults.

Both databases keep the same promises. A transaction that reads (`reading`) sees one state and blocks nobody. One that
writes sees what others committed: SQLite lets one write at a time (BEGIN IMMEDIATE); PostgreSQL lets workers write at
once, each locking the rows that it reads in order to change them, and lets a transaction that plans (`alone`) run
without any other that writes, by an advisory lock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NoReturn

import sqlalchemy as sa

from integration.errors import ConfigurationError, InputError, LedgerError
from integration.warehouse import sqlite_engine

HEAD: Final = "0008"
"""The newest revision of `server/ledger/migrations`; kept here so that opening need not load Alembic."""

_MIGRATIONS: Final = Path(__file__).with_name("migrations")
_PRE_RELEASE: Final = {2: "0001"}
"""By SQLite's `user_version`, the revision whose tables a ledger has that was written before there were revisions."""
_LOCK: Final = 0x6F75_7463_6F6D_6573
"""Key of the advisory lock, any number that no other program on the database uses."""
_OPTIONS: Final = {
    "connect_timeout": "10",
    "application_name": "outcome-bridge",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
_LIMITS: Final = {"lock_timeout": "60s", "idle_in_transaction_session_timeout": "60s"}
"""So that a process that is stopped, or cut off, in the middle of a transaction holds up no other for long
(https://www.postgresql.org/docs/15/runtime-config-client.html)."""

_version = sa.table("alembic_version", sa.column("version_num"))


def open_ledger_engine(place: Path | str) -> sa.Engine:
    """Open or make a ledger, and bring its tables to the newest revision.

    Args:
        place: a SQLite file, or a PostgreSQL URL (https://docs.sqlalchemy.org/en/21/core/engines.html#postgresql).

    Raises:
        InputError: it cannot be opened, or was written by another version of the software.
        ConfigurationError: the URL cannot be used, or the driver is not installed.
    """
    name = str(place) if isinstance(place, Path) else shown(place)
    engine = _of_file(place) if isinstance(place, Path) else _of_url(place)
    _translate_faults(engine, name)
    try:
        with reading(engine).connect() as connection:
            found = _revision(connection)
        if found != HEAD:
            with alone(engine).begin() as connection:
                _bring_up(connection, name)
    except LedgerError as error:
        engine.dispose()
        raise InputError(path=name, problem=error.problem) from error
    except BaseException:
        engine.dispose()
        raise
    return engine


def require_usable(url: str) -> None:
    """Take a PostgreSQL URL as `open_ledger_engine` does, without connecting.

    Raises:
        ConfigurationError: the URL cannot be used, or the driver is not installed.
    """
    _of_url(url).dispose()


def reading(engine: sa.Engine) -> sa.Engine:
    """Return the engine for transactions that only read, and see one state throughout."""
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return engine.execution_options(is_read=True)


def clock(engine: sa.Engine) -> Callable[[], datetime]:
    """Return what says the time: PostgreSQL's, which is one for all machines that deliver, else this machine's."""
    if engine.dialect.name != "postgresql":
        return lambda: datetime.now(UTC)
    asking = engine.execution_options(isolation_level="AUTOCOMMIT", is_read=True)

    def now() -> datetime:
        with asking.connect() as connection:
            moment: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
            return moment

    return now


def alone(engine: sa.Engine) -> sa.Engine:
    """Return the engine for transactions beside which no other one writes."""
    return engine.execution_options(is_alone=True)


def shown(url: str) -> str:
    """Return a URL as it may be shown: who, where and which database, never a password or an option.

    >>> shown("postgresql+psycopg://bridge:secret@db.example/outcomes?passfile=/etc/pass")
    'postgresql+psycopg://bridge@db.example/outcomes'
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        return "ledger.url"
    kept = sa.URL.create(parsed.drivername, parsed.username, None, parsed.host, parsed.port, parsed.database)
    return kept.render_as_string(hide_password=True)


def upgrade(connection: sa.Connection, revision: str = "head") -> None:
    """Bring the tables to a revision, in the transaction that is open."""
    from alembic import command  # noqa: PLC0415 - 0.1 s that only a new or an older ledger needs
    from alembic.config import Config  # noqa: PLC0415 - likewise

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    command.upgrade(config, revision)


def _of_file(path: Path) -> sa.Engine:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InputError(path=str(path), problem=_NOT_OPENED) from error
    return sqlite_engine(path)


def _of_url(url: str) -> sa.Engine:
    try:
        if sa.make_url(url).get_backend_name() != "postgresql":
            raise ConfigurationError("ledger.url: must be a PostgreSQL URL; a SQLite ledger lies in state_folder")
        engine = postgresql_engine(url, max_overflow=32)
        _require_known_options(url)
    except (sa.exc.ArgumentError, ValueError) as error:
        raise ConfigurationError("ledger.url: is no database URL; write postgresql+psycopg://USER@HOST/NAME") from error
    except ImportError as error:
        problem = "the PostgreSQL driver is not installed; install it with pip install 'psycopg[binary]'"
        raise ConfigurationError(f"ledger.url: {problem}") from error

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        options = connection.get_execution_options()
        if not options.get("is_read", False):
            kind = "" if options.get("is_alone", False) else "_shared"
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock{kind}({_LOCK})")

    return engine


def _require_known_options(url: str) -> None:
    from psycopg import ProgrammingError, conninfo  # noqa: PLC0415 - where the ledger is a file, it may be absent

    try:
        conninfo.make_conninfo(**dict.fromkeys(sa.make_url(url).query, ""))
    except ProgrammingError as error:
        known = "https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS"
        raise ConfigurationError(f"ledger.url: has an option that PostgreSQL does not know; see {known}") from error


def postgresql_engine(url: str, **options: Any) -> sa.Engine:
    """Return an engine whose connections wait for no other one without end, and notice when the server is gone.

    Args:
        url: of the database.
        options: of the engine.

    Raises:
        sqlalchemy.exc.ArgumentError, ValueError, ImportError: the URL cannot be used, or there is no driver.
    """
    parsed = sa.make_url(url)
    engine = sa.create_engine(parsed.set(query={**_OPTIONS, **parsed.query}), hide_parameters=True, **options)

    @sa.event.listens_for(engine, "connect")
    def _limit(connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            for name, value in _LIMITS.items():
                cursor.execute(f"SET {name} = '{value}'")
        connection.commit()

    return engine


def _revision(connection: sa.Connection) -> str:
    """Return the revision that the tables have; empty if nothing says it."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return ""
    return connection.scalar(sa.select(_version.c.version_num)) or ""


def _bring_up(connection: sa.Connection, name: str) -> None:
    found = _revision(connection) or _adopted(connection, name)
    if found == HEAD:
        return  # another process was faster
    if found and found not in _known_revisions():
        problem = f"written by a newer version (schema {found}, this is {HEAD}); update the software"
        raise InputError(path=name, problem=problem)
    upgrade(connection)


def _adopted(connection: sa.Connection, name: str) -> str:
    """Return the revision of a ledger from before there were revisions, and write it down; empty if it is new."""
    if connection.dialect.name != "sqlite":
        if sa.inspect(connection).has_table("outcome"):
            raise InputError(path=name, problem="holds tables of another program; name another database")
        return ""
    found = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if found in _PRE_RELEASE:
        _stamp(connection, _PRE_RELEASE[found])
        return _PRE_RELEASE[found]
    if found > max(_PRE_RELEASE):
        problem = f"written by a newer version (schema {found}, this is {HEAD}); update the software"
        raise InputError(path=name, problem=problem)
    if found or sa.inspect(connection).get_table_names():
        problem = "written by a version before the first release, or by another program; move it away"
        raise InputError(path=name, problem=problem)
    return ""


def _stamp(connection: sa.Connection, revision: str) -> None:
    from alembic.migration import MigrationContext  # noqa: PLC0415 - rarely needed
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - likewise

    MigrationContext.configure(connection).stamp(ScriptDirectory(str(_MIGRATIONS)), revision)


def _known_revisions() -> set[str]:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - rarely needed

    return {script.revision for script in ScriptDirectory(str(_MIGRATIONS)).walk_revisions()}


_NOT_OPENED: Final = "cannot be opened as a database; see that it may be written"
_SQLITE_FAULTS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full; make room and run it again: what was sent is known",
    sqlite3.SQLITE_BUSY: "another process writes to it and does not end; run it again when that is done",
    sqlite3.SQLITE_READONLY: _NOT_OPENED,
    sqlite3.SQLITE_CANTOPEN: _NOT_OPENED,
    sqlite3.SQLITE_PERM: _NOT_OPENED,
    sqlite3.SQLITE_NOTADB: _NOT_OPENED,
    sqlite3.SQLITE_CORRUPT: "is damaged; bring back the last copy of it",
    sqlite3.SQLITE_IOERR: "the disk refuses; see what the system says of it, and run it again: what was sent is known",
}
_LOST: Final = frozenset(("OperationalError", "ConnectionTimeout"))
_POSTGRESQL_FAULTS: Final = {
    "25006": "takes no writing now (a standby?); name the primary",
    "25P03": "this process did nothing for too long in the middle of it; run it again",
    "3F": "the user has no schema to make tables in; grant CREATE and USAGE on one, and name it in search_path",
    "40": "another process was in the way; run it again",
    "42501": "the user may not do that there; grant CREATE and USAGE on the schema and rights on its tables",
    "53100": "its disk is full; make room and run it again: what was sent is known",
    "53": "it has no resources left; run it again later: what was sent is known",
    "55P03": "another process was in the way; run it again",
    "57": "it was stopped; run it again when it is back: what was sent is known",
    "58": "its system refuses; see its log, and run it again: what was sent is known",
}
"""By SQLSTATE, or its class: https://www.postgresql.org/docs/15/errcodes-appendix.html."""


def _translate_faults(engine: sa.Engine, name: str) -> None:
    """Turn what the operator can mend into a sentence; what is a fault of the program stays as it is."""

    @sa.event.listens_for(engine, "handle_error")
    def _handle(context: sa.engine.ExceptionContext) -> None:
        problem = _problem(context.original_exception)
        if problem:
            _refuse(name, problem, context.original_exception)


def _refuse(name: str, problem: str, cause: BaseException) -> NoReturn:
    raise LedgerError(place=name, problem=problem) from cause


def _problem(error: Any) -> str:
    """Return what is wrong, and what to do; empty if an operator could not mend it."""
    if isinstance(error, sqlite3.Error):
        return _SQLITE_FAULTS.get((getattr(error, "sqlite_errorcode", None) or 0) & 0xFF, "")
    state = getattr(error, "sqlstate", None)
    if state:
        return next((_POSTGRESQL_FAULTS[one] for one in (state, state[:2]) if one in _POSTGRESQL_FAULTS), "")
    if type(error).__module__.startswith("psycopg") and type(error).__name__ in _LOST:
        said = str(error).splitlines()[0].rpartition("failed: ")[2].replace("FATAL:  ", "")
        return f"cannot be used ({said}); see that the server runs and that user, database and password are right"
    return ""
