"""Several workers on one ledger, as threads and as processes, over both databases."""

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from integration import outcomes
from integration.settings import Limits, Site
from integration.sources.client import FhirClient
from server.jobs import stores
from server.ledger import Entry, Ledger, Settlement
from server.reconcile import reconcile

ROOT = Path(__file__).resolve().parents[3]
NORTH = Site(name="north", base_url="http://127.0.0.1/fhir")
RESPONSES, WORKERS = 300, 4

BuildOutcome = Callable[..., outcomes.Outcome]
Place = Path | str


class MovedClock:
    """A clock that a test moves on."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 5, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def pass_seconds(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def moved() -> MovedClock:
    return MovedClock()


@pytest.fixture
def shared(place: Place, moved: MovedClock) -> Iterator[Ledger]:
    """A ledger that several workers use, with a clock that a test moves on."""
    with Ledger.open(place, now=moved.now) as opened:
        yield opened


def plan(ledger: Ledger, device: Any, build_outcome: BuildOutcome, responses: int, *, answer: int = 3) -> None:
    built = (build_outcome(f"r{number:03}", answer=answer) for number in range(responses))
    stores.planner(ledger, NORTH).plan(device, built)


def claim(ledger: Ledger, worker: str, keys: list[str], request_id: str = "x") -> list[Entry]:
    return ledger.claim("north", keys, request_id=request_id, interaction="create", worker=worker, seconds=60)


def keys_of(entries: list[Entry]) -> list[str]:
    return [entry.key for entry in entries]


def work(ledger: Ledger, worker: str, *, responses: int = 7) -> list[str]:
    """Lease, claim and settle until nothing is left; returns the keys that were claimed."""
    claimed: list[str] = []
    after: str | None = None
    while leased := ledger.lease("north", worker, after=after, responses=responses, seconds=60):
        for number, start in enumerate(range(0, len(leased), 5)):
            request_id = f"{worker}-{len(claimed)}-{number}"
            own = claim(ledger, worker, keys_of(leased[start : start + 5]), request_id)
            claimed += keys_of(own)
            taken = [Settlement(key=one.key, state="accepted", ehr_id="1", ehr_version="1") for one in own]
            ledger.settle("north", taken, request_id=request_id)
        after = leased[-1].response_id
        ledger.unlease("north", worker)
    return claimed


def test_threads_claim_every_resource_exactly_once(shared: Ledger, build_outcome: BuildOutcome, device: Any) -> None:
    plan(shared, device, build_outcome, RESPONSES)
    begin = threading.Barrier(WORKERS)

    def worker(name: str) -> list[str]:
        begin.wait(30)
        return work(shared, name)

    with ThreadPoolExecutor(WORKERS) as pool:
        claimed = Counter(key for keys in pool.map(worker, "abcd") for key in keys)

    assert set(claimed.values()) == {1}
    assert claimed.total() == 4 * RESPONSES + 1
    assert shared.counts("north") == {"accepted": 4 * RESPONSES + 1}


SCRIPT = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_concurrency as tests
place = sys.argv[2] if sys.argv[2].startswith("postgresql") else Path(sys.argv[2])
with tests.Ledger.open(place) as ledger:
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(tests.work(ledger, sys.argv[3])))
"""


def test_processes_claim_every_resource_exactly_once(place: Place, build_outcome: BuildOutcome, device: Any) -> None:
    with Ledger.open(place) as ledger:
        plan(ledger, device, build_outcome, RESPONSES)
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    arguments = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(place)]

    running = [subprocess.Popen([*arguments, worker], **pipes) for worker in "ab"]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    claimed = Counter(key for process in running for key in json.loads(process.communicate(timeout=60)[0]))

    assert set(claimed.values()) == {1}
    assert claimed.total() == 4 * RESPONSES + 1


def test_workers_that_begin_together_all_get_something(
    shared: Ledger, build_outcome: BuildOutcome, device: Any
) -> None:
    plan(shared, device, build_outcome, 40)
    begin = threading.Barrier(WORKERS)

    def first_lease(worker: str) -> set[str]:
        begin.wait(30)
        return {one.response_id for one in shared.lease("north", worker, after=None, responses=10, seconds=60)}

    with ThreadPoolExecutor(WORKERS) as pool:
        leased = list(pool.map(first_lease, "abcd"))

    assert all(leased)
    assert Counter(one for some in leased for one in some).most_common(1)[0][1] == 1


def test_a_lease_that_ended_is_taken_over_and_the_late_worker_claims_nothing(
    shared: Ledger, moved: MovedClock, build_outcome: BuildOutcome, device: Any
) -> None:
    plan(shared, device, build_outcome, 3)
    first = shared.lease("north", "slow", after="", responses=3, seconds=60)
    while_it_lasts = shared.lease("north", "other", after="", responses=3, seconds=60)

    moved.pass_seconds(60)
    second = shared.lease("north", "other", after="", responses=3, seconds=60)
    late = claim(shared, "slow", keys_of(first))
    own = claim(shared, "other", keys_of(second))

    assert while_it_lasts == []
    assert keys_of(first) == keys_of(second) == keys_of(own)
    assert late == []


def test_a_claim_renews_what_the_worker_holds(
    shared: Ledger, moved: MovedClock, build_outcome: BuildOutcome, device: Any
) -> None:
    plan(shared, device, build_outcome, 2)
    leased = shared.lease("north", "a", after="", responses=2, seconds=60)

    moved.pass_seconds(50)
    claim(shared, "a", keys_of(leased[:4]))
    moved.pass_seconds(50)

    assert shared.lease("north", "b", after="", responses=2, seconds=60) == []
    assert keys_of(claim(shared, "a", keys_of(leased[4:]), "y")) == keys_of(leased[4:])


def test_what_is_on_its_way_is_read_by_one_worker_only(
    shared: Ledger, moved: MovedClock, build_outcome: BuildOutcome, device: Any
) -> None:
    plan(shared, device, build_outcome, 2)
    leased = shared.lease("north", "gone", after="", responses=2, seconds=60)
    sent = claim(shared, "gone", keys_of(leased))

    early = shared.lease_open("north", "a", after="", responses=10, seconds=60)
    moved.pass_seconds(60)
    found = shared.lease_open("north", "a", after="", responses=10, seconds=60)
    again = shared.lease_open("north", "b", after="", responses=10, seconds=60)

    assert (early, keys_of(found), again) == ([], keys_of(sent), [])


def test_planning_and_sending_at_once_neither_block_each_other_nor_lose_anything(
    shared: Ledger, build_outcome: BuildOutcome, device: Any
) -> None:
    plan(shared, device, build_outcome, 60)

    def plan_changes() -> None:
        for answer in (4, 2, 5, 1):
            plan(shared, device, build_outcome, 60, answer=answer)

    with ThreadPoolExecutor(WORKERS) as pool:
        planning = pool.submit(plan_changes)
        sending = [pool.submit(work, shared, worker) for worker in "abc"]
        for future in (planning, *sending):
            future.result(60)
    work(shared, "last")

    assert shared.counts("north") == {"accepted": 4 * 60 + 1}
    assert shared.books("north").difference == 0
    expected = {one["id"]: one for number in range(60) for one in build_outcome(f"r{number:03}", answer=1).observations}
    held = {entry.key: entry.known_resource() for entry in shared.entries("north", expected)}
    assert {key: one["valueQuantity"]["value"] for key, one in held.items() if one and "valueQuantity" in one} == {
        key: one["valueQuantity"]["value"] for key, one in expected.items() if "valueQuantity" in one
    }


DELIVERY = """
import sys
from pathlib import Path
from integration.settings import Limits, Site
from integration.sources.client import connect
from server.delivery.run import deliver
from server.ledger import Ledger
place = sys.argv[1] if sys.argv[1].startswith("postgresql") else Path(sys.argv[1])
limits = Limits(entries_per_transaction=20, settle_seconds=5, timeout_seconds=10, connections=2)
site = Site(name="north", base_url=sys.argv[2], write_profile=sys.argv[3], limits=limits)
with Ledger.open(place) as ledger, connect(site) as client:
    print("ready", flush=True)
    sys.stdin.readline()
    report = deliver(ledger, client, site, connect=lambda: connect(site))
    print(sum(report.sent.values()))
"""


@pytest.mark.parametrize("profile", ["generic", "single"])
def test_two_deliveries_at_once_write_nothing_twice(
    place: Place, profile: str, chart: Any, client: FhirClient, build_outcome: BuildOutcome, device: Any
) -> None:
    with Ledger.open(place) as ledger:
        plan(ledger, device, build_outcome, 40)
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    arguments = [sys.executable, "-c", DELIVERY, str(place), chart.base_url, profile]

    running = [subprocess.Popen(arguments, **pipes) for _ in "ab"]
    for process in running:
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    sent = [int(process.communicate(timeout=60)[0]) for process in running]

    assert [process.returncode for process in running] == [0, 0]
    assert sum(sent) == len(chart.keys()) == len(set(chart.keys())) == 4 * 40 + 1
    site = Site(name="north", base_url=chart.base_url, write_profile=profile, limits=Limits())
    with Ledger.open(place) as ledger:
        assert reconcile(ledger, client, site).books.is_proven


def test_a_lease_taken_while_the_clock_was_ahead_is_over_once_it_is_right(
    shared: Ledger, moved: MovedClock, build_outcome: BuildOutcome, device: Any
) -> None:
    plan(shared, device, build_outcome, 2)
    moved.pass_seconds(86_400)
    first = shared.lease("north", "gone", after="", responses=2, seconds=60)

    moved.pass_seconds(-80_000)
    until = shared.leased_until("north")
    second = shared.lease("north", "other", after="", responses=2, seconds=60)

    assert until == ""
    assert keys_of(first) == keys_of(second) == keys_of(claim(shared, "other", keys_of(second)))
    assert claim(shared, "gone", keys_of(first)) == []
