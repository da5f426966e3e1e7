"""A response that is another patient's now: the former one's chart is taken back, and nothing in it is moved."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from delivery_world import RULE_SETS, SITE, Said, World
from ehr_simulator import Simulator

from integration.settings import Safeguards as Keys
from server import work
from server.delivery import dry_run as dry_running
from server.delivery.former import FORMER_FIRST, OF_ANOTHER
from server.delivery.safeguards import Safeguards
from server.ledger.planning import NOT_RETRACTED

TYPES = ("Observation", "DocumentReference", "QuestionnaireResponse")
TAKE_BACK = ("generic", "single", "document", "fallback")


@pytest.fixture(params=list(RULE_SETS))
def anywhere(request: pytest.FixtureRequest, ehr: Simulator, tmp_path: Path) -> Iterator[World]:
    yield from begun(ehr, request.param, tmp_path)


@pytest.fixture(params=TAKE_BACK)
def it(request: pytest.FixtureRequest, ehr: Simulator, tmp_path: Path) -> Iterator[World]:
    yield from begun(ehr, request.param, tmp_path)


@pytest.fixture
def epic(ehr: Simulator, tmp_path: Path) -> Iterator[World]:
    yield from begun(ehr, "epic-like", tmp_path)


@pytest.fixture
def single(ehr: Simulator, tmp_path: Path) -> Iterator[World]:
    yield from begun(ehr, "single", tmp_path)


def begun(ehr: Simulator, name: str, folder: Path) -> Iterator[World]:
    made = World(ehr, name, folder)
    made.say("r0", Said(answer=3))
    yield made
    made.close()


def of_patient(it: World, patient: str) -> list[dict[str, Any]]:
    found = [one for name in TYPES for one in it.ehr.chart.current(name)]
    return [one for one in found if one["subject"]["reference"] == f"Patient/{patient}"]


def statuses(it: World, patient: str) -> set[str]:
    return {str(one["status"]) for one in of_patient(it, patient)}


def is_exact(it: World) -> bool:
    verdict = it.judged()
    return (verdict.faults, dict(verdict.left)) == ([], {})


def test_the_former_patients_outcome_is_taken_back_and_the_new_ones_is_another_resource(it: World) -> None:
    it.rest()
    before = {one["id"] for one in of_patient(it, "p0")}
    it.move("r0", "p7")
    it.rest()

    assert is_exact(it)
    assert {one["id"] for one in of_patient(it, "p0")} == before
    assert statuses(it, "p0") == {"entered-in-error"}
    assert statuses(it, "p7").isdisjoint({"entered-in-error"})
    assert len(of_patient(it, "p7")) == len(before)


def test_nothing_is_written_for_the_new_patient_before_the_chart_was_seen_to_have_taken_it_back(it: World) -> None:
    it.rest()
    it.move("r0", "p7")
    it.deliver()
    unproven = of_patient(it, "p7")
    waiting = {one.reason for one in it.entries() if one.state == "planned" and one.patient_id == "p7"}
    it.reconcile()
    it.deliver()

    if it.name != "fallback":  # there the Observations that nobody takes come first, and then a document
        assert (unproven, waiting) == ([], {FORMER_FIRST})
    assert unproven == []
    assert of_patient(it, "p7")


def test_what_was_never_sent_is_simply_the_new_patients(anywhere: World) -> None:
    anywhere.move("r0", "p7")
    anywhere.rest()

    assert is_exact(anywhere)
    assert of_patient(anywhere, "p0") == []
    assert {one.patient_id for one in anywhere.entries()} <= {"p7", ""}


def test_what_comes_back_to_its_first_patient_is_what_it_was(it: World) -> None:
    it.rest()
    first = {one["id"] for one in of_patient(it, "p0")}
    for patient in ("p7", "p8", "p0"):
        it.move("r0", patient)
        it.rest()
        assert is_exact(it)

    assert statuses(it, "p7") == statuses(it, "p8") == {"entered-in-error"}
    standing = [one for one in of_patient(it, "p0") if one["status"] != "entered-in-error"]
    assert len(standing) == len(first)
    if it.name != "fallback":
        assert {one["id"] for one in standing} == first


def test_patients_that_were_merged_take_along_what_is_in_their_charts(it: World) -> None:
    it.rest()
    before = {one["id"] for one in of_patient(it, "p0")}
    it.merged["p0"] = "p7"
    it.move("r0", "p7")
    it.rest()

    if it.name != "fallback":
        assert {one["id"] for one in of_patient(it, "p7")} == before
    assert is_exact(it)
    assert statuses(it, "p0") <= {"entered-in-error"}


@pytest.mark.parametrize("fault", ["reset-after", "reset-before", "503-retry-after-after-effect", "no-location"])
def test_what_was_on_its_way_to_the_former_patient_is_found_and_taken_back(it: World, fault: str) -> None:
    it.ehr.arm(fault, on="write", times=2)
    it.deliver()
    it.ehr.reset_faults()
    it.move("r0", "p7")
    it.rest()

    assert is_exact(it)
    assert statuses(it, "p0") <= {"entered-in-error"}
    assert of_patient(it, "p7")


def test_where_nothing_is_taken_back_a_person_marks_it_and_then_the_new_one_is_written(epic: World) -> None:
    epic.rest()
    epic.move("r0", "p7")
    epic.rest()
    items = work.work_list(epic.ledger, SITE, epic.profile).items
    before = of_patient(epic, "p7")
    epic.ledger.decisions.done(SITE, [one.key for one in items], who="a person", why="marked in the chart")
    epic.rest()

    assert [(one.patient_id, one.reason) for one in items] == [("p0", NOT_RETRACTED)] * 2
    assert before == []
    assert epic.judged().faults == []
    assert {one.state for one in epic.entries() if one.patient_id == "p7"} == {"verified"}
    assert epic.ledger.books(SITE).is_balanced


def test_again_for_the_former_patients_resource_writes_nothing_for_the_new_one_over_it(epic: World) -> None:
    epic.rest()
    before = of_patient(epic, "p0")
    epic.move("r0", "p7")
    epic.rest()
    keys = [one.key for one in work.work_list(epic.ledger, SITE, epic.profile).items]
    epic.ledger.decisions.again(SITE, keys, who="a person", why="a test")
    epic.rest()

    assert (of_patient(epic, "p0"), of_patient(epic, "p7")) == (before, [])


def test_a_ledger_that_knows_of_no_former_patient_takes_their_resource_for_nobody_elses(single: World) -> None:
    single.rest()
    before = of_patient(single, "p0")
    single.said["r0"] = Said(answer=3, version=2, patient="p7")
    single.ehr.add_patient("p7")
    single.lose_ledger()
    single.rest(repair=True)
    items = work.work_list(single.ledger, SITE, single.profile).items
    single.ledger.decisions.again(SITE, [one.key for one in items], who="a person", why="a test")
    single.rest(repair=True)

    assert {one.reason for one in items if one.resource_type == "Observation"} == {OF_ANOTHER}
    assert all("by hand" in one.advice for one in items if one.resource_type == "Observation")
    assert (of_patient(single, "p0"), of_patient(single, "p7")) == (before, [])


def test_again_does_not_write_over_what_the_ehr_moved_to_another_patient(single: World) -> None:
    single.rest()
    survivor = single.ehr.merge_patient("Patient/p0").removeprefix("Patient/")
    single.amend("r0", 5)
    single.rest(repair=True)
    keys = [one.key for one in work.work_list(single.ledger, SITE, single.profile).items]
    single.ledger.decisions.again(SITE, keys, who="a person", why="a test")
    single.rest(repair=True)

    assert (len(of_patient(single, survivor)), of_patient(single, "p0")) == (3, [])
    assert single.judged().faults == []


@pytest.mark.parametrize("it", ["generic", "single"], indirect=True)
def test_a_dry_run_says_that_it_takes_back_and_that_the_new_one_waits(it: World) -> None:
    it.rest()
    it.move("r0", "p7")
    site = it.site.model_copy(update={"safeguards": Keys(check_patient=False)})
    with it.client() as client:
        safeguards = Safeguards(it.ledger, site, lambda _: None)
        report = dry_running.dry_run(it.ledger, client, site, safeguards=safeguards, clock=it.clock.as_clock())
    told = {(one.patient_id, one.action, one.reason) for one in report.prospects if one.resource_type == "Observation"}

    assert told == {("p0", "retract", ""), ("p7", "wait", FORMER_FIRST)}
    assert all("subject" not in change.path for one in report.prospects for change in one.changes)
