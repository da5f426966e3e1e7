"""Clients that send a byte a second keep nobody else waiting."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest
import requests
from live_messages import FHIR, encoded, response
from live_service import Service

SLOW = 200
_HEAD = b"POST /fhir/QuestionnaireResponse HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/fhir+json\r\n"
KINDS = {
    "in the head": _HEAD,
    "in the body": _HEAD + b"Content-Length: 5000\r\n\r\n{",
    "in a chunk": _HEAD + b"Transfer-Encoding: chunked\r\n\r\n1000\r\n{",
    "before the first byte": b"",
    "that do not close": b"GET /fhir/metadata HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
}


class Drip:
    """Connections that send the beginning of a request, then a byte a second."""

    def __init__(self, connections: list[socket.socket], beginning: bytes) -> None:
        self._connections, self._beginning = connections, beginning
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        for connection in self._connections:
            if self._beginning:
                connection.sendall(self._beginning)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(1.0):
            for connection in self._connections:
                with suppress(OSError):  # those that the service has shut
                    connection.sendall(b" " if self._beginning else b"")


@pytest.fixture
def connections(target: Service) -> Iterator[list[socket.socket]]:
    """Many connections to the service, closed at the end."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", target.port), timeout=10)) for _ in range(SLOW)
        ]


@pytest.mark.parametrize("kind", KINDS)
def test_others_are_answered_while_slow_clients_send(
    kind: str, target: Service, connections: list[socket.socket]
) -> None:
    number = list(KINDS).index(kind)
    waited = []
    with Drip(connections, KINDS[kind]):
        time.sleep(0.5)  # so that all of them hold what they can hold

        for one in range(10):
            sent = response(f"slow-{number}-{one}", "p1", status="stopped")
            begin = time.perf_counter()
            answer = requests.post(
                f"{target.fhir}/QuestionnaireResponse", data=encoded(sent), headers={"Content-Type": FHIR}, timeout=30
            )
            waited.append(time.perf_counter() - begin)

            assert answer.status_code == 201

    assert max(waited) < 10.0  # a client has 30 s to send its request
