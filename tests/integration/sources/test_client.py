import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from types import SimpleNamespace

import pytest
import requests
from pytest_httpserver import HTTPServer
from urllib3.exceptions import MaxRetryError, NewConnectionError
from urllib3.exceptions import SSLError as TransportSSLError
from werkzeug import Response as WebResponse

from integration.errors import ServerNotReachedError, ServerRefusedError, ServerUnreachableError
from integration.sources.client import (
    Answer,
    Clock,
    FhirClient,
    Location,
    Retries,
    parse_etag,
    parse_location,
)

NOW = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)
Answering = Callable[[Callable[[socket.socket], None]], str]


class Pauses(list[float]):
    """What would have been slept."""


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def client(httpserver: HTTPServer, pauses: Pauses) -> Iterator[FhirClient]:
    clock = Clock(now=lambda: NOW, sleep=pauses.append)
    with FhirClient(httpserver.url_for("/fhir"), timeout_seconds=30, clock=clock, new_request_id=lambda: "r-1") as made:
        yield made


@pytest.fixture
def one_shot(answering: Answering) -> Callable[[bytes, float], str]:
    """Start servers that read one request, write so many bytes and cut the connection."""

    def start(reply: bytes, wait_seconds: float) -> str:
        def answer(connection: socket.socket) -> None:
            threading.Event().wait(wait_seconds)
            connection.sendall(reply)

        return f"{answering(answer)}/fhir"

    return start


@pytest.fixture
def dripping(answering: Answering) -> Callable[[bytes, float], str]:
    """Start servers that write a reply byte by byte, and then blanks, until the client goes."""

    def start(reply: bytes, pause_seconds: float) -> str:
        def answer(connection: socket.socket) -> None:
            for byte in chain(reply, repeat(32)):
                connection.sendall(bytes([byte]))
                threading.Event().wait(pause_seconds)

        return f"{answering(answer)}/fhir"

    return start


@pytest.fixture
def peers() -> list[int]:
    """The client's port of each request."""
    return []


@pytest.fixture
def threaded_server(peers: list[int]) -> Iterator[ThreadingHTTPServer]:
    """A server that keeps connections open, and answers in either way to say where a body ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            peers.append(self.client_address[1])
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"2\r\n{}\r\n0\r\n\r\n")

        def do_POST(self) -> None:
            peers.append(self.client_address[1])
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(201)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_request(self, code: object = "-", size: object = "-") -> None:
            del code, size

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_every_request_carries_an_id_and_the_media_type(httpserver: HTTPServer, client: FhirClient) -> None:
    httpserver.expect_request(
        "/fhir/Patient/p",
        headers={"X-Request-Id": "r-1", "Accept": "application/fhir+json"},
    ).respond_with_json({"resourceType": "Patient", "id": "p"}, headers={"ETag": 'W/"3"'})

    answer = client.read("Patient", "p")

    assert (answer.status, answer.version, answer.request_id) == (200, "3", "r-1")
    assert answer.json() == {"resourceType": "Patient", "id": "p"}


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://elsewhere/fhir/Observation/7/_history/2", ("7", "2")),
        ("Observation/7/_history/2", ("7", "2")),
        ("/api/FHIR/R4/Observation/7", ("7", "")),
        ("Observation/7", ("7", "")),
    ],
)
def test_an_empty_201_says_its_id_in_any_form_of_location(
    httpserver: HTTPServer, client: FhirClient, location: str, expected: tuple[str, str]
) -> None:
    reply = WebResponse(b"", status=201, headers={"Location": location}, content_type="text/html")
    httpserver.expect_request("/fhir/Observation", method="POST").respond_with_response(reply)

    answer = client.create("Observation", b"{}", request_id="r-9")

    assert answer.location == Location(resource_type="Observation", resource_id=expected[0], version=expected[1])
    assert (answer.version, answer.request_id, answer.json()) == (expected[1], "r-9", None)


@pytest.mark.parametrize("text", ["", "http://h/fhir", "http://h/fhir/metadata", "7"])
def test_a_location_that_names_no_resource_is_none(text: str) -> None:
    assert parse_location(text) is None


@pytest.mark.parametrize(("text", "version"), [('W/"1"', "1"), ('"1"', "1"), ("1", "1"), ("", "")])
def test_an_etag_is_read_in_every_spelling(text: str, version: str) -> None:
    assert parse_etag(text) == version


def test_an_update_names_the_version_that_it_replaces(httpserver: HTTPServer, client: FhirClient) -> None:
    httpserver.expect_request(
        "/fhir/Observation/7", method="PUT", headers={"If-Match": 'W/"1"', "Content-Type": "application/fhir+json"}
    ).respond_with_data(b"", status=200, headers={"ETag": 'W/"2"'})

    assert client.update("Observation", "7", b"{}", if_match="1").version == "2"


def test_of_an_operation_outcome_only_codes_and_expressions_are_kept(
    httpserver: HTTPServer, client: FhirClient
) -> None:
    outcome = {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": "value",
                "diagnostics": "Jane Doe has no such thing",
                "details": {"coding": [{"code": "59189"}], "text": "Jane Doe"},
                "expression": ["Observation.category[0]", "Jane Doe's value"],
            }
        ],
    }
    httpserver.expect_request("/fhir/Observation").respond_with_json(outcome, status=422)

    with pytest.raises(ServerRefusedError) as caught:
        client.create("Observation", b"{}")

    assert caught.value.status == 422
    assert caught.value.problem == "value 59189 Observation.category[0]"
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>Jane</html>", b"[]", b'{"issue": 3}', b'{"issue": [3]}', b"\xff"])
def test_a_refusal_without_an_operation_outcome_says_so(
    httpserver: HTTPServer, client: FhirClient, body: bytes
) -> None:
    httpserver.expect_request("/fhir/Observation").respond_with_data(body, status=400)

    with pytest.raises(ServerRefusedError, match="no OperationOutcome"):
        client.create("Observation", b"{}")


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("retry_after", "pause"),
    [
        ("7", 7.0),
        ("Mon, 05 Jan 2026 12:00:09 GMT", 9.0),
        ("Mon, 05 Jan 2026 11:00:00 GMT", 0.0),
        ("86400", 60.0),
        ("soon", 0.5),
        (None, 0.5),
    ],
)
def test_a_busy_server_is_asked_again_when_it_says(
    *, httpserver: HTTPServer, client: FhirClient, pauses: Pauses, status: int, retry_after: str | None, pause: float
) -> None:
    headers = {"Retry-After": retry_after} if retry_after else {}
    httpserver.expect_ordered_request("/fhir/Patient/p").respond_with_data(b"", status=status, headers=headers)
    httpserver.expect_ordered_request("/fhir/Patient/p").respond_with_json({"id": "p"})

    assert client.read("Patient", "p").json() == {"id": "p"}
    assert pauses == [pause]


def test_a_read_is_given_up_after_its_attempts(httpserver: HTTPServer, client: FhirClient, pauses: Pauses) -> None:
    httpserver.expect_request("/fhir/Patient/p").respond_with_data(b"", status=503)

    with pytest.raises(ServerRefusedError, match="HTTP 503"):
        client.read("Patient", "p")

    assert pauses == [0.5, 1.0, 2.0]
    assert len(httpserver.log) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 500])
def test_a_refusal_that_no_pause_cures_is_not_repeated(
    httpserver: HTTPServer, client: FhirClient, pauses: Pauses, status: int
) -> None:
    httpserver.expect_request("/fhir/Patient/p").respond_with_data(b"", status=status)

    with pytest.raises(ServerRefusedError, match=f"HTTP {status}"):
        client.read("Patient", "p")

    assert pauses == []


@pytest.mark.parametrize("status", [429, 503])
def test_a_write_is_never_repeated_and_carries_retry_after(
    httpserver: HTTPServer, client: FhirClient, pauses: Pauses, status: int
) -> None:
    httpserver.expect_request("/fhir").respond_with_data(b"", status=status, headers={"Retry-After": "30"})

    with pytest.raises(ServerRefusedError) as caught:
        client.transaction(b"{}")

    assert caught.value.retry_after_seconds == 30.0
    assert (pauses, len(httpserver.log)) == ([], 1)


def test_a_redirect_is_a_refusal(httpserver: HTTPServer, client: FhirClient) -> None:
    headers = {"Location": "http://example.invalid/"}
    httpserver.expect_request("/fhir/Patient/p").respond_with_data(b"", status=307, headers=headers)

    with pytest.raises(ServerRefusedError, match="HTTP 307"):
        client.read("Patient", "p")


def test_a_refused_connection_means_that_nothing_was_sent(pauses: Pauses) -> None:
    client = FhirClient(f"http://127.0.0.1:{free_port()}/fhir", clock=Clock(sleep=pauses.append))

    with client, pytest.raises(ServerNotReachedError, match="check that the server runs"):
        client.create("Observation", b"{}")


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 201 Created\r\nContent-Length: 10\r\n\r\n{"])
def test_a_connection_cut_after_sending_does_not_say_what_happened(
    one_shot: Callable[[bytes, float], str], reply: bytes
) -> None:
    with FhirClient(one_shot(reply, 0)) as client, pytest.raises(ServerUnreachableError) as caught:
        client.create("Observation", b"{}")

    assert not isinstance(caught.value, ServerNotReachedError)


def test_a_late_answer_does_not_say_what_happened(one_shot: Callable[[bytes, float], str]) -> None:
    client = FhirClient(one_shot(b"", 5), timeout_seconds=0.2)

    with client, pytest.raises(ServerUnreachableError, match="no answer in time") as caught:
        client.create("Observation", b"{}")

    assert not isinstance(caught.value, ServerNotReachedError)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"HTTP/1.1 201 Created\r\nX-Long: ", id="head"),
        pytest.param(b"HTTP/1.1 201 Created\r\nContent-Length: 100000\r\n\r\n", id="body"),
        pytest.param(b"HTTP/1.1 201 Created\r\n\r\n", id="body without an end"),
    ],
)
def test_an_answer_that_drips_without_end_does_not_say_what_happened(
    dripping: Callable[[bytes, float], str], reply: bytes
) -> None:
    began = time.monotonic()
    client = FhirClient(dripping(reply, 0.005), timeout_seconds=0.4)

    with client, pytest.raises(ServerUnreachableError, match="no answer in time") as caught:
        client.create("Observation", b"{}")

    assert not isinstance(caught.value, ServerNotReachedError)
    assert time.monotonic() - began < 30


def test_a_page_that_comes_slowly_is_read_to_its_end(dripping: Callable[[bytes, float], str]) -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n"
    client = FhirClient(dripping(reply, 0.02), timeout_seconds=1.0, read_seconds=60, retries=Retries(attempts=1))

    with client:
        assert len(client.read("Patient", "p").body) == 60


def test_one_connection_serves_several_requests(threaded_server: ThreadingHTTPServer, peers: list[int]) -> None:
    with FhirClient(f"http://127.0.0.1:{threaded_server.server_port}/fhir") as client:
        for _ in range(3):
            client.read("Patient", "p")
            client.create("Patient", b"{}")

    assert (len(peers), len(set(peers))) == (6, 1)


def test_a_broken_connection_is_read_again(pauses: Pauses) -> None:
    client = FhirClient(
        f"http://127.0.0.1:{free_port()}/fhir", retries=Retries(attempts=3), clock=Clock(sleep=pauses.append)
    )

    with client, pytest.raises(ServerUnreachableError):
        client.read("Patient", "p")

    assert pauses == [0.5, 1.0]


def all_kinds(kind: type[requests.RequestException]) -> Iterator[type[requests.RequestException]]:
    yield kind
    for below in kind.__subclasses__():
        yield from all_kinds(below)


@pytest.mark.parametrize("kind", sorted(set(all_kinds(requests.RequestException)), key=lambda kind: kind.__name__))
def test_every_exception_of_requests_becomes_ours(
    client: FhirClient, monkeypatch: pytest.MonkeyPatch, kind: type[requests.RequestException]
) -> None:
    error = kind("m", "d", 0) if issubclass(kind, requests.JSONDecodeError) else kind("m")

    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(requests.Session, "request", broken)

    with pytest.raises(ServerUnreachableError) as caught:
        client.create("Observation", b"{}")

    nothing_sent = (
        "ConnectTimeout",
        "MissingSchema",
        "InvalidSchema",
        "InvalidURL",
        "InvalidHeader",
        "InvalidProxyURL",
    )
    assert isinstance(caught.value, ServerNotReachedError) == (kind.__name__ in nothing_sent)


@pytest.mark.parametrize(
    ("wrapped", "is_not_reached"),
    [
        (MaxRetryError(SimpleNamespace(), "/", NewConnectionError(SimpleNamespace(), "refused")), True),  # type: ignore[arg-type]  # a pool is not needed to wrap
        (MaxRetryError(SimpleNamespace(), "/", TransportSSLError(ssl.SSLCertVerificationError("self-signed"))), True),  # type: ignore[arg-type]  # likewise
        (MaxRetryError(SimpleNamespace(), "/", TransportSSLError(ssl.SSLEOFError("cut"))), False),  # type: ignore[arg-type]  # likewise
    ],
)
def test_only_a_connection_that_was_never_made_counts_as_not_reached(
    client: FhirClient, monkeypatch: pytest.MonkeyPatch, wrapped: MaxRetryError, is_not_reached: bool
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise requests.exceptions.SSLError(wrapped)

    monkeypatch.setattr(requests.Session, "request", broken)

    with pytest.raises(ServerUnreachableError) as caught:
        client.create("Observation", b"{}")

    assert isinstance(caught.value, ServerNotReachedError) == is_not_reached


def test_no_error_repeats_the_parameters_of_a_search(httpserver: HTTPServer, client: FhirClient) -> None:
    httpserver.expect_request("/fhir/Patient").respond_with_data(b"", status=400)

    with pytest.raises(ServerRefusedError) as caught:
        client.search("Patient", {"name": "Doe"})

    assert "Doe" not in str(caught.value)


def test_a_url_of_another_host_is_never_asked(client: FhirClient, httpserver: HTTPServer) -> None:
    with pytest.raises(ServerRefusedError, match="another host"):
        client.get("http://example.invalid/fhir/Patient?page=2")

    assert httpserver.log == []


def test_a_body_that_is_not_json_is_none() -> None:
    answer = Answer(status=201, body=b"<html>", location=None, version="", request_id="r")

    assert answer.json() is None


def test_a_search_asks_for_strict_handling(httpserver: HTTPServer, client: FhirClient) -> None:
    httpserver.expect_request(
        "/fhir/Patient", query_string={"_count": "2"}, headers={"Prefer": "handling=strict"}
    ).respond_with_json({"resourceType": "Bundle"})

    assert json.loads(client.search("Patient", {"_count": "2"}).body) == {"resourceType": "Bundle"}


@pytest.mark.parametrize("status", [200, 404, 500, None])
def test_the_end_of_each_request_is_told(httpserver: HTTPServer, status: int | None) -> None:
    ended: list[int] = []
    if status:
        httpserver.expect_request("/Patient/p1").respond_with_json({}, status=status)
    url = httpserver.url_for("").rstrip("/") if status else "http://127.0.0.1:9"
    with FhirClient(url, retries=Retries(attempts=1)) as client:
        client.on_end = lambda: ended.append(1)
        with suppress(ServerRefusedError, ServerUnreachableError):
            client.read("Patient", "p1")

    assert ended == [1]
