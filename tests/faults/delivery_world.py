"""One site as the fault tests deliver to it: a simulated EHR, a ledger on disk, a clock that only the test moves, and
what the responses say now. At the end `World.judged` holds the chart, read past the EHR's rules, against that.
"""

from __future__ import annotations

import shutil
import threading
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, get_args

from ehr_chart import CLIENT
from ehr_simulator import Simulator

from integration import msis29, outcomes
from integration.errors import DeliveryError
from integration.outcomes import Outcome, Resource, content_hash
from integration.records import Moment, Response
from integration.settings import Limits, Site
from integration.sources.client import Clock, FhirClient
from server import work
from server.delivery import references
from server.delivery.comparison import differences
from server.delivery.run import deliver
from server.jobs import stores
from server.ledger import Entry, Ledger
from server.ledger.planning import OUTCOMES, RANKS, Desired, Shaped
from server.ledger.states import State
from server.reconcile import reconcile
from server.sites import profile_of

START: Final = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
SITE: Final = "north"
STATES: Final = frozenset(get_args(State))
SETTLE_SECONDS: Final = 5.0
_ROWS = "urn:oid:1.2.840.114350.1.13.9.9.7.2.707679"
_CODES = f"""
[profile.codes]
physical = {{ system = "{_ROWS}", code = "flowsheet-physical" }}
psychological = {{ system = "{_ROWS}", code = "flowsheet-psychological" }}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleSet:
    """An EHR and the site file that is right for it.

    Attributes:
        ehr: the simulator's rules.
        table: of the site file, TOML.
        switches: of the rules.
    """

    ehr: str
    table: str
    switches: Mapping[str, Any] = field(default_factory=dict)


RULE_SETS: Final[Mapping[str, RuleSet]] = {
    "generic": RuleSet(ehr="generic", table='write_profile = "generic"'),
    "single": RuleSet(ehr="single", table='write_profile = "single"'),
    "epic-like": RuleSet(ehr="epic-like", table=f'write_profile = "epic"\n{_CODES}'),
    "oracle-like": RuleSet(
        ehr="oracle-like",
        table='write_profile = "oracle"\n[profile]\ncategory = "vital-signs"\nperformer = "Practitioner/9"\n' + _CODES,
    ),
    "athena-like": RuleSet(
        ehr="athena-like",
        table='write_profile = "athena"\n[profile.questionnaire]\n'
        'physical = "urn:questionnaire:physical"\npsychological = "urn:questionnaire:psychological"',
    ),
    "document": RuleSet(ehr="generic", table='write_profile = "document"\n[profile]\ndocument_updates = true'),
    "fallback": RuleSet(
        ehr="single",
        table='write_profile = "single"\n[profile]\nfallback = "document"\ndocument_updates = true',
        switches={"not_created": frozenset(("Observation",))},
    ),
}


class KilledError(BaseException):
    """The delivery is no more: nothing catches this, and its ledger does nothing any more."""


class MortalLedger(Ledger):
    """A ledger whose delivery is killed at a step: before or after a claim or a settlement.

    Attributes:
        steps: how many steps are left; None: it lives for ever.
    """

    steps: int | None = None
    is_dead: bool = False

    def claim(self, *arguments: Any, **options: Any) -> list[Entry]:
        self._step()
        claimed = super().claim(*arguments, **options)
        self._step()
        return claimed

    def settle(self, *arguments: Any, **options: Any) -> None:
        self._step()
        super().settle(*arguments, **options)
        self._step()

    def lease(self, *arguments: Any, **options: Any) -> list[Entry]:
        self._live()
        return super().lease(*arguments, **options)

    def unlease(self, *arguments: Any, **options: Any) -> None:
        self._live()
        super().unlease(*arguments, **options)

    def _step(self) -> None:
        self._live()
        if self.steps is not None:
            self.steps -= 1
            self.is_dead = self.steps < 0
            self._live()

    def _live(self) -> None:
        if self.is_dead:
            raise KilledError


class MovingClock:
    """A clock that goes on by a millisecond whenever it is looked at, and otherwise only when somebody sleeps.

    Args:
        on_wait: is called when it went on by as long as servers need to be done with what they were sent.
    """

    def __init__(self, on_wait: Callable[[], object] = lambda: None) -> None:
        self._now, self._lock, self._on_wait = START, threading.Lock(), on_wait

    def now(self) -> datetime:
        with self._lock:
            self._now += timedelta(milliseconds=1)
            return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._now += timedelta(seconds=seconds)
        if seconds >= SETTLE_SECONDS - 1:
            self._on_wait()

    def as_clock(self) -> Clock:
        return Clock(now=self.now, sleep=self.sleep)


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What a response says now.

    Attributes:
        answer: to every item; None: to none, so there is no score.
        version: of the response, from 1.
        is_withdrawn: whether it was set to entered-in-error, or deleted.
        patient: whose it is; empty: whose it was at first, by its number.
    """

    answer: int | None
    version: int = 1
    is_withdrawn: bool = False
    patient: str = ""


@dataclass(kw_only=True, slots=True)
class Verdict:
    """What the chart holds of what it shall hold; the unit is one resource.

    Attributes:
        exact: resources that the chart holds once and as they shall be, or does not count any more, as the ledger says.
        left: the others by the ledger's state; `forgotten` is what was withdrawn after the ledger that knew it in the
            chart was lost.
        faults: every sentence that must not be true: a lie of the ledger, a second copy, books that do not balance.
    """

    exact: int = 0
    left: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


class World:
    """One site, from its plan to its chart.

    Args:
        ehr: running; is emptied.
        name: of RULE_SETS.
        folder: for the ledger.
        connections: that a delivery may use.
        seed: of the EHR.
        page_size: entries a page of a search.

    Attributes:
        connections: may be changed between deliveries.
        said: what each response says now.
        merged: whom the source merged into whom, by id; what is in the chart follows that.
    """

    def __init__(
        self,
        ehr: Simulator,
        name: str,
        folder: Path,
        *,
        connections: int = 1,
        seed: int = 0,
        page_size: int = 50,
    ) -> None:
        self.ehr, self.name, self.folder = ehr, name, folder
        ehr.clear(seed)
        ehr.configure(RULE_SETS[name].ehr, **RULE_SETS[name].switches)
        self.clock = MovingClock(ehr.settle)
        self.connections = connections
        self.limits = Limits(
            entries_per_transaction=8, settle_seconds=SETTLE_SECONDS, timeout_seconds=5,
            page_size=page_size,
        )  # fmt: skip
        table = tomllib.loads(RULE_SETS[name].table)
        self.site = Site.model_validate({"name": SITE, "base_url": ehr.base_url, **table, "limits": self.limits})
        self.profile = profile_of(self.site)
        self.origin = origin_of(SITE)
        self.said: dict[str, Said] = {}
        self.merged: dict[str, str] = {}
        self.was_ledger_lost = False
        self.path = folder / "ledger.sqlite"
        self.ledger = self._opened()

    def close(self) -> None:
        self.ledger.close()

    # --- what the source says

    def say(self, response_id: str, said: Said) -> None:
        """Let a response say something, and plan what follows from it."""
        if response_id not in self.said or said.patient:
            self._admit(response_id, said)
        self.said[response_id] = said
        self.plan([response_id])

    def amend(self, response_id: str, answer: int | None) -> None:
        before = self.said[response_id]
        self.say(response_id, Said(answer=answer, version=before.version + 1, patient=before.patient))

    def move(self, response_id: str, patient: str) -> None:
        """Let a response be another patient's, as the source corrects whom it was filed for."""
        before = self.said[response_id]
        self.say(response_id, replace(before, version=before.version + 1, patient=patient, is_withdrawn=False))

    def withdraw(self, response_id: str) -> None:
        before = self.said[response_id]
        self.say(response_id, replace(before, version=before.version + 1, is_withdrawn=True))

    def plan(self, response_ids: Sequence[str] = ()) -> None:
        """Plan these responses, or all of them, as a sweep does."""
        planner = stores.planner(self.ledger, self.site, self._find_patient)
        ids = list(response_ids or self.said)
        planner.plan(self.device(), [self.outcome(one) for one in ids if not self.said[one].is_withdrawn])
        planner.withdraw_all((one, "status") for one in ids if self.said[one].is_withdrawn)

    def _find_patient(self, patient_id: str) -> str:
        return self.merged.get(patient_id, patient_id)

    def device(self) -> Resource:
        return outcomes.device(self.origin)

    def outcome(self, response_id: str) -> Outcome:
        return outcome_of(response_id, self.said[response_id], self.origin)

    def _admit(self, response_id: str, said: Said) -> None:
        patient_id = patient_of(response_id, said)
        if self.ehr.chart.last(f"Patient/{patient_id}") is None:
            self.ehr.add_patient(patient_id)
        self.ehr.add_encounter(encounter_of(response_id, said), f"Patient/{patient_id}")

    # --- what the site does

    def client(self) -> FhirClient:
        return FhirClient(self.site.base_url, timeout_seconds=self.limits.timeout_seconds, clock=self.clock.as_clock())

    def deliver(self, *, limit: int | None = None, steps: int | None = None) -> str:
        """Deliver once; returns what ended it early, empty if nothing did. With `steps`, it is killed after so many."""
        self.ledger.steps = steps
        clock = self.clock.as_clock()
        limits = self.limits.model_copy(update={"connections": self.connections})
        site = self.site.model_copy(update={"limits": limits})
        try:
            with self.client() as client:
                report = deliver(self.ledger, client, site, limit=limit, clock=clock, connect=self.client)
        except DeliveryError as error:
            return type(error).__name__
        except KilledError:
            self.restart()
            return "killed"
        finally:
            self.ledger.steps = None
        return report.stopped

    def reconcile(self, *, repair: bool = False) -> str:
        try:
            with self.client() as client:
                reconcile(self.ledger, client, self.site, repair=repair)
        except DeliveryError as error:
            return type(error).__name__
        return ""

    def wait(self, seconds: float = 7200.0) -> None:
        self.clock.sleep(seconds)

    def restart(self) -> None:
        """Open the ledger anew, as the next process does."""
        self.ledger.close()
        self.ledger = self._opened()

    def keep_copy(self) -> Path:
        """Copy the ledger to a file beside it; returns the copy."""
        self.ledger.close()
        copy = self.folder / "copy.sqlite"
        shutil.copyfile(self.path, copy)
        self.ledger = self._opened()
        return copy

    def lose_ledger(self, copy: Path | None = None) -> None:
        """Lose the ledger, or have an old copy of it instead; then plan all that the source says, as a sweep does."""
        self.ledger.close()
        for file in self.folder.glob("ledger.sqlite*"):
            file.unlink()
        if copy is not None:
            shutil.copyfile(copy, self.path)
        self.ledger = self._opened()
        self.was_ledger_lost = True
        self.plan()

    def rest(self, *, repair: bool = False, rounds: int = 15) -> bool:
        """Deliver and reconcile until nothing changes any more; returns whether that came."""
        for _ in range(rounds):
            before = self._snapshot()
            self.wait()
            self.deliver()
            self.wait()
            self.reconcile(repair=repair)
            is_done = not self.unsettled()
            if self._snapshot() == before or (is_done and all(armed.is_spent for armed in self.ehr.armed)):
                return True
        return False

    def _snapshot(self) -> object:
        held = [(one.key, one.state, one.reason, one.ehr_id, one.ehr_version) for one in self.entries()]
        return held, len(self.ehr.chart.log()), [armed.fired for armed in self.ehr.armed]

    def _opened(self) -> MortalLedger:
        opened = MortalLedger.open(self.path, now=self.clock.now)
        assert isinstance(opened, MortalLedger)
        return opened

    # --- the judgement

    def entries(self) -> list[Entry]:
        return self.ledger.in_state(SITE, STATES, limit=1_000_000)

    def unsettled(self) -> list[Entry]:
        """Return what the chart was not seen to hold as it shall; what a document says in its place is not among it."""
        entries = self.entries()
        said = {one.response_id for one in entries if one.kind == "document" and is_proven(one.state)}
        return [
            one
            for one in entries
            if not is_proven(one.state) and not (one.response_id in said and work.goes_along(one))
        ]

    def values_in_chart(self) -> list[str]:
        """Return the references of what the client wrote and the chart holds, for a foreign hand to choose from."""
        references_ = dict.fromkeys(one.reference for one in self.ehr.chart.writes())
        return [one for one in references_ if self.ehr.chart.get(one) is not None]

    def judged(self) -> Verdict:
        """Compare the chart and the ledger with what the responses say."""
        verdict = Verdict()
        entries = {one.key: one for one in self.entries()}
        wanted = self._wanted()
        wanted |= self._standing_in(entries)
        unsettled = {one.key for one in self.unsettled()}
        matches = {key: self._matches(one.resource()) for key, one in entries.items()}
        verdict.faults += self._untold(wanted, entries)
        verdict.faults += self._moved()
        for key, entry in entries.items():
            verdict.faults += self._of_ledger(entry, wanted.get(key))
            found = [reference for reference, _ in matches[key]]
            if len([one for one in found if self._is_ours(one)]) > 1:
                verdict.faults.append(f"twice in the chart: {entry.kind} of {entry.response_id}, {entry.state}")
            is_so = self._is_as_desired(entry, matches)
            if self.was_ledger_lost and entry.state == "retracted" and not entry.ehr_id and not is_so:
                verdict.left["forgotten"] += 1
                continue
            if is_proven(entry.state) and not is_so:
                verdict.faults.append(f"{entry.state}, but not so: {entry.kind} of {entry.response_id}")
            if key in unsettled:
                verdict.left[entry.state] += 1
            else:
                verdict.exact += 1
        books = self.ledger.books(SITE)
        if not books.is_balanced:
            verdict.faults.append(books.sentences()[0])
        return verdict

    def _wanted(self) -> dict[str, Resource]:
        """Return what the responses call for now, by key, as the site takes it."""
        shaped = list(self.profile.shape_device(self.device()))
        for response_id, said in self.said.items():
            if not said.is_withdrawn:
                shaped += self._under_its_keys(response_id, self.profile.shape(self.outcome(response_id)), self.merged)
        return {one.resource["id"]: one.resource for one in shaped}

    def _under_its_keys(
        self, response_id: str, shaped: Sequence[Shaped], merged: Mapping[str, str]
    ) -> Sequence[Shaped]:
        """Return resources as the ledger names them once the response was another patient's.

        What a delivery plans by itself knows of nobody who was merged.
        """
        patient_id = patient_of(response_id, self.said[response_id])
        desired = Desired(
            response_id=response_id,
            patient_id=patient_id,
            response_version="",
            reason="",
            resources=shaped,
            was_merged=lambda former: merged.get(former) == patient_id,
        )
        [named] = self.ledger.of_their_patients(SITE, [desired])
        return named.resources

    def _standing_in(self, entries: Mapping[str, Entry]) -> dict[str, Resource]:
        """Return, by key, what the documents shall say that stand for refused Observations."""
        refused: dict[str, list[Entry]] = {}
        for one in sorted(entries.values(), key=lambda entry: RANKS[entry.kind]):
            if one.kind in OUTCOMES and one.state == "refused" and not one.is_withdrawn:
                refused.setdefault(one.response_id, []).append(one)
        resources = {of: [one.resource() for one in some] for of, some in refused.items()}
        shaped = ((of, self.profile.stand_in(some, of=f"{SITE}/{of}")) for of, some in resources.items())
        named = [one for of, document in shaped if document for one in self._under_its_keys(of, [document], {})]
        return {one.resource["id"]: one.resource for one in named if one.resource["id"] in entries}

    def _untold(self, wanted: Mapping[str, Resource], entries: Mapping[str, Entry]) -> Iterator[str]:
        for key in wanted.keys() - entries.keys():
            yield f"called for, and not in the ledger: {wanted[key]['resourceType']}"

    def _moved(self) -> Iterator[str]:
        """Say what the client wrote over with another patient's content."""
        for reference in dict.fromkeys(one.reference for one in self.ehr.chart.writes()):
            before = ""
            for version in self.ehr.chart.history(reference):
                subject = (version.resource or {}).get("subject", {}).get("reference", "").removeprefix("Patient/")
                subject = self._find_patient(subject)
                if version.by == CLIENT and before and subject not in ("", before):
                    yield f"moved to another patient: {reference.partition('/')[0]}"
                before = subject or before

    def _of_ledger(self, entry: Entry, wanted: Resource | None) -> Iterator[str]:
        """Say what the ledger wants otherwise than the responses do."""
        where = f"{entry.kind} of {entry.response_id}"
        if wanted is None:
            goes_along = entry.kind in ("provenance", "device")
            if not entry.is_withdrawn and not goes_along:
                yield f"wanted, and not called for: {where}"
            return
        if entry.is_withdrawn:
            yield f"withdrawn, and called for: {where}"
            return
        amended = self.profile.amended(wanted)
        fine = {content_hash(wanted)} | ({content_hash(amended)} if amended is not None else set())
        if content_hash(entry.resource()) not in fine:
            yield f"another content is wanted than is called for: {where}, {entry.state}"

    def _matches(self, desired: Resource) -> list[tuple[str, Resource]]:
        held = self.ehr.chart.current(desired["resourceType"])
        return [(f"{one['resourceType']}/{one['id']}", one) for one in held if self.profile.is_it(desired, one)]

    def _is_ours(self, reference: str) -> bool:
        return self.ehr.chart.history(reference)[0].by == CLIENT

    def _is_as_desired(self, entry: Entry, matches: Mapping[str, list[tuple[str, Resource]]]) -> bool:
        """Tell whether the chart holds it once and equal, or, if it was withdrawn, nothing that counts."""
        found = matches[entry.key]
        if entry.is_withdrawn and entry.kind not in ("provenance", "device"):
            return all(one.get("status") == "entered-in-error" for _, one in found)
        if len(found) != 1:
            return entry.state == "retracted" and not found
        resource = entry.resource()
        ids = self.ledger.ehr_ids(SITE, references.own(resource))
        desired = references.rewritten(resource, references.places(ids, resource))
        keeps_all = self.profile.abilities.keeps_all
        return not differences(desired, found[0][1], base_url=self.site.base_url, keeps_all=keeps_all)


def is_proven(state: str) -> bool:
    """Tell whether a state says that the chart was seen to be as it shall be."""
    return state in ("verified", "retracted")


def origin_of(site: str) -> outcomes.Origin:
    """Return by whom a site's outcomes are computed."""
    return outcomes.Origin(
        site=site,
        software_version="0.1.0",
        mapping="msis29_venoplasty 1.0.0",
        recorded=START,
        minimum_answered=msis29.HALF_OF_THE_ITEMS,
    )


def outcome_of(response_id: str, said: Said, origin: outcomes.Origin) -> Outcome:
    """Return the outcome of a response, `r` and a number."""
    moment = datetime(2012, 5, 4, 7, 15, tzinfo=UTC) + timedelta(days=int(response_id.removeprefix("r")))
    answers: msis29.Answers = {item: [said.answer] for item in msis29.ITEMS} if said.answer is not None else {}
    score = msis29.score(answers, "1")
    response = Response(
        response_id=response_id,
        patient_id=patient_of(response_id, said),
        status="completed" if said.version == 1 else "amended",
        version_id=str(said.version),
        moment=Moment(day=date.fromordinal(moment.toordinal()), instant=moment, text=moment.isoformat()),
        instrument_version="1",
        answered_by=f"Patient/{patient_of(response_id, said)}",
        encounter_id=encounter_of(response_id, said),
        score=score,
        reason=score.reason,
    )
    return outcomes.build(response, origin)


def patient_of(response_id: str, said: Said | None = None) -> str:
    """Two responses in a row are of one patient, unless they say otherwise."""
    return said.patient if said and said.patient else f"p{int(response_id.removeprefix('r')) // 2}"


def encounter_of(response_id: str, said: Said) -> str:
    return f"e-{response_id}-{said.patient}" if said.patient else f"e-{response_id}"


@contextmanager
def world(ehr: Simulator, name: str, folder: Path, **options: Any) -> Iterator[World]:
    """Make a world in a folder of its own, and close it."""
    folder.mkdir(parents=True, exist_ok=True)
    made = World(ehr, name, folder, **options)
    try:
        yield made
    finally:
        made.close()
