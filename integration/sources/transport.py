"""What every HTTP request of ours shares: the session, what a failed request means, and what may be said of a URL."""

from __future__ import annotations

import http.client
import io
import math
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError, ReadTimeoutError

from integration.errors import ServerNotReachedError, ServerUnreachableError

CONNECT_SECONDS: Final = 10.0
"""No connection is waited for longer."""
_ENDS: ContextVar[float] = ContextVar("ends", default=math.inf)
"""When an answer must be there as a whole (`time.monotonic`)."""


def session(ca_file: Path | None) -> requests.Session:
    """Make a session that asks only what it is told to.

    Args:
        ca_file: certificate authorities instead of the usual ones.
    """
    made = requests.Session()
    made.trust_env = False  # proxies and netrc passwords of the environment are nobody's choice here
    made.mount("http://", _Adapter())
    made.mount("https://", _Adapter())
    if ca_file is not None:
        made.verify = str(ca_file)
    return made


def timeouts(seconds: float) -> tuple[float, float]:
    """Return the longest wait for a connection, and without a byte from the server; seconds."""
    return min(CONNECT_SECONDS, seconds), seconds


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give each answer that a session of ours reads in this block so long in all, from now to its last byte.

    A timeout alone bounds the pause between two bytes only, so a server could send one after the other for ever.
    """
    token = _ENDS.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ENDS.reset(token)


def translated(error: OSError, url: str) -> ServerUnreachableError:
    """Say in our words what `requests` says, and whether anything may have been sent."""
    where = without_query(url)
    if not isinstance(error, requests.RequestException):  # it looks for the authorities before every request
        return ServerNotReachedError(url=where, problem="the file of certificate authorities (ca_file) cannot be read")
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
        return ServerNotReachedError(url=where, problem="the certificate does not verify")
    if isinstance(error, requests.exceptions.ConnectTimeout) or any(
        isinstance(cause, NewConnectionError) for cause in _causes(error)
    ):
        return ServerNotReachedError(url=where, problem="no connection")
    if isinstance(error, ValueError) and not isinstance(error, requests.exceptions.JSONDecodeError):
        return ServerNotReachedError(url=where, problem="not an address")
    if isinstance(error, requests.exceptions.Timeout) or any(
        isinstance(cause, ReadTimeoutError) for cause in _causes(error)
    ):
        return ServerUnreachableError(url=where, problem="no answer in time")
    return ServerUnreachableError(url=where, problem="the connection broke before the answer was complete")


def retry_after(text: str, now: datetime) -> float | None:
    """Read a Retry-After header, a number of seconds or a date; seconds from `now`, None if it is neither.

    >>> retry_after("7", datetime(2026, 1, 5, tzinfo=UTC)), retry_after("soon", datetime(2026, 1, 5, tzinfo=UTC))
    (7.0, None)
    """
    if text.strip().isdecimal():
        return float(text)
    moment = http_date(text)
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def http_date(text: str) -> datetime | None:
    """Read an HTTP date; None if it is not one."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port: what must be equal for a token to be sent."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", parts.port or default


def without_query(url: str) -> str:
    """A search's parameters may hold what a log must not; ids in the path may be said."""
    return urlsplit(url)._replace(query="", fragment="").geturl()


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and everything that it wraps: `requests` keeps the cause in args, urllib3 in `reason`."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop()
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            waiting += [*cause.args, getattr(cause, "reason", None), cause.__cause__]
            yield cause


class _TimedReader(io.RawIOBase):
    """What a socket brings, until a time; what comes later is a timeout."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket, ends: float) -> None:
        self._raw, self._connection, self._ends = raw, connection, ends
        self._pause_seconds = connection.gettimeout() or math.inf

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        self._connection.settimeout(min(self._pause_seconds, left))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    """An answer, head and body, that must be there in time."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        if (ends := _ENDS.get()) < math.inf:
            self.fp = io.BufferedReader(_TimedReader(self.fp.detach(), sock, ends))


class _Connection(HTTPConnection):
    response_class = _TimedResponse


class _SecureConnection(HTTPSConnection):
    response_class = _TimedResponse


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
