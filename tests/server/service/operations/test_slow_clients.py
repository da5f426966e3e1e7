"""Clients that send a byte a second hold nobody up, and are cut off in time."""

import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

TINY = Path(__file__).with_name("tiny_service.py")
SLOW = 200
SENDING_SECONDS = 6.0
PATIENCE = 60.0
HEAD = b"POST /fhir HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
Start = Callable[..., int]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts the small service and returns its port."""
    processes: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> int:
        process = subprocess.Popen([sys.executable, str(TINY), *arguments], stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        return int(process.stdout.readline())

    yield run
    for process in processes:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert process.stdout is not None
        process.stdout.close()


def connect(stack: ExitStack, port: int, first: bytes) -> socket.socket:
    made = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
    made.sendall(first)
    return made


def until_cut_off(connections: list[socket.socket], patience: float) -> int:
    """Send a byte now and then on each connection, until it is closed or the patience ends; return how many were."""
    selector, left, ends = selectors.DefaultSelector(), set(connections), time.monotonic() + patience
    for one in connections:
        selector.register(one, selectors.EVENT_READ)
    while left and time.monotonic() < ends:
        for key, _ in selector.select(0.1):
            selector.unregister(key.fileobj)
            left.discard(key.fileobj)
        for one in left:
            try:
                one.sendall(b"x")
            except OSError:
                continue
    selector.close()
    return len(connections) - len(left)


@pytest.mark.parametrize("first", [b"POST /fhir HTTP/1.1\r\nX-Slow: ", HEAD], ids=["head", "body"])
def test_two_hundred_slow_clients_hold_nobody_up_and_are_cut_off(start: Start, first: bytes) -> None:
    port = start("8", str(SENDING_SECONDS))
    url = f"http://127.0.0.1:{port}/fhir"
    requests.post(url, data=b"warm", timeout=PATIENCE)

    with ExitStack() as stack:
        slow = [connect(stack, port, first) for _ in range(SLOW)]
        began = time.monotonic()
        answers = [requests.post(url, data=b"12345", timeout=PATIENCE).text for _ in range(20)]
        seconds = time.monotonic() - began
        cut_off = until_cut_off(slow, PATIENCE)

    assert answers == ["5"] * 20
    assert seconds < SENDING_SECONDS  # while every slow client still has its time
    assert cut_off == SLOW


def test_a_request_that_came_in_time_may_be_answered_late_and_its_connection_used_again(start: Start) -> None:
    port = start("4", "2")

    with requests.Session() as session:
        answers = []
        for pause in (0.0, 2.5, 2.5):
            time.sleep(pause)  # longer than a request may take to come: the connection is idle, not slow
            answers.append(session.post(f"http://127.0.0.1:{port}/", data=b"x" * 100_000, timeout=PATIENCE).text)

    assert answers == ["100000"] * 3


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_process_that_has_all_hands_full_still_says_how_it_is(start: Start, path: str) -> None:
    url = f"http://127.0.0.1:{start('2', '5')}"
    requests.get(url, timeout=PATIENCE)

    with ThreadPoolExecutor(3) as pool:
        busy = [pool.submit(requests.get, f"{url}/busy", timeout=PATIENCE) for _ in range(2)]
        while requests.get(f"{url}{path}?busy", timeout=PATIENCE).text != "2":
            time.sleep(0.01)
        answers = [requests.post(f"{url}{path}?deep", data=b"12345", timeout=PATIENCE).text for _ in range(3)]
        other = pool.submit(requests.get, url, timeout=PATIENCE)  # waits for its turn
        time.sleep(0.5)
        are_over = [one.done() for one in (*busy, other)]
        requests.get(f"{url}{path}?release", timeout=PATIENCE)

    assert answers == ["5"] * 3
    assert are_over == [False] * 3
    assert other.result().text == "0"
