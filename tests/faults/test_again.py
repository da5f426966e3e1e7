"""What a person decides about an outcome is done, whatever the chart holds in its place."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from delivery_world import SITE, Said, World
from ehr_simulator import Simulator

from server import work
from server.ledger import Entry


@pytest.fixture(params=["single", "generic"])
def it(request: pytest.FixtureRequest, ehr: Simulator, tmp_path: Path) -> Iterator[World]:
    made = World(ehr, request.param, tmp_path)
    made.say("r0", Said(answer=3))
    made.rest()
    yield made
    made.close()


def physical(it: World) -> Entry:
    [found] = [one for one in it.entries() if one.kind == "physical"]
    return found


def again(it: World) -> None:
    [item] = work.work_list(it.ledger, SITE, it.profile).items
    assert "--again" in item.advice
    it.ledger.decisions.again(SITE, [item.key], who="a person", why="a test")


def test_again_writes_over_what_was_changed_in_the_chart(it: World) -> None:
    it.ehr.foreign_edit(f"Observation/{physical(it).ehr_id}")
    it.amend("r0", 5)
    it.rest()
    before = physical(it).state
    again(it)
    it.rest()

    assert (before, physical(it).state) == ("manual", "verified")
    assert (it.judged().faults, dict(it.judged().left)) == ([], {})


def test_again_writes_over_what_was_changed_though_the_server_refused_our_credentials_first(it: World) -> None:
    it.ehr.foreign_edit(f"Observation/{physical(it).ehr_id}")
    it.amend("r0", 5)
    it.rest()
    again(it)
    it.ehr.arm("401", on="write", times=9)
    stopped = it.deliver()
    it.ehr.reset_faults()
    it.rest()

    assert (stopped, physical(it).state) == ("ServerRefusedError", "verified")


@pytest.mark.parametrize("fault", ["429", "503-retry-after", "500", "reset-before", "reset-after"])
def test_again_writes_over_what_was_changed_though_the_server_was_busy_or_gone_first(it: World, fault: str) -> None:
    it.ehr.foreign_edit(f"Observation/{physical(it).ehr_id}")
    it.amend("r0", 5)
    it.rest()
    again(it)
    it.ehr.arm(fault, on="write")
    it.deliver()
    it.ehr.reset_faults()
    it.rest()

    assert physical(it).state == "verified"
    assert (it.judged().faults, dict(it.judged().left)) == ([], {})


def test_what_was_deleted_in_the_chart_and_amended_is_written_anew_when_a_person_says_so(it: World) -> None:
    gone = physical(it).ehr_id
    it.ehr.foreign_delete(f"Observation/{gone}")
    it.amend("r0", 5)
    it.rest()
    before = physical(it).state
    again(it)
    it.rest()

    assert (before, physical(it).state) == ("manual", "verified")
    assert physical(it).ehr_id != gone
    assert len(it.ehr.chart.current("Observation")) == 3


def test_what_was_taken_back_and_then_deleted_is_retracted(it: World) -> None:
    it.withdraw("r0")
    it.deliver()
    it.ehr.foreign_delete(f"Observation/{physical(it).ehr_id}")
    it.rest(repair=True)

    assert physical(it).state == "retracted"
    assert work.work_list(it.ledger, SITE, it.profile).items == ()


def test_a_repair_at_a_site_that_takes_corrections_only_is_sent_as_one(ehr: Simulator, tmp_path: Path) -> None:
    oracle = World(ehr, "oracle-like", tmp_path)
    oracle.say("r0", Said(answer=3))
    oracle.rest()
    [first, *_] = [one for one in oracle.entries() if one.state == "verified" and one.resource_type == "Observation"]
    ehr.foreign_edit(f"Observation/{first.ehr_id}", {"valueQuantity": {"value": 1}})
    oracle.rest(repair=True)

    assert {one.state for one in oracle.entries() if one.key == first.key} == {"verified"}
    oracle.close()


@pytest.mark.parametrize("etag", [True, False])
def test_what_refers_to_what_was_deleted_is_written_with_it_and_is_nobodys_change(
    ehr: Simulator, tmp_path: Path, *, etag: bool
) -> None:
    it = World(ehr, "single", tmp_path)
    ehr.configure("single", etag=etag, location_history=etag, write_body=etag)
    it.say("r0", Said(answer=3))
    it.rest()
    ehr.foreign_delete(f"Observation/{physical(it).ehr_id}")
    it.reconcile(repair=True)
    it.deliver()
    it.reconcile()

    assert {one.state for one in it.entries()} == {"verified"}
    assert work.work_list(it.ledger, SITE, it.profile).items == ()
    assert (it.judged().faults, dict(it.judged().left)) == ([], {})
    it.close()


def test_what_is_written_anew_as_a_person_said_takes_along_what_refers_to_it(it: World) -> None:
    it.ehr.foreign_delete(f"Observation/{physical(it).ehr_id}")
    it.amend("r0", 5)
    it.deliver()
    again(it)
    it.deliver()
    it.wait()
    it.reconcile()

    assert {one.state for one in it.entries()} == {"verified"}
