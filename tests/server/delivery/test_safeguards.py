"""What must hold before a write: the right patient, consent, labels, a person's release."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integration import outcomes
from integration.errors import SettingsError
from integration.settings import Safeguards as Keys
from integration.settings import Site
from integration.sources.client import Clock, FhirClient
from server.delivery.run import DeliveryReport, deliver
from server.delivery.safeguards import LABELLED, NOT_RELEASED, OPTED_OUT, Safeguards
from server.jobs import stores
from server.ledger import Ledger

BuildOutcome = Callable[..., outcomes.Outcome]
Send = Callable[..., DeliveryReport]

SOURCE = {
    "resourceType": "Patient",
    "identifier": [{"system": "urn:mrn", "value": "1"}],
    "birthDate": "1970-01-01",
    "gender": "female",
}


@pytest.fixture
def source() -> dict[str, Any]:
    """The Patient as the source of the responses has it, whoever is asked for."""
    return dict(SOURCE)


@pytest.fixture
def patients(chart: Any) -> dict[str, dict[str, Any]]:
    """The EHR's Patients of the responses a and b."""
    held = {f"patient-of-{one}": {**SOURCE, "id": f"patient-of-{one}"} for one in "ab"}
    chart.held["Patient"] = held
    return held


@pytest.fixture
def plan(ledger: Ledger, site: Site, build_outcome: BuildOutcome, device: Any) -> Callable[..., object]:
    planner = stores.planner(ledger, site)
    return lambda *ids, **options: planner.plan(device, [build_outcome(one, **options) for one in ids])


@pytest.fixture
def send(ledger: Ledger, site: Site, client: FhirClient, clock: Clock, source: dict[str, Any]) -> Send:
    def run(**keys: Any) -> DeliveryReport:
        guarded = site.model_copy(update={"safeguards": Keys(**keys)})
        safeguards = Safeguards(ledger, guarded, lambda _: json.dumps(source).encode() if source else None)
        return deliver(ledger, client, guarded, clock=clock, safeguards=safeguards)

    return run


def observations(chart: Any) -> int:
    return len(chart.all("Observation"))


def reasons(ledger: Ledger) -> set[str]:
    return {entry.reason for entry in ledger.in_state("north", ["manual", "planned"])}


def test_a_patient_who_shares_an_identifier_is_written_to(
    chart: Any, plan: Callable[..., object], send: Send, patients: dict[str, dict[str, Any]]
) -> None:
    patients["patient-of-a"] |= {"birthDate": "1999-09-09", "gender": "male"}
    plan("a")

    assert send().remaining == 0
    assert observations(chart) == 3


def test_without_a_common_identifier_birth_date_and_sex_must_agree(
    chart: Any, plan: Callable[..., object], send: Send, patients: dict[str, dict[str, Any]]
) -> None:
    patients["patient-of-a"] |= {"identifier": [{"system": "urn:other", "value": "1"}]}
    plan("a")

    assert send().remaining == 0
    assert observations(chart) == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"identifier": [], "birthDate": "1999-09-09"}, "does not agree with the source: identifier, birthDate"),
        ({"identifier": [], "gender": "male"}, "does not agree with the source: identifier, gender"),
        ({"identifier": [{"value": "1"}], "birthDate": None, "gender": None}, "identifier, birthDate, gender"),
        ({"link": [{"type": "replaced-by", "other": {"reference": "Patient/x"}}]}, "merged the patient into another"),
    ],
)
def test_another_patient_is_left_to_a_person_and_no_value_is_said(
    *, chart: Any, ledger: Ledger, plan: Callable[..., object], send: Send, patients: dict[str, dict[str, Any]],
    changes: dict[str, Any], said: str,
) -> None:  # fmt: skip
    patients["patient-of-a"] |= changes
    plan("a", "b")

    assert send().remaining == 0

    assert observations(chart) == 3  # of b
    assert ledger.counts("north")["manual"] == 4
    [reason] = {entry.reason for entry in ledger.in_state("north", ["manual"])}
    assert said in reason
    assert "1999" not in reason


def test_a_patient_whom_the_ehr_does_not_know_is_left_to_a_person(
    *, chart: Any, ledger: Ledger, plan: Callable[..., object], send: Send, patients: dict[str, dict[str, Any]]
) -> None:
    del patients["patient-of-a"]
    plan("a")

    send()

    assert observations(chart) == 0
    assert reasons(ledger) == {"the EHR does not know the patient"}


def test_a_patient_unknown_to_the_source_is_left_to_a_person(
    *, ledger: Ledger, plan: Callable[..., object], send: Send, patients: dict[str, Any], source: dict[str, Any]
) -> None:
    source.clear()
    plan("a")

    send()

    assert patients
    assert reasons(ledger) == {"the source has no Patient to compare the EHR's with"}


def test_a_patient_is_read_once_in_every_run(
    *, chart: Any, ledger: Ledger, site: Site, client: FhirClient, plan: Callable[..., object],
    patients: dict[str, Any], source: dict[str, Any],
) -> None:  # fmt: skip
    plan("a")
    for run in (1, 2):
        safeguards = Safeguards(ledger, site, lambda _: json.dumps(source).encode())
        for _ in range(3):
            assert len(safeguards.allowed(ledger.of_responses("north", ["a"]), client)) == 4
        assert chart.log.count(("GET", "Patient/patient-of-a")) == run
    assert patients


@pytest.mark.parametrize(
    ("later", "said"),
    [
        ({"link": [{"type": "replaced-by", "other": {"reference": "Patient/x"}}]}, "merged the patient into another"),
        ({"meta": {"security": [{"code": "V"}]}}, "a security label of the EHR's Patient stops it"),
        ({"identifier": [{"system": "urn:mrn", "value": "2"}], "gender": "male"}, "does not agree with the source"),
    ],
)
def test_a_patient_in_order_before_is_left_to_a_person_once_that_changed(
    *, chart: Any, ledger: Ledger, plan: Callable[..., object], send: Send, patients: dict[str, dict[str, Any]],
    later: dict[str, Any], said: str,
) -> None:  # fmt: skip
    plan("a")
    assert send(stop_labels=("V",)).remaining == 0
    before = chart.all("Observation")
    patients["patient-of-a"] |= later
    plan("a", answer=5, version_id="2")

    assert send(stop_labels=("V",)).sent == {}

    assert chart.all("Observation") == before
    assert ledger.counts("north")["manual"] == 3
    [reason] = {entry.reason for entry in ledger.in_state("north", ["manual"])}
    assert said in reason


def test_many_patients_are_read_at_once_and_whoever_is_not_found_so_alone(
    chart: Any, plan: Callable[..., object], send: Send, patients: dict[str, Any]
) -> None:
    patients["patient-of-c"] = {**SOURCE, "id": "patient-of-c"}
    answer = chart._get

    def lose_c(request: Any, path: str) -> Any:
        if path != "Patient":
            return answer(request, path)
        held = chart.held["Patient"]
        chart.held["Patient"] = {name: one for name, one in held.items() if not name.endswith("c")}
        try:
            return answer(request, path)
        finally:
            chart.held["Patient"] = held

    chart._get = lose_c
    plan("a", "b", "c")

    assert send().remaining == 0
    assert observations(chart) == 9
    assert [path for _, path in chart.log if path.startswith("Patient")] == ["Patient", "Patient/patient-of-c"]


def test_what_a_person_put_right_goes_on(
    *, chart: Any, ledger: Ledger, plan: Callable[..., object], send: Send, patients: dict[str, dict[str, Any]]
) -> None:
    patients["patient-of-a"] |= {"identifier": [], "gender": "male"}
    plan("a")
    send()
    patients["patient-of-a"] |= {"gender": "female"}
    keys = [entry.key for entry in ledger.in_state("north", ["manual"])]

    ledger.decisions.again("north", keys, who="a person", why="the sex was wrong in the EHR")

    assert send().remaining == 0
    assert observations(chart) == 3
    assert {decision.who for decision in ledger.decisions.all("north")} == {"a person"}


def test_nothing_is_written_to_those_who_opted_out(
    *, chart: Any, plan: Callable[..., object], send: Send, patients: dict[str, Any], tmp_path: Path
) -> None:
    list_ = tmp_path / "opted-out.txt"
    list_.write_text("# by letter\npatient-of-a\n", encoding="utf-8")
    plan("a", "b")

    report = send(opt_out_file=list_)

    assert patients
    assert observations(chart) == 3
    assert report.withheld == {OPTED_OUT: 4}

    list_.write_text("", encoding="utf-8")
    assert send(opt_out_file=list_).remaining == 0
    assert observations(chart) == 6


def test_an_opt_out_list_that_cannot_be_read_stops_everything(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nothing is written before it can"):
        Keys(opt_out_file=tmp_path / "gone.txt").opted_out()


def test_a_label_on_the_outcome_or_on_the_patient_stops_a_write(
    *, chart: Any, ledger: Ledger, site: Site, device: Any, build_outcome: BuildOutcome, send: Send,
    patients: dict[str, dict[str, Any]],
) -> None:  # fmt: skip
    label = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "V"}]}
    outcome = build_outcome("a")
    for resource in (*outcome.observations, outcome.provenance):
        resource["meta"] = {**resource["meta"], **label}
    patients["patient-of-b"] |= {"meta": label}
    stores.planner(ledger, site).plan(device, [outcome, build_outcome("b")])

    report = send(stop_labels=("R", "V"))

    assert observations(chart) == 0
    assert report.withheld == {LABELLED: 4}
    assert reasons(ledger) == {LABELLED, "a security label of the EHR's Patient stops it"}


def test_the_first_writes_wait_for_a_person_s_release(
    *, chart: Any, ledger: Ledger, plan: Callable[..., object], send: Send, patients: dict[str, Any]
) -> None:
    plan("a", "b")

    assert send(release=1).withheld == {NOT_RELEASED: 8}
    assert observations(chart) == 0

    assert ledger.decisions.unreleased("north", limit=1) == ["a"]
    ledger.decisions.release("north", ["a"], who="a person", why="looked at the dry run")
    assert send(release="all").withheld == {NOT_RELEASED: 4}
    assert observations(chart) == 3

    assert send(release=1).withheld == {}  # the first is in the chart
    assert patients
    assert observations(chart) == 6


def test_a_release_ends_when_what_was_released_changes(
    *, chart: Any, ledger: Ledger, plan: Callable[..., object], send: Send, patients: dict[str, Any]
) -> None:
    plan("a", "b")
    ledger.decisions.release("north", ["a", "b"], who="a person", why="looked at the dry run")
    plan("a", "b")  # the same again
    assert ledger.decisions.released("north", ["a", "b"]) == {"a", "b"}
    assert send(release="all").remaining == 0
    before = chart.all("Observation")

    plan("a", answer=5, version_id="2")

    report = send(release="all")
    assert report.withheld == {NOT_RELEASED: report.remaining}
    assert report.sent == {}
    assert chart.all("Observation") == before
    assert ledger.decisions.released("north", ["a", "b"]) == {"b"}
    assert ledger.decisions.unreleased("north", limit=9) == ["a"]

    ledger.decisions.release("north", ["a"], who="a person", why="looked at the new values")
    assert send(release="all").remaining == 0
    assert chart.all("Observation") != before
    assert patients
