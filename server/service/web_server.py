"""The processes that answer: gunicorn, embedded, with a limit to how long a client may take to send its request.

gunicorn's threaded worker gives each connection that has sent something a thread until its request is there. A client
that sends a byte a second would keep it for as long as it likes. So there are many threads, of which only some may work
at a time, those that wait for a client aside; and a watch ends the connection of whoever has not sent the head in time,
nor the body.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from http import HTTPStatus
from typing import Any, Final

from gunicorn import glogging, util
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.http.errors import (
    ConfigurationProblem,
    ExpectationFailed,
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    LimitRequestHeaders,
    LimitRequestLine,
    NoMoreData,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.workers.gthread import TConn, ThreadWorker
from werkzeug.exceptions import BadRequest

from integration import outcomes
from integration.errors import OutcomeBridgeError
from integration.process_settings import Process
from server.service.operation_outcome import FHIR_JSON, Refusal, outcome_of

logger = logging.getLogger(__name__)

MOST_CONNECTIONS: Final = 1000
"""Requests that a process may be receiving at once, a thread each; further connections wait."""
_SWITCH_SECONDS: Final = 0.0005
"""A request waits no longer than this for the thread that plans and delivers; Python's own is ten times as long."""
_HUNG_SECONDS: Final = 120
"""A process that says nothing for so long is replaced."""
_ASIDE: Final = ("/healthz", "/readyz")
"""Whoever watches over the service asks these; a process that has much to do must not look dead."""
_AT_ONCE_ASIDE: Final = 2
_NO_REQUEST: Final[Mapping[type[Exception], HTTPStatus]] = {
    ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
}
"""What a head is answered that cannot be read; all else is a bad request."""
_OURS: Final = (ConfigurationProblem, InvalidResponseHeader, InvalidResponseHeaderName)
"""What gunicorn calls a fault of parsing, and is none of the client's."""

Load = Callable[[], Any]
"""Builds the WSGI application in the process that serves it."""


class Limit:
    """A time by which something must have come from a client."""

    def __init__(self, ends: float, connection: socket.socket) -> None:
        self.ends, self.connection, self._lock, self._is_over = ends, connection, threading.Lock(), False

    def end(self) -> None:
        """Say that it came."""
        with self._lock:
            self._is_over = True

    def enforce(self) -> None:
        """Shut the connection if it did not."""
        with self._lock:
            if not self._is_over:
                with suppress(OSError):  # it has gone by itself
                    self.connection.shutdown(socket.SHUT_RDWR)


class Watch:
    """Shuts connections whose client takes too long; one thread for all of a process."""

    def __init__(self) -> None:
        self._limits: list[tuple[float, int, Limit]] = []
        self._numbers, self._changed = itertools.count(), threading.Condition()
        threading.Thread(target=self._run, name="slow-clients", daemon=True).start()

    def begin(self, connection: socket.socket, ends: float) -> Limit:
        """Watch a connection until a time (`time.monotonic`), or until the limit is ended."""
        limit = Limit(ends, connection)
        with self._changed:
            heapq.heappush(self._limits, (ends, next(self._numbers), limit))
            if self._limits[0][2] is limit:
                self._changed.notify()
        return limit

    @contextmanager
    def until(self, connection: socket.socket, ends: float) -> Iterator[None]:
        """Watch a connection as long as this block is not left."""
        limit = self.begin(connection, ends)
        try:
            yield
        finally:
            limit.end()

    def _run(self) -> None:
        while True:
            self._next().enforce()

    def _next(self) -> Limit:
        """Wait for the next limit to run out."""
        with self._changed:
            while not self._limits or self._limits[0][0] > time.monotonic():
                self._changed.wait(self._limits[0][0] - time.monotonic() if self._limits else None)
            return heapq.heappop(self._limits)[2]


class _TimedBody:
    """The body of a request, which must have come by a certain time, and as HTTP writes bodies.

    One that has not, or is framed wrongly, is the client's fault and is answered so.
    """

    def __init__(self, body: Any, waiting: Callable[[], AbstractContextManager[None]]) -> None:
        self._body, self._waiting = body, waiting

    def read(self, *size: int) -> bytes:
        with self._reading():
            data: bytes = self._body.read(*size)
            return data

    def readline(self, *size: int) -> bytes:
        with self._reading():
            line: bytes = self._body.readline(*size)
            return line

    def readlines(self, *size: int) -> list[bytes]:
        with self._reading():
            lines: list[bytes] = self._body.readlines(*size)
            return lines

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            with self._waiting():
                yield
        except (ParseException, NoMoreData) as error:
            raise BadRequest from error


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """A process that answers, in threads; it leaves Ctrl-C to its parent, which tells it to finish."""

    request_seconds = 30.0
    """By when the head of a request must have come, and by when its body."""
    at_once = 32
    """Requests that are worked on at a time."""

    def init_process(self) -> None:
        """Start the watch, load the application, and serve until told to stop."""
        self.watch, self.turns = Watch(), threading.BoundedSemaphore(self.at_once)
        self.turns_aside = {path: threading.BoundedSemaphore(_AT_ONCE_ASIDE) for path in _ASIDE}
        sys.setswitchinterval(_SWITCH_SECONDS)
        super().init_process()

    def init_signals(self) -> None:
        """Ignore SIGINT, which a terminal sends to every process at once."""
        super().init_signals()
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def handle(self, conn: TConn) -> Any:
        """Read a request's head in time, and answer it."""
        conn.limit = self.watch.begin(conn.sock, time.monotonic() + self.request_seconds)
        try:
            goes_on = super().handle(conn)
        finally:
            conn.limit.end()
        if not goes_on:
            _close_here(conn)
        return goes_on

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Answer a request whose head is there."""
        conn.limit.end()
        ends = time.monotonic() + self.request_seconds
        body, turns = req.body, self.turns_aside.get(req.path, self.turns)
        req.body = _TimedBody(body, lambda: self._waiting(conn, ends, turns))
        try:
            with turns:
                return super().handle_request(req, conn)
        finally:
            req.body = body  # gunicorn reads what is left of it, by a limit of its own, when the turn has ended

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer a head that cannot be read as every other bad request is answered; the connection ends with it.

        gunicorn's own answer is a page, and it would log what it could not read.
        """
        if not isinstance(exc, ParseException) or isinstance(exc, _OURS):
            super().handle_error(req, client, addr, exc)
            return
        logger.warning("a request cannot be read", extra={"action": "no_request", "error": type(exc).__name__})
        with suppress(OSError):  # it has gone by itself
            util.write_nonblock(client, _refusal(exc))

    @contextmanager
    def _waiting(self, conn: TConn, ends: float, turns: threading.BoundedSemaphore) -> Iterator[None]:
        """Let another request have the turn of one that waits for its client."""
        turns.release()
        try:
            with self.watch.until(conn.sock, ends):
                yield
        finally:
            turns.acquire()


def _refusal(error: ParseException) -> bytes:
    """Return the whole answer to what is no request; it quotes nothing."""
    status = _NO_REQUEST.get(type(error), HTTPStatus.BAD_REQUEST)
    what = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()
    problem = f"the head of the request cannot be read as HTTP ({what}); a header is well-formed, and not given twice"
    body = outcomes.encode(outcome_of(Refusal(status=status, problem=problem)))
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Type: {FHIR_JSON}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _close_here(conn: TConn) -> None:
    """Close a connection in this thread, and not in gunicorn's that accepts all: it waits up to 2 s for the client."""
    with suppress(OSError):
        conn.close(graceful=True)
    conn.close = _is_closed


def _is_closed(*, graceful: bool = False) -> None:
    """Do nothing: the connection was closed before gunicorn asked for it."""
    del graceful


class Log(glogging.Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's own records, by the logging of this process; the application records its requests itself."""

    def setup(self, cfg: Any) -> None:
        """Add no handler, and let warnings through."""
        self.cfg, self._access_log_enabled = cfg, False
        self.error_log.propagate = True
        self.error_log.setLevel(logging.WARNING)

    def access(self, *_: object) -> None:
        """Record nothing: a path may hold a patient's id."""

    def reopen_files(self) -> None:
        """Do nothing: there are no files."""

    def close_on_exec(self) -> None:
        """Do nothing: likewise."""


class _Arbiter(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """Stops at Ctrl-C as it does at SIGTERM: what is under way is finished."""

    def handle_int(self) -> None:
        self.handle_term()


class _Application(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    def __init__(self, options: dict[str, Any], load: Load) -> None:
        self._options, self._load = options, load
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self._load()

    def run(self) -> None:
        _Arbiter(self).run()


def run(listener: socket.socket, load: Load, unload: Callable[[], None], process: Process) -> None:
    """Serve on a socket until SIGTERM or SIGINT; returns when all that was under way is finished.

    Args:
        listener: bound; it is closed in the end.
        load: called in each process that answers, before it does.
        unload: called there when it has answered its last request.
        process: how many of them, and how patient.

    Raises:
        OutcomeBridgeError: the processes could not be started, as the log says.
    """
    parent = os.getpid()
    own = {"bind": f"fd://{listener.detach()}", "worker_exit": _calling(unload)}
    try:
        _Application(options(process) | own, load).run()
    except SystemExit as error:
        if os.getpid() != parent:
            raise  # of a process that answered
        if error.code:
            raise OutcomeBridgeError("the service could not be started; its log says why") from error


def options(process: Process) -> dict[str, Any]:
    """Return gunicorn's settings (https://docs.gunicorn.org/en/stable/settings.html)."""
    own = {"request_seconds": process.request_seconds, "at_once": process.threads}
    return {
        "worker_class": type("TimedWorker", (Worker,), own),
        "logger_class": Log,
        "workers": process.workers,
        "threads": MOST_CONNECTIONS,
        "worker_connections": 2 * MOST_CONNECTIONS,
        "timeout": _HUNG_SECONDS,
        "graceful_timeout": max(1, round(process.stop_seconds)),
        "keepalive": 15,
        "control_socket_disable": True,
        "proc_name": "outcome-bridge",
        "forwarded_allow_ips": "",  # access.proxies believes proxies, by our own settings
    }


def _calling(unload: Callable[[], None]) -> Callable[[Any, Any], None]:
    def worker_exit(_arbiter: Any, _worker: Any) -> None:
        unload()

    return worker_exit
