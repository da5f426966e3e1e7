"""The types of what is due: all of them, however much is due."""

from collections.abc import Callable

from integration import outcomes
from integration.settings import Site
from server.jobs import chart, stores
from server.ledger import Ledger
from server.ledger.planning import Desired, Shaped
from server.sites import profile_of

NORTH = Site(name="north", base_url="http://127.0.0.1/fhir")


def test_a_type_that_comes_last_of_hundreds_due_must_be_granted_too(
    ledger: Ledger, build_outcome: Callable[..., outcomes.Outcome], device: outcomes.Resource
) -> None:
    stores.planner(ledger, NORTH).plan(device, [build_outcome(f"r{number}") for number in range(100)])
    document = Shaped(kind="document", resource={"resourceType": "DocumentReference", "id": "f" * 64}, observations=1)
    one = Desired(response_id="s", patient_id="p", response_version="", reason="", resources=[document])
    ledger.plan("north", profile_of(NORTH), [one])
    first = {entry.resource_type for entry in ledger.in_state("north", ["planned"], limit=300)}
    assert "DocumentReference" not in first

    assert ledger.due_types("north") == {"Device", "DocumentReference", "Observation", "Provenance"}
    assert {name for name, _ in chart.needed(ledger, NORTH)} == {"Patient", *ledger.due_types("north")}
