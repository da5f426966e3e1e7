"""Hints of a Subscription, and what is read from the site because of them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from integration.errors import DeliveryError
from integration.settings import Site
from integration.sources.client import FhirClient, Retries
from server.service.inbound import submission
from server.service.inbound.deposits import Answer, Unit, VersionConflictError
from server.service.inbound.pulling import Puller
from server.service.inbound.reading import ResourceReader

NOW = datetime(2012, 6, 1, 12, 0, tzinfo=UTC)
Asked = list[dict[str, str]]


@pytest.fixture
def pull(service: Any, httpserver: HTTPServer) -> Callable[[], int]:
    desk = service.services.inbound.desk
    url = httpserver.url_for("/fhir")
    site = Site(name="north", base_url=url)
    puller = Puller(inbox=service.inbox, commit=desk.commit, read=desk.read, site=site, now=lambda: NOW)

    def run() -> int:
        service.services.inbound.note_hints()
        with FhirClient(url, retries=Retries(attempts=1)) as client:
            return puller.pull(client)

    return run


def hint(service: Any, **more: Any) -> Any:
    return service.client.post("/fhir/subscription/north", **more)


def serve(httpserver: HTTPServer, *pages: list[Any]) -> Asked:
    """Answer searches by these pages, one after another; the last again and again."""
    asked: Asked = []

    def answer(request: Request) -> Response:
        number = int(request.args.get("page", "0"))
        if not number:
            asked.append(dict(request.args))
        link = (
            [{"relation": "next", "url": f"QuestionnaireResponse?page={number + 1}"}] if number + 1 < len(pages) else []
        )
        bundle = {"resourceType": "Bundle", "type": "searchset", "link": link}
        entries = [{"resource": one} for one in pages[number]]
        return Response(json.dumps(bundle | ({"entry": entries} if entries else {})), 200)

    httpserver.expect_request("/fhir/QuestionnaireResponse").respond_with_handler(answer)
    return asked


def at_site(body: Any, name: str, updated: str, **more: Any) -> Any:
    return json.loads(body(id=name, meta={"versionId": "1", "lastUpdated": updated}, **more))


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"data": b"", "content_type": "application/fhir+json"},
        {"data": b'{"resourceType": "Bundle", "type": "history"}', "content_type": "application/fhir+json"},
        {"data": b"not even JSON", "content_type": "text/plain"},
        {"headers": {"Accept": "text/html"}},
    ],
)
def test_a_hint_is_answered_at_once_whatever_it_says(service: Any, sent: dict[str, Any]) -> None:
    answer = hint(service, **sent)

    assert (answer.status_code, answer.data, answer.content_type) == (200, b"", None)
    assert service.wakes == ["woken"]
    assert service.inbox.counts() == {}


def test_a_rest_hook_with_its_payload_is_a_hint_and_its_payload_is_not_believed(service: Any, body: Any) -> None:
    path = "/fhir/subscription/north/QuestionnaireResponse/r1"

    answer = service.client.put(path, data=body(), content_type="application/fhir+json")

    assert answer.status_code == 200
    assert service.inbox.counts() == {}
    assert service.inbox.pulls.wanted() is not None


def test_a_hint_that_was_answered_outlives_the_process(service: Any) -> None:
    hint(service)
    during = service.inbox.pulls.wanted()
    hint(service)  # while that pull runs
    service.services.inbound.note_hints()
    service.inbox.pulls.served(during, "2012-06-01T11:30:00+00:00")

    assert during.asked == 1
    assert service.inbox.pulls.wanted().asked == 2


def test_a_site_that_hinted_before_is_asked_at_every_start_and_another_never(service: Any) -> None:
    pulls = service.inbox.pulls

    pulls.ask_again()
    never = pulls.wanted()
    pulls.ask()
    pulls.served(pulls.wanted(), "")
    pulls.ask_again()

    assert never is None
    assert pulls.wanted() is not None


def test_a_hint_of_a_site_that_nobody_knows_is_refused(service: Any) -> None:
    assert service.client.post("/fhir/subscription/south").status_code == 404


def test_what_changed_is_read_over_its_pages_and_planned(
    service: Any, body: Any, httpserver: HTTPServer, pull: Callable[[], int]
) -> None:
    first = at_site(body, "a", "2012-06-01T11:00:00Z")
    asked = serve(httpserver, [first], [], [at_site(body, "b", "2012-06-01T11:30:00Z")])
    hint(service)

    assert pull() == 2
    assert asked[0]["_lastUpdated"] == "ge2012-05-31T12:00:00.000+00:00"
    assert service.inbox.counts() == {"received": 2}
    service.reader.plan_waiting()
    assert {key.split("/")[0] for key in service.planned()} == {"a", "b"}


def test_a_storm_of_hints_is_one_pull_and_the_next_begins_before_the_last_change(
    service: Any, body: Any, httpserver: HTTPServer, pull: Callable[[], int]
) -> None:
    asked = serve(httpserver, [at_site(body, "a", "2012-06-01T11:30:00+02:00")])
    for _ in range(20):
        hint(service)

    counts = [pull(), pull(), pull()]
    hint(service)

    assert counts == [1, 0, 0]
    assert pull() == 1
    assert asked[1]["_lastUpdated"] == "ge2012-06-01T11:28:00.000+02:00"
    assert service.inbox.counts() == {"received": 1}


def test_what_cannot_be_used_is_set_aside_because_nobody_could_be_told(
    service: Any, body: Any, httpserver: HTTPServer, pull: Callable[[], int]
) -> None:
    serve(httpserver, [at_site(body, "a", "2012-06-01T11:00:00Z", subject={"reference": "Patient/nobody"})])
    hint(service)

    pull()

    [aside] = service.inbox.quarantined()
    assert (aside.resource_id, aside.problem, aside.caller) == ("a", "subject: unknown patient", "pull")


def test_what_a_run_planned_is_not_set_aside_for_how_it_names_its_patient(
    service: Any, body: Any, study: Any, httpserver: HTTPServer
) -> None:
    url = httpserver.url_for("/fhir")
    foreign = {"subject": {"reference": "https://export.example/fhir/Patient/p1"}}
    serve(httpserver, [at_site(body, name, "2012-06-01T11:00:00Z", **foreign) for name in ("of-a-run", "new")])
    puller = Puller(
        inbox=service.inbox,
        commit=service.services.inbound.desk.commit,
        read=ResourceReader(study, lambda _: None, bases=[url]),
        site=Site(name="north", base_url=url),
        now=lambda: NOW,
        is_planned=lambda response_id: response_id == "of-a-run",
    )
    hint(service)
    service.services.inbound.note_hints()

    with FhirClient(url, retries=Retries(attempts=1)) as client:
        puller.pull(client)

    [aside] = service.inbox.quarantined()
    assert (aside.resource_id, "other_base_urls" in aside.problem) == ("new", True)
    assert service.inbox.counts() == {"quarantined": 1}


def test_an_identifier_without_a_system_names_one_patients_response_in_a_pull_too(
    service: Any, body: Any, httpserver: HTTPServer, pull: Callable[[], int]
) -> None:
    named = {"id": None, "identifier": {"value": "17"}}
    others = body(**named, subject={"reference": "Patient/p2"})
    serve(httpserver, [json.loads(body(**named)), json.loads(others)])
    hint(service)

    pull()

    [aside] = service.inbox.quarantined()
    assert "about another patient" in aside.problem
    assert service.inbox.counts() == {"received": 1, "quarantined": 1}


def test_what_was_pulled_is_not_moved_by_what_is_stored_together_with_it(
    service: Any, body: Any, httpserver: HTTPServer
) -> None:
    serve(httpserver, [json.loads(body())])
    units: list[Unit] = []
    commit: Any = SimpleNamespace(take=units.append)
    puller = Puller(
        inbox=service.inbox,
        commit=commit,
        read=service.services.inbound.desk.read,
        site=Site(name="north", base_url=httpserver.url_for("/fhir")),
        now=lambda: NOW,
    )
    service.inbox.pulls.ask()
    with FhirClient(puller.site.base_url, retries=Retries(attempts=1)) as client:
        puller.pull(client)
    others = submission.read(body(subject={"reference": "Patient/p2"}), "QuestionnaireResponse").deposit()
    unit = Unit(
        caller="engine", request_id="", content_hash="x", deposits=[others], answer=lambda _: Answer(status=200)
    )

    _, refused = service.inbox.write([*units, unit])

    assert isinstance(refused, VersionConflictError)
    assert refused.is_anothers


def test_a_server_that_is_away_is_asked_again(
    service: Any, body: Any, httpserver: HTTPServer, pull: Callable[[], int]
) -> None:
    httpserver.expect_oneshot_request("/fhir/QuestionnaireResponse").respond_with_data("", 500)
    hint(service)

    with pytest.raises(DeliveryError):
        pull()
    httpserver.clear()
    serve(httpserver, [at_site(body, "a", "2012-06-01T11:00:00Z")])

    assert pull() == 1


@pytest.fixture
def pull_at(service: Any, httpserver: HTTPServer) -> Callable[[datetime], int]:
    """Return a function that hints and pulls, by a clock that says so."""
    desk, url = service.services.inbound.desk, httpserver.url_for("/fhir")

    def run(now: datetime) -> int:
        site = Site(name="north", base_url=url)
        hint(service)
        service.services.inbound.note_hints()
        with FhirClient(url, retries=Retries(attempts=1)) as client:
            return Puller(inbox=service.inbox, commit=desk.commit, read=desk.read, site=site, now=lambda: now).pull(
                client
            )

    return run


@pytest.mark.parametrize(
    "wrong", ["2099-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
def test_a_time_that_cannot_be_hides_no_later_change(
    service: Any, body: Any, httpserver: HTTPServer, pull_at: Callable[[datetime], int], wrong: str
) -> None:
    asked = serve(httpserver, [at_site(body, "a", "2012-06-01T11:30:00Z"), at_site(body, "far", wrong)])

    counts = [pull_at(NOW), pull_at(NOW + timedelta(hours=1))]

    assert counts == [2, 2]
    assert asked[1]["_lastUpdated"] == "ge2012-06-01T11:28:00.000+00:00"
    assert service.inbox.counts() == {"received": 2}


@pytest.mark.parametrize("wrong", ["2099-01-01T00:00:00+00:00", "0001-01-01T00:00:00+00:00"])
def test_a_watermark_that_cannot_be_is_begun_anew(
    service: Any, httpserver: HTTPServer, pull_at: Callable[[datetime], int], wrong: str
) -> None:
    asked = serve(httpserver, [])
    service.inbox.pulls.ask()
    service.inbox.pulls.served(service.inbox.pulls.wanted(), wrong)

    pull_at(NOW)

    assert asked[0]["_lastUpdated"] == "ge2012-05-31T12:00:00.000+00:00"


def test_a_server_whose_clock_is_behind_ours_loses_nothing(
    httpserver: HTTPServer, body: Any, pull_at: Callable[[datetime], int]
) -> None:
    at_first = serve(httpserver, [])

    pull_at(NOW)
    pull_at(NOW + timedelta(days=2))
    httpserver.clear()
    changed = NOW + timedelta(days=2) - timedelta(minutes=4)  # by its clock, which is four minutes behind
    then = serve(httpserver, [at_site(body, "a", changed.isoformat())])
    pull_at(NOW + timedelta(days=2, minutes=1))
    pull_at(NOW + timedelta(days=9))

    since = [datetime.fromisoformat(one["_lastUpdated"].removeprefix("ge")) for one in at_first + then]
    assert since[0] == NOW - timedelta(days=1)
    assert since[1] == since[2] == since[0] - timedelta(minutes=2)
    assert since[3] == changed - timedelta(minutes=2)
