import json
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from werkzeug import Response as WebResponse

from integration import outcomes
from integration.errors import ServerRefusedError, ServerUnreachableError
from integration.settings import Limits, Site
from integration.sources.client import Clock, FhirClient
from server.delivery.run import DeliveryReport, deliver
from server.jobs import stores
from server.ledger import Ledger
from server.ledger.decisions import Breaker
from server.reconcile import reconcile

BuildOutcome = Callable[..., outcomes.Outcome]
Deliver = Callable[..., DeliveryReport]
Chart = Any  # the class lives in conftest.py, which test modules cannot import

NORTH = Site(name="north", base_url="http://127.0.0.1/fhir")


def refusal(status: int, code: str = "processing", **headers: str) -> WebResponse:
    body = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code}]}
    return WebResponse(json.dumps(body), status=status, headers=headers)


@pytest.fixture
def send(ledger: Ledger, client: FhirClient, site: Site, clock: Clock) -> Deliver:
    def run(**options: Any) -> DeliveryReport:
        return deliver(ledger, client, options.pop("site", site), clock=clock, **options)

    return run


@pytest.fixture
def plan(ledger: Ledger, build_outcome: BuildOutcome, device: outcomes.Resource) -> Callable[..., None]:
    def run(*response_ids: str, **options: Any) -> None:
        stores.planner(ledger, NORTH).plan(device, [build_outcome(one, **options) for one in response_ids])

    return run


def states(ledger: Ledger) -> dict[str, int]:
    return dict(ledger.counts("north"))


def reasons(ledger: Ledger) -> set[str]:
    with sqlite3.connect(str(ledger._engine.url.database)) as connection:
        found = {row[0] for row in connection.execute("SELECT reason FROM outcome WHERE reason != ''")}
    connection.close()
    return found


def test_each_outcome_is_written_once_and_refers_to_the_servers_own_ids(
    chart: Chart, send: Deliver, plan: Callable[..., None]
) -> None:
    plan("a", "b")

    first, again = send(), send()

    assert first == DeliveryReport(resolved={}, sent={"accepted": 9}, remaining=0)
    assert again == DeliveryReport(resolved={}, sent={}, remaining=0)
    assert len(chart.keys()) == len(set(chart.keys())) == 9
    ids = set(chart.held["Observation"])
    for panel in (one for one in chart.all("Observation") if "hasMember" in one):
        assert {member["reference"].removeprefix("Observation/") for member in panel["hasMember"]} < ids
    for provenance in chart.all("Provenance"):
        assert {target["reference"].removeprefix("Observation/") for target in provenance["target"]} < ids
        agents = [agent["who"]["reference"] for agent in provenance["agent"]]
        assert f"Device/{chart.all('Device')[0]['id']}" in agents
    assert {one["device"]["reference"] for one in chart.all("Observation")} == {
        f"Device/{next(iter(chart.held['Device']))}"
    }


def test_accepted_is_not_verified_before_it_was_read_back(
    send: Deliver, plan: Callable[..., None], ledger: Ledger, client: FhirClient, site: Site
) -> None:
    plan("a")
    send()

    before = ledger.books("north")
    after = reconcile(ledger, client, site).books

    assert before.lines["pending"] == 3
    assert after.lines["verified"] == 3
    assert (before.is_proven, after.is_proven) == (False, True)


def test_the_intent_is_on_the_disk_before_the_request_leaves(
    chart: Chart, send: Deliver, plan: Callable[..., None], ledger: Ledger
) -> None:
    seen: list[int] = []

    def look(_: int) -> str:
        with sqlite3.connect(str(ledger._engine.url.database)) as connection:
            seen.append(connection.execute("SELECT count(*) FROM outcome WHERE state = 'sending'").fetchone()[0])
        connection.close()
        return ""

    plan("a")
    chart.on_write = look
    send()

    assert len(seen) == chart.writes
    assert all(seen)


@pytest.mark.parametrize("fault", ["lost", "cut"])
@pytest.mark.parametrize("at_write", [1, 2, 3])
def test_a_lost_answer_is_read_first_and_sent_again_only_if_absent(
    *, chart: Chart, send: Deliver, plan: Callable[..., None], fault: str, at_write: int
) -> None:
    plan(*"abcdefghijkl")
    chart.on_write = lambda number: fault if number == at_write else ""

    first = send()
    chart.log.clear()
    second = send()
    third = send()

    assert first.sent["unknown"] > 0
    assert chart.log[0][0] == "GET"
    assert set(second.resolved) == ({"planned"} if fault == "lost" else {"already_there"})
    assert third.remaining == 0
    assert len(chart.keys()) == len(set(chart.keys())) == 49


def test_nothing_on_its_way_is_read_before_the_server_had_time_to_finish(
    chart: Chart, plan: Callable[..., None], ledger: Ledger, client: FhirClient, site: Site, clock: Clock
) -> None:
    plan("a")
    chart.on_write = lambda _: "cut"
    deliver(ledger, client, site, clock=clock)
    slept: list[float] = []

    deliver(ledger, client, site, clock=Clock(now=clock.now, sleep=slept.append))
    late = clock.now() + timedelta(seconds=9)
    ledger._now = lambda: late
    slept_late: list[float] = []
    deliver(ledger, client, site, clock=Clock(now=lambda: late, sleep=slept_late.append))

    assert slept[0] == 5.0
    assert slept_late == []


def test_a_server_that_cannot_be_searched_is_never_sent_the_unknown_again(
    chart: Chart, send: Deliver, plan: Callable[..., None], ledger: Ledger
) -> None:
    plan("a")
    chart.on_write = lambda number: "cut" if number == 1 else ""
    chart.searches = False

    send()
    send()
    writes = chart.writes
    send()

    assert states(ledger)["manual"] == 1
    assert any("does not search" in reason for reason in reasons(ledger))
    assert chart.writes == writes
    assert len(chart.keys()) == len(set(chart.keys()))


@pytest.mark.parametrize("style", ["empty", "silent"])
def test_an_empty_answer_is_no_reason_to_write_twice(
    chart: Chart, send: Deliver, plan: Callable[..., None], style: str, ledger: Ledger, client: FhirClient, site: Site
) -> None:
    plan("a", "b")
    chart.answer_style = style

    while send().remaining:
        pass

    assert len(chart.keys()) == len(set(chart.keys())) == 9
    assert reconcile(ledger, client, site).books.is_proven


def test_a_corrected_answer_updates_the_same_resources(
    chart: Chart, send: Deliver, plan: Callable[..., None], ledger: Ledger, client: FhirClient, site: Site
) -> None:
    plan("a", "b")
    send()
    reconcile(ledger, client, site)

    plan("a", answer=5, status="amended", version_id="2")
    report = send()

    assert report.sent == {"accepted": 4}
    assert len(chart.keys()) == 9
    amended = [one for one in chart.all("Observation") if one["status"] == "amended"]
    assert [one["valueQuantity"]["value"] for one in amended if "valueQuantity" in one] == [100, 100]
    assert {one["meta"]["versionId"] for one in amended} == {"2"}
    assert reconcile(ledger, client, site).books.is_proven


def test_a_withdrawn_answer_becomes_entered_in_error_in_the_chart(
    chart: Chart, send: Deliver, plan: Callable[..., None], ledger: Ledger, client: FhirClient, site: Site
) -> None:
    plan("a", "b")
    send()

    stores.planner(ledger, NORTH).withdraw("a", reason="status")
    report = send()
    books = reconcile(ledger, client, site).books

    assert report.sent == {"accepted": 3}
    assert sorted(one["status"] for one in chart.all("Observation")) == ["entered-in-error"] * 3 + ["final"] * 3
    assert (books.lines["verified"], books.lines["retracted"], books.is_proven) == (3, 3, True)
    assert books.sentences() == (
        "6 outcomes = 3 verified + 3 retracted",
        "2 responses = 1 scored + 1 status",
    )


def test_a_change_by_somebody_else_is_not_overwritten(
    chart: Chart, send: Deliver, plan: Callable[..., None], ledger: Ledger
) -> None:
    plan("a")
    send()
    theirs = next(one for one in chart.all("Observation") if "valueQuantity" in one)
    chart._store({**theirs, "note": [{"text": "checked"}]}, theirs["id"])

    plan("a", answer=5)
    send()

    assert chart.held["Observation"][theirs["id"]]["note"] == [{"text": "checked"}]
    assert states(ledger)["manual"] == 1
    assert "HTTP 412: changed in the chart since it was written" in reasons(ledger)


def test_a_conflict_over_the_same_content_is_no_conflict(
    chart: Chart, send: Deliver, plan: Callable[..., None], ledger: Ledger, client: FhirClient, site: Site
) -> None:
    plan("a")
    send()
    chart.on_write = lambda _: "cut"
    plan("a", answer=5)
    send()
    for _ in range(5):
        send()
    chart.on_write = lambda _: ""
    send()

    assert reconcile(ledger, client, site).books.is_proven
    assert len(chart.keys()) == 5


def test_an_update_of_what_is_gone_is_for_a_person(
    chart: Chart, send: Deliver, plan: Callable[..., None], ledger: Ledger
) -> None:
    plan("a")
    send()
    gone = next(one["id"] for one in chart.all("Observation") if "valueQuantity" in one)
    del chart.held["Observation"][gone]

    plan("a", answer=5)
    send()

    assert states(ledger)["manual"] == 1
    assert any(reason.startswith("HTTP 404: gone from the chart") for reason in reasons(ledger))
    assert gone not in chart.held["Observation"]


@pytest.mark.parametrize(
    ("status", "state"),
    [(400, "refused"), (422, "refused"), (404, "refused"), (405, "refused"), (409, "manual"), (412, "manual")],
)
def test_a_refusal_is_recorded_with_its_code_and_not_repeated(
    *, chart: Chart, send: Deliver, plan: Callable[..., None], ledger: Ledger, status: int, state: str
) -> None:
    plan("a")
    send(limit=1)
    chart.on_write = lambda _: refusal(status, "value")

    send()
    writes = chart.writes
    send()

    assert states(ledger)[state] > 0
    assert any(reason.startswith(f"HTTP {status}: value") for reason in reasons(ledger))
    assert chart.writes == writes


def test_one_response_that_is_refused_holds_up_no_other(
    chart: Chart, plan: Callable[..., None], ledger: Ledger, client: FhirClient, clock: Clock
) -> None:
    site = Site(name="north", base_url=chart.base_url, limits=Limits(entries_per_transaction=200))
    plan(*(f"r{number:02}" for number in range(16)))
    store = chart._transaction
    chart._transaction = lambda bundle: (
        refusal(422, "business-rule") if "patient-of-r07" in json.dumps(bundle) else store(bundle)
    )

    deliver(ledger, client, site, clock=clock)

    assert states(ledger) == {"accepted": 61, "refused": 4}
    assert len(chart.keys()) == len(set(chart.keys())) == 61


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_left_alone_until_its_time(
    *,
    chart: Chart,
    plan: Callable[..., None],
    ledger: Ledger,
    client: FhirClient,
    site: Site,
    status: int,
    clock: Clock,
) -> None:
    plan("a", "b")
    chart.on_write = lambda number: refusal(status, "throttled", **{"Retry-After": "120"}) if number == 2 else ""

    report = deliver(ledger, client, site, clock=clock)
    too_early = chart.writes
    deliver(ledger, client, site, clock=clock)

    assert report.stopped == "the server asks to wait"
    assert states(ledger)["waiting"] > 0
    with sqlite3.connect(str(ledger._engine.url.database)) as connection:
        due = {row[0] for row in connection.execute("SELECT due FROM outcome WHERE state = 'waiting'")}
    connection.close()
    assert due == {"2026-01-05T12:02:00.000Z"}
    assert too_early == 2


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_server_error_after_sending_says_nothing_of_its_effect(
    *, chart: Chart, send: Deliver, plan: Callable[..., None], status: int
) -> None:
    plan("a")
    chart.on_write = lambda number: refusal(status) if number == 1 else ""

    first = send()
    second = send()

    assert first.sent["unknown"] == 1
    assert second.resolved == {"planned": 1}
    assert send().remaining == 0
    assert len(chart.keys()) == len(set(chart.keys())) == 5


def test_a_server_that_does_not_answer_three_times_is_left_alone(
    chart: Chart, send: Deliver, plan: Callable[..., None]
) -> None:
    plan(*(f"r{number:02}" for number in range(40)))
    send(limit=1)
    chart.on_write = lambda _: "lost"

    report = send()

    assert report.stopped == "the server does not answer any more"
    assert chart.writes == 1 + 3


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_stop_the_run_and_leave_everything_planned(
    *, chart: Chart, send: Deliver, plan: Callable[..., None], ledger: Ledger, status: int
) -> None:
    plan("a")
    chart.on_write = lambda _: refusal(status, "forbidden")

    with pytest.raises(ServerRefusedError, match=f"HTTP {status}"):
        send()

    assert states(ledger) == {"planned": 5}


def test_a_server_that_is_not_there_leaves_everything_planned(
    plan: Callable[..., None], ledger: Ledger, site: Site, clock: Clock
) -> None:
    plan("a")
    nobody = FhirClient("http://127.0.0.1:9/fhir")

    with nobody, pytest.raises(ServerUnreachableError):
        deliver(ledger, nobody, site, clock=clock)

    assert states(ledger) == {"planned": 5}


def test_the_limit_of_writes_ends_a_run_at_a_whole_response(
    chart: Chart, send: Deliver, plan: Callable[..., None]
) -> None:
    plan("a", "b", "c")

    counts = []
    while (report := send(limit=5)).stopped:
        counts.append(len(chart.keys()))

    assert counts == [5, 9]
    assert report.remaining == 0
    assert len(chart.keys()) == 13


def test_what_refers_to_something_refused_is_refused_with_it(
    chart: Chart, plan: Callable[..., None], ledger: Ledger, client: FhirClient, clock: Clock
) -> None:
    site = Site(name="north", base_url=chart.base_url, write_profile="single")
    plan("a")
    chart.on_write = lambda number: refusal(422, "value") if number == 2 else ""

    report = deliver(ledger, client, site, clock=clock)

    assert report.sent == {"accepted": 2, "refused": 1}
    assert states(ledger) == {"accepted": 2, "refused": 3}
    assert "refers to an outcome that was refused" in reasons(ledger)

    plan("a", answer=5, version_id="2")  # a correction that the server may take brings all of it back

    assert deliver(ledger, client, site, clock=clock).remaining == 0
    assert states(ledger) == {"accepted": 5}


def test_progress_is_told_from_nothing_to_all(send: Deliver, plan: Callable[..., None]) -> None:
    plan("a", "b")
    told: list[tuple[int, int]] = []

    send(on_progress=lambda done, total: told.append((done, total)))

    assert (told[0], told[-1]) == ((0, 9), (9, 9))


def test_a_ledger_that_was_lost_writes_nothing_twice(
    *, chart: Chart, send: Deliver, client: FhirClient, site: Site, clock: Clock, tmp_path: Path,
    plan: Callable[..., None], build_outcome: BuildOutcome, device: outcomes.Resource,
) -> None:  # fmt: skip
    plan("a", "b")
    send()
    writes = chart.writes

    with Ledger.open(tmp_path / "new.sqlite", now=clock.now) as new:
        stores.planner(new, NORTH).plan(device, [build_outcome(one) for one in "abc"])
        report = deliver(new, client, site, clock=clock)
        proof = reconcile(new, client, site)

    assert report.sent == {"accepted": 4}
    assert chart.writes - writes == (1 if site.write_profile == "generic" else 4)
    assert len(chart.keys()) == len(set(chart.keys())) == 13
    assert proof.books.is_proven


def test_a_chart_that_may_be_written_but_not_searched_is_written(
    chart: Chart, send: Deliver, plan: Callable[..., None]
) -> None:
    plan("a")
    chart._get = lambda *_: refusal(403, "forbidden")

    assert send().sent == {"accepted": 5}


def test_an_update_whose_answer_was_lost_is_followed_by_the_newer_one(
    chart: Chart, send: Deliver, plan: Callable[..., None], ledger: Ledger, client: FhirClient, site: Site
) -> None:
    plan("a")
    send()
    first_update = chart.writes + 1
    chart.on_write = lambda number: "cut" if number >= first_update else ""
    plan("a", answer=5, version_id="2")
    send()

    plan("a", answer=1, version_id="3")
    chart.on_write = lambda _: ""
    ledger.decisions.set_breaker("north", Breaker())  # the clock stands still
    while send().remaining:
        pass
    proof = reconcile(ledger, client, site)

    assert [one["valueQuantity"]["value"] for one in chart.all("Observation") if "valueQuantity" in one] == [0, 0]
    assert proof.books.is_proven


def test_a_response_withdrawn_on_its_way_and_proven_absent_leaves_nothing_to_send(
    chart: Chart, send: Deliver, plan: Callable[..., None], ledger: Ledger
) -> None:
    plan("a")
    send(limit=1)
    chart.on_write = lambda _: "lost"
    send()

    stores.planner(ledger, NORTH).withdraw("a", reason="status")
    chart.on_write = lambda _: ""
    report = send()

    assert report.remaining == 0
    assert states(ledger) == {"accepted": 1, "retracted": 4}
    assert [resource_type for resource_type, held in chart.held.items() if held] == ["Device"]
