"""A dry run says what a delivery would do: nothing but GET leaves, nothing in the ledger changes, and it comes true."""

import base64
import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from delivery_world import RULE_SETS, START, Said, World, patient_of
from ehr_simulator import Simulator

from integration.settings import Safeguards as Keys
from server.delivery import dry_run as dry_running
from server.delivery.comparison import Difference
from server.delivery.dry_run import (
    CHANGED,
    DUPLICATE,
    GONE,
    NOT_READABLE,
    REFERS,
    THERE_BUT_DIFFERENT,
    DryRun,
    Prospect,
)
from server.delivery.safeguards import NOT_RELEASED, OPTED_OUT, Safeguards
from server.jobs import stores
from server.ledger.decisions import Breaker
from server.ledger.entries import timestamp
from server.ledger.planning import NOT_AMENDED, NOT_RETRACTED
from server.summary import dry_run as summary

Look = Callable[..., DryRun]


@pytest.fixture(params=["generic", "epic-like"])
def world(request: pytest.FixtureRequest, ehr: Simulator, tmp_path: Path) -> Iterator[World]:
    made = World(ehr, request.param, tmp_path)
    yield made
    made.close()


@pytest.fixture
def generic(ehr: Simulator, tmp_path: Path) -> Iterator[World]:
    made = World(ehr, "generic", tmp_path)
    yield made
    made.close()


def look(world: World, *, source: dict[str, Any] | None = None, **keys: Any) -> DryRun:
    """Run dry, and see that nothing was asked for but reading, and that the ledger is as it was."""
    site = world.site.model_copy(update={"safeguards": Keys(**keys)})
    ehr, ledger = world.ehr, world.ledger
    safeguards = Safeguards(ledger, site, lambda one: json.dumps(source or held(ehr, f"Patient/{one}")).encode())
    before, asked, chart = rows(world.path), len(ehr.requests), versions(ehr)
    with world.client() as client:
        report = dry_running.dry_run(ledger, client, site, safeguards=safeguards, clock=world.clock.as_clock())
    assert {request.method for request in ehr.requests[asked:]} <= {"GET"}
    assert versions(ehr) == chart
    assert rows(world.path) == before
    return report


def held(ehr: Simulator, reference: str) -> dict[str, Any]:
    resource = ehr.chart.get(reference)
    assert resource is not None
    return dict(resource)


def versions(ehr: Simulator) -> list[str]:
    types = ("Device", "DocumentReference", "Observation", "Patient", "Provenance", "QuestionnaireResponse")
    return [json.dumps(one, sort_keys=True, default=str) for name in types for one in ehr.chart.current(name)]


def rows(path: Path) -> list[str]:
    """Return everything that a ledger holds, as SQL."""
    connection = sqlite3.connect(path)
    dumped = list(connection.iterdump())
    connection.close()
    return dumped


def by_kind(report: DryRun) -> dict[str, Prospect]:
    return {one.kind: one for one in report.prospects}


def test_what_would_be_created_is_what_a_delivery_then_creates(world: World) -> None:
    world.say("r1", Said(answer=3))

    report = look(world)
    world.deliver()

    planned = {one.key for one in report.prospects if one.action == "create"}
    taken = {one.key for one in world.ledger.in_state(world.site.name, ["accepted"])}
    assert planned == taken
    assert report.totals == {"create": len(planned)}
    assert planned


@pytest.mark.parametrize("name", sorted(RULE_SETS.keys() - {"fallback"}))  # nobody can foretell a refusal
def test_every_profile_says_what_it_would_create_and_what_the_site_does_not_get(
    ehr: Simulator, tmp_path: Path, name: str
) -> None:
    world = World(ehr, name, tmp_path)
    world.say("r1", Said(answer=3))

    report = look(world)
    world.deliver()

    expected = Counter(world.ledger.counts(world.site.name))["accepted"]
    assert report.totals == {"create": expected}
    assert report.left_out == world.profile.left_out()
    assert bool(report.dropped) == (name not in ("generic", "single"))
    world.close()


def test_a_create_shows_everything_that_is_sent_of_it(generic: World) -> None:
    generic.say("r1", Said(answer=3))

    changes = {one.path: one for one in by_kind(look(generic))["physical"].changes}

    assert changes["valueQuantity"].old is None
    assert changes["valueQuantity"].new["value"] == 50
    assert {"status", "code", "subject", "identifier"} <= set(changes)


def test_an_amended_score_shows_the_path_the_old_value_and_the_new(generic: World) -> None:
    generic.say("r1", Said(answer=3))
    generic.deliver()
    generic.amend("r1", 4)

    report = look(generic)

    physical = by_kind(report)["physical"]
    changes = {one.path: (one.old, one.new) for one in physical.changes}
    assert physical.action == "amend"
    assert changes["valueQuantity.value"] == (50, 75)
    assert changes["status"] == ("final", "amended")
    assert report.totals["amend"] >= 2


def test_where_nothing_may_be_written_over_an_amendment_is_a_persons(ehr: Simulator, tmp_path: Path) -> None:
    world = World(ehr, "epic-like", tmp_path)
    world.say("r1", Said(answer=3))
    world.deliver()
    world.amend("r1", 4)

    report = look(world)

    assert {(one.action, one.reason) for one in report.prospects} == {("person", NOT_AMENDED)}  # since it was planned
    [physical] = [one for one in by_kind(report)["physical"].changes if one.path == "valueQuantity.value"]
    assert (physical.old, physical.new) == (50, 75)
    keys = [one.key for one in world.ledger.in_state(world.site.name, ["manual"])]
    world.ledger.decisions.again(world.site.name, keys, who="Dr. Moreau", why="a test")
    assert {(one.action, one.reason) for one in look(world).prospects} == {("person", NOT_AMENDED)}
    world.withdraw("r1")
    world.ledger.decisions.again(world.site.name, keys, who="Dr. Moreau", why="a test")
    assert {(one.action, one.reason) for one in look(world).prospects} == {("person", NOT_RETRACTED)}
    world.close()


def test_a_withdrawn_response_is_shown_as_retracted(generic: World) -> None:
    generic.say("r1", Said(answer=3))
    generic.deliver()
    generic.withdraw("r1")

    report = look(generic)

    retracted = [one for one in report.prospects if one.action == "retract"]
    assert {one.kind for one in retracted} == {"panel", "physical", "psychological"}
    assert all(("status", "entered-in-error") in [(c.path, c.new) for c in one.changes] for one in retracted)


def test_what_the_chart_has_already_is_nothing_to_do(world: World) -> None:
    world.say("r1", Said(answer=3))
    world.deliver()
    lose_the_ledger(world)

    report = look(world)

    assert set(report.totals) == {"nothing"}


def test_what_the_chart_has_with_another_value_is_a_persons(generic: World) -> None:
    generic.say("r1", Said(answer=3))
    generic.deliver()
    lose_the_ledger(generic)
    for resource in generic.ehr.chart.current("Observation"):
        if "valueQuantity" in resource:
            generic.ehr.foreign_edit(f"Observation/{resource['id']}", {"valueQuantity": {"value": 99}})

    found = by_kind(look(generic))

    assert (found["physical"].action, found["physical"].reason) == ("person", THERE_BUT_DIFFERENT)
    assert found["panel"].action == "nothing"


def test_more_than_one_in_the_chart_is_a_persons(generic: World) -> None:
    generic.say("r1", Said(answer=3))
    generic.deliver()
    lose_the_ledger(generic)
    for resource in list(generic.ehr.chart.current("Observation")):
        generic.ehr.foreign_duplicate(f"Observation/{resource['id']}")

    assert by_kind(look(generic))["physical"].reason == DUPLICATE


def test_what_somebody_changed_or_removed_is_not_written_over(generic: World) -> None:
    generic.say("r1", Said(answer=3))
    generic.deliver()
    ids = {one.kind: one.ehr_id for one in generic.ledger.of_responses(generic.site.name, ["r1"])}
    generic.amend("r1", 4)
    generic.ehr.foreign_edit(f"Observation/{ids['physical']}", {"valueQuantity": {"value": 99}})
    generic.ehr.foreign_delete(f"Observation/{ids['psychological']}")

    found = by_kind(look(generic))

    assert (found["physical"].action, found["physical"].reason) == ("person", CHANGED)
    assert (found["psychological"].action, found["psychological"].reason) == ("person", GONE)


def test_a_change_of_the_version_alone_is_written_over(generic: World) -> None:
    generic.say("r1", Said(answer=3))
    generic.deliver()
    ids = {one.kind: one.ehr_id for one in generic.ledger.of_responses(generic.site.name, ["r1"])}
    generic.amend("r1", 4)
    generic.ehr.foreign_edit(f"Observation/{ids['physical']}", {"status": "final"})  # as it was

    assert by_kind(look(generic))["physical"].action == "amend"


def test_what_the_server_does_not_let_us_read_is_said_to_be_so(world: World) -> None:
    world.say("r1", Said(answer=3))
    world.deliver()
    world.amend("r1", 4)
    world.ehr.configure(may_read=False)

    report = look(world, check_patient=False)

    scores = [one for one in report.prospects if one.kind in ("physical", "psychological")]
    assert len(scores) == 2
    assert all(one.action == "person" and NOT_READABLE in one.reason for one in scores)


def test_another_patient_in_the_ehr_is_a_persons_and_nothing_is_noted(world: World) -> None:
    world.say("r1", Said(answer=3))
    other = {"resourceType": "Patient", "birthDate": "1999-09-09", "gender": "male"}

    report = look(world, source=other)

    scores = [one for one in report.prospects if one.kind in ("physical", "psychological")]
    assert {one.action for one in scores} == {"person"}
    assert all("does not agree with the source" in one.reason for one in scores)
    assert world.ledger.decisions.patients(world.site.name, [patient_of("r1")]) == {}


def test_who_opted_out_is_not_written_to(world: World, tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text(f"{patient_of('r1')}\n")
    world.say("r1", Said(answer=3))

    report = look(world, opt_out_file=tmp_path / "out.txt")

    reasons = {one.reason for one in report.prospects if one.response_id == "r1"}
    assert reasons == {OPTED_OUT}


def test_what_nobody_released_waits_for_a_person(world: World) -> None:
    world.say("r1", Said(answer=3))
    world.say("r2", Said(answer=3))
    world.ledger.decisions.release(world.site.name, ["r2"], who="Dr. Moreau", why="looked at")

    report = look(world, release="all")

    waiting = [one for one in report.prospects if one.response_id == "r1"]
    assert {(one.action, one.reason) for one in waiting} == {("release", NOT_RELEASED)}
    assert all(one.changes for one in waiting)  # whoever releases them shall see what they say
    assert {one.action for one in report.prospects if one.response_id == "r2"} == {"create"}


def test_what_refers_to_something_that_does_not_go_waits_for_it(generic: World) -> None:
    generic.say("r1", Said(answer=3))
    entries = {one.kind: one.key for one in generic.ledger.of_responses(generic.site.name, ["r1"])}
    generic.ehr.arm("reset-after", times=1)
    generic.deliver(steps=2)  # claimed and sent, and killed before the answer was recorded
    assert entries

    report = look(generic)

    assert {one.action for one in report.prospects} <= {"read_first", "person"}
    assert {one.reason for one in report.prospects if one.action == "person"} <= {REFERS}
    assert "read_first" in report.totals


def test_a_provenance_that_is_there_is_neither_predicted_nor_created_once_more(ehr: Simulator, tmp_path: Path) -> None:
    world = World(ehr, "single", tmp_path)
    world.say("r1", Said(answer=3))
    world.deliver()
    forgotten = "UPDATE outcome SET state = 'planned', ehr_id = '', sent_hash = '' WHERE kind = 'provenance'"
    with sqlite3.connect(world.path) as connection:  # as in a copy of the ledger from before it was sent
        connection.execute(forgotten)
    connection.close()

    report = look(world)
    world.deliver()

    assert report.totals == {"nothing": 1}
    assert len(ehr.chart.current("Provenance")) == 1
    world.close()


def test_a_site_that_was_never_planned_or_otherwise_is_said_to_be_so(generic: World) -> None:
    never = look(generic).unplanned
    generic.say("r1", Said(answer=3))
    planned = look(generic).unplanned
    generic.ledger.decisions.set_origin(generic.site.name, "Outcome Bridge 0.1.0, mapping m 1, write profile document")

    assert never == "nothing was ever planned for this site"
    assert planned == ""
    assert look(generic).unplanned == "what is due was planned with the write profile document"


def test_what_another_write_profile_takes_back_is_shown_path_by_path(generic: World) -> None:
    generic.say("r1", Said(answer=3))
    generic.deliver()
    site = generic.site.model_copy(update={"write_profile": "document"})

    changed = list(stores.planner(generic.ledger, site).changes(generic.device(), [generic.outcome("r1")]))

    assert [one.kind for one in changed] == ["physical", "psychological", "panel"]
    assert {(d.path, d.old, d.new) for one in changed for d in one.changes} == {("status", "final", "entered-in-error")}


def test_two_long_values_are_shown_from_where_they_differ() -> None:
    old = [{"text": "the same beginning, which is much longer than what a table has room for", "value": 1}]
    new = [{**old[0], "value": 2}]

    shown = summary.changed([Difference(path="note", old=old, new=new)])

    assert shown == 'note: ...", "value": 1}] -> ...", "value": 2}]'


def test_a_changed_document_is_shown_in_words() -> None:
    old, new = (base64.b64encode(f"scores: {one}".encode()).decode() for one in ("50", "75"))

    shown = summary.changed([Difference(path="content[0].attachment.data", old=old, new=new)])

    assert shown == "content[0].attachment.data: scores: 50 -> scores: 75"


def test_a_server_that_is_left_alone_is_not_asked(generic: World) -> None:
    generic.say("r1", Said(answer=3))
    until = timestamp(START + timedelta(minutes=10))
    generic.ledger.decisions.set_breaker(generic.site.name, Breaker(failures=1, open_until=until))
    asked = len(generic.ehr.requests)

    report = look(generic)

    assert until in report.stopped
    assert report.prospects == []
    assert len(generic.ehr.requests) == asked


def lose_the_ledger(world: World) -> None:
    """Let the ledger be new, and plan again what the responses say."""
    world.ledger.close()
    for file in world.folder.glob("ledger.sqlite*"):
        file.unlink()
    world.restart()
    world.plan()
