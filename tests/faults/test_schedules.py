"""Whatever happens in whatever order, the chart ends as it shall be, nothing is there twice, and the books balance."""

from pathlib import Path

import pytest
from delivery_world import RULE_SETS
from ehr_simulator import Simulator
from schedules import Played, play, rules_of

SAMPLE = range(30)
ALL = 1000
SEEDS_A_TEST = 25


def check(played: Played, seed: int, rules: str) -> None:
    if played.faults:
        replay = f"python tests/faults/schedules.py --seed {seed} --rules {rules}"
        pytest.fail("\n".join([replay, *played.steps, *played.books, *played.reasons, *played.faults]))


@pytest.mark.parametrize("seed", SAMPLE)
def test_a_schedule_ends_as_it_shall(ehr: Simulator, tmp_path: Path, seed: int) -> None:
    check(play(ehr, rules_of(seed), seed, tmp_path), seed, rules_of(seed))


@pytest.mark.faults
@pytest.mark.parametrize("first", range(0, ALL, SEEDS_A_TEST))
def test_every_schedule_ends_as_it_shall(ehr: Simulator, tmp_path: Path, first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        check(play(ehr, rules_of(seed), seed, tmp_path / str(seed)), seed, rules_of(seed))


def test_a_seed_is_the_same_schedule_again(ehr: Simulator, tmp_path: Path) -> None:
    once, again = (play(ehr, "single", 17, tmp_path / name) for name in ("once", "again"))

    assert once.steps == again.steps
    assert once.books == again.books


def test_every_rule_set_is_in_the_sample() -> None:
    assert {rules_of(seed) for seed in SAMPLE} == set(RULE_SETS)
