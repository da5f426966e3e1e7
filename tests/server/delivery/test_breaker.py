"""A server that does not answer is left alone, longer each time, and asked again."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from integration import outcomes
from integration.errors import ServerNotReachedError
from integration.settings import Limits, Site
from integration.sources.client import Clock, FhirClient
from server.delivery.breaker import FIRST_SECONDS, LONGEST_SECONDS, Breaker
from server.delivery.run import deliver
from server.jobs import stores
from server.ledger import Ledger, decisions
from server.ledger.entries import timestamp

BEGIN = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Time:
    """A clock that goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.now = BEGIN
        self.clock = Clock(now=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def ledger(tmp_path: Path, time: Time) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite", now=lambda: time.now) as opened:
        yield opened


def test_three_failures_in_a_row_open_it_for_every_worker(ledger: Ledger, time: Time) -> None:
    mine, other = (Breaker(ledger.decisions, "north", time.clock) for _ in range(2))

    assert [mine.failed(), mine.failed(), mine.failed()] == [False, False, True]

    assert "left alone until 2026-01-05T12:00:15" in other.is_open()
    assert not Breaker(ledger.decisions, "south", time.clock).is_open()
    time.sleep(FIRST_SECONDS)
    assert not other.is_open()


def test_an_answer_between_failures_keeps_it_closed(ledger: Ledger, time: Time) -> None:
    breaker = Breaker(ledger.decisions, "north", time.clock)

    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.answered()

    assert not breaker.is_open()


def test_each_opening_lasts_twice_as_long_up_to_a_limit_until_an_answer_comes(ledger: Ledger, time: Time) -> None:
    waits = []
    for _ in range(9):
        breaker = Breaker(ledger.decisions, "north", time.clock)
        while not breaker.failed():
            pass
        begin = time.now
        while breaker.is_open():
            time.sleep(1)
        waits.append((time.now - begin).total_seconds())

    assert waits == [15, 30, 60, 120, 240, 480, LONGEST_SECONDS, LONGEST_SECONDS, LONGEST_SECONDS]
    Breaker(ledger.decisions, "north", time.clock).answered()
    assert ledger.decisions.breaker("north").failures == 0


def test_a_delivery_sends_nothing_while_it_is_open_and_all_when_the_server_is_back(
    *, chart: Any, client: FhirClient, ledger: Ledger, time: Time, build_outcome: Callable[..., outcomes.Outcome],
    device: Any,
) -> None:  # fmt: skip
    limits = Limits(settle_seconds=1, timeout_seconds=2)
    site = Site(name="north", base_url=chart.base_url, write_profile="single", limits=limits)
    stores.planner(ledger, site).plan(device, [build_outcome(one) for one in "abc"])
    chart.on_write = lambda number: "lost" if number > 1 else ""  # the Device, which all refer to, goes through
    assert "does not answer any more" in deliver(ledger, client, site, clock=time.clock).stopped
    asked = len(chart.log)

    report = deliver(ledger, client, site, clock=time.clock)
    assert "left alone until" in report.stopped
    assert len(chart.log) == asked

    chart.on_write = lambda _: ""
    for _ in range(5):
        time.sleep(FIRST_SECONDS)
        report = deliver(ledger, client, site, clock=time.clock)
    assert (report.remaining, report.stopped) == (0, "")
    assert len(chart.keys()) == len(set(chart.keys())) == 13


def test_a_write_that_finds_nobody_is_no_answer_that_closes_it(
    *, chart: Any, client: FhirClient, ledger: Ledger, time: Time, build_outcome: Callable[..., outcomes.Outcome],
    device: Any, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    site = Site(name="north", base_url=chart.base_url)
    stores.planner(ledger, site).plan(device, [build_outcome("a")])
    openings = decisions.Breaker(failures=3, open_until=timestamp(BEGIN - timedelta(seconds=1)))
    ledger.decisions.set_breaker("north", openings)

    def unreached(*_: object, **__: object) -> None:
        raise ServerNotReachedError(url=chart.base_url, problem="no connection")

    with monkeypatch.context() as away:
        away.setattr(FhirClient, "create", unreached)
        away.setattr(FhirClient, "transaction", unreached)
        with pytest.raises(ServerNotReachedError):
            deliver(ledger, client, site, clock=time.clock)
    kept = ledger.decisions.breaker("north")
    deliver(ledger, client, site, clock=time.clock)

    assert kept == openings
    assert ledger.decisions.breaker("north").failures == 0


@pytest.mark.parametrize("profile", ["generic", "single"])
def test_four_connections_write_everything_once(
    *, chart: Any, ledger: Ledger, time: Time, build_outcome: Callable[..., outcomes.Outcome], device: Any, profile: str
) -> None:
    limits = Limits(connections=4, entries_per_transaction=8)
    site = Site(name="north", base_url=chart.base_url, write_profile=profile, limits=limits)
    stores.planner(ledger, site).plan(device, [build_outcome(f"r{number:02}") for number in range(40)])
    made = []

    def connect() -> FhirClient:
        made.append(FhirClient(chart.base_url, clock=time.clock))
        return made[-1]

    with FhirClient(chart.base_url, clock=time.clock) as client:
        report = deliver(ledger, client, site, clock=time.clock, connect=connect)

    assert len(made) == 3
    assert report.sent == {"accepted": 161}
    assert report.remaining == 0
    assert len(chart.keys()) == len(set(chart.keys())) == 161
    assert ledger.leased_until("north") == ""


def test_one_that_was_opened_while_the_clock_was_ahead_is_closed_once_it_is_right(ledger: Ledger, time: Time) -> None:
    breaker = Breaker(ledger.decisions, "north", time.clock)
    time.now += timedelta(days=1)
    for _ in range(3):
        breaker.failed()
    assert breaker.is_open()

    time.now = BEGIN

    assert not breaker.is_open()
