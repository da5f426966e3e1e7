"""Print what becomes of each attack: `python tests/attacks/report.py [--kind WORD]`.

It starts the service and a hospital's FHIR server of its own, on loopback, and stops both. `!` marks what is wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "clients"))
sys.path.append(str(Path(__file__).parents[2]))

import live_hospital
import live_service
from attack_case import CLOSED, NEVER_SHOWN, reached_us
from attack_catalogue import ATTACKS, SETTINGS
from attack_wire import Reply


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Print what becomes of each attack.")
    parser.add_argument("--kind", default="", help="only those whose kind begins so")
    options = parser.parse_args(arguments)
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            live_hospital.running(folder / "hospital") as hospital,
            live_service.running(folder / "service", hospital, SETTINGS) as service,
        ):
            hospital.admit("p1")
            print(f"{'kind':<14} {'attack':<62} {'answer':<24} {'ms':>6}")
            for one in (each for each in ATTACKS if each.kind.startswith(options.kind)):
                begin = time.perf_counter()
                replies = one.send(service)
                spent = (time.perf_counter() - begin) * 1000
                faults = one.faults(replies) + ([] if service.is_well() else ["not well afterwards"])
                line = f"{one.kind:<14} {one.name[:62]:<62} {shown(replies):<24} {spent:6.0f}"
                print(line, *(f"! {fault}" for fault in faults), flush=True)
                wrong += bool(faults)
            leaks = [word for word in NEVER_SHOWN if word in service.log()]
    found = ", ".join(leaks) or "nothing that must not be there"
    print(f"{len(ATTACKS)} attacks, {wrong} answered wrongly; found in the log: {found}")
    return 1 if wrong or leaks else 0


def shown(replies: Sequence[Reply]) -> str:
    """The answers in words."""
    return ", ".join(_shown(reply) for reply in replies)


def _shown(reply: Reply) -> str:
    if reply.status == CLOSED:
        return "closed"
    what = "OperationOutcome" if reply.outcome() else "" if reached_us(reply) else "(no app)"
    return f"{reply.status} {what}".strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
