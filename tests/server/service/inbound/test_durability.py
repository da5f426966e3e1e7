"""What was answered survives the death of the process that answered it, whole or not at all."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from integration import outcomes
from integration.settings import Site
from integration.warehouse import Warehouse
from server.jobs import stores
from server.service.inbound.inbox import Inbox
from server.service.inbound.inbox_reader import InboxReader, Sweep

PREPARED = """
import os, pathlib, signal, sys, threading
from integration import mapping
from integration.settings import Settings, Site
from server.service import app, assembly

folder = pathlib.Path(sys.argv[1])
settings = Settings(folder=folder, state_folder=folder)
site = Site(name="north", base_url="http://127.0.0.1:9/fhir")
opened = assembly.assembled(settings, site, mapping.load("msis29_venoplasty"), is_working=False)
application = app.create_app(opened.__enter__())
"""
DYING_SERVICE = f"""{PREPARED}
client = application.test_client()
answer = client.post(sys.argv[2], data=sys.stdin.buffer.read(), content_type="application/fhir+json")
print(answer.status_code, flush=True)
os.kill(os.getpid(), signal.SIGKILL)  # before anything was planned
"""
BUSY_SERVICE = f"""{PREPARED}
template = sys.stdin.read()

def post(thread):
    client = application.test_client()
    for number in range(100000):
        name = f"t{{thread}}-{{number}}"
        answer = client.post(sys.argv[2], data=template.replace("NAME", name), content_type="application/fhir+json")
        assert answer.status_code in (200, 201), answer.data
        os.write(1, f"{{name}}\\n".encode())

for thread in range(4):
    threading.Thread(target=post, args=(thread,), daemon=True).start()
threading.Event().wait()
"""

NORTH = Site(name="north", base_url="http://127.0.0.1/fhir")
ROOT = Path(__file__).parents[4]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state folder in which patient p1 is known."""
    made = tmp_path / "killed"
    made.mkdir()
    with Warehouse.open(made / "warehouse.sqlite") as warehouse:
        warehouse.store("north", [b'{"resourceType": "Patient", "id": "p1"}'])
    return made


def bundle(*resources: bytes) -> bytes:
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
        for one in map(json.loads, resources)
    ]
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()


def test_a_response_that_was_answered_is_planned_after_the_process_was_killed(
    service: Any, body: Any, origin: outcomes.Origin, folder: Path
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", DYING_SERVICE, folder, "/fhir/QuestionnaireResponse"],
        input=body(), capture_output=True, cwd=ROOT, check=False, timeout=60,
    )  # fmt: skip

    assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, b"201\n"), killed.stderr.decode()
    inbox = Inbox.open(folder / "inbox.sqlite", "north", now=service.services.now)
    reader = InboxReader(
        inbox=inbox, read=service.read, planner=stores.planner(service.ledger, NORTH), origin=lambda: origin
    )
    assert reader.plan_waiting() == Sweep(settled=1)
    assert service.planned()["r1/physical"]["valueQuantity"]["value"] == 50
    inbox.close()


def test_a_bundle_that_was_answered_is_there_with_its_patient_after_the_process_was_killed(
    body: Any, folder: Path
) -> None:
    sent = bundle(
        body(id="a", subject={"reference": "Patient/new"}), b'{"resourceType": "Patient", "id": "new"}', body(id="b")
    )

    killed = subprocess.run(
        [sys.executable, "-c", DYING_SERVICE, folder, "/fhir"],
        input=sent, capture_output=True, cwd=ROOT, check=False, timeout=60,
    )  # fmt: skip

    assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, b"200\n"), killed.stderr.decode()
    assert {name for (name,) in rows(folder, "SELECT resource_id FROM arrival")} == {"a", "new", "b"}
    with Warehouse.open(folder / "warehouse.sqlite") as warehouse:
        assert warehouse.has("north", "Patient", "new")


@pytest.mark.parametrize("is_bundle", [False, True])
def test_whatever_was_answered_before_a_kill_is_stored_and_bundles_are_stored_whole(
    body: Any, folder: Path, is_bundle: bool
) -> None:
    one = body(id="NAME")
    template, path = (bundle(one, body(id="NAME-b")), "/fhir") if is_bundle else (one, "/fhir/QuestionnaireResponse")
    with subprocess.Popen(
        [sys.executable, "-c", BUSY_SERVICE, folder, path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(template)
        process.stdin.close()
        process.stdin = None
        answered = [process.stdout.readline() for _ in range(40)]
        os.kill(process.pid, signal.SIGKILL)
        answered += process.stdout.readlines()

    names = {line.decode().strip() for line in answered if line.endswith(b"\n")}
    stored = {name for (name,) in rows(folder, "SELECT resource_id FROM arrival")}
    assert len(names) >= 40
    assert names <= stored
    if is_bundle:
        assert {f"{name}-b" for name in stored if not name.endswith("-b")} == {
            name for name in stored if name.endswith("-b")
        }


def rows(folder: Path, query: str) -> list[Any]:
    with sqlite3.connect(folder / "inbox.sqlite") as connection:
        found = connection.execute(query).fetchall()
    connection.close()
    return found
