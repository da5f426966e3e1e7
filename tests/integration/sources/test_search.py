import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from integration.errors import ServerRefusedError
from integration.sources import search
from integration.sources.client import Clock, FhirClient

Serve = Callable[..., None]


@pytest.fixture
def client(httpserver: HTTPServer) -> Iterator[FhirClient]:
    with FhirClient(httpserver.url_for("/fhir"), clock=Clock(sleep=lambda _: None)) as made:
        yield made


@pytest.fixture
def serve(httpserver: HTTPServer) -> Serve:
    """Serve one page at a query; `next_page` is the next one's query or a whole URL."""

    def respond(query: str, ids: list[str], next_page: str | None = None, extra: list[Any] | None = None) -> None:
        entries = [{"resource": {"resourceType": "Patient", "id": i}, "search": {"mode": "match"}} for i in ids]
        bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "entry": [*entries, *(extra or [])]}
        if next_page is not None:
            url = next_page if ":" in next_page else httpserver.url_for(f"/fhir/Patient?{next_page}")
            bundle["link"] = [{"relation": "next", "url": url}]
        httpserver.expect_request("/fhir/Patient", query_string=query).respond_with_json(bundle)

    return respond


def ids(client: FhirClient) -> list[str]:
    return [json.loads(body)["id"] for body in search.resources(client, "Patient", page_size=2)]


def test_all_pages_are_read_and_next_is_followed_as_written(serve: Serve, client: FhirClient) -> None:
    serve("_count=2", ["a", "b"], "_getpages=x%7Cy&_bundletype=searchset")
    serve("_getpages=x%7Cy&_bundletype=searchset", ["c"])

    assert ids(client) == ["a", "b", "c"]


def test_an_empty_page_with_a_next_link_is_not_the_end(serve: Serve, client: FhirClient) -> None:
    serve("_count=2", ["a"], "page=2")
    serve("page=2", [], "page=3")
    serve("page=3", ["b"])

    assert ids(client) == ["a", "b"]


def test_a_relative_next_link_is_resolved_against_the_base(
    httpserver: HTTPServer, serve: Serve, client: FhirClient
) -> None:
    link = [{"relation": "next", "url": "Patient?page=2"}]
    httpserver.expect_request("/fhir/Patient", query_string="_count=2").respond_with_json(
        {"resourceType": "Bundle", "link": link}
    )
    serve("page=2", ["b"])

    assert ids(client) == ["b"]


def test_the_bytes_are_the_servers_own(httpserver: HTTPServer, client: FhirClient) -> None:
    body = (
        '{"resourceType": "Bundle", "entry": [{"resource": {"resourceType":"Patient",  "id": "\\u00e9", "x": 1.50}}]}'
    )
    httpserver.expect_request("/fhir/Patient").respond_with_data(body)

    found = list(search.resources(client, "Patient", page_size=2))

    assert found == [b'{"resourceType":"Patient",  "id": "\\u00e9", "x": 1.50}']


def test_pages_in_a_circle_end_in_an_error(serve: Serve, client: FhirClient) -> None:
    serve("_count=2", ["a"], "page=2")
    serve("page=2", ["b"], "page=3")
    serve("page=3", ["c"], "page=2")

    with pytest.raises(ServerRefusedError, match="circle"):
        ids(client)


def test_a_next_link_to_another_host_is_refused_and_not_followed(
    httpserver: HTTPServer, serve: Serve, client: FhirClient
) -> None:
    serve("_count=2", ["a"], "http://example.invalid/fhir/Patient?page=2")

    with pytest.raises(ServerRefusedError, match="another host"):
        ids(client)

    assert len(httpserver.log) == 1


def test_what_the_server_warns_of_is_logged_by_code_and_is_no_resource(
    serve: Serve, client: FhirClient, caplog: pytest.LogCaptureFixture
) -> None:
    issue = {"severity": "warning", "code": "not-supported", "diagnostics": "Jane Doe"}
    outcome = {"resource": {"resourceType": "OperationOutcome", "issue": [issue]}, "search": {"mode": "outcome"}}
    serve("_count=2", ["a"], extra=[outcome])

    with caplog.at_level(logging.WARNING):
        found = ids(client)

    assert found == ["a"]
    assert "warning not-supported" in caplog.text
    assert "Jane" not in caplog.text


@pytest.mark.parametrize(
    "body", ['{"resourceType": "Patient"}', "<html>", "", '{"resourceType": "Bundle", "entry": 3}']
)
def test_an_answer_that_is_no_bundle_is_an_error(httpserver: HTTPServer, client: FhirClient, body: str) -> None:
    httpserver.expect_request("/fhir/Patient").respond_with_data(body)

    with pytest.raises(ServerRefusedError, match="not a Bundle"):
        ids(client)


def test_each_page_is_reported_before_its_resources(serve: Serve, client: FhirClient) -> None:
    serve("_count=2", ["a", "b"], "page=2")
    serve("page=2", ["c"])
    counts: list[int] = []

    list(search.resources(client, "Patient", page_size=2, on_page=lambda page: counts.append(len(page.resources))))

    assert counts == [2, 1]
