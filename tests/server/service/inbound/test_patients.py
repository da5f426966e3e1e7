"""Who a response's patient is: an EHR that is slow or silent holds up only who needs it, and not for long."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from integration.errors import ServerNotReachedError, ServerRefusedError, ServerUnreachableError
from integration.settings import Site
from integration.warehouse import Warehouse
from server.service.inbound import patients
from server.service.inbound.patients import REST_SECONDS, FewAtOnce, PatientFetcher

PATIENT = b'{"resourceType": "Patient", "id": "p1"}'
AWAY = ServerUnreachableError(url="http://ehr.example", problem="no answer in time")


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with Warehouse.open(tmp_path / "warehouse.sqlite") as opened:
        yield opened


@pytest.fixture
def fetcher(warehouse: Warehouse, httpserver: HTTPServer) -> PatientFetcher:
    site = Site(name="north", base_url=httpserver.url_for("/fhir"))
    return patients.of_requests(site, warehouse, threads=8)


def few(*, at_once: int = 1, clock: Callable[[], float] = lambda: 0.0) -> FewAtOnce:
    return FewAtOnce("http://ehr.example", at_once, queue_seconds=0.01, clock=clock)


def test_a_patient_of_the_warehouse_is_asked_of_nobody(warehouse: Warehouse, fetcher: PatientFetcher) -> None:
    warehouse.store("north", [PATIENT])

    assert fetcher("p1") is not None


def test_a_patient_of_the_ehr_is_asked_for_once_and_kept(fetcher: PatientFetcher, httpserver: HTTPServer) -> None:
    httpserver.expect_oneshot_request("/fhir/Patient/p1").respond_with_data(PATIENT)

    assert fetcher("p1") == PATIENT
    assert fetcher("p1") is not None


@pytest.mark.parametrize("status", [404, 410])
def test_who_the_ehr_does_not_know_is_nobody(fetcher: PatientFetcher, httpserver: HTTPServer, status: int) -> None:
    httpserver.expect_request("/fhir/Patient/p1").respond_with_data("", status)

    assert fetcher("p1") is None
    assert fetcher("p1") is None


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_ehr_is_asked_once_and_then_left_alone(
    fetcher: PatientFetcher, httpserver: HTTPServer, status: int
) -> None:
    asked: list[str] = []

    def answer(request: Request) -> Response:
        asked.append(request.path)
        return Response("", status)

    httpserver.expect_request("/fhir/Patient/p1").respond_with_handler(answer)

    with pytest.raises(ServerRefusedError):
        fetcher("p1")
    with pytest.raises(ServerNotReachedError, match="a moment ago"):
        fetcher("p1")
    assert len(asked) == 1


def test_an_ehr_that_never_answers_holds_a_request_for_seconds_only(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patients, "ANSWER_SECONDS", 0.2)
    with ExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        site = Site(name="north", base_url=f"http://127.0.0.1:{silent.getsockname()[1]}/fhir")
        fetch = patients.of_requests(site, warehouse, threads=32)
        began = time.monotonic()

        with pytest.raises(ServerUnreachableError):
            fetch("p1")

    assert time.monotonic() - began < 0.5 * site.limits.timeout_seconds


def test_after_no_answer_nobody_asks_for_a_while_and_then_somebody_does() -> None:
    now = [0.0]
    asking = few(clock=lambda: now[0])

    with pytest.raises(ServerUnreachableError), asking():
        raise AWAY
    with pytest.raises(ServerNotReachedError), asking():
        pytest.fail("it was asked")
    now[0] = REST_SECONDS
    with asking():
        pass


def test_what_is_refused_for_itself_leaves_others_their_turn() -> None:
    asking = few()

    with pytest.raises(ServerRefusedError), asking():
        raise ServerRefusedError(url="http://ehr.example", status=403, problem="forbidden")
    with asking():
        pass


def test_no_more_than_so_many_ask_at_once_and_the_others_are_told_soon() -> None:
    asking, is_asked, go_on = few(at_once=2), threading.Semaphore(0), threading.Event()

    def ask() -> None:
        with asking():
            is_asked.release()
            go_on.wait(10)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for one in threads:
        one.start()
    assert all(is_asked.acquire(timeout=10) for _ in threads)

    with pytest.raises(ServerNotReachedError, match="too many"), asking():
        pytest.fail("a third asked")
    go_on.set()
    for one in threads:
        one.join(10)
    with asking():
        pass
