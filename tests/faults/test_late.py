"""What a worker does whose ledger or machine is slow: it sends nothing that another may send by then."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from delivery_world import SITE, Said, World
from ehr_simulator import Simulator

from integration.sources.auth import Authenticator
from integration.sources.client import Answer, FhirClient


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


class SlowLogin(Authenticator):
    """A login whose tokens take a while, during which another delivery may take over."""

    def __init__(self, it: World, seconds: float) -> None:
        self.it, self.seconds, self.others = it, seconds, 0

    def header(self) -> str:
        if any(one.state == "sending" for one in self.it.entries()) and not self.others:
            self.others += 1
            self.it.wait(self.seconds)
            other = copy.copy(self.it)
            other.ledger = self.it._opened()
            other.deliver()
            other.ledger.close()
        return "Bearer t"

    def renewed(self, refused: str) -> str:
        return refused

    def require(self, needed: Any) -> None: ...


@pytest.mark.parametrize("seconds", [6.0, 60.0])
def test_a_request_that_waited_for_its_token_leaves_only_while_the_lease_is_its_own(
    it: World, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    it.say("r0", Said(answer=3))
    slow = SlowLogin(it, seconds)
    plain = it.client

    def client() -> FhirClient:
        made = plain()
        made._authenticator = slow
        return made

    with monkeypatch.context() as patched:
        patched.setattr(it, "client", client)
        it.deliver()
    resources = [one.reference for one in it.ehr.chart.writes()]

    assert slow.others == 1
    assert len(resources) == len(set(resources)) == 5  # nothing was written twice, by whomever
    it.rest()
    assert (it.judged().faults, dict(it.judged().left)) == ([], {})


def test_the_id_of_an_answer_that_came_too_late_is_read_where_nothing_can_be_searched(
    ehr: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = World(ehr, "athena-like", tmp_path)
    it.say("r0", Said(answer=3))
    ehr.arm("search-403", times=None)
    create, overtaken = FhirClient.create, list[set[str]]()

    def slowly(client: FhirClient, *arguments: Any, **options: Any) -> Answer:
        """Answer our first request only after its lease ended and another delivery took over."""
        answer = create(client, *arguments, **options)
        if not overtaken:
            it.wait(60.0)
            overtaken.append(set())
            other = copy.copy(it)
            other.ledger = it._opened()
            other.deliver()
            overtaken[0] |= {one.state for one in it.entries()}
            other.ledger.close()
        return answer

    monkeypatch.setattr(FhirClient, "create", slowly)
    it.deliver()
    it.wait()
    it.deliver()
    it.reconcile()

    assert "manual" in overtaken[0]
    assert len(ehr.chart.current("QuestionnaireResponse")) == 2
    assert {one.state for one in it.entries()} == {"verified"}
    assert (it.judged().faults, dict(it.judged().left)) == ([], {})
    it.close()
