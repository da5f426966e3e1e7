"""Who a patient is, by what is staged."""

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from integration import mapping, outcomes
from integration.settings import Site
from integration.warehouse import Warehouse
from server.jobs import stores
from server.ledger import Ledger, Settlement

NORTH = Site(name="north", base_url="http://127.0.0.1/fhir")


def patient(patient_id: str, *, replaced_by: str = "") -> bytes:
    link = [{"type": "replaced-by", "other": {"reference": f"Patient/{replaced_by}"}}] if replaced_by else []
    return json.dumps({"resourceType": "Patient", "id": patient_id, **({"link": link} if link else {})}).encode()


def staged(folder: Path, *bodies: bytes) -> Callable[[str], str | None]:
    warehouse = Warehouse.open(folder / "warehouse.sqlite", now=lambda: datetime(2026, 1, 5, tzinfo=UTC))
    with warehouse:
        warehouse.store("north", bodies)
        find = stores.staged_patients(warehouse, NORTH, mapping.load("msis29_venoplasty"))
        known = {one: find(one) for one in ("p", "old", "older", "stranger")}
    return known.__getitem__


def of(patient_id: str, outcome: outcomes.Outcome) -> outcomes.Outcome:
    """Return an outcome as another patient's."""
    subject = {"subject": {"reference": f"Patient/{patient_id}"}}
    parts = {name: getattr(outcome, name) | subject for name in ("panel", "physical", "psychological")}
    return dataclasses.replace(outcome, patient_id=patient_id, **parts)


def test_a_merged_patient_is_the_one_at_the_end_and_an_unknown_one_nobody(tmp_path: Path) -> None:
    find = staged(tmp_path, patient("p"), patient("old", replaced_by="p"), patient("older", replaced_by="old"))

    assert [find(one) for one in ("p", "old", "older", "stranger")] == ["p", "p", "p", None]


def test_only_what_is_of_a_merged_patient_follows_into_the_other_chart(
    tmp_path: Path, ledger: Ledger, device: outcomes.Resource, build_outcome: Callable[..., outcomes.Outcome]
) -> None:
    planner = stores.planner(ledger, NORTH, staged(tmp_path, patient("p"), patient("old", replaced_by="p")))
    for number, former in enumerate(("old", "stranger")):
        planner.plan(device, [of(former, build_outcome(f"r{number}"))])
    ids = [one.key for one in ledger.of_responses("north", ["r0", "r1"])]
    for key in ids:
        ledger.settle("north", [Settlement(key=key, state="already_there", ehr_id=f"id-{key[:8]}")])
    planner.plan(device, [of("p", build_outcome(f"r{number}")) for number in range(2)])

    planned = [one for one in ledger.of_responses("north", ["r0", "r1"]) if one.kind != "provenance"]
    assert {(one.response_id, one.patient_id, one.is_withdrawn) for one in planned} == {
        ("r0", "p", False),
        ("r1", "stranger", True),
        ("r1", "p", False),
    }
