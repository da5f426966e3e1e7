"""The HTTP side of the simulator: pytest-httpserver's server, with connections that stay open and can be cut.

werkzeug's own request handler closes the connection after every answer; hospital servers do not, and what a client
does on a connection that died meanwhile is one of the faults. So the handler here writes the answer itself, in one
piece, and keeps the connection.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from pytest_httpserver.httpserver import HTTPServerBase
from werkzeug import Request, Response
from werkzeug.exceptions import ClientDisconnected
from werkzeug.serving import WSGIRequestHandler

LOOPBACK = "127.0.0.1"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Cut(Exception):  # noqa: N818 - not an error: the way to end a connection
    """End the connection instead of answering.

    Args:
        sent: bytes that still go out.
        is_reset: by RST instead of FIN.
    """

    def __init__(self, sent: bytes, *, is_reset: bool = False) -> None:
        self.sent = sent
        self.is_reset = is_reset
        super().__init__("the connection is cut")


@dataclass(frozen=True, kw_only=True, slots=True)
class WebRequest:
    """One HTTP request.

    Attributes:
        method: HTTP method.
        path: decoded, with its slash.
        query: as it came.
        headers: names in lower case.
        body: bytes.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """The Content-Type, empty if there is none."""
        return self.headers.get("content-type", "")

    def parameters(self, *, is_form: bool) -> list[tuple[str, str]]:
        """Return the parameters of the query, and of the body if it is a form."""
        form = parse_qsl(self.body.decode()) if is_form else []
        return [*parse_qsl(self.query), *form]


@dataclass(kw_only=True, slots=True)
class WebResponse:
    """One HTTP answer.

    Attributes:
        status: HTTP status.
        headers: without Content-Length.
        body: bytes.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def whole(self) -> bytes:
        """Return head and body as they go over the wire."""
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.status != HTTPStatus.NO_CONTENT:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


Respond = Callable[[WebRequest], WebResponse]


def reset(connection: socket.socket) -> None:
    """Close a connection by RST, whoever else holds its file."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    os.close(connection.detach())


class Http(HTTPServerBase):
    """A threaded server on the loopback interface.

    Args:
        respond: answers one request; may raise Cut.
        port: 0 for a free one.
    """

    def __init__(self, respond: Respond, port: int) -> None:
        super().__init__(LOOPBACK, port, threaded=True)
        self.respond = respond
        self.connections: set[socket.socket] = set()
        self.connections_lock = threading.Lock()

    def dispatch(self, request: Request) -> Response:
        """Answer through werkzeug; the handler here does not come this way."""
        answer = self.respond(_web_request(request))
        return Response(answer.body, status=answer.status, headers=answer.headers)

    def thread_target(self) -> None:
        """Serve with the handler that keeps connections."""
        assert self.server is not None
        self.server.RequestHandlerClass = type("Handler", (_Handler,), {"http": self})
        self.server.serve_forever(poll_interval=0.01)

    def stop(self) -> None:
        """Stop listening and close every connection."""
        super().stop()
        with self.connections_lock:
            for connection in self.connections:
                with suppress(OSError):  # the client closed it before
                    connection.shutdown(socket.SHUT_RDWR)


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    http: Http

    def setup(self) -> None:
        super().setup()
        with self.http.connections_lock:
            self.http.connections.add(self.connection)

    def finish(self) -> None:
        with self.http.connections_lock:
            self.http.connections.discard(self.connection)
        super().finish()

    def run_wsgi(self) -> None:
        self.close_connection |= self.command == "HEAD"  # whose answer has no body to count
        try:
            self.wfile.write(self.http.respond(_web_request(Request(self.make_environ()))).whole())
        except ClientDisconnected:  # in the middle of its request
            self.close_connection = True
        except Cut as cut:
            self.close_connection = True
            self._cut(cut)

    def _cut(self, cut: Cut) -> None:
        if cut.sent:
            self.wfile.write(cut.sent)
        if cut.is_reset:
            with self.http.connections_lock:
                self.http.connections.discard(self.connection)
            reset(self.connection)

    def log_request(self, *arguments: Any) -> None:
        """Say nothing."""


def _web_request(request: Request) -> WebRequest:
    return WebRequest(
        method=request.method,
        path=request.path,
        query=request.query_string.decode("latin-1"),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=request.get_data(),
    )
