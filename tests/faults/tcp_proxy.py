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
from collections.abc import Callable, Iterable
from contextlib import suppress
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
    """

    kind: Kind = "pass"
    seconds: float = 0.0
    resets: bool = False

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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Request:
    number: int
    method: str
    path: str
    head: bytes


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
        server = socket.socket()
        with self._lock:
            self._open |= {client, server}
        try:
            server.connect(self._server)
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            from_client, from_server = _Reader(client), _Reader(server)
            while self._exchange(from_client, from_server):
                pass
        except OSError:
            pass  # either side went away: there is nothing left to pass on
        finally:
            with self._lock:
                self._open -= {client, server}
            client.close()
            server.close()

    def _exchange(self, client: _Reader, server: _Reader) -> bool:
        """Pass on one request and its answer; return whether another may follow."""
        head = client.head()
        if not head:
            return False
        request, action = self._next(head)
        if action.kind == "cut-before-request":
            client.rest_of(head)  # so that a FIN is not turned into an RST by unread bytes
            return _cut(client.connection, action)
        if action.kind == "cut-in-request":
            body = b"".join(client.body(head))
            server.connection.sendall(head + body[: len(body) // 2])
            return _cut(client.connection, action)
        server.connection.sendall(head)
        for part in client.body(head):
            server.connection.sendall(part)
        answer = server.head()
        if action.kind == "cut-after-request":
            server.rest_of(answer, request.method)
            return _cut(client.connection, action)
        if action.kind == "delay":
            time.sleep(action.seconds)
        return self._answer(client, server, answer, request.method, action)

    def _answer(self, client: _Reader, server: _Reader, head: bytes, method: str, action: Action) -> bool:
        if not head:
            return False
        if action.kind == "cut-in-answer":
            whole = head + b"".join(server.body(head, method))
            client.connection.sendall(whole[: len(whole) // 2] if len(whole) < 2 * len(head) else whole[:-2])
            return _cut(client.connection, action)
        client.connection.sendall(head)
        for part in server.body(head, method):
            client.connection.sendall(part)
        return b"\r\nconnection: close" not in head.lower()

    def _next(self, head: bytes) -> tuple[_Request, Action]:
        method, path = head.decode("latin-1").split(" ", 2)[:2]
        with self._lock:
            counts = not self._writes_only or method in ("POST", "PUT", "PATCH", "DELETE")
            self._count += counts
            number = self._count if counts else 0
            chosen = self._choose(number, method, path) if counts else Action()
            action = chosen if isinstance(chosen, Action) else Action(chosen)
            self.exchanges.append(Exchange(number=number, method=method, path=path, action=action.kind))
        return _Request(number=number, method=method, path=path, head=head), action


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

    def rest_of(self, head: bytes, method: str = "") -> None:
        """Read a message's body and forget it."""
        for _ in self.body(head, method):
            pass

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
