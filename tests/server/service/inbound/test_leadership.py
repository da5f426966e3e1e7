"""Which process works: one at a time, another when it is gone, and it notices what others stored."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from server.service.inbound.deposits import Answer, Deposit, Later, Unit
from server.service.inbound.inbox import Inbox
from server.service.inbound.leadership import Leadership

NOW = datetime(2012, 6, 1, 12, 0, tzinfo=UTC)


class Time:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def boxes(place: Path | str, time: Time) -> Iterator[list[Inbox]]:
    """Two processes' inboxes in one place."""
    opened = [Inbox.open(place, "north", now=time.now) for _ in range(2)]
    yield opened
    for one in opened:
        one.close()


def store(inbox: Inbox, name: str, later: Later | None = None) -> None:
    deposit = Deposit(resource_type="Patient", resource_id=name, content_hash=name, body=b"{}")
    inbox.write(
        [
            Unit(
                caller="",
                request_id="",
                content_hash=name,
                deposits=[deposit],
                answer=lambda _: Answer(status=200),
                later=later,
            )
        ]
    )


def test_one_process_leads_and_another_when_it_is_gone(boxes: list[Inbox], time: Time) -> None:
    first, second = (Leadership(one, time.monotonic) for one in boxes)

    assert (first.is_leader(), second.is_leader()) == (True, False)
    time.seconds = 9
    assert (second.is_leader(), first.is_leader()) == (False, True)
    time.seconds = 20  # the first was killed
    assert (second.is_leader(), first.is_leader()) == (True, False)


def test_who_stops_lets_another_lead_at_once(boxes: list[Inbox], time: Time) -> None:
    first, second = (Leadership(one, time.monotonic) for one in boxes)
    first.start()
    assert first.is_leader()

    first.stop()

    assert second.is_leader()


def test_the_leader_notices_what_another_process_stored(boxes: list[Inbox], time: Time) -> None:
    leader, other = Leadership(boxes[0], time.monotonic), Leadership(boxes[1], time.monotonic)
    leader.has_work()

    store(boxes[1], "a")
    noticed = [leader.has_work(), leader.has_work()]
    store(boxes[1], "b", Later(id="l", request="{}", body=b""))
    boxes[1].pulls.ask()

    assert noticed == [True, False]
    assert leader.has_work()
    assert not leader.has_work()
    assert not other.has_work()


def test_a_lease_taken_while_the_clock_was_ahead_is_over_once_it_is_right(boxes: list[Inbox], time: Time) -> None:
    time.seconds = 3600
    assert boxes[0].lease.take("gone")

    time.seconds = 0

    assert boxes[1].lease.holder() == ""
    assert Leadership(boxes[1], time.monotonic).is_leader()
    assert not boxes[0].lease.take("gone")


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_long_step_keeps_the_lease_as_long_as_it_goes_on(boxes: list[Inbox], time: Time, *, goes_on: bool) -> None:
    worker = Leadership(boxes[0], time.monotonic)
    assert worker.is_leader()

    for _ in range(8):
        time.seconds += 100
        if goes_on:
            worker.go_on()
        worker.keep()

    assert bool(boxes[1].lease.holder()) == goes_on
