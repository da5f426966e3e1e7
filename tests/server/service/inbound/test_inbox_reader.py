"""From the inbox to the ledger."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integration import outcomes
from integration.errors import ServerUnreachableError
from integration.settings import Site
from server.jobs import stores
from server.service.inbound.inbox import Settled
from server.service.inbound.inbox_reader import InboxReader, Sweep

KINDS = ("panel", "physical", "psychological", "provenance")

NOW = datetime(2012, 6, 1, 12, 0, tzinfo=UTC)
NORTH = Site(name="north", base_url="http://127.0.0.1/fhir")


def in_error(body: Any) -> bytes:
    return bytes(body(status="entered-in-error"))


def test_a_stored_response_becomes_a_planned_outcome(service: Any, body: Any) -> None:
    service.post(body())

    sweep = service.reader.plan_waiting()

    assert sweep == Sweep(settled=1)
    assert set(service.planned()) == {f"r1/{kind}" for kind in KINDS}
    assert service.planned()["r1/physical"]["valueQuantity"]["value"] == 50
    assert service.inbox.counts() == {"planned": 1}


def test_sweeping_again_plans_nothing_new(service: Any, body: Any) -> None:
    service.post(body())
    service.reader.plan_waiting()
    before = service.planned()

    assert service.reader.plan_waiting() == Sweep()
    assert service.planned() == before


def test_a_crash_between_planning_and_settling_is_repaired(service: Any, body: Any) -> None:
    service.post(body())
    service.reader.plan_waiting()
    before = service.planned()
    (entry,) = service.inbox.versions("QuestionnaireResponse", ["r1"])
    service.inbox.settle(
        [Settled(sequence=entry.sequence, state="received")]
    )  # as if the process had been killed before it

    assert service.reader.plan_waiting() == Sweep(settled=1)
    assert service.planned() == before


def test_an_amended_response_replaces_what_was_planned(service: Any, body: Any) -> None:
    service.post(body())
    service.reader.plan_waiting()
    service.put("r1", body(status="amended", answer=4))
    service.reader.plan_waiting()

    physical = service.planned()["r1/physical"]
    assert (physical["status"], physical["valueQuantity"]["value"]) == ("amended", 75)
    assert service.inbox.counts() == {"planned": 2}


@pytest.mark.parametrize("change", [{"status": "entered-in-error"}, {"questionnaire": "urn:phq-9"}])
def test_a_response_that_becomes_unusable_withdraws_its_outcome(
    service: Any, body: Any, change: dict[str, str]
) -> None:
    service.post(body())
    service.reader.plan_waiting()
    service.put("r1", body(**change))
    service.reader.plan_waiting()

    assert service.planned() == {}
    assert service.ledger.counts("north", resource_type="Observation") == {"retracted": 3}
    assert service.inbox.counts() == {"planned": 1, "without_outcome": 1}


def test_an_unusable_response_without_an_outcome_withdraws_nothing(service: Any, body: Any) -> None:
    service.post(in_error(body))

    assert service.reader.plan_waiting() == Sweep(settled=1)
    assert service.planned() == {}


def test_a_newest_version_that_is_unusable_does_not_revive_an_older_one(service: Any, body: Any) -> None:
    service.post(body(status="entered-in-error", meta={"versionId": "2"}))
    service.reader.plan_waiting()
    service.post(body(meta={"versionId": "1"}))
    service.reader.plan_waiting()

    assert service.planned() == {}
    assert service.inbox.counts() == {"without_outcome": 1, "superseded": 1}


def test_an_older_version_that_comes_late_changes_nothing(service: Any, body: Any) -> None:
    service.post(body(answer=4, meta={"versionId": "10"}))
    service.reader.plan_waiting()
    service.post(body(answer=2, meta={"versionId": "9"}))
    service.reader.plan_waiting()

    assert service.planned()["r1/physical"]["valueQuantity"]["value"] == 75


def test_of_two_versions_that_wait_only_the_newer_is_planned(service: Any, body: Any) -> None:
    service.post(body(answer=4))
    service.post(body(answer=2))

    assert service.reader.plan_waiting() == Sweep(settled=2)
    assert service.planned()["r1/physical"]["valueQuantity"]["value"] == 25
    assert service.inbox.counts() == {"superseded": 1, "planned": 1}


def test_a_response_that_cannot_be_read_any_more_keeps_its_reason(service: Any, body: Any) -> None:
    service.post(body())
    service.patients.clear()

    assert service.reader.plan_waiting() == Sweep(settled=1)
    assert service.inbox.counts() == {"rejected": 1}
    assert service.planned() == {}


def test_an_unscorable_response_is_planned_with_its_reason(service: Any, body: Any) -> None:
    service.post(body(answer=9))
    service.reader.plan_waiting()

    assert service.planned()["r1/physical"]["dataAbsentReason"]["text"] == "answer out of range"


def test_a_response_that_fails_holds_up_no_other_and_is_tried_again(
    service: Any, body: Any, origin: outcomes.Origin, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b", "c"):
        service.post(body(id=name))

    def read(sent: bytes) -> Any:
        if json.loads(sent)["id"] == "b":
            raise RuntimeError("Zylpha-4711")
        return service.read(sent)

    reader = InboxReader(
        inbox=service.inbox, read=read, planner=stores.planner(service.ledger, NORTH), origin=lambda: origin
    )

    assert reader.plan_waiting() == Sweep(settled=2, failed=1)
    assert service.inbox.counts() == {"planned": 2, "received": 1}
    assert "Zylpha" not in caplog.text
    assert service.reader.plan_waiting() == Sweep(settled=1)


def test_a_response_whose_patient_cannot_be_asked_for_waits_and_is_not_ill(
    service: Any, body: Any, origin: outcomes.Origin
) -> None:
    service.post(body())

    def away(_: bytes) -> Any:
        raise ServerUnreachableError(url="http://example.invalid/Patient/p1", problem="no answer")

    reader = InboxReader(
        inbox=service.inbox, read=away, planner=stores.planner(service.ledger, NORTH), origin=lambda: origin
    )

    assert reader.plan_waiting() == Sweep(postponed=1)
    assert service.inbox.counts() == {"received": 1}
    assert service.reader.plan_waiting() == Sweep(settled=1)


def test_more_than_one_batch_is_settled_in_one_sweep(service: Any, body: Any) -> None:
    for number in range(101):
        service.post(body(id=f"n{number}"))

    assert service.reader.plan_waiting() == Sweep(settled=101)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"versionId": "1718000000"}, {"versionId": "2"}),
        ({"lastUpdated": "2012-06-02T00:00:00Z"}, {"lastUpdated": "2012-06-01T00:00:00Z"}),
        ({"versionId": "7"}, None),
    ],
)
@pytest.mark.parametrize("status", ["amended", "entered-in-error"])
def test_a_response_that_names_the_latest_version_counts_whatever_its_meta_says(
    service: Any, body: Any, first: dict[str, str], then: dict[str, str] | None, status: str
) -> None:
    service.post(body(meta=first))
    service.reader.plan_waiting()

    given = service.client.put(
        "/fhir/QuestionnaireResponse/r1",
        data=body(status=status, answer=4, meta=then),
        headers={"Content-Type": "application/fhir+json", "If-Match": 'W/"1"'},
    )
    service.reader.plan_waiting()

    assert [issue["severity"] for issue in given.get_json()["issue"]] == ["information"]
    scores = {"amended": 75}.get(status)
    assert service.planned().get("r1/physical", {}).get("valueQuantity", {}).get("value") == scores


def test_what_is_entered_in_error_by_its_own_sender_counts_whatever_its_meta_says(service: Any, body: Any) -> None:
    service.post(body(meta={"versionId": "10"}))
    service.reader.plan_waiting()
    service.put("r1", body(status="entered-in-error", meta={"versionId": "2"}))
    service.reader.plan_waiting()

    assert service.planned() == {}


def test_a_last_update_in_the_future_is_no_order(service: Any, body: Any) -> None:
    service.post(body(meta={"lastUpdated": "2099-01-01T00:00:00Z"}))
    service.reader.plan_waiting()
    service.put("r1", body(status="amended", answer=4, meta={"lastUpdated": "2012-06-01T00:00:00Z"}))
    service.reader.plan_waiting()

    assert service.planned()["r1/physical"]["valueQuantity"]["value"] == 75


def test_whoever_sends_what_another_version_supersedes_is_told(service: Any, body: Any) -> None:
    service.post(body(meta={"versionId": "10"}))

    given = service.put("r1", body(answer=4, meta={"versionId": "9"}))

    assert given.headers["ETag"] == 'W/"2"'
    (issue,) = given.get_json()["issue"]
    assert (issue["severity"], "not used" in issue["details"]["text"]) == ("warning", True)


@pytest.mark.parametrize("has_it_again", [False, True])
def test_who_was_stopped_for_longer_than_its_lease_plans_nothing_that_another_settled(
    service: Any, body: Any, origin: outcomes.Origin, monkeypatch: pytest.MonkeyPatch, has_it_again: bool
) -> None:
    lease, now, planner = service.inbox.lease, [NOW], stores.planner(service.ledger, NORTH)
    monkeypatch.setattr(lease, "_now", lambda: now[0])

    def reader(holder: str, read: Any) -> InboxReader:
        return InboxReader(inbox=service.inbox, read=read, planner=planner, origin=lambda: origin, holder=holder)

    def stopped(raw: bytes) -> Any:
        judged = service.read(raw)
        now[0] += timedelta(minutes=1)
        assert lease.take("another")
        service.put("r1", in_error(body))
        assert reader("another", service.read).plan_waiting().settled == 2
        if has_it_again:
            lease.give_up("another")
        return judged

    service.put("r1", body())
    assert lease.take("first")

    assert reader("first", stopped).plan_waiting() == Sweep()
    assert service.planned() == {}
    assert service.inbox.counts() == {"superseded": 1, "without_outcome": 1}
