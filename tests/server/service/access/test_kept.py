"""What is asked of an issuer, how, and how often."""

import logging
import threading
import time as real_time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from server.service.access.fetching import FetchError, fetch
from server.service.access.kept import Kept, UnavailableError


def asked(httpserver: HTTPServer, body: bytes | str, status: int = 200, **headers: str) -> tuple[int, dict[str, Any]]:
    httpserver.expect_request("/x").respond_with_data(body, status=status, headers=headers)
    return fetch(httpserver.url_for("/x?secret=1"), ca_file=None)


def test_a_json_object_is_returned_with_its_status(httpserver: HTTPServer) -> None:
    assert asked(httpserver, '{"a": 1}') == (200, {"a": 1})


@pytest.mark.parametrize("body", ["[1]", "", "<html>", '{"a": 1', b"\xff\xfe", "[" * 50_000, '{"a":' * 50_000])
def test_anything_else_is_refused_without_repeating_it(httpserver: HTTPServer, body: bytes | str) -> None:
    with pytest.raises(FetchError) as caught:
        asked(httpserver, body)

    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_refusal_need_not_be_json(httpserver: HTTPServer) -> None:
    assert asked(httpserver, "<html>", status=400) == (400, {})


def test_a_redirection_is_not_followed(httpserver: HTTPServer) -> None:
    status, _ = asked(httpserver, "", status=302, Location=httpserver.url_for("/elsewhere"))

    assert status == 302
    assert [request.path for request, _ in httpserver.log] == ["/x"]


def test_an_answer_that_is_too_long_is_not_read_to_its_end(httpserver: HTTPServer) -> None:
    sent = 0

    def endless(_: object) -> Response:
        def parts() -> Any:
            nonlocal sent
            for _ in range(2000):
                sent += 16_384
                yield b" " * 16_384

        return Response(parts(), content_type="application/json")

    httpserver.expect_request("/x").respond_with_handler(endless)

    with pytest.raises(FetchError, match="too long"):
        fetch(httpserver.url_for("/x"), ca_file=None)
    assert sent < 16_384 * 2000


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x", "https://127.0.0.1:9/x", "http://[", "nonsense", "http://127.0.0.1:99999/"]
)
def test_an_address_where_nobody_answers_is_said_to_be(url: str) -> None:
    with pytest.raises(FetchError):
        fetch(url, ca_file=None, form={"client_secret": "Zylpha"})


def test_a_secret_that_is_sent_is_in_no_error(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/x").respond_with_data("client_secret=Zylpha")

    with pytest.raises(FetchError) as caught:
        fetch(httpserver.url_for("/x"), ca_file=None, form={"client_secret": "Zylpha"}, login=("me", "Zylpha"))

    assert "Zylpha" not in f"{caught.value!r}{caught.value.__cause__!r}"


class Issuer:
    """Says how often it was asked; slow, or silent, if it is told to be."""

    def __init__(self) -> None:
        self.times, self.is_down = 0, False
        self.may_answer = threading.Event()
        self.may_answer.set()

    def __call__(self) -> int:
        self.times += 1
        self.may_answer.wait(10)
        if self.is_down:
            raise FetchError("down")
        return self.times


def test_it_is_asked_once_an_hour(time: Any) -> None:
    issuer = Issuer()
    kept = Kept(issuer, "it", time.now)

    assert [kept.get() for _ in range(3)] == [1, 1, 1]
    time.passes(minutes=59)
    assert kept.get() == 1
    time.passes(minutes=1)
    assert kept.get() == 2


def test_many_that_ask_at_once_ask_the_issuer_once(time: Any) -> None:
    issuer = Issuer()
    kept = Kept(issuer, "it", time.now)
    issuer.may_answer.clear()

    with ThreadPoolExecutor(8) as pool:
        found = [pool.submit(kept.get) for _ in range(8)]
        real_time.sleep(0.1)
        issuer.may_answer.set()

    assert [one.result() for one in found] == [1] * 8
    assert issuer.times == 1


@pytest.fixture
def asking() -> Iterator[Callable[[Kept[int], Issuer], Future[int]]]:
    """Return a function that has somebody ask an issuer that does not answer until it is told to, or the test ends."""
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor())

        def begin(kept: Kept[int], issuer: Issuer) -> Future[int]:
            issuer.may_answer.clear()
            stack.callback(issuer.may_answer.set)
            times = issuer.times
            asked = pool.submit(kept.get)
            while issuer.times == times:
                real_time.sleep(0.001)
            return asked

        yield begin


def test_while_an_issuer_hangs_nobody_else_waits_who_knows_nothing(
    time: Any, asking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.service.access.kept._PATIENCE_SECONDS", 0.3)
    issuer = Issuer()
    kept = Kept(issuer, "it", time.now)
    asking(kept, issuer)

    began = real_time.monotonic()
    for _ in range(20):
        with pytest.raises(UnavailableError):
            kept.get()

    assert real_time.monotonic() - began < 3
    assert issuer.times == 1


def test_while_an_issuer_hangs_what_is_known_is_given_at_once(
    time: Any, asking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.service.access.kept._PATIENCE_SECONDS", 60)
    issuer = Issuer()
    kept = Kept(issuer, "it", time.now)
    kept.get()
    time.passes(hours=2)
    asking(kept, issuer)

    assert kept.get() == 1


def test_what_was_not_asked_for_need_not_wait_to_be_asked_for(
    time: Any, asking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.service.access.kept._PATIENCE_SECONDS", 0.1)
    issuer = Issuer()
    metadata = Kept(issuer, "the issuer's metadata", time.now)
    keys = Kept(lambda: metadata.get() + 10, "the issuer's keys", time.now)
    answered = asking(metadata, issuer)

    with pytest.raises(UnavailableError):
        keys.get()
    issuer.may_answer.set()
    answered.result()

    assert keys.get() == 11


def test_an_issuer_that_is_down_is_asked_twice_a_minute_and_no_more(time: Any) -> None:
    issuer = Issuer()
    issuer.is_down = True
    kept = Kept(issuer, "it", time.now)

    for _ in range(60):
        with pytest.raises(UnavailableError):
            kept.get()
        time.passes(seconds=1)

    assert issuer.times == 2


def test_what_is_known_is_believed_for_a_day_of_outage(time: Any, caplog: pytest.LogCaptureFixture) -> None:
    issuer = Issuer()
    kept = Kept(issuer, "the issuer's keys", time.now)
    kept.get()
    issuer.is_down = True

    with caplog.at_level(logging.WARNING):
        time.passes(hours=23, minutes=59)
        assert kept.get() == 1
    time.passes(minutes=1)
    with pytest.raises(UnavailableError):
        kept.get()

    assert [record.__dict__["action"] for record in caplog.records][:1] == ["issuer_not_read"]


def test_to_be_read_again_means_at_most_twice_a_minute(time: Any) -> None:
    issuer = Issuer()
    kept = Kept(issuer, "it", time.now)
    kept.get()

    assert [kept.again() for _ in range(100)] == [1] * 100
    time.passes(seconds=30)
    assert [kept.again() for _ in range(100)] == [2] * 100
