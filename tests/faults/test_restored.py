"""A ledger that was restored from a backup: what went out after the backup is found in every kind of EHR."""

import shutil
from pathlib import Path

import pytest
from delivery_world import RULE_SETS, Said, World
from ehr_simulator import Simulator

from server.ledger import restoring


def restore(it: World, backup: Path) -> restoring.Doubted:
    """Put a backup in the place of a ledger, and then plan what the source says by now, as an operator does."""
    it.ledger.close()
    for file in it.folder.glob("ledger.sqlite*"):
        file.unlink()
    shutil.copyfile(backup, it.path)
    doubted = restoring.doubt(it.path, now=it.clock.now)
    it.restart()
    it.was_ledger_lost = True
    it.plan()
    return doubted


@pytest.mark.parametrize("name", RULE_SETS)
def test_what_went_out_after_the_backup_is_not_written_again(ehr: Simulator, tmp_path: Path, name: str) -> None:
    it = World(ehr, name, tmp_path)
    it.say("r0", Said(answer=3))
    it.rest()
    it.say("r2", Said(answer=2))
    backup = it.keep_copy()
    it.deliver()
    it.say("r4", Said(answer=4))
    it.deliver()
    before = [one.wrote for one in ehr.requests if one.wrote]

    doubted = restore(it, backup)
    it.rest()

    assert doubted.creates > 0
    assert [one.wrote for one in ehr.requests if one.wrote] == before
    assert it.judged().faults == []
    it.close()


@pytest.mark.parametrize("name", ["generic", "single", "oracle-like"])
def test_a_change_that_went_out_after_the_backup_is_not_written_again(
    ehr: Simulator, tmp_path: Path, name: str
) -> None:
    it = World(ehr, name, tmp_path)
    it.say("r0", Said(answer=3))
    it.rest()
    backup = it.keep_copy()
    it.amend("r0", 2)
    it.rest()
    before = [one.wrote for one in ehr.requests if one.wrote]

    restore(it, backup)
    it.rest()

    assert [one.wrote for one in ehr.requests if one.wrote] == before
    assert it.judged().faults == []
    it.close()


@pytest.mark.parametrize("name", ["single", "epic-like"])
def test_what_was_due_at_a_server_that_cannot_be_searched_becomes_a_persons(
    ehr: Simulator, tmp_path: Path, name: str
) -> None:
    it = World(ehr, name, tmp_path)
    it.say("r2", Said(answer=2))
    backup = it.keep_copy()
    it.deliver()
    before = [one.wrote for one in ehr.requests if one.wrote]

    restore(it, backup)
    ehr.configure(RULE_SETS[name].ehr, **{**RULE_SETS[name].switches, "may_read": False})
    it.rest()

    assert [one.wrote for one in ehr.requests if one.wrote] == before
    assert {one.state for one in it.entries() if one.kind in ("physical", "psychological")} == {"manual"}
    it.close()
