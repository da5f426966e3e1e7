"""The proxy passes bytes on as they came, and cuts where it is told."""

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import requests
from ehr_simulator import Simulator
from tcp_proxy import KINDS, Action, Kind, TcpProxy

OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "score"}}


def _port(simulator: Simulator) -> int:
    return int(simulator.base_url.split(":")[2].split("/")[0])


@pytest.fixture
def proxy(ehr: Simulator) -> Iterator[TcpProxy]:
    with TcpProxy(_port(ehr)) as started:
        yield started


def _post(proxy: TcpProxy, session: requests.Session) -> requests.Response:
    return session.post(f"{proxy.url}/fhir/Observation", json=OBSERVATION, timeout=5)


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


def test_what_is_passed_is_the_servers_answer_on_one_connection(proxy: TcpProxy, session: requests.Session) -> None:
    created = [_post(proxy, session) for _ in range(3)]
    read = session.get(f"{proxy.url}/fhir/{created[0].headers['Location'].split('/fhir/')[1]}", timeout=5)

    assert [answer.status_code for answer in created] == [201, 201, 201]
    assert read.json() == created[0].json()
    assert [(one.number, one.method, one.action) for one in proxy.exchanges][-1] == (4, "GET", "pass")
    assert len(proxy._threads) == 2  # the one that accepts, and that of the only connection


@pytest.mark.parametrize("resets", [False, True])
@pytest.mark.parametrize(
    ("kind", "stored"), [("cut-before-request", 0), ("cut-in-request", 0), ("cut-after-request", 1)]
)
def test_a_cut_before_the_answer_leaves_the_effect_that_its_name_says(
    ehr: Simulator, proxy: TcpProxy, session: requests.Session, kind: Kind, stored: int, resets: bool
) -> None:
    proxy.follow([Action(kind, resets=resets)])

    with pytest.raises(requests.ConnectionError) as caught:
        _post(proxy, session)

    assert ("reset by peer" in str(caught.value)) is resets
    assert len(ehr.chart.current("Observation")) == stored


def test_a_cut_in_the_answer_leaves_half_of_it(ehr: Simulator, proxy: TcpProxy, session: requests.Session) -> None:
    proxy.follow(["cut-in-answer"])

    with pytest.raises(requests.RequestException, match="IncompleteRead"):
        _post(proxy, session)

    assert len(ehr.chart.current("Observation")) == 1


def test_a_cut_in_an_answer_without_a_body_leaves_half_of_its_head(ehr: Simulator, proxy: TcpProxy) -> None:
    ehr.configure(write_body=False)
    proxy.follow(["cut-in-answer"])
    head = f"POST /fhir/Observation HTTP/1.1\r\nHost: x\r\nContent-Length: {len(json.dumps(OBSERVATION))}\r\n\r\n"

    with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
        connection.sendall((head + json.dumps(OBSERVATION)).encode())
        with connection.makefile("rb") as answer:
            received = answer.read()

    assert received.startswith(b"HTTP/1.1 201 Created\r\n")
    assert b"\r\n\r\n" not in received
    assert len(ehr.chart.current("Observation")) == 1


def test_a_cut_that_does_not_wait_comes_before_the_effect(
    ehr: Simulator, proxy: TcpProxy, session: requests.Session
) -> None:
    ehr.arm("delay", seconds=2.0)
    proxy.follow([Action("cut-after-request", waits=False)])

    with pytest.raises(requests.ConnectionError):
        _post(proxy, session)
    at_once = len(ehr.chart.current("Observation"))
    deadline = time.monotonic() + 60
    while not ehr.chart.current("Observation") and time.monotonic() < deadline:
        time.sleep(0.01)

    assert (at_once, len(ehr.chart.current("Observation"))) == (0, 1)


def test_a_delay_holds_the_answer_back(proxy: TcpProxy, session: requests.Session) -> None:
    proxy.follow([Action("delay", seconds=0.1)])
    started = time.monotonic()

    answer = _post(proxy, session)

    assert answer.status_code == 201
    assert time.monotonic() - started >= 0.1


def test_a_plan_for_writes_lets_reads_pass_uncounted(ehr: Simulator, session: requests.Session) -> None:
    ehr.add_patient("p1")
    with TcpProxy(_port(ehr), ["pass", "cut-before-request"], writes_only=True) as proxy:
        _post(proxy, session)
        read = session.get(f"{proxy.url}/fhir/Patient/p1", timeout=5)
        with pytest.raises(requests.ConnectionError):
            _post(proxy, session)
        again = _post(proxy, session)

    assert (read.status_code, again.status_code) == (200, 201)
    assert [one.number for one in proxy.exchanges] == [1, 0, 2, 3]
    assert len(ehr.chart.current("Observation")) == 2


def test_a_plan_may_be_a_function_of_number_method_and_path(ehr: Simulator, session: requests.Session) -> None:
    seen = []

    def choose(number: int, method: str, path: str) -> Kind:
        seen.append((number, method, path))
        return "cut-before-request" if number == 2 else "pass"

    with TcpProxy(_port(ehr), choose) as proxy:
        _post(proxy, session)
        with pytest.raises(requests.ConnectionError):
            session.get(f"{proxy.url}/fhir/metadata", timeout=5)

    assert seen == [(1, "POST", "/fhir/Observation"), (2, "GET", "/fhir/metadata")]


def test_chunked_bodies_are_passed_on(ehr: Simulator, proxy: TcpProxy, session: requests.Session) -> None:
    parts = (b'{"resourceType": "Observation", ', b'"status": "final", ', b'"code": {"text": "x"}}')

    answer = session.post(f"{proxy.url}/fhir/Observation", data=iter(parts), timeout=5)
    after = _post(proxy, session)

    assert (answer.status_code, after.status_code) == (201, 201)
    assert ehr.chart.current("Observation")[0]["code"] == {"text": "x"}


def test_connections_at_the_same_time_do_not_mix(ehr: Simulator, proxy: TcpProxy) -> None:
    answers: list[tuple[str, str]] = []

    def write(name: str) -> None:
        with requests.Session() as own:
            for turn in range(5):
                text = f"{name}{turn}"
                body = {**OBSERVATION, "code": {"text": text}}
                answer = own.post(f"{proxy.url}/fhir/Observation", json=body, timeout=5)
                answers.append((text, answer.json()["code"]["text"]))

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(sent == received for sent, received in answers)
    assert len(ehr.chart.current("Observation")) == len(answers) == 20


def test_closing_ends_every_connection_and_thread(ehr: Simulator) -> None:
    with TcpProxy(_port(ehr)) as proxy, socket.create_connection(("127.0.0.1", proxy.port)) as connection:
        connection.sendall(b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\n\r\n")
        first = connection.recv(1)
        proxy.close()
        with connection.makefile("rb") as answer:
            assert (first + answer.read()).startswith(b"HTTP/1.1 200 OK")  # and then its end

    assert not [thread for thread in proxy._threads if thread.is_alive()]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port))


def test_a_server_that_is_not_there_closes_the_connection(session: requests.Session) -> None:
    with Simulator() as gone:
        port = _port(gone)

    with TcpProxy(port) as proxy, pytest.raises(requests.ConnectionError):
        _post(proxy, session)


def test_an_unknown_action_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=", ".join(KINDS)):
        Action("explode")  # type: ignore[arg-type]
