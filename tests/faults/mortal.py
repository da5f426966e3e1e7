"""Deliveries that are killed (SIGKILL) at each of their steps: a process that loads everything once and forks them.

`python tests/faults/mortal.py SITE LEDGER KILLED STRIDE` reads a moment (ISO 8601) a line, delivers once in a child of
its own whose clock begins there, and prints the child's pid and then its wait status. A child kills itself at the first
step that is not in the file KILLED yet, after it has written it there; with a STRIDE only at one step in so many.
"""

import json
import os
import signal
import sys
import zlib
from datetime import datetime
from pathlib import Path
from typing import Any

from delivery_world import MovingClock

from integration.settings import Site
from integration.sources.client import Answer, FhirClient
from server.delivery.run import deliver
from server.ledger import Entry, Ledger

DONE, UNDONE = 0, 4


class Steps:
    """The steps at which a delivery is killed once each."""

    def __init__(self, killed: Path, stride: int) -> None:
        self._file, self._stride = killed, stride
        self._killed = set(killed.read_text(encoding="utf-8").splitlines()) if killed.exists() else set()

    def at(self, name: str, key: str) -> None:
        step = f"{name} {key}"
        if self._stride and zlib.crc32(step.encode()) % self._stride == 0 and step not in self._killed:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(f"{step}\n")
            os.kill(os.getpid(), signal.SIGKILL)


class WatchedLedger(Ledger):
    steps: Steps

    def claim(self, site: str, keys: Any, **options: Any) -> list[Entry]:
        self.steps.at("before the claim of", keys[0])
        claimed = super().claim(site, keys, **options)
        self.steps.at("after the claim of", keys[0])
        return claimed

    def settle(self, site: str, settlements: Any, **options: Any) -> None:
        key = settlements[0].key if settlements else ""
        self.steps.at("before the settlement of", key)
        super().settle(site, settlements, **options)
        self.steps.at("after the settlement of", key)


class WatchedClient(FhirClient):
    steps: Steps

    def _send(self, method: str, url: str, **options: Any) -> Answer:
        body = f"{method} {url} {zlib.crc32(options.get('body') or b'')}"
        if method != "GET":
            self.steps.at("before the request", body)
        answer = super()._send(method, url, **options)
        if method != "GET":
            self.steps.at("after the answer to", body)
        return answer


def run(site: Site, path: Path, steps: Steps, moment: datetime) -> int:
    """Deliver once; returns the exit status."""
    clock = MovingClock()
    clock.sleep((moment - clock.now()).total_seconds())
    ledger = WatchedLedger.open(path, now=clock.now)
    client = WatchedClient(site.base_url, timeout_seconds=10, clock=clock.as_clock())
    assert isinstance(ledger, WatchedLedger)
    ledger.steps = client.steps = steps
    with ledger, client:
        report = deliver(ledger, client, site, clock=clock.as_clock())
    return UNDONE if report.remaining else DONE


def main(site_json: str, path: str, killed: str, stride: str) -> None:
    site = Site.model_validate(json.loads(site_json))
    for line in sys.stdin:
        moment = datetime.fromisoformat(line.strip())
        pid = os.fork()
        if pid == 0:
            os._exit(run(site, Path(path), Steps(Path(killed), int(stride)), moment))
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
