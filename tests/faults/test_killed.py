"""A delivery is killed (SIGKILL) at every step and started again, and still writes each outcome once."""

import json
import os
import signal
import subprocess
import sys
import threading
import tomllib
import uuid
import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import pytest
from delivery_world import RULE_SETS, START, STATES, Said, World, origin_of, outcome_of
from ehr_faults import Fault
from ehr_simulator import Simulator
from mortal import DONE, UNDONE

from integration import outcomes
from integration.settings import Site
from integration.sources import search
from integration.sources.client import FhirClient
from server.delivery import lookup
from server.demo import fhir_server
from server.jobs import stores
from server.ledger import Ledger
from server.reconcile import reconcile

HERE = Path(__file__).resolve().parent
SEKMET = HERE.parents[1] / ".sekmet" / "bin" / "sekmet"
SAMPLE, ALL = 6, 50
STRIDE = {"generic": 3, "single": 5, "epic-like": 9, "oracle-like": 9, "athena-like": 9, "document": 6, "fallback": 7}
"""Of the sample: it is killed at one step in so many."""
ENOUGH = 3000


class Mortal:
    """Deliveries of a ledger to a site, each a process, until one lives to its end.

    Attributes:
        statuses: of the processes, as the system gave them.
    """

    def __init__(self, site: Site, path: Path, *, stride: int) -> None:
        self._killed = path.with_name("killed.txt")
        given = json.dumps(site.model_dump(mode="json", exclude_defaults=True))
        command = [sys.executable, str(HERE / "mortal.py"), given, str(path), str(self._killed), str(stride)]
        self._process = subprocess.Popen(
            command, cwd=HERE.parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._alive = threading.Lock()
        self.pid = 0
        self.statuses: list[int] = []

    def __enter__(self) -> "Mortal":
        return self

    def __exit__(self, *error: object) -> None:
        self._pipe(self._process.stdin).close()
        self._process.wait(30)
        self._pipe(self._process.stdout).close()

    def deliver(self) -> None:
        """Start deliveries, an hour after each other, until one has nothing left to send."""
        for number in range(1, ENOUGH):
            self._start(number)
            status = os.waitstatus_to_exitcode(self.statuses[-1])
            if status == DONE:
                return
            assert status in (UNDONE, -signal.SIGKILL), "a delivery failed; what it said is above"
        pytest.fail(f"{ENOUGH} deliveries did not come to an end")

    def kill(self) -> None:
        """Kill the delivery that runs."""
        os.kill(self.pid, signal.SIGKILL)

    @property
    def kills(self) -> int:
        return sum(os.waitstatus_to_exitcode(one) == -signal.SIGKILL for one in self.statuses)

    @property
    def steps(self) -> list[str]:
        return self._killed.read_text(encoding="utf-8").splitlines() if self._killed.exists() else []

    def _start(self, number: int) -> None:
        stdin, stdout = self._pipe(self._process.stdin), self._pipe(self._process.stdout)
        stdin.write(f"{(START + timedelta(hours=number)).isoformat()}\n")
        stdin.flush()
        self.pid = int(stdout.readline())
        self.statuses.append(int(stdout.readline()))

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


@pytest.fixture(scope="module")
def sekmet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a server that somebody else wrote, with a data folder of its own."""
    if not SEKMET.is_file():
        pytest.skip("no sekmet-fhir in .sekmet; `make test` installs it")
    with fhir_server.running(SEKMET, tmp_path_factory.mktemp("sekmet")) as url:
        yield url


def of_simulator(ehr: Simulator, rules: str, folder: Path, *, responses: int, stride: int) -> None:
    it = planned(ehr, rules, folder, responses)
    with Mortal(it.site, it.path, stride=stride) as mortal:
        mortal.deliver()
    check(it, mortal)
    assert mortal.kills == len(mortal.steps) > 0


def planned(ehr: Simulator, rules: str, folder: Path, responses: int) -> World:
    it = World(ehr, rules, folder)
    for number in range(responses):
        it.say(f"r{number}", Said(answer=number % 5 + 1))
    it.restart()
    return it


def check(it: World, mortal: Mortal) -> None:
    it.wait(3600.0 * (len(mortal.statuses) + 2))
    it.reconcile()
    verdict, books = it.judged(), it.ledger.books(it.site.name)
    it.close()

    assert (verdict.faults, dict(verdict.left)) == ([], {}), mortal.steps[-3:]
    assert books.is_proven, books.sentences()


@pytest.mark.parametrize("rules", list(RULE_SETS))
def test_killed_at_steps(ehr: Simulator, tmp_path: Path, rules: str) -> None:
    of_simulator(ehr, rules, tmp_path, responses=SAMPLE, stride=STRIDE[rules])


@pytest.mark.faults
@pytest.mark.parametrize("rules", list(RULE_SETS))
def test_killed_at_every_step(ehr: Simulator, tmp_path: Path, rules: str) -> None:
    of_simulator(ehr, rules, tmp_path, responses=ALL, stride=1)


def in_flight(ehr: Simulator, rules: str, folder: Path, responses: int) -> None:
    """Kill while the server holds a request, the first time that it comes; every other one it then does not do."""
    it = planned(ehr, rules, folder, responses)
    seen: dict[int, bool] = {}
    with Mortal(it.site, it.path, stride=0) as mortal:

        def is_lost(request: Any) -> bool:
            body = zlib.crc32(request.body)
            if body in seen:
                return False
            seen[body] = len(seen) % 2 == 0
            mortal.kill()
            return seen[body]

        ehr.arm(Fault(name="killed", kind="reset", on="write", times=None, where=is_lost))
        mortal.deliver()
    check(it, mortal)
    assert mortal.kills == len(seen) > 0


@pytest.mark.parametrize("rules", ["generic", "oracle-like"])
def test_killed_while_the_server_holds_a_request(ehr: Simulator, tmp_path: Path, rules: str) -> None:
    in_flight(ehr, rules, tmp_path, SAMPLE)


@pytest.mark.faults
@pytest.mark.parametrize("rules", list(RULE_SETS))
def test_killed_while_the_server_holds_each_request(ehr: Simulator, tmp_path: Path, rules: str) -> None:
    in_flight(ehr, rules, tmp_path, ALL)


def of_sekmet(base_url: str, rules: str, folder: Path, *, responses: int, stride: int) -> None:
    name, path = f"north-{uuid.uuid4().hex}", folder / "ledger.sqlite"
    table = {**tomllib.loads(RULE_SETS[rules].table), "limits": {"entries_per_transaction": 8, "settle_seconds": 0.0}}
    site = Site.model_validate({"name": name, "base_url": base_url, **table})
    origin = origin_of(name)
    built = [outcome_of(f"r{number}", Said(answer=number % 5 + 1), origin) for number in range(responses)]
    with Ledger.open(path, now=lambda: START) as ledger:
        stores.planner(ledger, site).plan(outcomes.device(origin), built)
    with Mortal(site, path, stride=stride) as mortal:
        mortal.deliver()
    with Ledger.open(path) as ledger, FhirClient(base_url) as client:
        books = reconcile(ledger, client, site).books
        entries = ledger.in_state(name, STATES, limit=100_000)
        copies: Counter[int] = Counter()
        for entry in entries:
            parameter, token = lookup.token(entry)
            pages = search.pages(client, entry.resource_type, {parameter: token})
            copies[sum(len(page.resources) for page in pages)] += 1

    assert books.is_proven, books.sentences()
    assert copies == {1: 4 * responses + 1}
    assert mortal.kills == len(mortal.steps) > 0


@pytest.mark.parametrize("rules", ["generic", "single"])
def test_killed_at_steps_with_a_real_server(sekmet: str, tmp_path: Path, rules: str) -> None:
    of_sekmet(sekmet, rules, tmp_path, responses=SAMPLE, stride=STRIDE[rules])


@pytest.mark.faults
@pytest.mark.parametrize("rules", ["generic", "single"])
def test_killed_at_every_step_with_a_real_server(sekmet: str, tmp_path: Path, rules: str) -> None:
    of_sekmet(sekmet, rules, tmp_path, responses=ALL, stride=1)
