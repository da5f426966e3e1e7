"""What was answered survives the death of the process that answered it."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from integration import outcomes
from integration.settings import Site
from server.jobs import stores
from server.service.inbound.inbox import Inbox
from server.service.inbound.inbox_reader import InboxReader, Sweep

DYING_SERVICE = """
import datetime, os, pathlib, signal, sys
from integration import intake, mapping
from server.service.app import create_app
from integration import outcomes
from server.service.inbound.inbox import Inbox
from server.service.services import Services

def now():
    return datetime.datetime(2012, 6, 1, tzinfo=datetime.UTC)

study = mapping.load("msis29_venoplasty")
services = Services(
    inbox=Inbox.open(pathlib.Path(sys.argv[1]), "north", now=now),
    read=lambda body: intake.read_response(study, body, lambda patient: patient if patient == "p1" else None),
    wake=lambda: None, is_working=lambda: True, now=now, new_id=lambda: "given", software_version="0.1.0",
)
client = create_app(services).test_client()
answer = client.post("/fhir/QuestionnaireResponse", data=sys.stdin.buffer.read(), content_type="application/fhir+json")
print(answer.status_code, flush=True)
os.kill(os.getpid(), signal.SIGKILL)  # before anything was planned
"""

NORTH = Site(name="north", base_url="http://127.0.0.1/fhir")


def test_a_response_that_was_answered_is_planned_after_the_process_was_killed(
    service: Any, body: Any, origin: outcomes.Origin, tmp_path: Path
) -> None:
    path = tmp_path / "killed" / "inbox.sqlite"
    root = Path(__file__).parents[4]

    killed = subprocess.run(
        [sys.executable, "-c", DYING_SERVICE, path],
        input=body(),
        capture_output=True,
        cwd=root,
        check=False,
        timeout=60,
    )

    assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, b"201\n"), killed.stderr.decode()
    inbox = Inbox.open(path, "north", now=service.services.now)
    reader = InboxReader(
        inbox=inbox, read=service.services.read, planner=stores.planner(service.ledger, NORTH), origin=lambda: origin
    )
    assert reader.plan_waiting() == Sweep(settled=1)
    assert service.planned()["r1/physical"]["valueQuantity"]["value"] == 50
    inbox.close()
