"""The ledger's tests run over both databases."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.ledger import Ledger

NOW = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def ledger(place: Path | str) -> Iterator[Ledger]:
    """A new ledger at a moment that stands still, once in each kind of database."""
    with Ledger.open(place, now=lambda: NOW) as opened:
        yield opened
