"""Seeded random schedules of all that may happen to a site's outcomes; each ends, and then the chart must be right.

`python tests/faults/schedules.py --seed 7 --rules single` replays one and prints its steps.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from delivery_world import RULE_SETS, Said, Verdict, World, world
from ehr_simulator import Simulator

from server.delivery.former import FORMER_FIRST
from server.ledger.planning import NOT_AMENDED, NOT_RETRACTED

LONGEST: Final = 14
ANSWERS: Final = (1, 2, 3, 4, 5, None)
PASSING: Final = (
    "500", "502", "503", "504", "503-retry-after", "429", "429-date", "408",
    "500-after-effect", "502-after-effect", "503-after-effect", "504-after-effect",
    "reset-before", "reset-after", "truncated", "not-json", "empty-body", "no-location", "location-relative",
    "location-relative-history", "location-absolute", "location-absolute-history", "no-etag",
    "index-lag", "accepted-now", "accepted-later", "401", "page-repeats",
)  # fmt: skip
"""Faults that end in an exact chart, for nobody but us has to do anything."""
LASTING: Final = (
    "403", "409", "412", "400", "422", "404-subject", "410-subject", "404-encounter", "duplicate-59189",
    "duplicate-59141", "duplicate-409", "read-403", "search-403", "accepted-never", "foreign-edit", "foreign-duplicate",
)  # fmt: skip
"""Faults that may leave something for a person."""


@dataclass(kw_only=True, slots=True)
class Played:
    """What came of a schedule.

    Attributes:
        steps: what happened, in words, in order.
        verdict: at the end.
        is_untroubled: whether nothing happened that may leave work for a person.
        books: of the outcomes at the end, both equations.
        reasons: of what is left, by state.
        faults: what must not be true.
    """

    steps: list[str]
    verdict: Verdict
    is_untroubled: bool
    books: tuple[str, str]
    reasons: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class Schedule:
    """A schedule drawn from a seed.

    Args:
        it: a new world.
        seed: of the draws.
        told: is called with each step before it is done.
    """

    def __init__(self, it: World, seed: int, told: Callable[[str], object] = lambda _: None) -> None:
        self._it, self._draw, self._told = it, random.Random(f"schedule {seed}"), told
        self._copy: Path | None = None
        self.steps: list[str] = []
        self.is_untroubled = True

    def play(self) -> Played:
        """Play it to its end."""
        it = self._it
        self._new()
        for _ in range(self._draw.randint(4, LONGEST)):
            steps = self._weights()
            self._draw.choices(list(steps), list(steps.values()))[0]()
        it.ehr.reset_faults()
        it.ehr.settle()
        it.wait()
        faults = [] if it.rest(repair=True) else ["it does not come to rest"]
        verdict = it.judged()
        reasons = Counter(f"{one.state}: {one.reason}" for one in it.unsettled())
        if self.is_untroubled and (needless := reasons.keys() - _NOT_PERMITTED):
            faults.append(f"nothing asked for a person, and yet: {', '.join(sorted(needless))}")
        return Played(
            steps=self.steps,
            verdict=verdict,
            is_untroubled=self.is_untroubled,
            books=it.ledger.books(it.site.name).sentences(),
            reasons=reasons,
            faults=[*faults, *verdict.faults],
        )

    def _weights(self) -> dict[Callable[[], None], int]:
        return {
            self._new: 3, self._amend: 4, self._withdraw: 2, self._reinstate: 2, self._deliver: 6, self._faulty: 8,
            self._kill: 4, self._foreign: 1, self._reconcile: 3, self._repair: 2, self._wait: 2, self._copy_ledger: 1,
            self._lose_ledger: 1, self._move: 2,
        }  # fmt: skip

    def _step(self, words: str) -> None:
        self.steps.append(words)
        self._told(words)

    # --- what the source does

    def _new(self) -> None:
        number = len(self._it.said)
        for new in range(number, min(number + self._draw.randint(1, 3), 8)):
            answer = self._draw.choice(ANSWERS)
            self._step(f"r{new} says {answer}")
            self._it.say(f"r{new}", Said(answer=answer))

    def _amend(self) -> None:
        if response_id := self._one(is_withdrawn=False):
            answer = self._draw.choice(ANSWERS)
            self._step(f"{response_id} is amended to {answer}")
            self._it.amend(response_id, answer)

    def _move(self) -> None:
        if response_id := self._one(is_withdrawn=False):
            patient = self._draw.choice(("p0", "p1", "p8"))
            self._step(f"{response_id} is patient {patient}'s")
            self._it.move(response_id, patient)

    def _withdraw(self) -> None:
        if response_id := self._one(is_withdrawn=False):
            self._step(f"{response_id} is withdrawn")
            self._it.withdraw(response_id)

    def _reinstate(self) -> None:
        if response_id := self._one(is_withdrawn=True):
            answer = self._draw.choice(ANSWERS)
            self._step(f"{response_id} is reinstated and says {answer}")
            self._it.amend(response_id, answer)

    def _one(self, *, is_withdrawn: bool) -> str:
        able = [one for one, said in self._it.said.items() if said.is_withdrawn == is_withdrawn]
        return self._draw.choice(able) if able else ""

    # --- what the site does

    def _deliver(self) -> None:
        limit = self._draw.choice((None, None, 4, 7))
        self._it.connections = self._draw.choice((1, 1, 2, 3))
        self._step(f"deliver, limit {limit}, {self._it.connections} connections")
        self._step(f"  = {self._it.deliver(limit=limit)}")

    def _faulty(self) -> None:
        name = self._draw.choice(PASSING if self._draw.random() < 0.8 else LASTING)
        times, nth = self._draw.choice((1, 1, 2, 3)), self._draw.randint(1, 5)
        self._step(f"fault {name}, {times} times from request {nth}")
        is_refused_later = name == "accepted-later" and self._it.site.profile.fallback != "none"
        self.is_untroubled &= name in PASSING and not is_refused_later
        self._it.ehr.arm(name, times=times, nth=nth)
        self._draw.choice((self._deliver, self._deliver, self._kill, self._reconcile))()
        if self._draw.random() < 0.7:
            self._it.ehr.reset_faults()

    def _kill(self) -> None:
        steps = self._draw.randint(0, 12)
        self._it.connections = self._draw.choice((1, 1, 2))
        self._step(f"deliver, {self._it.connections} connections, killed after {steps} steps")
        self._step(f"  = {self._it.deliver(steps=steps)}")
        if self._draw.random() < 0.6:
            self._wait()

    def _reconcile(self) -> None:
        self._step("reconcile")
        self._step(f"  = {self._it.reconcile()}")

    def _repair(self) -> None:
        self._step("reconcile --repair")
        self._step(f"  = {self._it.reconcile(repair=True)}")

    def _wait(self) -> None:
        seconds = self._draw.choice((1.0, 12.0, 7200.0))
        self._step(f"{seconds:.0f} seconds pass")
        self._it.wait(seconds)

    # --- what befalls the site

    def _foreign(self) -> None:
        held = self._it.values_in_chart()
        if not held:
            return
        reference = self._draw.choice(held)
        act = self._draw.choice(
            (self._it.ehr.foreign_edit, self._it.ehr.foreign_duplicate, self._it.ehr.foreign_delete)
        )
        self._step(f"{act.__name__} of {reference}")
        self.is_untroubled = False
        act(reference)

    def _copy_ledger(self) -> None:
        self._step("the ledger is copied")
        self._copy = self._it.keep_copy()

    def _lose_ledger(self) -> None:
        if self._draw.random() < 0.5:
            return
        copy = self._copy if self._draw.random() < 0.7 else None
        self._step("the ledger is lost" if copy is None else "the ledger is restored from the copy")
        self.is_untroubled = False
        self._it.wait()  # whatever was on its way then is done or lost: nobody knows of it any more
        self._it.lose_ledger(copy)


_NOT_PERMITTED: Final = {f"manual: {NOT_AMENDED}", f"manual: {NOT_RETRACTED}", f"planned: {FORMER_FIRST}"}
"""What is left where the site takes no change of what was written."""


def play(ehr: Simulator, rules: str, seed: int, folder: Path, told: Callable[[str], object] = lambda _: None) -> Played:
    """Play the schedule of a seed under a rule set."""
    with world(ehr, rules, folder, seed=seed, page_size=50 if seed % 11 else 1) as it:
        return Schedule(it, seed, told).play()


def rules_of(seed: int) -> str:
    """Return the rule set that a seed is played under, unless another is named."""
    return list(RULE_SETS)[seed % len(RULE_SETS)]


def main(arguments: Sequence[str]) -> int:
    """Replay schedules; the status is 1 if one ends as it must not."""
    parser = argparse.ArgumentParser(description="Replay random schedules of faults, amendments and restarts.")
    parser.add_argument("--seed", type=int, action="append", required=True)
    parser.add_argument("--rules", choices=list(RULE_SETS), help="else the seed says")
    options = parser.parse_args(arguments)
    status = 0
    with Simulator() as ehr, tempfile.TemporaryDirectory() as folder:
        for seed in options.seed:
            rules = options.rules or rules_of(seed)
            print(f"seed {seed}, {rules}")
            played = play(ehr, rules, seed, Path(folder) / str(seed), lambda words: print(f"  {words}"))
            for line in (*played.books, *(f"left: {one}" for one in played.reasons), *played.faults):
                print(line)
            status |= bool(played.faults)
    return status


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    sys.exit(main(sys.argv[1:]))
