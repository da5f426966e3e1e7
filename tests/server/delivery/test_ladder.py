"""Where a site refuses Observations: documents, and what the books say of them."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug import Response

from integration import outcomes
from integration.settings import Limits, Site
from integration.sources.client import Clock, FhirClient
from integration.write_profile import ProfileKeys
from server import work
from server.delivery.ladder import Ladder
from server.delivery.run import DeliveryReport, deliver
from server.jobs import stores
from server.ledger import Ledger, Settlement
from server.ledger.planning import NOT_AMENDED, NOT_RETRACTED, REFERS_TO_HAND_MADE, REFERS_TO_REFUSED
from server.reconcile import reconcile
from server.sites import profile_of

BuildOutcome = Callable[..., outcomes.Outcome]


@pytest.fixture
def refuses() -> set[str]:
    """The resource types that the server refuses to create."""
    return {"Observation"}


@pytest.fixture
def site(chart: Any, refuses: set[str]) -> Site:
    plain = chart._write

    def write(request: Any, path: str) -> Any:
        resource_type = path.partition("/")[0]
        return refused(422) if resource_type in refuses and request.method == "POST" else plain(request, path)

    chart._write = write
    return Site(
        name="north",
        base_url=chart.base_url,
        write_profile="single",
        profile=ProfileKeys(fallback="document", document_updates=True),
        limits=Limits(settle_seconds=0),
    )


def refused(status: int) -> Any:
    body = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "not-supported"}]}
    return Response(json.dumps(body), status=status, content_type="application/fhir+json")


@pytest.fixture
def send(ledger: Ledger, site: Site, client: FhirClient, clock: Clock) -> Callable[[], DeliveryReport]:
    return lambda: deliver(ledger, client, site, clock=clock)


def test_a_document_stands_in_for_refused_observations_and_the_books_count_it(
    *, chart: Any, ledger: Ledger, site: Site, client: FhirClient, build_outcome: BuildOutcome, device: Any,
    send: Callable[[], DeliveryReport],
) -> None:  # fmt: skip
    stores.planner(ledger, site).plan(device, [build_outcome("a"), build_outcome("b")])

    assert send().remaining == 0
    proof = reconcile(ledger, client, site)

    assert len(chart.all("DocumentReference")) == 2
    assert chart.all("Observation") == chart.all("Provenance") == []
    assert (proof.books.outcomes, proof.books.lines["verified"]) == (6, 6)
    assert proof.books.is_proven
    reasons = {entry.reason for entry in ledger.of_responses("north", ["a"]) if entry.kind in ("panel", "provenance")}
    assert reasons == {REFERS_TO_REFUSED}


def test_a_changed_score_changes_the_document(
    *, chart: Any, ledger: Ledger, site: Site, client: FhirClient, build_outcome: BuildOutcome, device: Any,
    send: Callable[[], DeliveryReport],
) -> None:  # fmt: skip
    planner = stores.planner(ledger, site)
    planner.plan(device, [build_outcome("a")])
    send()
    [before] = chart.all("DocumentReference")

    planner.plan(device, [build_outcome("a", answer=5, version_id="2")])
    send()

    [after] = chart.all("DocumentReference")
    assert after["id"] == before["id"]
    assert after["content"] != before["content"]
    assert reconcile(ledger, client, site).books.is_proven


def test_a_withdrawn_response_takes_its_document_back(
    *, chart: Any, ledger: Ledger, site: Site, client: FhirClient, build_outcome: BuildOutcome, device: Any,
    send: Callable[[], DeliveryReport],
) -> None:  # fmt: skip
    planner = stores.planner(ledger, site)
    planner.plan(device, [build_outcome("a")])
    send()

    planner.withdraw("a", reason="status")
    send()

    assert [one["status"] for one in chart.all("DocumentReference")] == ["entered-in-error"]
    proof = reconcile(ledger, client, site)
    assert (proof.books.lines["retracted"], proof.books.is_proven) == (3, True)


def test_observations_that_are_taken_after_all_take_the_document_s_place(
    *, chart: Any, ledger: Ledger, site: Site, client: FhirClient, build_outcome: BuildOutcome, device: Any,
    send: Callable[[], DeliveryReport], refuses: set[str],
) -> None:  # fmt: skip
    planner = stores.planner(ledger, site)
    planner.plan(device, [build_outcome("a")])
    send()

    refuses.clear()
    planner.plan(device, [build_outcome("a", answer=5, version_id="2")])
    assert send().remaining == 0

    assert len(chart.all("Observation")) == 3
    assert [one["status"] for one in chart.all("DocumentReference")] == ["entered-in-error"]
    proof = reconcile(ledger, client, site)
    assert (proof.books.outcomes, proof.books.lines["verified"], proof.books.difference) == (3, 3, 0)


def test_where_documents_are_refused_too_a_person_is_left(
    *, chart: Any, ledger: Ledger, site: Site, client: FhirClient, build_outcome: BuildOutcome, device: Any,
    send: Callable[[], DeliveryReport], refuses: set[str],
) -> None:  # fmt: skip
    refuses.add("DocumentReference")
    stores.planner(ledger, site).plan(device, [build_outcome("a")])

    assert send().remaining == 0

    assert chart.all("DocumentReference") == []
    books = reconcile(ledger, client, site).books
    assert (books.outcomes, books.lines["refused"], books.is_balanced, books.is_proven) == (3, 3, True, False)


def test_without_the_wish_for_documents_refused_is_refused(
    *,
    chart: Any,
    ledger: Ledger,
    site: Site,
    client: FhirClient,
    build_outcome: BuildOutcome,
    device: Any,
    clock: Clock,
) -> None:
    plain = site.model_copy(update={"profile": ProfileKeys()})
    stores.planner(ledger, plain).plan(device, [build_outcome("a")])

    assert deliver(ledger, client, plain, clock=clock).remaining == 0

    assert chart.all("DocumentReference") == []
    assert reconcile(ledger, client, plain).books.lines["refused"] == 3


def test_where_no_document_may_be_written_over_a_new_one_replaces_it(
    *, chart: Any, ledger: Ledger, site: Site, client: FhirClient, build_outcome: BuildOutcome, device: Any,
    clock: Clock,
) -> None:  # fmt: skip
    fixed = site.model_copy(update={"write_profile": "document", "profile": ProfileKeys()})
    planner = stores.planner(ledger, fixed)
    planner.plan(device, [build_outcome("a")])
    deliver(ledger, client, fixed, clock=clock)
    for answer in (5, 4, 4):
        planner.plan(device, [build_outcome("a", answer=answer, version_id=str(answer))])
        assert ledger.books("north").outcomes == 3
        assert deliver(ledger, client, fixed, clock=clock).remaining == 0

    documents = chart.all("DocumentReference")
    replaced = [one["relatesTo"][0]["target"]["reference"] for one in documents if "relatesTo" in one]
    assert replaced == [f"DocumentReference/{one['id']}" for one in documents[:2]]
    assert len(documents) == 3
    proof = reconcile(ledger, client, fixed)
    assert (proof.books.outcomes, proof.books.lines["verified"], proof.findings) == (3, 3, [])
    assert proof.books.is_proven

    planner.withdraw("a", reason="status")
    assert deliver(ledger, client, fixed, clock=clock).remaining == 0
    books = reconcile(ledger, client, fixed).books
    assert (books.lines["manual"], books.is_balanced) == (3, True)


def test_another_profile_takes_back_what_it_does_not_write(
    *, chart: Any, ledger: Ledger, site: Site, client: FhirClient, build_outcome: BuildOutcome, device: Any,
    clock: Clock, refuses: set[str],
) -> None:  # fmt: skip
    refuses.clear()
    keys = ProfileKeys(document_updates=True)
    documents = site.model_copy(update={"write_profile": "document", "profile": keys})
    stores.planner(ledger, documents).plan(device, [build_outcome("a")])
    deliver(ledger, client, documents, clock=clock)

    stores.planner(ledger, site).plan(device, [build_outcome("a")])
    assert deliver(ledger, client, site, clock=clock).remaining == 0

    assert [one["status"] for one in chart.all("DocumentReference")] == ["entered-in-error"]
    assert len(chart.all("Observation")) == 3
    books = reconcile(ledger, client, site).books
    assert (books.lines["verified"], books.lines["retracted"], books.difference) == (3, 3, 0)


def test_a_refused_change_of_what_the_chart_holds_is_left_to_a_person(
    *, chart: Any, ledger: Ledger, site: Site, client: FhirClient, build_outcome: BuildOutcome, device: Any,
    send: Callable[[], DeliveryReport], refuses: set[str],
) -> None:  # fmt: skip
    refuses.clear()
    planner = stores.planner(ledger, site)
    planner.plan(device, [build_outcome("a")])
    send()

    chart.on_write = lambda _: refused(422)
    planner.plan(device, [build_outcome("a", answer=5, version_id="2")])
    send()

    assert chart.all("DocumentReference") == []
    entries = [one for one in ledger.of_responses("north", ["a"]) if one.kind in ("physical", "psychological")]
    assert [(one.state, one.observations) for one in entries] == [("manual", 1)] * 2
    assert all(one.reason.startswith(NOT_AMENDED) for one in entries)
    books = reconcile(ledger, client, site).books
    assert (books.outcomes, books.lines["manual"], books.is_proven) == (3, 2, False)


def test_what_may_be_in_the_chart_is_not_refused_with_what_was(
    *, ledger: Ledger, site: Site, build_outcome: BuildOutcome, device: Any,
) -> None:  # fmt: skip
    outcome = build_outcome("a")
    physical, psychological = outcome.physical["id"], outcome.psychological["id"]
    stores.planner(ledger, site).plan(device, [outcome])
    ledger.lease("north", "w", after=None, responses=9, seconds=60)
    for key, state in ((physical, "refused"), (psychological, "waiting")):
        ledger.claim("north", [key], request_id=key, interaction="create", worker="w", seconds=60)
        settled = Settlement(key=key, state=state, maybe_sent=state == "waiting")  # type: ignore[arg-type]  # a State
        ledger.settle("north", [settled], request_id=key)
    ladder = Ladder(ledger, site, profile_of(site))

    assert ladder.step_down(ledger.of_responses("north", ["a"])) == 0  # its document may have to say more yet
    states = {one.kind: one.state for one in ledger.of_responses("north", ["a"])}
    assert states == {
        "physical": "refused", "psychological": "waiting", "panel": "refused", "provenance": "refused",
    }  # fmt: skip

    ledger.settle("north", [Settlement(key=psychological, state="already_there", ehr_id="7")])
    assert ladder.step_down(ledger.of_responses("north", ["a"])) == 1
    [document] = [one for one in ledger.of_responses("north", ["a"]) if one.kind == "document"]
    assert document.observations == 2


def test_a_document_is_taken_back_while_amended_scores_are_a_person_s_work(
    *, chart: Any, ledger: Ledger, site: Site, client: FhirClient, build_outcome: BuildOutcome, device: Any,
    send: Callable[[], DeliveryReport], refuses: set[str],
) -> None:  # fmt: skip
    planner = stores.planner(ledger, site)
    planner.plan(device, [build_outcome("a")])
    send()
    refuses.clear()

    planner.plan(device, [build_outcome("a", answer=5, version_id="2")])
    planned = reconcile(ledger, client, site).books
    plain = chart._write
    chart._write = lambda request, path: refused(409) if request.method == "POST" else plain(request, path)
    send()

    assert (planned.lines["pending"], planned.lines["verified"], planned.is_proven) == (3, 0, False)
    assert [one["status"] for one in chart.all("DocumentReference")] == ["entered-in-error"]
    books = reconcile(ledger, client, site).books
    assert (books.outcomes, books.is_balanced, books.is_proven) == (3, True, False)


def test_where_no_document_may_be_written_over_a_stand_in_is_replaced_too(
    *, chart: Any, ledger: Ledger, site: Site, client: FhirClient, build_outcome: BuildOutcome, device: Any,
    clock: Clock,
) -> None:  # fmt: skip
    fixed = site.model_copy(update={"profile": ProfileKeys(fallback="document")})
    planner = stores.planner(ledger, fixed)
    for answer in (3, 5):
        planner.plan(device, [build_outcome("a", answer=answer, version_id=str(answer))])
        deliver(ledger, client, fixed, clock=clock)

    old, new = chart.all("DocumentReference")
    assert new["relatesTo"][0]["target"]["reference"] == f"DocumentReference/{old['id']}"
    books = reconcile(ledger, client, fixed).books
    assert (books.outcomes, books.lines["verified"], books.is_proven) == (3, 3, True)


def test_a_replacement_that_never_left_leaves_the_old_document_to_be_taken_back(
    *, ledger: Ledger, site: Site, client: FhirClient, build_outcome: BuildOutcome, device: Any, clock: Clock,
) -> None:  # fmt: skip
    fixed = site.model_copy(update={"write_profile": "document", "profile": ProfileKeys()})
    planner = stores.planner(ledger, fixed)
    planner.plan(device, [build_outcome("a")])
    deliver(ledger, client, fixed, clock=clock)
    planner.plan(device, [build_outcome("a", answer=5, version_id="2")])
    planner.withdraw("a", reason="status")
    deliver(ledger, client, fixed, clock=clock)

    entries = ledger.of_responses("north", ["a"])
    found = {one.state: (one.observations, bool(one.ehr_id), one.reason) for one in entries}
    assert found == {"manual": (3, True, NOT_RETRACTED), "retracted": (0, False, "")}
    books = reconcile(ledger, client, fixed).books
    assert (books.outcomes, books.lines["manual"], books.is_balanced, books.is_proven) == (3, 3, True, False)

    planner.plan(device, [build_outcome("a", answer=5, version_id="3")])
    deliver(ledger, client, fixed, clock=clock)
    books = reconcile(ledger, client, fixed).books
    assert (books.outcomes, books.lines["verified"], books.is_proven) == (3, 3, True)


@pytest.mark.parametrize("answered", [Settlement(key="", state="refused", http_status=422), None])
def test_a_replacement_withdrawn_on_its_way_and_not_taken_leaves_the_old_document_to_a_person(
    *, chart: Any, ledger: Ledger, site: Site, client: FhirClient, build_outcome: BuildOutcome, device: Any,
    clock: Clock, answered: Settlement | None,
) -> None:  # fmt: skip
    fixed = site.model_copy(update={"write_profile": "document", "profile": ProfileKeys()})
    planner = stores.planner(ledger, fixed)
    planner.plan(device, [build_outcome("a")])
    deliver(ledger, client, fixed, clock=clock)
    planner.plan(device, [build_outcome("a", answer=5, version_id="2")])
    [new] = ledger.lease("north", "w", after=None, responses=9, seconds=60)
    ledger.claim("north", [new.key], request_id="1", interaction="create", worker="w", seconds=60)
    planner.withdraw("a", reason="status")
    if answered:
        ledger.settle("north", [dataclasses.replace(answered, key=new.key)], request_id="1")
    ledger.unlease("north", "w")
    deliver(ledger, client, fixed, clock=clock)

    assert [one["status"] for one in chart.all("DocumentReference")] == ["current"]
    found = {one.state: (one.observations, one.reason) for one in ledger.of_responses("north", ["a"])}
    assert found == {"manual": (3, NOT_RETRACTED), "retracted": (0, found["retracted"][1])}
    books = reconcile(ledger, client, fixed).books
    assert (books.outcomes, books.lines["manual"], books.is_balanced, books.is_proven) == (3, 3, True, False)

    planner.plan(device, [build_outcome("a", answer=5, version_id="3")])
    deliver(ledger, client, fixed, clock=clock)
    books = reconcile(ledger, client, fixed).books
    assert (books.outcomes, books.lines["verified"], books.is_proven) == (3, 3, True)


def test_a_replacement_that_changes_before_it_leaves_still_says_what_it_replaces(
    *, chart: Any, ledger: Ledger, site: Site, client: FhirClient, build_outcome: BuildOutcome, device: Any,
    clock: Clock,
) -> None:  # fmt: skip
    fixed = site.model_copy(update={"write_profile": "document", "profile": ProfileKeys()})
    planner = stores.planner(ledger, fixed)
    planner.plan(device, [build_outcome("a")])
    deliver(ledger, client, fixed, clock=clock)
    for answer in (4, 5):
        planner.plan(device, [build_outcome("a", answer=answer, version_id=str(answer))])
    deliver(ledger, client, fixed, clock=clock)

    old, new = chart.all("DocumentReference")
    assert new["relatesTo"][0]["target"]["reference"] == f"DocumentReference/{old['id']}"
    assert reconcile(ledger, client, fixed).books.is_proven


def test_what_a_killed_delivery_left_refused_gets_its_document_in_the_next_one(
    *, chart: Any, ledger: Ledger, site: Site, client: FhirClient, build_outcome: BuildOutcome, device: Any,
    send: Callable[[], DeliveryReport], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    stores.planner(ledger, site).plan(device, [build_outcome("a")])
    with monkeypatch.context() as patched:
        patched.setattr(Ladder, "step_down", lambda *_: 0)
        send()
    assert chart.all("DocumentReference") == []

    send()

    assert len(chart.all("DocumentReference")) == 1
    assert reconcile(ledger, client, site).books.is_proven


def test_what_refers_to_something_done_by_hand_does_not_wait_for_ever(
    *, ledger: Ledger, site: Site, chart: Any, client: FhirClient, build_outcome: BuildOutcome, device: Any,
    send: Callable[[], DeliveryReport], refuses: set[str],
) -> None:  # fmt: skip
    refuses.clear()
    outcome = build_outcome("a")
    stores.planner(ledger, site).plan(device, [outcome])
    physical = outcome.physical["id"]
    ledger.settle("north", [Settlement(key=physical, state="manual", reason="the EHR does not know the patient")])
    assert send().remaining == 2  # the panel and the Provenance wait for a person's decision
    ledger.decisions.done("north", [physical], who="Dr. Moreau", why="entered by hand")

    assert send().remaining == 0
    assert send().remaining == 0

    reasons = {one.kind: one.reason for one in ledger.of_responses("north", ["a"]) if one.state == "refused"}
    assert reasons == dict.fromkeys(("panel", "provenance"), REFERS_TO_HAND_MADE)
    assert chart.all("DocumentReference") == []
    [item] = work.work_list(ledger, "north", profile_of(site)).items
    assert item.kind == "panel"
    ledger.decisions.done("north", [item.key], who="Dr. Moreau", why="left out")
    assert work.work_list(ledger, "north", profile_of(site)).items == ()
    books = reconcile(ledger, client, site).books
    assert (books.outcomes, books.lines["manual"], books.lines["verified"], books.is_balanced) == (3, 2, 1, True)

    stores.planner(ledger, site).plan(device, [build_outcome("a", answer=5, version_id="2")])
    assert send().remaining == 0  # what changed after it was done by hand is a person's again, and ends likewise


@pytest.mark.parametrize("fallback", ["document", "none"])
def test_a_refused_device_is_a_person_s_work_and_its_scores_are_refused_with_it(
    *, ledger: Ledger, site: Site, chart: Any, client: FhirClient, build_outcome: BuildOutcome, device: Any,
    clock: Clock, refuses: set[str], fallback: str,
) -> None:  # fmt: skip
    refuses.clear()
    refuses.add("Device")
    keys = ProfileKeys(fallback="document", document_updates=True) if fallback == "document" else ProfileKeys()
    here = site.model_copy(update={"profile": keys})
    stores.planner(ledger, here).plan(device, [build_outcome("a"), build_outcome("b")])

    assert deliver(ledger, client, here, clock=clock).remaining == 0

    assert len(chart.all("DocumentReference")) == (2 if fallback == "document" else 0)
    [item] = work.work_list(ledger, "north", profile_of(here)).items
    assert (item.kind, item.state, "--again" in item.advice) == ("device", "refused", True)
    books = reconcile(ledger, client, here).books
    assert (books.outcomes, books.is_balanced) == (6, True)
    assert books.lines["verified" if fallback == "document" else "refused"] == 6

    refuses.clear()
    assert ledger.decisions.again("north", [item.key], who="Dr. Moreau", why="mended") == 1
    assert deliver(ledger, client, here, clock=clock).remaining == 0
    books = reconcile(ledger, client, here).books
    assert (books.outcomes, books.lines["verified"], books.is_balanced) == (6, 6, True)
    assert len(chart.all("Observation")) == 6
