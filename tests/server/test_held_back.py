"""A new version of software, mapping or profile changes nothing that was planned before a person accepted it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integration import settings
from server import cli
from server.jobs import stores

Run = Callable[..., tuple[int, str, str]]
OLDER = "Outcome Bridge 0.0.1, mapping msis29_venoplasty 0.9.0, write profile generic"


@pytest.fixture
def run(chart: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command at the site north, whose server holds one patient; gives exit status, output and errors."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "north.toml").write_text(f'base_url = "{chart.base_url}"\n')
    chart.held["Patient"] = {
        "p1": {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1970-01-01"}
    }
    answer(chart, 3)

    def run_it(command: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["outcome-bridge", command, "--site", "north", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run_it


def answer(chart: Any, value: int, *, version: str = "1", status: str = "completed") -> None:
    """Let the patient's one response give every item this answer."""
    chart.held["QuestionnaireResponse"] = {
        "r1": {
            "resourceType": "QuestionnaireResponse",
            "id": "r1",
            "meta": {"versionId": version},
            "status": status,
            "authored": "2012-05-04T07:15:00Z",
            "questionnaire": "urn:outcome-bridge:questionnaire:msis-29-v1",
            "subject": {"reference": "Patient/p1"},
            "item": [{"linkId": str(item), "answer": [{"valueInteger": value}]} for item in range(1, 30)],
        }
    }


def made_with(origin: str) -> None:
    with stores.open_ledger(settings.load(None, {})) as ledger:
        ledger.decisions.set_origin("north", origin)


def test_what_it_would_change_is_shown_path_by_path_and_nothing_is_planned(chart: Any, run: Run) -> None:
    assert run("run", "--out", "out")[0] == 0
    run("deliver")
    made_with(OLDER)
    answer(chart, 4, version="2")

    status, out, err = run("run", "--out", "out")
    document = json.loads(run("run", "--out", "out", "--format", "json")[1])["planned"]

    assert status == 1
    assert "Nothing was planned" in err
    assert "valueQuantity.value: 50 -> 75" in out
    assert document["by_kind"] == {"physical": 1, "provenance": 1, "psychological": 1}
    assert document["changed"] == 3
    shown = {(one["kind"], c["path"], c["old"], c["new"]) for one in document["examples"] for c in one["changes"]}
    assert ("physical", "valueQuantity.value", 50, 75) in shown
    assert ("physical", "status", "final", "amended") in shown
    assert run("deliver", "--dry-run", "--format", "json")[0] == 0
    assert run("deliver")[0] == 0
    assert {one["valueQuantity"]["value"] for one in chart.all("Observation") if "valueQuantity" in one} == {50}


def test_once_accepted_it_is_planned(chart: Any, run: Run) -> None:
    run("run", "--out", "out")
    made_with(OLDER)
    answer(chart, 4, version="2")
    assert run("run", "--out", "out")[0] == 1

    assert run("accept", "--who", "Dr. Moreau", "--why", "looked at")[0] == 0
    status, out, _ = run("run", "--out", "out")

    assert status == 0
    assert "Planned: 0 new, 3 changed" in out


def test_a_new_version_that_changes_nothing_asks_nobody(run: Run) -> None:
    run("run", "--out", "out")
    made_with(OLDER)

    assert run("run", "--out", "out")[0] == 0


def test_what_a_new_version_would_withdraw_is_held_back_too(chart: Any, run: Run) -> None:
    run("run", "--out", "out")
    made_with(OLDER)
    answer(chart, 3, version="2", status="entered-in-error")

    status, out, err = run("run", "--out", "out")

    assert status == 1
    assert "nothing but what is withdrawn" in out
    assert "4 withdrawn" in err
