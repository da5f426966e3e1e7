"""Every state of the ledger meets every answer: the chart ends as it shall be, or a person is told what it is not."""

from pathlib import Path

import pytest
from delivery_scenes import SCENES, Case, Cases, all_cases, play, unexpected
from delivery_world import RULE_SETS
from ehr_faults import CATALOGUE
from ehr_simulator import Simulator

SAMPLE = 150
"""One case in so many is in the sample."""


def check(ehr: Simulator, case: Case, folder: Path) -> None:
    result = play(ehr, case, folder)

    assert result.faults == [], case
    assert unexpected(case, result) == [], case


@pytest.mark.parametrize("rules", list(RULE_SETS))
def test_a_state_and_an_answer_come_to_a_good_end(ehr: Simulator, tmp_path: Path, rules: str) -> None:
    sample = (case for case in all_cases([rules]) if case.seed % SAMPLE == 0)
    for number, case in enumerate(Cases(ehr, tmp_path).of(sample)):
        check(ehr, case, tmp_path / str(number))


@pytest.mark.faults
@pytest.mark.parametrize("scene", list(SCENES))
@pytest.mark.parametrize("rules", list(RULE_SETS))
def test_every_state_and_every_answer_come_to_a_good_end(
    ehr: Simulator, tmp_path: Path, rules: str, scene: str
) -> None:
    of_scene = (case for case in all_cases([rules]) if case.scene == scene)
    for number, case in enumerate(Cases(ehr, tmp_path).of(of_scene)):
        check(ehr, case, tmp_path / str(number))


def test_every_fault_befalls_something(ehr: Simulator, tmp_path: Path) -> None:
    planned = (case for case in all_cases(["single", "epic-like"]) if case.scene in ("planned", "unknown update"))

    assert {case.fault for case in Cases(ehr, tmp_path).of(planned)} == set(CATALOGUE)
