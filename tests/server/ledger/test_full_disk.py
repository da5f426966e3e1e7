"""The database's disk is full at any statement of a delivery: a sentence, and what was sent is known all the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg.errors
import pytest
import sqlalchemy as sa

from integration.errors import LedgerError
from integration.settings import Limits, Site
from integration.sources.client import Clock, FhirClient
from server.delivery.run import deliver
from server.jobs import stores
from server.ledger import Ledger
from server.reconcile import reconcile

MOST = 400
"""More statements than a delivery and its proof need."""
WRITES = ("INSERT", "UPDATE")


class Full:
    """A disk that takes so many more writing statements, and then one less."""

    def __init__(self) -> None:
        self.left: int | None = None

    def take(self, statement: str) -> None:
        if self.left is not None and statement.lstrip().startswith(WRITES):
            self.left -= 1
            if self.left < 0:
                raise psycopg.errors.DiskFull("could not extend file: No space left on device")


@contextmanager
def filling(ledger: Ledger, full: Full) -> Iterator[None]:
    """Have the statements of a ledger fail as PostgreSQL has them fail (SQLSTATE 53100)."""

    def execute(_cursor: Any, statement: str, *_: Any) -> None:
        full.take(statement)

    sa.event.listen(ledger._engine, "do_execute", execute)
    sa.event.listen(ledger._engine, "do_executemany", execute)
    try:
        yield
    finally:
        sa.event.remove(ledger._engine, "do_execute", execute)
        sa.event.remove(ledger._engine, "do_executemany", execute)


@pytest.mark.parametrize("profile", ["single", "generic"])
def test_a_full_disk_at_any_statement_is_a_sentence_and_nothing_is_lost(
    *, chart: Any, client: FhirClient, cluster: Any, build_outcome: Any, device: Any, profile: Any
) -> None:
    limits = Limits(settle_seconds=0.0)
    site = Site(name="north", base_url=chart.base_url, write_profile=profile, limits=limits)
    clock = Clock(sleep=lambda _: None)
    with Ledger.open(cluster.new_schema()) as ledger:
        full, errors = Full(), list[LedgerError]()
        with filling(ledger, full):
            for most in range(MOST):
                full.left = most
                try:
                    if not ledger.counts("north"):
                        stores.planner(ledger, site).plan(device, [build_outcome("a"), build_outcome("b")])
                    left = deliver(ledger, client, site, clock=clock).remaining
                    books = reconcile(ledger, client, site).books
                except LedgerError as error:
                    errors.append(error)
                    expire(ledger, full)
                    continue
                if not left and books.is_proven:
                    break

        assert len(errors) > 5
        assert {one.exit_status for one in errors} == {1}
        assert all("its disk is full; make room and run it again" in str(one) for one in errors)
        assert books.is_proven
        assert len(chart.keys()) == len(set(chart.keys())) == 9


def expire(ledger: Ledger, full: Full) -> None:
    """Let the leases of the delivery that failed end, as time does."""
    full.left = None
    with ledger._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE response SET leased_by = '', leased_until = ''")
