import json
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug import Response as WebResponse

from integration import outcomes
from integration.errors import ServerRefusedError
from integration.settings import Site
from integration.sources.client import Clock, FhirClient
from server.delivery.run import deliver
from server.jobs import stores
from server.ledger import Ledger
from server.reconcile import Reconciliation, reconcile

Read = Callable[..., Reconciliation]
Chart = Any  # the class lives in conftest.py, which test modules cannot import

NORTH = Site(name="north", base_url="http://127.0.0.1/fhir")


@pytest.fixture
def site(chart: Chart) -> Site:
    return Site(name="north", base_url=chart.base_url)


@pytest.fixture
def read(
    *,
    chart: Chart,
    ledger: Ledger,
    client: FhirClient,
    site: Site,
    clock: Clock,
    build_outcome: Callable[..., outcomes.Outcome],
    device: outcomes.Resource,
) -> Read:
    """Deliver the outcomes of two responses; then each call reads them back."""
    stores.planner(ledger, NORTH).plan(device, [build_outcome("a"), build_outcome("b", answer=None)])
    deliver(ledger, client, site, clock=clock)
    chart.log.clear()
    return lambda **options: reconcile(ledger, client, site, **options)


def a_score(chart: Chart) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in chart.all("Observation") if "valueQuantity" in one)
    return found


def test_what_is_read_back_and_equal_is_verified(read: Read, chart: Chart) -> None:
    told: list[tuple[int, int]] = []

    result = read(on_progress=lambda done, total: told.append((done, total)))

    assert (result.read, result.findings) == ({"verified": 9}, [])
    assert result.books.is_proven
    assert result.books.sentences() == ("6 outcomes = 6 verified", "2 responses = 1 scored + 1 too few answers")
    assert told == [(9, 9)]
    assert {method for method, _ in chart.log} == {"GET"}


def test_what_is_gone_is_missing(read: Read, chart: Chart) -> None:
    gone = a_score(chart)
    del chart.held["Observation"][gone["id"]]

    result = read()

    (finding,) = result.findings
    assert (finding.state, finding.resource_type, finding.ehr_id) == ("missing", "Observation", gone["id"])
    assert (result.books.lines["missing"], result.books.lines["verified"]) == (1, 5)
    assert (result.books.is_balanced, result.books.is_proven) == (True, False)


def test_what_was_altered_is_told_by_its_paths(read: Read, chart: Chart) -> None:
    altered = a_score(chart)
    altered["valueQuantity"]["value"] = 12.5
    altered["status"] = "corrected"

    (finding,) = read().findings

    assert (finding.state, finding.reason) == ("altered", "status, valueQuantity.value")
    assert "12.5" not in str(finding)


def test_two_of_one_are_a_duplicate(read: Read, chart: Chart) -> None:
    chart._store(a_score(chart), "")

    (finding,) = read().findings

    assert (finding.state, finding.reason) == ("duplicate", "2 in the chart")


def test_another_resource_under_our_identifier_is_altered(read: Read, chart: Chart) -> None:
    score = a_score(chart)
    del chart.held["Observation"][score["id"]]
    chart._store(score, "")

    findings = {finding.state: finding.reason for finding in read().findings}

    assert "id" in findings["altered"].split(", ")


def test_what_was_mended_is_verified_again(read: Read, chart: Chart) -> None:
    gone = a_score(chart)
    del chart.held["Observation"][gone["id"]]
    before = read().books.is_proven

    chart.held["Observation"][gone["id"]] = gone

    assert (before, read().books.is_proven) == (False, True)


def test_what_may_not_be_read_is_unreadable(read: Read, chart: Chart) -> None:
    chart._get = lambda *_: WebResponse(b"", status=403)

    result = read()

    assert result.read == {"unreadable": 9}
    assert result.books.lines["unreadable"] == 6
    assert {finding.reason for finding in result.findings} == {"HTTP 403"}


def test_a_chart_that_cannot_be_read_now_changes_no_state(read: Read, chart: Chart, ledger: Ledger) -> None:
    chart._get = lambda *_: WebResponse(b"", status=500)

    with pytest.raises(ServerRefusedError):
        read()

    assert ledger.counts("north") == {"accepted": 9}


def test_a_server_that_searches_for_no_identifiers_is_read_by_id(read: Read, chart: Chart) -> None:
    chart.searches = False
    gone = a_score(chart)
    del chart.held["Observation"][gone["id"]]

    result = read()

    assert result.read == {"verified": 8, "missing": 1}


def test_what_was_changed_in_the_ledger_meanwhile_is_left_alone(
    read: Read, ledger: Ledger, chart: Chart, build_outcome: Callable[..., outcomes.Outcome], device: outcomes.Resource
) -> None:
    answer = chart._get

    def change_and_answer(*arguments: Any) -> WebResponse:
        stores.planner(ledger, NORTH).plan(device, [build_outcome("a", answer=5)])
        return answer(*arguments)

    chart._get = change_and_answer
    read()

    assert ledger.counts("north") == {"verified": 7, "planned": 2}


def test_what_was_never_sent_is_not_looked_for(
    read: Read, ledger: Ledger, device: outcomes.Resource, build_outcome: Callable[..., outcomes.Outcome]
) -> None:
    stores.planner(ledger, NORTH).plan(device, [build_outcome("c")])
    stores.planner(ledger, NORTH).withdraw("c", reason="status")

    result = read()

    assert result.read == {"verified": 9}
    assert (result.books.lines["retracted"], result.books.is_proven) == (3, True)


def test_held_stays_held_until_it_is_in_the_chart(
    *,
    chart: Chart,
    ledger: Ledger,
    client: FhirClient,
    clock: Clock,
    build_outcome: Callable[..., outcomes.Outcome],
    device: outcomes.Resource,
) -> None:
    site = Site(name="north", base_url=chart.base_url, write_profile="single")
    stores.planner(ledger, NORTH).plan(device, [build_outcome("a")])
    store = chart._write
    held: list[Any] = []
    chart._write = lambda request, path: (
        held.append((request.get_data(), path)) or WebResponse(b"", status=202)
        if path == "Observation" and not held
        else store(request, path)
    )
    deliver(ledger, client, site, clock=clock)

    before = reconcile(ledger, client, site)
    chart._store(json.loads(held[0][0]), "released")
    after = reconcile(ledger, client, site)

    assert before.books.lines["held"] == 1
    assert (after.books.lines["held"], after.read["verified"]) == (0, 3)
    deliver(ledger, client, site, clock=clock)
    assert reconcile(ledger, client, site).books.is_proven
