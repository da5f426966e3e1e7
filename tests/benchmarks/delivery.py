"""Time delivery against a real FHIR server (sekmet-fhir), and the ledger with few and with many rows.

    python tests/benchmarks/delivery.py [--responses 25] [--rounds 5] [--rows 100000] [--without-ledger]

In each round every way of sending takes its turn, in another order: a bare loop over `requests` that posts, one by one,
the bodies that our delivery sends; the same loop in four threads; our delivery one by one, with one and with four
connections; our delivery in transactions, with one and with two. Each writes the same number of resources, into one
server. Ratios are medians over rounds, each to the loop of the same round. Not a test: figures depend on the machine.
Targets stand beside them.
"""

# ruff: noqa: E402 - the module that starts PostgreSQL lies with the tests that it was made for
from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "server" / "ledger")]

import postgresql_cluster
import requests
import sqlalchemy as sa

from integration import msis29, outcomes
from integration.records import Moment, Response
from integration.settings import Limits, Site
from integration.sources.client import Answer, FhirClient, connect
from server.delivery.resolution import Resolver
from server.delivery.run import deliver
from server.demo import fhir_server
from server.jobs import stores
from server.ledger import Entry, Ledger, Settlement, schema
from server.ledger.decisions import Decisions

SEKMET = ROOT / ".sekmet" / "bin" / "sekmet"
OPERATIONS = 300
MOMENT = datetime(2012, 5, 4, 7, 15, tzinfo=UTC)
Seconds = tuple[float, float, float]
HEADERS = {"Accept": "application/fhir+json", "Content-Type": "application/fhir+json"}


@dataclass
class Posted:
    """The bodies of one delivery, in its order."""

    bodies: list[tuple[str, bytes]] = field(default_factory=list)


def origin(site: str) -> outcomes.Origin:
    """Return what the outcomes of a site say of their origin."""
    return outcomes.Origin(
        site=site,
        software_version="0.1.0",
        mapping="msis29_venoplasty 1.0.0",
        recorded=datetime(2026, 1, 5, 12, tzinfo=UTC),
        minimum_answered=msis29.HALF_OF_THE_ITEMS,
    )


def outcome(number: int, whence: outcomes.Origin) -> outcomes.Outcome:
    """Build the outcome of one response that answered every item."""
    score = msis29.score({item: [number % 5 + 1] for item in msis29.ITEMS}, "1")
    response = Response(
        response_id=f"r{number:06}",
        patient_id=f"p{number:06}",
        status="completed",
        version_id="1",
        moment=Moment(day=MOMENT.date(), instant=MOMENT, text="2012-05-04T07:15:00Z"),
        instrument_version="1",
        answered_by=f"Patient/p{number:06}",
        score=score,
        reason=score.reason,
    )
    return outcomes.build(response, whence)


class Spent:
    """Seconds spent in looking before a create, and in the ledger; added up over all threads."""

    looking = 0.0
    ledger = 0.0

    @classmethod
    def watch(cls) -> None:
        """Put clocks around both."""
        cls._time(Resolver, "not_in_chart", "looking")
        for name in ("lease", "lease_open", "unlease", "leased_until", "claim", "settle", "block", "due", "counts"):
            cls._time(Ledger, name, "ledger")
        for name in ("entries", "ehr_ids"):
            cls._time(Ledger, name, "ledger")
        cls._time(Decisions, "breaker", "ledger")

    @classmethod
    def begin(cls) -> None:
        """Begin anew."""
        cls.looking = cls.ledger = 0.0

    @classmethod
    def _time(cls, owner: type, name: str, kind: str) -> None:
        original = getattr(owner, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            begin = time.perf_counter()
            try:
                return original(*arguments, **options)
            finally:
                setattr(cls, kind, getattr(cls, kind) + time.perf_counter() - begin)

        setattr(owner, name, watched)


def delivered(base_url: str, profile: str, connections: int, responses: int, place: Path | str) -> Seconds:
    """Plan outcomes of a site of their own and send them; returns the seconds of that, in looking, in the ledger."""
    limits = Limits(connections=connections)
    site = Site(name=f"s{uuid.uuid4().hex}", base_url=base_url, write_profile=profile, limits=limits)
    whence = origin(site.name)
    with Ledger.open(place) as ledger, connect(site) as client:
        built = (outcome(number, whence) for number in range(responses))
        stores.planner(ledger, site).plan(outcomes.device(whence), built)
        Spent.begin()
        begin = time.perf_counter()
        report = deliver(ledger, client, site, connect=lambda: connect(site))
        seconds = time.perf_counter() - begin
    if report.sent != {"accepted": 4 * responses + 1}:
        raise RuntimeError(f"not everything was sent: {report}")
    return seconds, Spent.looking, Spent.ledger


def captured(base_url: str, responses: int, place: Path) -> Posted:
    """Return what our delivery posts one by one."""
    posted, create = Posted(), FhirClient.create

    def noted(client: FhirClient, resource_type: str, body: bytes, **options: str) -> Answer:
        posted.bodies.append((resource_type, body))
        return create(client, resource_type, body, **options)

    FhirClient.create = noted  # type: ignore[method-assign,assignment]  # to see them
    try:
        delivered(base_url, "single", 1, responses, place)
    finally:
        FhirClient.create = create  # type: ignore[method-assign]  # as it was
    return posted


def looped(base_url: str, posted: Posted) -> float:
    """Post the bodies one by one, and nothing else; returns seconds."""
    with requests.Session() as session:
        session.trust_env = False
        begin = time.perf_counter()
        for resource_type, body in posted.bodies:
            answer = session.post(f"{base_url}/{resource_type}", data=body, headers=HEADERS, timeout=30)
            answer.raise_for_status()
        return time.perf_counter() - begin


def threaded(base_url: str, posted: Posted) -> float:
    """Do the same in four threads with a connection each; returns seconds. This is what the server can do."""
    shares = [Posted(posted.bodies[number::4]) for number in range(4)]
    begin = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda share: looped(base_url, share), shares))
    return time.perf_counter() - begin


def bundled(base_url: str, posted: Posted) -> float:
    """Post the same bodies in transactions of 200, and nothing else; returns seconds. More the server cannot give."""
    with requests.Session() as session:
        session.trust_env = False
        begin = time.perf_counter()
        for start in range(0, len(posted.bodies), 200):
            entries = ",".join(
                f'{{"resource":{body.decode()},"request":{{"method":"POST","url":"{resource_type}"}}}}'
                for resource_type, body in posted.bodies[start : start + 200]
            )
            body = f'{{"resourceType":"Bundle","type":"transaction","entry":[{entries}]}}'.encode()
            session.post(base_url, data=body, headers=HEADERS, timeout=60).raise_for_status()
        return time.perf_counter() - begin


def show(name: str, seconds: list[float], loop: list[float], target: str) -> None:
    """Print one line of the table of ways to send."""
    times = [one / base for one, base in zip(seconds, loop, strict=True)]
    speed = 1 / statistics.median(times)
    middle = statistics.median(seconds)
    spread = f"{min(times):.2f}-{max(times):.2f}"
    print(f"| {name} | {middle:.2f} | {statistics.median(times):.2f} | {spread} | {speed:.1f} | {target} |", flush=True)


def compare_sending(folder: Path, responses: int, rounds: int, postgresql: postgresql_cluster.Cluster | None) -> None:
    """Print the table of ways to send."""
    Spent.watch()
    seconds: dict[str, list[float]] = {}
    with fhir_server.running(SEKMET, folder / "sekmet") as base_url:
        posted = captured(base_url, responses, folder / "first.sqlite")
        ways: dict[str, Callable[[Path | str], Seconds]] = {
            "loop": lambda _: (looped(base_url, posted), 0.0, 0.0),
            "loop in threads": lambda _: (threaded(base_url, posted), 0.0, 0.0),
            "bare transactions": lambda _: (bundled(base_url, posted), 0.0, 0.0),
            "one by one": lambda place: delivered(base_url, "single", 1, responses, place),
            "transactions": lambda place: delivered(base_url, "generic", 1, responses, place),
            "transactions, two connections": lambda place: delivered(base_url, "generic", 2, responses, place),
            "four connections": lambda place: delivered(base_url, "single", 4, responses, place),
        }
        for number in range(rounds):
            order = [*ways][number % len(ways) :] + [*ways][: number % len(ways)]
            for name in order:
                total, looking, in_ledger = ways[name](folder / f"{name}-{number}.sqlite")
                seconds.setdefault(name, []).append(total)
                seconds.setdefault(f"{name}, without looking", []).append(total - looking)
                seconds.setdefault(f"{name}, in the ledger", []).append(in_ledger)
            if postgresql:
                total, looking, in_ledger = ways["one by one"](postgresql.new_schema())
                seconds.setdefault("PostgreSQL, in the ledger", []).append(in_ledger)
                seconds.setdefault("PostgreSQL, without looking", []).append(total - looking)
    print(f"\n{len(posted.bodies)} resources ({responses} responses) each, {rounds} rounds")
    print("| what | seconds | x the loop's time | range | x the loop's speed | target |\n|---|---|---|---|---|---|")
    loop = seconds["loop"]
    show("`requests` loop", loop, loop, "")
    show("of ours, one by one: in the ledger", seconds["one by one, in the ledger"], loop, "0.10 x the time")
    show("ours, one by one, without looking first", seconds["one by one, without looking"], loop, "")
    show("ours, one by one, whole", seconds["one by one"], loop, "")
    if postgresql:
        show("of the same in PostgreSQL: in the ledger", seconds["PostgreSQL, in the ledger"], loop, "0.10 x the time")
        show("the same in PostgreSQL, without looking", seconds["PostgreSQL, without looking"], loop, "")
    show("ours, transactions, whole", seconds["transactions"], loop, "3 x the speed")
    show("the same over two connections", seconds["transactions, two connections"], loop, "3 x the speed")
    show("bare transactions of the same bodies", seconds["bare transactions"], loop, "")
    show("`requests` loops in four threads", seconds["loop in threads"], loop, "")
    show("ours, one by one, four connections", seconds["four connections"], loop, "3 x, if the server can")


def fill(ledger: Ledger, rows: int, due: int) -> list[str]:
    """Put rows into a ledger, all proven but some of the responses, which are due; returns the ids of those."""
    site, whence = Site(name="north", base_url="http://127.0.0.1/fhir"), origin("north")
    stores.planner(ledger, site).plan(outcomes.device(whence), [outcome(0, whence)])
    engine = ledger._engine
    with engine.begin() as connection:
        outcome_rows = [dict(row) for row in connection.execute(sa.select(schema.outcomes)).mappings()]
        like = [row for row in outcome_rows if row["response_id"]]
        step = rows // 4 // due
        for start in range(1, rows // 4, 2500):
            numbers = range(start, min(start + 2500, rows // 4))
            new = [_row(row, number, is_due=number % step == 0) for number in numbers for row in like]
            connection.execute(schema.outcomes.insert(), new)
            noted = [{"site": "north", "response_id": f"r{number:06}", "observations": 3} for number in numbers]
            connection.execute(schema.responses.insert(), noted)
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE")
    return [f"r{number:06}" for number in range(0, rows // 4, step)]


def _row(like: dict[str, Any], number: int, *, is_due: bool) -> dict[str, Any]:
    key = uuid.uuid5(uuid.NAMESPACE_OID, f"{like['key']}{number}").hex
    row = {**like, "key": key, "response_id": f"r{number:06}"}
    proven = {"state": "verified", "ehr_id": key[:12], "ehr_version": "1", "ehr_content": like["content"]}
    return row if is_due else {**row, **proven, "delivered_hash": like["content_hash"]}


def cycles(ledger: Ledger) -> dict[str, float]:
    """Lease, claim and settle resources one by one; returns the median milliseconds of each."""
    spent: dict[str, list[float]] = {"lease": [], "claim": [], "settle": []}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        answer = call()
        spent[name].append(1000 * (time.perf_counter() - begin))
        return answer

    after: str | None = ""
    while len(spent["claim"]) < OPERATIONS:
        start = after
        leased: list[Entry] = timed(
            "lease",
            lambda: ledger.lease("north", "w", after=start, responses=25, seconds=60),  # noqa: B023 - at once
        )
        for entry in leased:
            one = {"request_id": entry.key, "interaction": "create", "worker": "w", "seconds": 60}
            timed("claim", lambda: ledger.claim("north", [entry.key], **one))  # noqa: B023 - at once
            settlement = Settlement(key=entry.key, state="accepted", ehr_id="1", ehr_version="1")
            timed("settle", lambda: ledger.settle("north", [settlement], request_id=entry.key))  # noqa: B023 - at once
        ledger.unlease("north", "w")
        after = leased[-1].response_id
    return {name: statistics.median(times) for name, times in spent.items()}


def compare_ledgers(places: dict[str, Callable[[], Path | str]], rows: int) -> None:
    """Print the table of few and many rows."""
    print(f"\nmedian milliseconds of {OPERATIONS} resources claimed and settled one by one; a lease is of 25 responses")
    print("| ledger | rows | lease | claim | settle | claim + settle |\n|---|---|---|---|---|---|")
    for name, new_place in places.items():
        sizes = (1000, rows)
        with _opened([new_place() for _ in sizes]) as ledgers:
            for ledger, size in zip(ledgers, sizes, strict=True):
                fill(ledger, size, 250)
            for ledger, size in zip(ledgers, sizes, strict=True):
                took = cycles(ledger)
                both = took["claim"] + took["settle"]
                single = " | ".join(f"{took[one]:.2f}" for one in ("lease", "claim", "settle"))
                print(f"| {name} | {size} | {single} | {both:.2f} |", flush=True)


@contextmanager
def _opened(places: list[Path | str]) -> Iterator[list[Ledger]]:
    ledgers = [Ledger.open(place) for place in places]
    try:
        yield ledgers
    finally:
        for ledger in ledgers:
            ledger.close()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--responses", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--without-ledger", action="store_true")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    programs = postgresql_cluster.program_folder()
    with tempfile.TemporaryDirectory() as name, _cluster(programs) as cluster:
        folder = Path(name)
        compare_sending(folder, options.responses, options.rounds, cluster)
        if not options.without_ledger:
            places: dict[str, Callable[[], Path | str]] = {"SQLite": lambda: folder / f"{uuid.uuid4().hex}.sqlite"}
            if cluster:
                places["PostgreSQL"] = cluster.new_schema
            compare_ledgers(places, options.rows)


@contextmanager
def _cluster(programs: Path | None) -> Iterator[postgresql_cluster.Cluster | None]:
    if programs is None:
        print("PostgreSQL is not installed: left out")
        yield None
        return
    with postgresql_cluster.running(programs) as made:
        yield made


if __name__ == "__main__":
    main()
