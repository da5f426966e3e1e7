"""The inbox: stored once, found again, whatever happens in between."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.service.inbound.inbox import Arrival, Inbox, Receipt, VersionConflictError

NOW = datetime(2012, 6, 1, tzinfo=UTC)


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    opened = Inbox.open(tmp_path / "inbox.sqlite", "north", now=lambda: NOW)
    yield opened
    opened.close()


def arrival(content: str, response_id: str = "r1", expected_version: int | None = None) -> Arrival:
    return Arrival(
        response_id=response_id,
        content_hash=content,
        body=content.encode(),
        request_id="q",
        expected_version=expected_version,
    )


def test_versions_are_counted_by_response(inbox: Inbox) -> None:
    receipts = [inbox.store(arrival("a")), inbox.store(arrival("b")), inbox.store(arrival("c", "r2"))]

    assert [(receipt.response_id, receipt.version) for receipt in receipts] == [("r1", 1), ("r1", 2), ("r2", 1)]


def test_the_same_content_gives_the_first_receipt(inbox: Inbox) -> None:
    inbox.store(arrival("a"))
    inbox.store(arrival("b"))

    assert inbox.store(arrival("a")) == Receipt(response_id="r1", version=1, is_replay=True)
    assert inbox.find("a") == Receipt(response_id="r1", version=1, is_replay=True)
    assert inbox.find("z") is None
    assert inbox.counts() == {"received": 2}


def test_a_version_that_is_not_the_latest_conflicts(inbox: Inbox) -> None:
    inbox.store(arrival("a"))
    inbox.store(arrival("b", expected_version=1))

    with pytest.raises(VersionConflictError):
        inbox.store(arrival("c", expected_version=1))

    assert inbox.counts() == {"received": 2}


def test_sites_do_not_see_each_other(inbox: Inbox, tmp_path: Path) -> None:
    south = Inbox.open(tmp_path / "inbox.sqlite", "south", now=lambda: NOW)

    inbox.store(arrival("a"))
    receipt = south.store(arrival("a"))

    assert not receipt.is_replay
    assert len(inbox.waiting()) == len(south.waiting()) == len(south.versions("r1")) == 1
    south.close()


def test_what_waits_comes_in_order_and_in_batches(inbox: Inbox) -> None:
    for number in range(105):
        inbox.store(arrival(f"{number:03}"))

    first = inbox.waiting()
    rest = inbox.waiting(first[-1].sequence)

    assert [entry.body for entry in (*first, *rest)] == [f"{number:03}".encode() for number in range(105)]
    assert (len(first), len(rest)) == (100, 5)


def test_what_is_settled_waits_no_more_but_stays(inbox: Inbox, tmp_path: Path) -> None:
    inbox.store(arrival("a"))
    (entry,) = inbox.waiting()

    inbox.settle(entry.sequence, "rejected", "subject: unknown patient")
    inbox.close()
    again = Inbox.open(tmp_path / "inbox.sqlite", "north", now=lambda: NOW)

    assert again.waiting() == []
    assert again.counts() == {"rejected": 1}
    assert [entry.body for entry in again.versions("r1")] == [b"a"]
    again.close()
