"""What is asked of an issuer ends in time, whatever the issuer does."""

import socket
import threading
from collections.abc import Callable
from itertools import chain, repeat

import pytest

from server.service.access import fetching

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"


@pytest.fixture(params=[b"", HEAD], ids=["head", "body"])
def dripping(request: pytest.FixtureRequest, answering: Callable[[Callable[[socket.socket], None]], str]) -> str:
    """A server that writes what it was given at once, and then a byte now and then, until the client goes."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(request.param)
        for byte in chain(b"" if request.param else b"HTTP/1.1 200 OK\r\nX-Long: ", repeat(ord("a"))):
            connection.sendall(bytes([byte]))
            threading.Event().wait(0.02)

    return f"{answering(answer)}/.well-known"


def test_an_answer_that_drips_is_waited_for_no_longer_than_a_whole_one_may_take(
    dripping: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_TOGETHER_SECONDS", 0.5)

    with pytest.raises(fetching.FetchError, match="no answer"):
        fetching.fetch(dripping, ca_file=None)
