"""A TCP proxy between a client and a server that cuts, delays and resets on purpose.

It knows as much HTTP/1.1 as it needs to see where a request and its answer end (Content-Length and chunked, one
request at a time on a connection, https://www.rfc-editor.org/rfc/rfc9112#name-message-body-length), and passes the
bytes on as they came.

    with TcpProxy(server_port, plan=["pass", Action("cut-after-request", resets=True)], writes_only=True) as proxy:
        ... requests to http://127.0.0.1:{proxy.port}/...
        assert [one.action for one in proxy.exchanges] == ["pass", "cut-after-request"]
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

Kind = Literal["pass", "cut-before-request", "cut-in-request", "cut-after-request", "cut-in-answer", "delay"]
KINDS: Final[tuple[Kind, ...]] = (
    "pass",
    "cut-before-request",  # the server never hears of it
    "cut-in-request",  # the server gets half of the body
    "cut-after-request",  # the server gets the whole request, the client not a byte of the answer
    "cut-in-answer",  # the client gets half of the answer
    "delay",  # the answer comes `seconds` later
)
LOOPBACK: Final = "127.0.0.1"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_CHUNK = 65536
_NO_BODY = frozenset((b"204", b"304"))


@dataclass(frozen=True, slots=True)
class Action:
    """What befalls one exchange.

    Attributes:
        kind: one of KINDS.
        seconds: for delay.
        resets: cuts by RST instead of FIN.
        waits: for cut-after-request, whether the cut comes when the server has answered, so that the effect is there;
            else at once, and the effect may come later than the client's next request.
    """

    kind: Kind = "pass"
    seconds: float = 0.0
    resets: bool = False
    waits: bool = True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no action {self.kind!r}; there are {', '.join(KINDS)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """One request that came through.

    Attributes:
        number: from 1, over all connections; with `writes_only` only writes are counted, others have 0.
        method: HTTP method.
        path: as in the request line.
        action: the kind of what befell it.
    """

    number: int
    method: str
    path: str
    action: str


Choose = Callable[[int, str, str], Action | Kind]
"""From number, method and path of an exchange, what befalls it."""


class TcpProxy:
    """Listens on a free port of the loopback interface.

    Args:
        port: of the server, on the loopback interface.
        plan: what befalls the first, second, ... exchange, everything after it passing; or a function that says.
        writes_only: whether the plan counts only POST, PUT, PATCH and DELETE, everything else passing.

    Attributes:
        port: to connect to.
        exchanges: what came through, in the order of the requests.
    """

    def __init__(self, port: int, plan: Iterable[Action | Kind] | Choose = (), *, writes_only: bool = False) -> None:
        self._server = (LOOPBACK, port)
        self._lock = threading.Lock()
        self._count = 0
        self._writes_only = writes_only
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._is_closing = False
        self.exchanges: list[Exchange] = []
        self.follow(plan)
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:<port>`."""
        return f"http://{LOOPBACK}:{self.port}"

    def follow(self, plan: Iterable[Action | Kind] | Choose) -> None:
        """Take another plan, and count from 1 again."""
        with self._lock:
            self._choose = plan if callable(plan) else _listed(plan)
            self._count = 0

    def close(self) -> None:
        """Stop listening, close every connection and wait for the threads."""
        self._is_closing = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            threads = list(self._threads)
        for thread in threads:
            thread.join(timeout=5)

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        with self._lock:
            self._threads = [one for one in self._threads if one.is_alive() or one.ident is None]
            self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._is_closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        """Pass on one connection's requests until one side closes or the plan cuts."""
        with self._held_open(client), suppress(OSError):  # either side went away: there is nothing left to pass on
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reader = _Reader(client)
            while head := reader.head():
                if not self._exchange(reader, head):
                    return

    @contextmanager
    def _held_open(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _exchange(self, client: _Reader, head: bytes) -> bool:
        """Pass on one request and its answer; return whether another may follow."""
        method, action = self._next(head)
        body = b"".join(client.body(head))  # all of it, else closing would turn a FIN into an RST
        if action.kind == "cut-before-request":
            return _cut(client.connection, action)
        with socket.create_connection(self._server) as server, self._held_open(server):
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if action.kind == "cut-in-request":
                server.sendall(head + body[: len(body) // 2])
                return _cut(client.connection, action)
            server.sendall(head + body)
            if action.kind == "cut-after-request" and not action.waits:
                _cut(client.connection, action)
                client.connection.close()
            reader = _Reader(server)
            answer = reader.head()
            answer_body = b"".join(reader.body(answer, method))
        if not answer or action.kind == "cut-after-request":
            return _cut(client.connection, action)
        return self._answer(client.connection, answer, answer_body, action)

    def _answer(self, client: socket.socket, head: bytes, body: bytes, action: Action) -> bool:
        if action.kind == "delay":
            time.sleep(action.seconds)
        if action.kind == "cut-in-answer":
            client.sendall(head + body[: len(body) // 2] if body else head[: len(head) // 2])
            return _cut(client, action)
        client.sendall(head + body)
        return _stays_open(head.lower())

    def _next(self, head: bytes) -> tuple[str, Action]:
        method, path = head.decode("latin-1").split(" ", 2)[:2]
        with self._lock:
            counts = not self._writes_only or method in ("POST", "PUT", "PATCH", "DELETE")
            self._count += counts
            number = self._count if counts else 0
            chosen = self._choose(number, method, path) if counts else Action()
            action = chosen if isinstance(chosen, Action) else Action(chosen)
            self.exchanges.append(Exchange(number=number, method=method, path=path, action=action.kind))
        return method, action


class _Reader:
    """Reads HTTP messages from a connection, byte for byte."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._held = b""

    def head(self) -> bytes:
        """Return the start line and headers with the empty line; empty at the end of the connection."""
        while (end := self._held.find(b"\r\n\r\n")) < 0:
            if not self._more():
                return b""
        head, self._held = self._held[: end + 4], self._held[end + 4 :]
        return head

    def body(self, head: bytes, method: str = "") -> Iterable[bytes]:
        """Yield the parts of the body that belongs to a head; `method` of the request, for an answer's."""
        lower = head.lower()
        if method == "HEAD" or (lower.startswith(b"http/") and lower.split(b" ", 2)[1] in _NO_BODY):
            return
        if b"\r\ntransfer-encoding: chunked" in lower:
            yield from self._chunks()
        elif (at := lower.find(b"\r\ncontent-length:")) >= 0:
            yield from self._exactly(int(lower[at + 17 :].split(b"\r\n", 1)[0]))
        elif lower.startswith(b"http/"):
            yield from self._all()

    def _more(self) -> bool:
        received = self.connection.recv(_CHUNK)
        self._held += received
        return bool(received)

    def _exactly(self, length: int) -> Iterable[bytes]:
        while length > 0 and (self._held or self._more()):
            part, self._held = self._held[:length], self._held[length:]
            length -= len(part)
            yield part

    def _all(self) -> Iterable[bytes]:
        while self._held or self._more():
            part, self._held = self._held, b""
            yield part

    def _chunks(self) -> Iterable[bytes]:
        while True:
            while b"\r\n" not in self._held:
                if not self._more():
                    return
            size, _, _ = self._held.partition(b"\r\n")
            length = int(size.partition(b";")[0], 16)
            yield from self._exactly(len(size) + 2 + length + 2)
            if length == 0:  # trailers are not sent by anything here
                return


def _listed(plan: Iterable[Action | Kind]) -> Choose:
    actions = tuple(one if isinstance(one, Action) else Action(one) for one in plan)
    return lambda number, _method, _path: actions[number - 1] if number <= len(actions) else Action()


def _cut(client: socket.socket, action: Action) -> bool:
    if action.resets:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        os.close(client.detach())
    return False


def _stays_open(head: bytes) -> bool:
    """Tell whether the connection outlives an answer: it says where it ends, and does not say close."""
    has_end = b"\r\ncontent-length:" in head or b"\r\ntransfer-encoding: chunked" in head
    return b"\r\nconnection: close" not in head and (has_end or head.split(b" ", 2)[1] in _NO_BODY)
