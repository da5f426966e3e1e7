"""Measure how long a card takes: `python tests/server/service/cds_hooks/speed.py --patients 5000`.

Plans and delivers three responses for each of so many patients, then calls the service as an EHR does, a signed token
with every call, and prints the times.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
import warnings
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[4]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "server" / "service")]

import hospital as parts  # noqa: E402 - found by the path above
from authorisation_server import AuthorisationServer  # noqa: E402
from flask import Flask  # noqa: E402

from integration import mapping, origin, outcomes  # noqa: E402
from integration.intake.reader import Reader  # noqa: E402
from integration.service_settings import CdsHooks, Chart, Service  # noqa: E402
from integration.warehouse import Warehouse  # noqa: E402
from server.jobs import stores  # noqa: E402
from server.ledger import Ledger, Settlement  # noqa: E402
from server.service.access import building as access  # noqa: E402
from server.service.access import gate  # noqa: E402
from server.service.access.once import Once  # noqa: E402
from server.service.chart import building  # noqa: E402
from server.service.chart.smart.sessions import ChartSessions  # noqa: E402

ENDPOINT = "http://localhost/cds-services/msis29-outcomes"
DAYS = ("2012-05-04", "2012-06-06", "2012-11-02")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="How long a card takes.")
    parser.add_argument("--patients", type=int, default=5000)
    parser.add_argument("--calls", type=int, default=100)
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder, AuthorisationServer() as ehr:
        place = Path(folder)
        with (
            Ledger.open(place / "ledger.sqlite") as ledger,
            Warehouse.open(place / "warehouse.sqlite") as warehouse,
            closing(Once.open(place / "access.sqlite")) as once,
            closing(ChartSessions.open(place / "sessions.sqlite")) as sessions,
        ):
            fill(ledger, warehouse, options.patients)
            client = service(ehr, ledger, warehouse, once, sessions).test_client()
            report([call(client, ehr, number, options.patients) for number in range(options.calls)], options.patients)
    return 0


def fill(ledger: Ledger, warehouse: Warehouse, patients: int) -> None:
    study = mapping.load("msis29_venoplasty")
    made_by = origin.of(study, "north", datetime.now(UTC))
    reader = Reader(study, lambda one: one)
    planner = stores.planner(ledger, parts.SITE)
    bodies = [json.dumps(parts.patient(f"p{number}")).encode() for number in range(patients)]
    warehouse.store("north", bodies)

    def built() -> Any:
        for number in range(patients):
            subject = {"reference": f"Patient/p{number}"}
            for visit, day in enumerate(DAYS):
                resource = parts.response(f"r{number}-{visit}", day, visit + 2, subject=subject)
                yield outcomes.build(reader.response(json.dumps(resource).encode())[0], made_by)

    planner.plan(outcomes.device(made_by), built())
    while leased := ledger.lease("north", "speed", after=None, responses=500, seconds=1000):
        keys = [one.key for one in leased]
        ledger.claim("north", keys, request_id="speed", interaction="create", worker="speed", seconds=1000)
        taken = [Settlement(key=one.key, state="accepted", ehr_id=one.key[:20]) for one in leased]
        ledger.settle("north", taken, request_id="speed")
        ledger.unlease("north", "speed")


def service(ehr: Any, ledger: Ledger, warehouse: Warehouse, once: Once, sessions: ChartSessions) -> Flask:
    hooks = CdsHooks(issuers=("https://ehr.example",), jwks_urls=(f"{ehr.url}/jwks",))
    settings = Service(cds_hooks=hooks, chart=Chart(issuers=(ehr.fhir_url,), client_id="chart"))
    kept = building.Stores(ledger=ledger, warehouse=warehouse, posted=lambda _: (), once=once, key=bytes(32))
    now = lambda: datetime.now(UTC)  # noqa: E731 - the clock
    study = mapping.load("msis29_venoplasty")
    site = parts.SITE.model_copy(update={"base_url": ehr.fhir_url})
    clinical = building.clinical(settings, site, study, kept, sessions=sessions, now=now)
    app = Flask("speed", static_folder=None)
    gate.install(app, access.gate(settings, once, kept.key, now=now))
    for one in clinical.blueprints():
        app.register_blueprint(one)
    return app


def call(client: Any, ehr: Any, number: int, patients: int) -> float:
    claims = {"iss": "https://ehr.example", "aud": ENDPOINT, "nbf": None}
    token = ehr.token(claims=claims, header={"typ": "JWT"})
    body = {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/1", "patientId": f"p{number * 37 % patients}"},
    }
    began = time.perf_counter()
    answer = client.post(ENDPOINT, json=body, headers={"Authorization": f"Bearer {token}"})
    seconds = time.perf_counter() - began
    if len(answer.get_json()["cards"]) != 1:
        raise SystemExit(f"no card: {answer.status_code}")
    return seconds


def report(seconds: list[float], patients: int) -> None:
    ordered = sorted(one * 1000 for one in seconds)
    p95 = ordered[max(0, round(len(ordered) * 0.95) - 1)]
    print(
        f"{len(ordered)} calls, {patients:,} patients, {patients * len(DAYS):,} responses:"
        f" median {statistics.median(ordered):.1f} ms, p95 {p95:.1f} ms, longest {ordered[-1]:.1f} ms"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
