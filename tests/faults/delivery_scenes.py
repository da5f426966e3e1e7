"""Every state of the ledger met by every answer: the scenes, the faults that befall them, and the table of what came.

A scene brings the ledger into one state; a fault is armed; then delivery and proof run until nothing changes.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from delivery_world import RULE_SETS, Said, Verdict, World, world
from ehr_faults import CATALOGUE, Fault
from ehr_simulator import Request, Simulator

from server.delivery.former import FORMER_FIRST
from server.ledger.planning import NOT_AMENDED, NOT_RETRACTED


def _nothing(_: World) -> None:
    """Let everything be planned, and nothing sent yet."""


def _proven(it: World) -> None:
    assert it.rest()


def _amended(it: World) -> None:
    _proven(it)
    it.amend("r0", 5)
    it.amend("r1", 4)


def _withdrawn(it: World) -> None:
    _proven(it)
    it.withdraw("r0")
    it.amend("r1", None)


def _moved(it: World) -> None:
    _proven(it)
    it.move("r0", "p7")


def _lost(it: World, fault: str) -> None:
    it.ehr.arm(fault, on="write", nth=2)
    it.deliver()
    it.ehr.reset_faults()


def _amended_and_lost(it: World) -> None:
    _amended(it)
    it.ehr.arm("reset-after", on="write")
    it.deliver()
    it.ehr.reset_faults()


def _killed(it: World) -> None:
    it.deliver(steps=5)


def _taken(it: World) -> None:
    it.deliver()


def _taken_without_id(it: World) -> None:
    it.ehr.arm("no-location", times=None)
    it.ehr.arm("empty-body", times=None)
    it.deliver()
    it.ehr.reset_faults()


SCENES: Final[Mapping[str, Callable[[World], None]]] = {
    "planned": _nothing,
    "changed": _amended,
    "withdrawn": _withdrawn,
    "moved to another patient": _moved,
    "sending": _killed,
    "unknown, stored": lambda it: _lost(it, "reset-after"),
    "unknown, not stored": lambda it: _lost(it, "reset-before"),
    "unknown update": _amended_and_lost,
    "waiting": lambda it: _lost(it, "429"),
    "held": lambda it: _lost(it, "accepted-later"),
    "refused": lambda it: _lost(it, "422"),
    "accepted": _taken,
    "accepted without id": _taken_without_id,
    "verified": _proven,
}
"""What has happened before the fault, by the state that it leaves in the ledger."""

_READ_KINDS: Final = ("read", "search")
_EVERYTHING: Final = "any"


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One scene met by one fault.

    Attributes:
        rules: name of the rule set.
        scene: name of the scene.
        fault: name in the catalogue.
        on: `write`, `read` or `search`, for a fault that may befall any of them; else as the catalogue has it.
        nth: which of the requests that it may befall.
    """

    rules: str
    scene: str
    fault: str
    on: str
    nth: int

    def __str__(self) -> str:
        return f"{self.rules}: {self.scene}, then {self.fault} on {self.on} {self.nth}"

    @property
    def pages(self) -> bool:
        """Whether searches have more than one page."""
        return self.on == "page"

    @property
    def seed(self) -> int:
        """A number that is the same in every run, and spread evenly."""
        return zlib.crc32(str(self).encode())

    def armed(self) -> Fault:
        return replace(CATALOGUE[self.fault], on=self.on, nth=self.nth)


def all_cases(rules: Iterable[str] = tuple(RULE_SETS), faults: Iterable[str] = tuple(CATALOGUE)) -> Iterator[Case]:
    """Yield every combination of these rule sets and faults, also those without a request that the fault may befall."""
    wanted = list(faults)
    for name in rules:
        for scene in SCENES:
            for fault in wanted:
                for on in _places(CATALOGUE[fault]):
                    for nth in (1, 2, 4) if scene == "planned" and on in ("write", "create") else (1,):
                        yield Case(rules=name, scene=scene, fault=fault, on=on, nth=nth)


class Cases:
    """The cases whose fault can befall a request: found by playing each scene once without one.

    Args:
        ehr: running.
        folder: for ledgers.
    """

    def __init__(self, ehr: Simulator, folder: Path) -> None:
        self._ehr, self._folder = ehr, folder
        self._requests: dict[tuple[str, str, bool], list[Request]] = {}

    def of(self, cases: Iterable[Case]) -> Iterator[Case]:
        """Yield those of these cases that can happen."""
        for case in cases:
            fault, key = case.armed(), (case.rules, case.scene, case.pages)
            if key not in self._requests:
                self._requests[key] = self._played(case)
            met = [one for one in self._requests[key] if fault.meets(one.interaction, one.method, one.resource_type)]
            if len(met) >= case.nth:
                yield case

    def _played(self, case: Case) -> list[Request]:
        folder = self._folder / f"{case.rules}-{case.scene}-{case.pages}"
        with _set(self._ehr, case, folder) as it:
            before = len(self._ehr.requests)
            it.rest()
            return self._ehr.requests[before:]


def _places(fault: Fault) -> tuple[str, ...]:
    return ("write", *_READ_KINDS) if fault.on == _EVERYTHING else (fault.on,)


@dataclass(kw_only=True, slots=True)
class Result:
    """What came of a case.

    Attributes:
        verdict: after delivery and proof.
        mended: after `reconcile --repair` besides, where something was left.
        reasons: of what is left then, by state.
        faults: what must not be true.
    """

    verdict: Verdict
    mended: Verdict
    reasons: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def play(ehr: Simulator, case: Case, folder: Path) -> Result:
    """Play one case to its end."""
    with _set(ehr, case, folder) as it:
        armed = ehr.arm(case.armed())
        faults = [] if it.rest() else ["it does not come to rest"]
        faults += [] if armed.fired else ["the fault befell nothing"]
        ehr.reset_faults()
        verdict = mended = it.judged()
        if verdict.left:
            faults += [] if it.rest(repair=True) else ["mending does not come to rest"]
            mended = it.judged()
        return Result(
            verdict=verdict,
            mended=mended,
            reasons=Counter(f"{one.state}: {_shape(one.reason)}" for one in it.unsettled()),
            faults=[*faults, *verdict.faults, *(f"mended: {one}" for one in mended.faults)],
        )


@contextmanager
def _set(ehr: Simulator, case: Case, folder: Path) -> Iterator[World]:
    """Bring a world into the state that the scene says."""
    with world(ehr, case.rules, folder, seed=case.seed, page_size=1 if case.pages else 50) as it:
        for number in range(2):
            it.say(f"r{number}", Said(answer=number + 1))
        SCENES[case.scene](it)
        yield it


def _shape(reason: str) -> str:
    """Return a reason without what differs from outcome to outcome."""
    return re.sub(r"\[\d+\]", "", reason)


_REFUSED: Final = frozenset(("refused", "manual", "planned"))
_MANUAL: Final = frozenset(("manual", "planned"))
LEAVES: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(("400", "422", "404-subject", "410-subject", "404-encounter"), _REFUSED),
    **dict.fromkeys(("409", "412", "duplicate-59189", "duplicate-59141", "duplicate-409"), _MANUAL),
    "accepted-never": frozenset(("held", "planned")),
    "search-403": _MANUAL,  # what may be there and may not be looked for is not sent again
    "foreign-edit": frozenset(("altered", "manual", "refused")),
    "foreign-delete": _MANUAL,
    "foreign-duplicate": frozenset(("duplicate", "planned")),
    "patient-merged": frozenset(("refused", "manual", "altered", "planned")),
}
"""States that a fault may leave something in for a person, after mending too; any other fault leaves nothing. Planned
is what waits for something that a person must see to."""


def unexpected(case: Case, result: Result) -> list[str]:
    """Return what is left for a person although neither the fault, nor the scene, nor the site's rules say so."""
    allowed = LEAVES.get(case.fault, frozenset()) | (_REFUSED if case.scene == "refused" else frozenset())
    if case.rules == "fallback" and (case.scene == "held" or case.fault == "accepted-later"):
        # an Observation that it said to take later it refuses then, and nobody hears of it
        allowed |= LEAVES["accepted-never"]
    personal = (NOT_AMENDED, NOT_RETRACTED, FORMER_FIRST)
    return sorted(
        reason for reason in result.reasons if not reason.endswith(personal) and reason.partition(":")[0] not in allowed
    )


def sort_of(result: Result) -> str:
    """Return how a case ended: `exact`, `refused` (the server said no), `person` (a person has something to see to)."""
    if not result.mended.left:
        return "exact"
    return (
        "refused" if result.mended.left.keys() <= {"refused", "planned"} and result.mended.left["refused"] else "person"
    )
