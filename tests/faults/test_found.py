"""What the schedules and scenes brought to light, each as the rule that was broken."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from delivery_world import Said, World
from ehr_chart import FOREIGN
from ehr_faults import Fault
from ehr_simulator import Simulator

from server.ledger.planning import NOT_RETRACTED


@pytest.fixture
def oracle(ehr: Simulator, tmp_path: Path) -> Iterator[World]:
    made = World(ehr, "oracle-like", tmp_path)
    yield made
    made.close()


@pytest.fixture
def single(ehr: Simulator, tmp_path: Path) -> Iterator[World]:
    made = World(ehr, "single", tmp_path)
    yield made
    made.close()


def test_a_profile_whose_outcome_is_a_document_keeps_its_documents(ehr: Simulator, tmp_path: Path) -> None:
    it = World(ehr, "document", tmp_path)
    it.say("r0", Said(answer=3))
    it.rest()

    assert [one.state for one in it.entries()] == ["verified"]
    assert [one["status"] for one in ehr.chart.current("DocumentReference")] == ["current"]
    it.close()


def test_what_is_withdrawn_on_its_way_is_not_taken_back_where_the_site_takes_nothing_back(oracle: World) -> None:
    oracle.say("r0", Said(answer=3))
    oracle.ehr.arm("reset-after", on="write")
    oracle.deliver()
    oracle.withdraw("r0")
    oracle.rest()

    left = [(one.state, one.reason) for one in oracle.entries() if one.ehr_id]
    assert set(left) == {("manual", NOT_RETRACTED)}
    assert {one.method for one in oracle.ehr.requests} == {"GET", "POST"}


def test_a_provenance_that_a_busy_server_took_all_the_same_is_not_sent_again(single: World) -> None:
    single.ehr.arm("503-retry-after-after-effect", resource_type="Provenance")
    single.say("r0", Said(answer=3))
    single.rest()

    assert len(single.ehr.chart.current("Provenance")) == 1
    assert single.judged().faults == []


def test_a_server_that_was_too_slow_is_not_taken_to_say_that_it_has_it(single: World) -> None:
    single.ehr.arm("408", times=None, nth=2)
    single.say("r0", Said(answer=3))
    single.deliver()
    single.ehr.reset_faults()
    single.rest()

    assert (single.judged().faults, dict(single.judged().left)) == ([], {})


def test_what_a_busy_server_took_all_the_same_is_taken_back_with_its_response(single: World) -> None:
    single.ehr.arm("503-retry-after-after-effect", resource_type="Observation")
    single.say("r0", Said(answer=3))
    single.deliver()
    single.withdraw("r0")
    single.rest()

    assert [one["status"] for one in single.ehr.chart.current("Observation")] == ["entered-in-error"]
    assert (single.judged().faults, dict(single.judged().left)) == ([], {})


def test_what_a_busy_server_did_not_take_is_not_created_to_be_taken_back(single: World) -> None:
    single.ehr.arm("503-retry-after", resource_type="Observation", on="create")
    single.say("r0", Said(answer=3))
    single.deliver()
    single.withdraw("r0")
    single.rest()

    assert single.ehr.chart.current("Observation") == []
    assert (single.judged().faults, dict(single.judged().left)) == ([], {})


def test_our_own_update_that_a_busy_server_did_is_no_foreign_change(single: World) -> None:
    single.say("r0", Said(answer=3))
    single.rest()
    single.amend("r0", 4)
    single.ehr.arm("503-retry-after-after-effect", on="update")
    single.deliver()
    single.amend("r0", 5)
    single.rest()

    assert (single.judged().faults, dict(single.judged().left)) == ([], {})


def test_a_provenance_is_found_though_a_delivery_after_a_lost_ledger_was_killed(single: World) -> None:
    single.say("r0", Said(answer=3))
    single.rest()
    single.lose_ledger()
    for steps in range(1, 8):
        single.deliver(steps=steps)
        single.wait()
    single.rest()

    assert len(single.ehr.chart.current("Provenance")) == 1
    assert (single.judged().faults, dict(single.judged().left)) == ([], {})


def test_what_a_search_does_not_find_yet_is_not_mended(ehr: Simulator, tmp_path: Path) -> None:
    it = World(ehr, "athena-like", tmp_path)
    ehr.arm("index-lag", times=None, searches=9)
    it.say("r0", Said(answer=3))
    it.deliver()
    it.reconcile(repair=True)
    it.deliver()

    assert len(ehr.chart.current("QuestionnaireResponse")) == 2
    it.close()


def test_what_was_moved_to_another_patient_is_left_there(single: World) -> None:
    single.say("r0", Said(answer=3))
    single.rest()
    survivor = single.ehr.merge_patient("Patient/p0")
    single.rest(repair=True)

    subjects = {one["subject"]["reference"] for one in single.ehr.chart.current("Observation")}
    assert (subjects, single.judged().left["altered"]) == ({survivor}, 3)


def test_what_if_none_exist_found_in_its_place_is_not_written_over_unread(ehr: Simulator, tmp_path: Path) -> None:
    it = World(ehr, "generic", tmp_path)
    it.say("r0", Said(answer=3))
    made: list[str] = []

    def is_overtaken(request: Any) -> bool:
        """Just before our transaction is done, somebody stores another value under our identifier."""
        ours = [one["resource"] for one in json.loads(request.body)["entry"] if "valueQuantity" in one["resource"]]
        if ours and not made:
            theirs = {**ours[0], "valueQuantity": {"value": 1}}
            made.append(ehr.chart.create(theirs, by=FOREIGN).reference)
        return False

    ehr.arm(Fault(name="overtaken", kind="delay", on="write", times=None, where=is_overtaken))
    it.deliver()
    [found] = [one for one in it.entries() if f"Observation/{one.ehr_id}" in made]
    before = (found.state, found.ehr_version)
    it.amend("r0", 4)
    it.deliver()

    assert before == ("already_there", "")
    held = ehr.chart.get(made[0])
    assert held is not None
    assert held["valueQuantity"] == {"value": 1}
    assert {one.state for one in it.entries() if one.key == found.key} == {"manual"}
    it.close()


def test_our_own_create_that_came_late_is_no_foreign_change_once_it_is_amended(oracle: World) -> None:
    oracle.ehr.arm("accepted-later", on="write", times=2)
    oracle.say("r0", Said(answer=5))
    oracle.deliver()
    oracle.amend("r0", 2)
    oracle.reconcile()  # it is held still
    oracle.wait()
    oracle.rest()

    assert {one.state for one in oracle.entries()} == {"verified"}


TWINS = ("r0", "r00")
"""Two responses of one patient at one instant: where no identifier is kept their rows look alike."""


def one_row_each(it: World) -> None:
    scores = [one for one in it.entries() if one.kind in ("physical", "psychological")]
    assert {one.state for one in scores} == {"verified"}
    assert len({one.ehr_id for one in scores}) == len(it.ehr.chart.current("Observation")) == 4


def test_two_responses_that_look_alike_have_a_row_each(oracle: World) -> None:
    for one in TWINS:
        oracle.say(one, Said(answer=3))
    oracle.rest()

    one_row_each(oracle)


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
@pytest.mark.parametrize("fault", ["reset-after", "reset-before", "no-location"])
def test_a_row_that_another_response_holds_is_not_adopted(oracle: World, fault: str, nth: int) -> None:
    oracle.say(TWINS[0], Said(answer=3))
    oracle.say(TWINS[1], Said(answer=3))
    oracle.ehr.arm(fault, on="write", nth=nth)
    oracle.deliver()
    oracle.ehr.reset_faults()
    oracle.rest()

    one_row_each(oracle)


@pytest.mark.parametrize("answers", [(3, 3), (3, 5)])
def test_rows_that_look_alike_are_shared_out_after_a_lost_ledger(oracle: World, answers: tuple[int, int]) -> None:
    for one, answer in zip(TWINS, answers, strict=True):
        oracle.say(one, Said(answer=answer))
    oracle.rest()
    oracle.lose_ledger()
    oracle.rest()

    one_row_each(oracle)
    held = {one.ehr_id: one.resource()["valueQuantity"] for one in oracle.entries() if one.ehr_id}
    assert all(oracle.ehr.chart.get(f"Observation/{key}")["valueQuantity"] == value for key, value in held.items())
