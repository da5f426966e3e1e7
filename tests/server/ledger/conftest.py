"""The ledger's tests run over both databases: a SQLite file, and PostgreSQL, which the tests start themselves."""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # its name is its own: postgresql_cluster

import postgresql_cluster
from postgresql_cluster import Cluster

from server.ledger import Ledger

Place = Path | str
BOTH = ("sqlite", "postgresql")
NOW = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server; tests that need it are skipped where there is none."""
    programs = postgresql_cluster.program_folder()
    if programs is None:
        pytest.skip("no PostgreSQL on this machine: neither in /usr/lib/postgresql nor on PATH")
    with postgresql_cluster.running(programs) as made:
        yield made


@pytest.fixture
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Place]:
    """Return a place for a new ledger in one kind of database."""

    def make(kind: str) -> Place:
        if kind == "sqlite":
            return tmp_path / "state" / "ledger.sqlite"
        cluster: Cluster = request.getfixturevalue("cluster")
        return cluster.new_schema()

    return make


@pytest.fixture(params=BOTH)
def place(request: pytest.FixtureRequest, new_place: Callable[[str], Place]) -> Place:
    """A new ledger's place, once in each kind of database."""
    return new_place(request.param)


@pytest.fixture
def ledger(place: Place) -> Iterator[Ledger]:
    """A new ledger at a moment that stands still, once in each kind of database."""
    with Ledger.open(place, now=lambda: NOW) as opened:
        yield opened
