"""What a worker does whose ledger or machine is slow: it sends nothing that another may send by then."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from delivery_world import SITE, Said, World
from ehr_simulator import Simulator


@pytest.fixture(params=["single", "generic"])
def it(request: pytest.FixtureRequest, ehr: Simulator, tmp_path: Path) -> Iterator[World]:
    made = World(ehr, request.param, tmp_path)
    yield made
    made.close()


def slow_down(
    it: World, seconds: float, monkeypatch: pytest.MonkeyPatch, then: Callable[[], Any] = lambda: None
) -> None:
    """Let every claim return so much later, after which something else happens."""
    claim = it.ledger.claim

    def slowly(*arguments: Any, **options: Any) -> Any:
        claimed = claim(*arguments, **options)
        it.wait(seconds)
        then()
        return claimed

    monkeypatch.setattr(it.ledger, "claim", slowly)


def test_a_delivery_whose_claims_take_seconds_ends_and_sends_everything(
    it: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    it.say("r0", Said(answer=3))
    slow_down(it, 3.0, monkeypatch)
    it.deliver()

    assert {one.state for one in it.entries()} == {"accepted"}


def test_nothing_leaves_so_late_that_its_effect_may_come_after_the_lease(
    it: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    it.say("r0", Said(answer=3))
    with monkeypatch.context() as patched:
        slow_down(it, 60.0, patched)
        it.deliver()

    assert [one for one in it.ehr.requests if one.method != "GET"] == []
    assert {one.state for one in it.entries()} == {"planned"}


def test_a_worker_that_slept_through_its_lease_does_not_disturb_the_one_that_took_over(
    it: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    it.say("r0", Said(answer=3))
    slept: list[bool] = []

    def another() -> None:
        if not slept:
            slept.append(True)
            other = copy.copy(it)
            other.ledger = it._opened()
            other.deliver()
            other.ledger.close()

    slow_down(it, 60.0, monkeypatch, another)
    it.deliver()
    monkeypatch.undo()

    assert slept
    assert len(it.ehr.chart.current("Observation")) == 3
    it.rest()
    assert (it.judged().faults, dict(it.judged().left)) == ([], {})
    assert it.ledger.books(SITE).is_proven
