"""Time the service: how fast it takes responses durably, and how soon one that is posted is verified in the chart.

    python tests/benchmarks/service.py [--seconds 8] [--rounds 3] [--workers 1] [--posts 100000] [--only PART]

accept: `wrk` posts responses that are all different over 16 kept connections; in turn to a Flask endpoint that does
nothing, served by the same processes, and to `outcome-bridge serve` with its worker planning what comes; then at half
of the rate that the service took, for the times of answers. chart: against sekmet-fhir as the hospital, ten responses
a second, each followed until another client reads its scores in the chart with the values that its answers give, and
until the ledger calls its outcome verified. memory: resident memory of the service over many posts. Not a test: figures
depend on the machine. Targets stand beside them.
"""

# ruff: noqa: E402 - the checkout is put on the path first
from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import requests

from integration.warehouse import Warehouse
from server.demo import fhir_server
from server.ledger import Ledger

SEKMET = ROOT / ".sekmet" / "bin" / "sekmet"
CONNECTIONS = 16
FHIR = {"Content-Type": "application/fhir+json"}
ANSWERS = ",".join(f'{{"linkId":"{item}","answer":[{{"valueInteger":3}}]}}' for item in range(1, 30))
RESPONSE = (
    '{"resourceType":"QuestionnaireResponse","id":"NAME","questionnaire":"urn:outcome-bridge:questionnaire:msis-29-v1",'
    '"status":"completed","subject":{"reference":"Patient/p1"},"authored":"2012-05-04T09:15:00+02:00",'
    f'"item":[{ANSWERS}]}}'
)
PATIENT = b'{"resourceType":"Patient","id":"p1","gender":"female","birthDate":"1970-01-01"}'
SCRIPT = """
local threads, count = 0, 0
local before, after = [[BEFORE]], [[AFTER]]
function setup(thread) thread:set("number", threads); threads = threads + 1 end
function request()
  count = count + 1
  local body = before .. "RUN-" .. number .. "-" .. count .. after
  return wrk.format("POST", nil, {["Content-Type"] = "application/fhir+json"}, body)
end
"""
NOTHING = """
import socket, sys
from flask import Flask, Response, request
from integration.process_settings import Process
from server.service import web_server

app = Flask("nothing", static_folder=None)

@app.post("/fhir/QuestionnaireResponse")
def nothing() -> Response:
    request.get_data()
    return Response(b"{}", 201, content_type="application/fhir+json")

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024)
web_server.run(listener, lambda: app, lambda: None, Process(workers=int(sys.argv[2])))
"""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What wrk says: answers a second, and their times in ms."""

    rate: float
    median: float
    p99: float
    refused: int


def main() -> None:
    asked = _arguments()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, load before {os.getloadavg()[0]:.2f}\n")
    parts: dict[str, Callable[[argparse.Namespace], None]] = {"accept": accept, "chart": chart, "memory": memory}
    for name, part in parts.items():
        if asked.only in ("", name):
            part(asked)


def accept(asked: argparse.Namespace) -> None:
    """Print rates and times."""
    print("| round | nothing /s | p99 ms | taken /s | p99 ms | ratio (0.5) | at half: /s | median ms | p99 ms (50) |")
    print("|---|---|---|---|---|---|---|---|---|")
    ratios = []
    for number in range(asked.rounds):
        with nothing(asked.workers) as url:
            empty = wrk(url, asked.seconds, f"n{number}")
        with tempfile.TemporaryDirectory() as folder, service(Path(folder), asked.workers) as (url, _):
            warm = wrk(url, 1, "warm")
            taken = wrk(url, asked.seconds, f"r{number}")
        with tempfile.TemporaryDirectory() as folder, service(Path(folder), asked.workers) as (url, _):
            wrk(url, 1, "warm")
            half = wrk(url, asked.seconds, f"h{number}", pause_ms=2000 * CONNECTIONS / taken.rate)
        if empty.refused or warm.refused or taken.refused or half.refused:
            raise RuntimeError("something was refused")
        ratios.append(taken.rate / empty.rate)
        print(
            f"| {number + 1} | {empty.rate:.0f} | {empty.p99:.1f} | {taken.rate:.0f} | {taken.p99:.1f} |"
            f" {ratios[-1]:.2f} | {half.rate:.0f} | {half.median:.1f} | {half.p99:.1f} |"
        )
    print(f"\nmedian ratio {statistics.median(ratios):.2f}\n")


def chart(asked: argparse.Namespace) -> None:
    """Print how soon responses are in the chart, and proven to be there."""
    wanted = asked.seconds * 10
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        base_url = stack.enter_context(fhir_server.running(SEKMET, folder / "sekmet"))
        requests.put(f"{base_url}/Patient/p1", data=PATIENT, headers=FHIR, timeout=30).raise_for_status()
        url, _ = stack.enter_context(service(folder / "ours", asked.workers, base_url))
        ledger = stack.enter_context(Ledger.open(folder / "ours" / "state" / "ledger.sqlite"))
        posted: dict[str, float] = {}
        pool = stack.enter_context(ThreadPoolExecutor(32))
        ends = time.perf_counter() + wanted / 10 + 60
        ways = {
            "another reads both scores in the chart": lambda names: _in_chart(base_url, names),
            "verified": lambda names: _verified(ledger, names),
        }
        watched = {until: pool.submit(_watch, look, posted, wanted, ends) for until, look in ways.items()}
        answers = [_post(pool, url, f"c{number}", posted) for number in range(wanted)]
        for one in answers:
            one.result().raise_for_status()
        found = {until: sorted(one.result()) for until, one in watched.items()}
    print("| posts at 10 a second | until | median s | p99 s (2) | longest s |")
    print("|---|---|---|---|---|")
    for until, seconds in found.items():
        ninth = seconds[int(len(seconds) * 0.99) - 1]
        print(f"| {len(seconds)} | {until} | {statistics.median(seconds):.2f} | {ninth:.2f} | {seconds[-1]:.2f} |")
    print()


def _post(pool: ThreadPoolExecutor, url: str, name: str, posted: dict[str, float]) -> Future[requests.Response]:
    """Post a response, and take a tenth of a second for it."""
    started = posted[name] = time.perf_counter()
    answer = pool.submit(requests.post, url, data=RESPONSE.replace("NAME", name), headers=FHIR, timeout=30)
    time.sleep(max(0.0, 0.1 - (time.perf_counter() - started)))
    return answer


def _watch(
    look: Callable[[list[str]], set[str]], posted: dict[str, float], wanted: int, ends: float
) -> Iterable[float]:
    """Return how many seconds after it was posted each response was found; all are looked for in one question."""
    found: dict[str, float] = {}
    while len(found) < wanted:
        if time.perf_counter() > ends:
            raise RuntimeError(f"{wanted - len(found)} of {wanted} did not come")
        waiting = [name for name in tuple(posted) if name not in found]
        there = look(waiting) if waiting else set()
        found |= {name: time.perf_counter() - posted[name] for name in there}
        time.sleep(0.1)
    return found.values()


def _in_chart(base_url: str, names: list[str]) -> set[str]:
    """Return of which responses both scores are in the chart, with the value that the answers give."""
    sources = ",".join(f"QuestionnaireResponse/{name}" for name in names)
    query = {"derived-from": sources, "_count": "1000"}
    entries = requests.get(f"{base_url}/Observation", params=query, timeout=30).json().get("entry", [])
    seen: Counter[str] = Counter()
    for resource in (entry["resource"] for entry in entries):
        if resource.get("valueQuantity", {}).get("value") == 50:
            seen.update(one["reference"].rpartition("/")[2] for one in resource["derivedFrom"])
    return {name for name in names if seen[name] == 2}


def _verified(ledger: Ledger, names: list[str]) -> set[str]:
    """Return of which responses the ledger calls all that belongs to them verified."""
    states: dict[str, set[str]] = {}
    for entry in ledger.of_responses("north", names):
        states.setdefault(entry.response_id, set()).add(entry.state)
    return {name for name, found in states.items() if found == {"verified"}}


def memory(asked: argparse.Namespace) -> None:
    """Print resident memory over many posts."""
    print("| posts | resident MB, all processes |")
    print("|---|---|")
    with tempfile.TemporaryDirectory() as folder, service(Path(folder), asked.workers) as (url, running):
        posted, step = 0, 0
        while posted < asked.posts:
            load = wrk(url, 5, f"m{step}")
            posted, step = posted + int(load.rate * 5), step + 1
            print(f"| {posted} | {_resident_mb(running.pid):.0f} |", flush=True)
    print()


def wrk(url: str, seconds: int, run: str, pause_ms: float = 0.0) -> Load:
    """Post from 16 connections; between the requests of each, pauses at random, `pause_ms` in the mean."""
    before, after = RESPONSE.split("NAME")
    script = SCRIPT.replace("BEFORE", before).replace("AFTER", after).replace("RUN", run)
    if pause_ms:
        script += f"function delay() return math.random(0, {2 * pause_ms:.0f}) end\n"
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(script)
        file.flush()
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", file.name, url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    return Load(
        rate=float(_found(r"Requests/sec:\s+([\d.]+)", said)),
        median=_milliseconds(_found(r"\s50%\s+([\d.]+\w+)", said)),
        p99=_milliseconds(_found(r"\s99%\s+([\d.]+\w+)", said)),
        refused=int(refused[1]) if refused else 0,
    )


@contextmanager
def nothing(workers: int) -> Iterator[str]:
    """Serve an endpoint that does nothing, as the service is served."""
    port = fhir_server.free_port()
    with _process([sys.executable, "-c", NOTHING, str(port), str(workers)], ROOT) as process:
        url = f"http://127.0.0.1:{port}/fhir/QuestionnaireResponse"
        _wait(url, process)
        yield url


@contextmanager
def service(
    folder: Path, workers: int, base_url: str = "http://127.0.0.1:9/fhir"
) -> Iterator[tuple[str, subprocess.Popen[Any]]]:
    """Run the service for a site, whose server may not be there; a patient is known."""
    (folder / "sites").mkdir(parents=True)
    (folder / "sites" / "north.toml").write_text(f'base_url = "{base_url}"\n', encoding="utf-8")
    port = fhir_server.free_port()
    settings = (
        f'state_folder = "state"\n[service]\nport = {port}\nsite = "north"\n[service.process]\nworkers = {workers}\n'
    )
    (folder / "outcome-bridge.toml").write_text(f'{settings}log_level = "warning"\n', encoding="utf-8")
    (folder / "state").mkdir()
    with Warehouse.open(folder / "state" / "warehouse.sqlite") as warehouse:
        warehouse.store("north", [PATIENT])
    command = [sys.executable, "-m", "server", "serve", "--settings", str(folder / "outcome-bridge.toml")]
    with _process(command, ROOT) as process:
        url = f"http://127.0.0.1:{port}/fhir/QuestionnaireResponse"
        _wait(f"http://127.0.0.1:{port}/healthz", process)
        yield url, process


@contextmanager
def _process(command: list[str], folder: Path) -> Iterator[subprocess.Popen[Any]]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield process
        finally:
            fhir_server.stop(process)
            log.seek(0)
            if os.environ.get("SHOW_LOG"):
                print(log.read().decode(errors="replace")[-4000:])


def _wait(url: str, process: subprocess.Popen[Any]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"it ended at its start, status {process.returncode}")
        try:
            requests.get(url, timeout=5)
        except requests.RequestException:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("it did not answer")


def _resident_mb(parent: int) -> float:
    """Return the resident memory of a process and its children."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        if parent in (int(status.parent.name), int(_found(r"PPid:\s+(\d+)", text))):
            total += int(_found(r"VmRSS:\s+(\d+)", text))
    return total / 1024


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"wrk said nothing of {pattern}: {text}")
    return match[1]


def _milliseconds(text: str) -> float:
    for unit, factor in (("us", 0.001), ("ms", 1.0), ("s", 1000.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ValueError(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--posts", type=int, default=100_000)
    parser.add_argument("--only", choices=("", "accept", "chart", "memory"), default="")
    return parser.parse_args()


if __name__ == "__main__":
    main()
