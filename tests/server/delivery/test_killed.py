"""A delivery is killed (SIGKILL) at every kind of step, started again, and still writes each outcome once."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integration import outcomes
from integration.settings import Limits, Site
from integration.sources.client import FhirClient
from server.jobs import stores
from server.ledger import Ledger
from server.reconcile import reconcile

ROOT = Path(__file__).resolve().parents[3]
RESPONSES = 50
RESOURCES = 4 * RESPONSES + 1

SCRIPT = """
    import os, signal, sys, time
    from pathlib import Path
    from integration.settings import Limits, Site
    from integration.sources.client import connect
    from server.delivery.run import deliver
    from server.ledger import Ledger

    path, url, profile, kill_at = sys.argv[1:]
    steps = int(kill_at)

    def step():
        global steps
        steps -= 1
        if steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    class Watched(Ledger):
        def claim(self, *arguments, **options):
            step()
            claimed = super().claim(*arguments, **options)
            step()
            return claimed

        def settle(self, *arguments, **options):
            step()
            super().settle(*arguments, **options)
            step()

    limits = Limits(entries_per_transaction=20, settle_seconds=0.3, timeout_seconds=1.0)
    site = Site(name="north", base_url=url, write_profile=profile, limits=limits)
    with Watched.open(Path(path)) as ledger, connect(site) as client:
        while (report := deliver(ledger, client, site)).leased_until:  # until the leases of the killed one have ended
            time.sleep(0.2)
        sys.exit(0 if report.remaining == 0 else 4)
"""

Start = Callable[..., subprocess.Popen[bytes]]

NORTH = Site(name="north", base_url="http://127.0.0.1/fhir")


@pytest.fixture
def start(tmp_path: Path, chart: Any, build_outcome: Callable[..., outcomes.Outcome], device: Any) -> Start:
    """Plan the outcomes of 50 responses; then each call starts one delivery of them."""
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        stores.planner(ledger, NORTH).plan(device, [build_outcome(f"r{number:02}") for number in range(RESPONSES)])

    def run(profile: str, kill_at_step: int = 0) -> subprocess.Popen[bytes]:
        arguments = [str(tmp_path / "ledger.sqlite"), chart.base_url, profile, str(kill_at_step)]
        return subprocess.Popen([sys.executable, "-c", textwrap.dedent(SCRIPT), *arguments], cwd=ROOT)

    return run


@pytest.fixture
def prove(tmp_path: Path, chart: Any, client: FhirClient) -> Callable[[], None]:
    def check() -> None:
        site = Site(name="north", base_url=chart.base_url, limits=Limits())
        with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
            proof = reconcile(ledger, client, site)
        assert len(chart.keys()) == len(set(chart.keys())) == RESOURCES
        assert proof.findings == []
        assert (proof.books.outcomes, proof.books.lines["verified"]) == (3 * RESPONSES, 3 * RESPONSES)
        assert proof.books.is_proven

    return check


@pytest.mark.parametrize(
    ("profile", "kills"),
    [
        ("generic", {1: "lost", 2: "stored", 6: "lost", 11: "stored"}),
        ("single", {1: "stored", 3: "lost", 50: "stored", 120: "stored"}),
    ],
)
def test_killed_while_the_server_holds_the_request(
    *, chart: Any, start: Start, prove: Callable[[], None], profile: str, kills: dict[int, str]
) -> None:
    running: list[subprocess.Popen[bytes]] = []

    def kill(number: int) -> str:
        fate = kills.get(number, "")
        if fate:
            os.kill(running[-1].pid, signal.SIGKILL)
            running[-1].wait(10)
        return "lost" if fate == "lost" else ""

    chart.on_write = kill
    statuses = []
    while not statuses or statuses[-1] != 0:
        running.append(start(profile))
        statuses.append(running[-1].wait(60))

    assert statuses.count(-signal.SIGKILL) == len(kills)
    assert len(statuses) <= 2 * len(kills) + 1
    prove()


@pytest.mark.parametrize(("profile", "steps"), [("generic", (1, 2, 3, 8)), ("single", (2, 3, 15))])
def test_killed_around_each_record_in_the_ledger(
    *, start: Start, prove: Callable[[], None], profile: str, steps: tuple[int, ...]
) -> None:
    killed = [start(profile, at).wait(60) for at in steps]
    last = start(profile).wait(60)

    assert killed == [-signal.SIGKILL] * len(steps)
    assert last == 0
    prove()
