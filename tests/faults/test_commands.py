"""The commands around a delivery, against a simulated EHR: what they print, record and end with."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from delivery_world import RULE_SETS, Said, World, patient_of
from ehr_simulator import Simulator

from integration.warehouse import Warehouse
from server import cli
from server.ledger import Entry
from server.ledger.states import State

Run = Callable[..., tuple[int, str, str]]
PERSON = ("--who", "Dr. Moreau", "--why", "looked at")


@pytest.fixture(params=["generic"])
def world(request: pytest.FixtureRequest, ehr: Simulator, tmp_path: Path) -> Iterator[World]:
    (tmp_path / "state").mkdir()
    made = World(ehr, request.param, tmp_path / "state")
    yield made
    made.close()


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command at the site north; gives exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sites").mkdir()
    write_site(world)

    def run_it(command: str, *arguments: str) -> tuple[int, str, str]:
        world.ledger.close()
        monkeypatch.setattr("sys.argv", ["outcome-bridge", command, "--site", "north", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        world.restart()
        return int(ended.value.code or 0), out, err

    return run_it


def write_site(world: World, safeguards: str = "check_patient = false") -> None:
    limits = "[limits]\nsettle_seconds = 0\ntimeout_seconds = 5\n"
    table = RULE_SETS[world.name].table.partition("\n")
    text = f'base_url = "{world.ehr.base_url}"\n{table[0]}\n{limits}[safeguards]\n{safeguards}\n{table[2]}\n'
    (world.folder.parent / "sites" / "north.toml").write_text(text)


def keys(world: World, state: State) -> list[str]:
    return [one.key for one in world.ledger.in_state("north", [state])]


def document(answer: tuple[int, str, str]) -> Any:
    return json.loads(answer[1])


def test_a_dry_run_prints_the_difference_and_sends_nothing(world: World, run: Run) -> None:
    world.say("r1", Said(answer=3))
    run("deliver")
    world.amend("r1", 4)
    writes = len([one for one in world.ehr.requests if one.method != "GET"])

    status, out, _ = run("deliver", "--dry-run")

    assert status == 0
    assert "valueQuantity.value: 50 -> 75" in out
    assert "0 create, " in out
    assert "(physical 50 -> 75)" in out
    assert len([one for one in world.ehr.requests if one.method != "GET"]) == writes


@pytest.mark.parametrize("world", ["epic-like"], indirect=True)
def test_a_dry_run_says_what_the_site_does_not_get(world: World, run: Run) -> None:
    world.say("r1", Said(answer=3))

    report = document(run("deliver", "--dry-run", "--format", "json"))

    assert report["totals"]["create"] == 2
    assert "method" in report["dropped"]["physical"]
    assert "panel" in report["left_out"]
    assert [one["action"] for one in report["prospects"]] == ["create", "create"]


def test_a_dry_run_shows_the_value_of_what_is_new_in_plain_words(world: World, run: Run) -> None:
    world.say("r1", Said(answer=3))
    world.say("r2", Said(answer=None))

    out = run("deliver", "--dry-run")[1]

    assert "valueQuantity.value: - -> 50" in out
    assert "dataAbsentReason: - -> " in out
    assert '"coding"' not in out


def test_a_dry_run_lists_a_patient_who_is_another_person(world: World, run: Run) -> None:
    world.say("r1", Said(answer=3))
    write_site(world, "check_patient = true")
    with Warehouse.open(world.folder / "warehouse.sqlite") as warehouse:
        patient = {"resourceType": "Patient", "id": patient_of("r1"), "gender": "male", "birthDate": "1999-09-09"}
        warehouse.store("north", [json.dumps(patient).encode()])

    status, out, _ = run("deliver", "--dry-run")

    assert status == 0
    assert "does not agree with the source: identifier, birthDate, gender" in out
    assert "1999" not in out


def test_what_is_withheld_is_told_and_ends_with_1_until_a_person_releases_it(world: World, run: Run) -> None:
    world.say("r1", Said(answer=3))
    world.say("r2", Said(answer=3))
    write_site(world, 'check_patient = false\nrelease = "all"')

    status, out, _ = run("deliver")
    assert status == 1
    assert "waits for a person's release; outcome-bridge release --site north" in out
    assert "deliver again" not in out
    assert document(run("deliver", "--format", "json"))["withheld"] == {"withheld: waits for a person's release": 8}

    dry = run("deliver", "--dry-run")[1]
    assert "Waiting for a release: 8" in dry
    assert "Left to a person" not in dry

    status, out, _ = run("release", *PERSON, "--next", "1")
    assert (status, "1 responses; 1 wait" in out) == (0, True)
    assert run("deliver")[0] == 1
    assert run("release", *PERSON, "--all")[0] == 0
    assert run("deliver")[0] == 0
    assert len(world.ehr.chart.current("Observation")) == 6


def test_what_is_taken_back_waits_for_nobody_and_what_is_amended_does(world: World, run: Run) -> None:
    for one in ("r1", "r2"):
        world.say(one, Said(answer=3))
    write_site(world, 'check_patient = false\nrelease = "all"')
    run("release", *PERSON, "--all")
    assert run("deliver")[0] == 0

    world.withdraw("r1")
    world.amend("r2", 5)
    status, out, _ = run("deliver")
    assert status == 1
    assert "waits for a person's release" in out
    assert run("reconcile")[0] == 1
    of_r1 = [one for one in world.ledger.of_responses("north", ["r1"]) if one.kind in ("panel", "physical")]
    assert {one.state for one in of_r1} == {"retracted"}
    assert "1 responses; 0 wait" in run("release", *PERSON, "--all")[1]

    past = document(run("history", "--response", "r2", "--format", "json"))["decisions"]
    assert [(one["number"], one["action"]) for one in past] == [(1, "release"), (2, "ended"), (3, "release")]
    assert past[1]["why"].startswith("release 1 ended")


def test_that_the_server_is_away_is_said_also_where_nothing_could_be_sent(world: World, run: Run) -> None:
    world.say("r1", Said(answer=3))
    write_site(world, 'check_patient = false\nrelease = "all"')
    file = world.folder.parent / "sites" / "north.toml"
    file.write_text(file.read_text().replace(world.ehr.base_url, "http://127.0.0.1:1/fhir"))

    status, _, err = run("deliver")

    assert status == 1
    assert "no connection; check that the server runs" in err


def test_a_release_of_an_unknown_response_ends_with_1(world: World, run: Run) -> None:
    world.say("r1", Said(answer=3))

    status, out, err = run("release", *PERSON, "--response", "r1", "--response", "r9")

    assert status == 1
    assert "1 responses" in out
    assert "r9" in err
    assert document(run("release", *PERSON, "--response", "r1", "--format", "json"))["before"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("release", *PERSON),
        ("release", *PERSON, "--all", "--next", "1"),
        ("release", "--all", "--who", "Dr. Moreau"),
        ("release", "--all", "--who", " ", "--why", "x"),
        ("accept", "--why", "x"),
        ("work", "--done", "nothing-of-this-key", *PERSON),
        ("work", "--again", "nothing-of-this-key"),
        ("work", *PERSON),
        ("history", "--response", "nobody"),
        ("history", "--response", "r1", "--key", "k"),
    ],
)
def test_a_decision_without_all_that_it_needs_ends_with_2(world: World, run: Run, arguments: tuple[str, ...]) -> None:
    world.say("r1", Said(answer=3))

    status, _, err = run(*arguments)

    assert status == 2
    assert "Error:" in err
    assert world.ledger.decisions.all("north") == []


def test_a_new_version_is_accepted_once_and_recorded(world: World, run: Run) -> None:
    world.ledger.decisions.set_origin("north", "Outcome Bridge 0.0.1, mapping old 1, write profile generic")

    first, again = run("accept", *PERSON), run("accept", *PERSON)

    assert first[0] == again[0] == 0
    assert "Outcome Bridge 0.0.1" in first[1]
    assert "Nothing to accept" in again[1]
    [decision] = world.ledger.decisions.all("north")
    assert (decision.action, decision.who, decision.why) == ("accept", "Dr. Moreau", "looked at")
    assert "msis29_venoplasty" in world.ledger.decisions.origin("north")


@pytest.mark.parametrize("world", ["epic-like"], indirect=True)
def test_an_amendment_that_the_site_does_not_take_is_listed_with_what_to_do(world: World, run: Run) -> None:
    world.say("r1", Said(answer=3))
    run("deliver")
    world.amend("r1", 4)

    status, out, _ = run("work")
    items = document(run("work", "--format", "json"))["items"]

    assert status == 0
    assert "Correct it in the chart to what the response says now, then --done." in out
    assert {(one["state"], one["response_id"], one["patient_id"]) for one in items} == {
        ("manual", "r1", patient_of("r1"))
    }
    assert all(one["ehr_id"] for one in items)
    assert "75" not in out.replace(items[0]["key"], "").replace(items[1]["key"], "").replace(items[0]["ehr_id"], "")


@pytest.mark.parametrize("world", ["epic-like"], indirect=True)
def test_what_was_done_by_hand_is_verified_only_once_it_is_read(world: World, run: Run) -> None:
    world.say("r1", Said(answer=3))
    run("deliver")
    run("reconcile")
    world.amend("r1", 4)
    [first, second] = world.ledger.in_state("north", ["manual"])

    status, out, _ = run("work", "--done", first.key, "--done", second.key, *PERSON)
    assert (status, "Left to a person at north: 0" in out) == (0, True)
    assert "Done by hand, as persons said, and not proven: 2." in out

    by_hand(world, first, "valueQuantity", "note")
    assert run("reconcile")[0] == 1
    assert keys(world, "verified") == [first.key]
    [left] = document(run("work", "--format", "json"))["items"]
    assert left["key"] == second.key
    assert "the chart differs: valueQuantity.value" in left["reason"]

    by_hand(world, second, "valueQuantity", "note")
    run("work", "--done", second.key, *PERSON)
    assert run("reconcile")[0] == 0


@pytest.mark.parametrize("world", ["epic-like"], indirect=True)
def test_a_value_entered_by_hand_without_our_note_is_no_work_and_not_verified(world: World, run: Run) -> None:
    world.say("r1", Said(answer=3))
    run("deliver")
    world.amend("r1", 4)
    entries = world.ledger.in_state("north", ["manual"])
    for entry in entries:
        by_hand(world, entry, "valueQuantity")
    run("work", *(word for entry in entries for word in ("--done", entry.key)), *PERSON)

    assert run("reconcile")[0] == 1
    assert document(run("work", "--format", "json")) == {
        "site": "north", "items": [], "said_done": 2, "replanned": None,
    }  # fmt: skip
    assert world.ledger.books("north").lines["manual"] == 2


def by_hand(world: World, entry: Entry, *names: str) -> None:
    """Let somebody bring elements of the chart to what they shall be."""
    wanted = entry.resource()
    world.ehr.foreign_edit(f"Observation/{entry.ehr_id}", {name: wanted[name] for name in names})


@pytest.mark.parametrize("world", ["single"], indirect=True)
def test_what_was_entered_by_hand_unseen_stays_manual_and_is_never_written_beside(world: World, run: Run) -> None:
    world.ehr.configure("single", subject_must_exist=True)
    world.say("r1", Said(answer=3))
    patient = f"Patient/{patient_of('r1')}"
    world.ehr.foreign_delete(patient)
    run("deliver")
    refused = [one["key"] for one in document(run("work", "--format", "json"))["items"]]
    assert refused

    run("work", *(word for key in refused for word in ("--done", key)), *PERSON)
    [panel] = document(run("work", "--format", "json"))["items"]  # refused for what it refers to, and now alone
    assert panel["kind"] == "panel"
    run("work", "--done", panel["key"], *PERSON)
    assert document(run("work", "--format", "json"))["items"] == []
    assert run("reconcile")[0] == 1
    assert set(keys(world, "manual")) >= set(refused)
    assert world.ledger.books("north").lines["verified"] == 0

    world.amend("r1", 4)
    run("deliver")
    assert world.ehr.chart.current("Observation") == []
    items = document(run("work", "--format", "json"))["items"]
    assert {one["reason"] for one in items if one["key"] in refused} == {
        "changed after it was done by hand: correct it in the chart"
    }
    world.withdraw("r1")
    reasons = {one.reason for one in world.ledger.entries("north", refused)}
    assert reasons == {"withdrawn after it was done by hand: mark it in the chart"}
    run("reconcile")
    assert keys(world, "retracted") == [] or not set(keys(world, "retracted")) & set(refused)


@pytest.mark.parametrize("world", ["single"], indirect=True)
def test_what_was_refused_is_sent_again_once_a_person_says_so(world: World, run: Run) -> None:
    world.ehr.configure("single", subject_must_exist=True)
    world.say("r1", Said(answer=3))
    world.ehr.foreign_delete(f"Patient/{patient_of('r1')}")
    run("deliver")
    refused = [one["key"] for one in document(run("work", "--format", "json"))["items"]]
    world.ehr.configure("single", subject_must_exist=False)

    status, out, _ = run("work", *(word for key in refused for word in ("--again", key)), *PERSON)
    assert (status, f"Due again: {len(refused)}" in out) == (0, True)
    run("deliver")

    assert run("reconcile")[0] == 0
    assert [one.action for one in world.ledger.decisions.all("north")] == ["again"] * len(refused)


@pytest.mark.parametrize("world", ["epic-like"], indirect=True)
def test_a_key_is_shown_short_and_taken_as_shown(world: World, run: Run) -> None:
    world.say("r1", Said(answer=3))
    run("deliver")
    world.amend("r1", 4)
    [first, second] = world.ledger.in_state("north", ["manual"])

    shown = run("work")[1]
    past = run("history", "--response", "r1")[1]
    status, _, _ = run("work", "--done", first.key[:12], *PERSON)

    assert f"key {first.key[:12]}\n" in shown
    assert first.key[:12] in past
    assert first.key not in shown + past
    assert all(len(line.rstrip()) <= 120 for line in past.splitlines())
    assert status == 0
    assert [one.what for one in world.ledger.decisions.all("north")] == [first.key]
    assert first.key[:12] in run("history", "--key", first.key[:7])[1]
    common = "" if first.key[0] != second.key[0] else first.key[0]
    assert run("work", "--done", common or "g", *PERSON)[0] == 2
    assert run("history", "--key", "no such key")[0] == 2


def test_repair_plans_what_was_altered_and_what_is_missing(world: World, run: Run) -> None:
    world.say("r1", Said(answer=3))
    run("deliver")
    ids = {one.kind: one.ehr_id for one in world.ledger.of_responses("north", ["r1"])}
    world.ehr.foreign_edit(f"Observation/{ids['physical']}", {"valueQuantity": {"value": 99}})
    world.ehr.foreign_delete(f"Observation/{ids['psychological']}")

    status, out, _ = run("reconcile", "--repair")
    assert status == 1
    assert "planned to be written again" in out
    run("deliver")

    status, out, _ = run("reconcile")  # what refers to the one that is new went along
    assert status == 0
    assert "planned to be written again" not in out
    assert document(run("work", "--format", "json"))["items"] == []


def test_history_shows_each_request_and_each_decision_without_a_value(world: World, run: Run) -> None:
    world.say("r1", Said(answer=3))
    write_site(world, 'check_patient = false\nrelease = "all"')
    run("release", *PERSON, "--response", "r1")
    run("deliver")
    [key] = [one.key for one in world.ledger.of_responses("north", ["r1"]) if one.kind == "physical"]

    of_response = document(run("history", "--response", "r1", "--format", "json"))
    of_key = document(run("history", "--key", key, "--format", "json"))
    of_site = document(run("history", "--format", "json"))

    assert {one["http_status"] for one in of_response["attempts"]} == {200}
    assert {one["interaction"] for one in of_key["attempts"]} == {"transaction"}
    assert [one["action"] for one in of_key["decisions"]] == ["release"]
    assert len(of_site["attempts"]) > len(of_response["attempts"]) > len(of_key["attempts"]) == 1
    assert [one["who"] for one in of_site["decisions"]] == ["Dr. Moreau"]
    assert "valueQuantity" not in json.dumps(of_site)
    requests = {one.request_id for one in world.ehr.requests}
    assert {one["request_id"] for one in of_response["attempts"]} <= requests
    assert run("history")[0] == 0
