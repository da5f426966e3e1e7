"""What was delivered is read back at once; what is not as it shall be is looked at again, and then told."""

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug import Response as WebResponse

from integration.errors import DeliveryError
from integration.settings import Site
from integration.sources.client import Clock, FhirClient, Retries
from server.delivery.breaker import FAILURES, Breaker
from server.delivery.run import deliver
from server.jobs import stores
from server.ledger import Ledger
from server.ledger.entries import Settlement
from server.service.inbound import read_back
from server.service.inbound.read_back import AGAIN_SECONDS, HELD_SECONDS, MISSING_SECONDS, ReadBack


class Time:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def site(chart: Any) -> Site:
    return Site(name="north", base_url=chart.base_url)


@pytest.fixture
def put(
    chart: Any, ledger: Ledger, client: FhirClient, site: Site, clock: Clock, build_outcome: Any, device: Any
) -> Any:
    """Return a function that delivers the outcomes of these responses."""

    def run(*names: str, **options: Any) -> None:
        stores.planner(ledger, site).plan(device, [build_outcome(name, **options) for name in names])
        deliver(ledger, client, site, clock=clock)
        chart.log.clear()

    return run


@pytest.fixture
def reading(ledger: Ledger, chart: Any, site: Site, time: Time) -> ReadBack:
    return ReadBack(ledger, FhirClient(chart.base_url, retries=Retries(attempts=1)), site, clock=time)


def score(chart: Any) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in chart.all("Observation") if "valueQuantity" in one)
    return found


def test_what_was_taken_is_verified_at_once_and_read_no_more(
    put: Callable[..., None], reading: ReadBack, ledger: Ledger, chart: Any
) -> None:
    put("a", "b")

    reading()
    chart.log.clear()
    reading()

    assert ledger.counts("north") == {"verified": 9}
    assert chart.log == []


def test_a_round_reads_so_many_and_the_next_the_others(
    put: Callable[..., None], reading: ReadBack, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_back, "MOST", 4)
    reading._most = 4
    put("a", "b")

    verified, more = [], []
    for _ in range(3):
        reading()  # the Device, a's, b's
        verified.append(ledger.counts("north")["verified"])
        more.append(reading.has_more)

    assert verified == [1, 5, 9]
    assert more == [False, True, True]


def test_what_was_altered_is_told_at_the_second_look(
    put: Callable[..., None], reading: ReadBack, ledger: Ledger, chart: Any, time: Time
) -> None:
    put("a")
    score(chart)["valueQuantity"]["value"] = 12.5

    reading()
    first = ledger.counts("north")
    reading()
    time.seconds += AGAIN_SECONDS
    reading()

    assert first == {"verified": 4, "accepted": 1}
    assert ledger.counts("north") == {"verified": 4, "altered": 1}
    assert [one.reason for one in ledger.in_state("north", ["altered"])] == ["valueQuantity.value"]


def test_what_a_server_shows_late_is_not_missing_until_a_minute_has_passed(
    put: Callable[..., None], reading: ReadBack, ledger: Ledger, chart: Any, time: Time
) -> None:
    put("a")
    late = score(chart)
    del chart.held["Observation"][late["id"]]

    reading()
    time.seconds += AGAIN_SECONDS
    reading()
    waiting = ledger.counts("north")
    chart.held["Observation"][late["id"]] = late
    time.seconds += AGAIN_SECONDS
    reading()

    assert waiting == {"verified": 4, "accepted": 1}
    assert ledger.counts("north") == {"verified": 5}


def test_what_stays_away_is_missing(
    put: Callable[..., None], reading: ReadBack, ledger: Ledger, chart: Any, time: Time
) -> None:
    put("a")
    del chart.held["Observation"][score(chart)["id"]]

    for _ in range(2):
        reading()
        time.seconds += MISSING_SECONDS

    assert ledger.counts("north") == {"verified": 4, "missing": 1}


def test_an_amended_outcome_is_looked_at_anew(
    put: Callable[..., None], reading: ReadBack, ledger: Ledger, chart: Any, time: Time
) -> None:
    put("a")
    score(chart)["valueQuantity"]["value"] = 12.5
    reading()
    time.seconds += 0.5 * AGAIN_SECONDS
    reading()

    put("a", answer=4, version_id="2")

    before = ledger.counts("north")
    reading()
    assert "altered" not in ledger.counts("north")
    assert before["accepted"] > 0


def test_nothing_is_read_while_the_ehr_is_left_alone(
    put: Callable[..., None], reading: ReadBack, ledger: Ledger, chart: Any
) -> None:
    put("a")
    breaker = Breaker(ledger.decisions, "north", Clock())
    opened = [breaker.failed() for _ in range(FAILURES)]

    reading()

    assert opened[-1]
    assert chart.log == []
    assert ledger.counts("north") == {"accepted": 5}


def test_an_ehr_that_does_not_answer_is_asked_again_later_and_nothing_is_recorded(
    put: Callable[..., None], reading: ReadBack, ledger: Ledger, chart: Any, time: Time
) -> None:
    put("a")
    answers, chart._get = chart._get, lambda *_: WebResponse(b"", status=500)

    with pytest.raises(DeliveryError):
        reading()
    asked = len(chart.log)
    reading()
    rested = len(chart.log)
    chart._get = answers
    time.seconds += read_back.FIRST_REST_SECONDS
    reading()

    assert (asked, rested) == (1, 1)
    assert ledger.counts("north") == {"verified": 5}


def test_what_cannot_be_read_keeps_others_unproven_for_a_while_only(
    put: Callable[..., None], reading: ReadBack, ledger: Ledger, chart: Any, time: Time
) -> None:
    put("a", "b", "c", "d", "e")
    poison, answers = score(chart), chart._get
    key = poison["identifier"][0]["value"]
    chart._get = lambda request, path: (
        WebResponse(b"", status=500) if key in request.url or poison["id"] in path else answers(request, path)
    )

    for _ in range(20):
        try:
            reading()
        except DeliveryError:
            time.seconds += read_back.LONGEST_REST_SECONDS

    left = ledger.counts("north")["accepted"]
    assert 1 <= left <= 4
    assert ledger.counts("north")["verified"] == 21 - left


def test_what_the_server_holds_back_is_looked_for_now_and_then(
    put: Callable[..., None], reading: ReadBack, ledger: Ledger, chart: Any, time: Time
) -> None:
    put("a")
    taken = [(one, Settlement(key=one.key, state="held")) for one in ledger.in_state("north", ["accepted"])]
    ledger.note_read("north", taken)
    held, chart.held = chart.held, {}

    reading()
    asked = len(chart.log)
    reading()

    assert asked > 0
    assert len(chart.log) == asked  # the minute has begun
    assert ledger.counts("north") == {"held": 5}
    chart.held = held
    time.seconds += HELD_SECONDS
    reading()
    assert ledger.counts("north") == {"verified": 5}


def test_what_is_changed_while_it_is_read_is_left_alone(
    put: Callable[..., None], reading: ReadBack, ledger: Ledger, chart: Any, site: Site, build_outcome: Any, device: Any
) -> None:
    put("a")
    answers = chart._get

    def amend_meanwhile(request: Any, path: str) -> WebResponse:
        chart._get = answers
        stores.planner(ledger, site).plan(device, [build_outcome("a", answer=4, version_id="2")])
        return answers(request, path)  # type: ignore[no-any-return]  # the chart is of another module

    chart._get = amend_meanwhile
    reading()

    assert ledger.counts("north") == {"planned": 3, "verified": 2}
