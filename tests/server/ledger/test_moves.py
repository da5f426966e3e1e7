"""What a plan makes of a response that is another patient's now."""

from typing import Any

import pytest

from server.ledger import Ledger, PlanCounts, Settlement
from server.ledger.planning import Desired, Shaped

KINDS = ("physical", "panel", "provenance")


class Free:
    """A chart in which everything may be changed and taken back."""

    def amended(self, resource: dict[str, Any]) -> dict[str, Any]:
        return {**resource, "status": "amended"}

    def retracted(self, resource: dict[str, Any]) -> dict[str, Any]:
        return {**resource, "status": "entered-in-error"}

    def replacement(self, resource: dict[str, Any], replaced_reference: str) -> None: ...


def response(patient_id: str, *, merged: tuple[str, ...] = ()) -> Desired:
    """Return a response of a patient; the panel and the Provenance refer to the score."""
    shaped = [
        Shaped(
            kind=kind,  # type: ignore[arg-type]  # a Kind
            resource={
                "resourceType": "Provenance" if kind == "provenance" else "Observation",
                "id": f"key-of-{kind}",
                "identifier": [{"value": f"key-of-{kind}"}],
                **({} if kind == "provenance" else {"subject": {"reference": f"Patient/{patient_id}"}}),
                "target": [{"reference": "Observation/key-of-physical"}],
            },
            observations=int(kind != "provenance"),
        )
        for kind in KINDS
    ]
    return Desired(
        response_id="a", patient_id=patient_id, response_version="", reason="", resources=shaped,
        was_merged=lambda former: former in merged,
    )  # fmt: skip


def plan(ledger: Ledger, patient_id: str, **options: Any) -> PlanCounts:
    return ledger.plan("north", Free(), [response(patient_id, **options)])


def write(ledger: Ledger, kind: str, *, ehr_id: str) -> None:
    """Have a resource of the first patient taken by the server, or sent and no answer heard."""
    ledger.lease("north", "w", after=None, responses=9, seconds=60)
    ledger.claim("north", [f"key-of-{kind}"], request_id=kind, interaction="create", worker="w", seconds=60)
    if ehr_id:
        ledger.settle("north", [Settlement(key=f"key-of-{kind}", state="accepted", ehr_id=ehr_id)], request_id=kind)


def said(ledger: Ledger) -> dict[tuple[str, str], tuple[str, bool]]:
    return {(one.patient_id, one.kind): (one.state, one.is_withdrawn) for one in ledger.of_responses("north", ["a"])}


def keys(ledger: Ledger, patient_id: str) -> set[str]:
    return {one.key for one in ledger.of_responses("north", ["a"]) if one.patient_id == patient_id}


def test_what_was_never_sent_is_the_new_patients_under_its_keys(ledger: Ledger) -> None:
    plan(ledger, "p")
    before = keys(ledger, "p")

    assert plan(ledger, "q") == PlanCounts(changed=2, unchanged=1)
    assert keys(ledger, "q") < before
    assert set(said(ledger).values()) == {("planned", False)}


def test_what_was_sent_for_the_new_patient_only_stays_where_it_is(ledger: Ledger) -> None:
    plan(ledger, "p")
    plan(ledger, "q")
    for kind in KINDS:  # the Provenance, which names no patient, did not change
        write(ledger, kind, ehr_id=f"id-of-{kind}")

    assert plan(ledger, "q") == PlanCounts(unchanged=3)


@pytest.mark.parametrize("ehr_id", ["7", ""])
def test_what_a_chart_may_hold_is_taken_back_and_planned_anew_under_other_keys(ledger: Ledger, ehr_id: str) -> None:
    plan(ledger, "p")
    write(ledger, "physical", ehr_id=ehr_id)
    counts = plan(ledger, "q")
    old, new = keys(ledger, "p"), keys(ledger, "q")

    assert counts == PlanCounts(new=3, changed=3)
    assert said(ledger) == {
        ("p", "physical"): ("planned" if ehr_id else "sending", True),
        ("p", "panel"): ("retracted", True),
        ("p", "provenance"): ("retracted", True),
        ("q", "physical"): ("planned", False),
        ("q", "panel"): ("planned", False),
        ("q", "provenance"): ("planned", False),
    }
    assert old.isdisjoint(new)
    assert ledger.books("north").is_balanced


def test_no_content_of_one_patient_names_what_is_the_others(ledger: Ledger) -> None:
    plan(ledger, "p")
    write(ledger, "physical", ehr_id="7")
    plan(ledger, "q")
    new = keys(ledger, "q")

    for one in ledger.of_responses("north", ["a"]):
        resource = one.resource()
        assert one.kind == "provenance" or resource["subject"] == {"reference": f"Patient/{one.patient_id}"}
        assert resource["identifier"] == [{"value": one.key}]
        assert (resource["target"][0]["reference"].partition("/")[2] in new) == (one.patient_id == "q")


def test_to_plan_it_once_more_changes_nothing(ledger: Ledger) -> None:
    plan(ledger, "p")
    write(ledger, "physical", ehr_id="7")
    plan(ledger, "q")
    before = said(ledger)

    assert plan(ledger, "q") == PlanCounts(unchanged=3)
    assert said(ledger) == before


def test_what_turned_out_never_to_have_arrived_leaves_the_new_patients_where_it_is(ledger: Ledger) -> None:
    plan(ledger, "p")
    write(ledger, "physical", ehr_id="")
    plan(ledger, "q")
    ledger.settle("north", [Settlement(key="key-of-physical", state="planned")], request_id="physical")

    assert said(ledger)["p", "physical"] == ("retracted", True)
    assert plan(ledger, "q") == PlanCounts(unchanged=3)


def test_back_with_its_first_patient_it_is_what_it_was(ledger: Ledger) -> None:
    plan(ledger, "p")
    write(ledger, "physical", ehr_id="7")
    first = keys(ledger, "p")
    plan(ledger, "q")
    plan(ledger, "p")

    assert keys(ledger, "p") == first
    assert {is_withdrawn for (patient, _), (_, is_withdrawn) in said(ledger).items() if patient == "p"} == {False}
    assert {one for (patient, _), one in said(ledger).items() if patient == "q"} == {("retracted", True)}
    assert ledger.books("north").is_balanced


def test_a_merged_patients_resources_are_amended_where_they_are(ledger: Ledger) -> None:
    plan(ledger, "p")
    write(ledger, "physical", ehr_id="7")
    before = keys(ledger, "p")

    assert plan(ledger, "q", merged=("p",)) == PlanCounts(changed=2, unchanged=1)
    assert {key for key in before if "provenance" not in key} == keys(ledger, "q")
    assert said(ledger)["q", "physical"] == ("planned", False)


def test_what_is_being_taken_back_is_said_until_it_is(ledger: Ledger) -> None:
    plan(ledger, "p")
    write(ledger, "physical", ehr_id="7")
    plan(ledger, "q")
    before = [(one.key, one.patient_id) for one in ledger.being_taken_back("north", ["a"])]
    ledger.settle("north", [Settlement(key="key-of-physical", state="manual")])
    ledger.settle("north", [Settlement(key="key-of-physical", state="retracted")])

    assert before == [("key-of-physical", "p")]
    assert ledger.being_taken_back("north", ["a"]) == []
