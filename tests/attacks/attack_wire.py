"""Requests as bytes, which no HTTP library would send, and what comes back for them."""

from __future__ import annotations

import json
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from live_messages import FHIR

PATIENCE = 20.0
QUIET = 0.3
"""After the first answer so long without a byte means that no other comes."""
STUCK = 3.0
"""So long without an answer, and we say that we send no more: the service may be right to wait for the rest."""
CLOSED = 0
"""In place of a status: the connection was closed without an answer."""
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"(?im)^content-length:[ \t]*(\d+)")
_CHUNKED = re.compile(rb"(?im)^transfer-encoding:[ \t]*chunked")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer: status (`CLOSED` if none came), head and body as they came."""

    status: int
    head: bytes = b""
    body: bytes = b""

    def header(self, name: str) -> str:
        """The value of a header, empty if it is not there."""
        found = re.search(rb"(?im)^" + re.escape(name.encode()) + rb":[ \t]*([^\r\n]*)", self.head)
        return found[1].decode("latin-1").strip() if found else ""

    def outcome(self) -> dict[str, Any]:
        """The OperationOutcome in it, empty if it is none."""
        with suppress(ValueError):
            found = json.loads(self.body)
            if isinstance(found, dict) and found.get("resourceType") == "OperationOutcome":
                return found
        return {}


def exchange(port: int, *pieces: bytes) -> list[Reply]:
    """Send bytes as they are, and read every answer until the connection is closed, or none comes any more.

    Args:
        port: of 127.0.0.1.
        pieces: what is sent.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        with suppress(ConnectionError):  # it may be cut off while we send: what was answered is read all the same
            for piece in pieces:
                connection.sendall(piece)
        return replies(_received(connection))


def request(
    method: str, target: str, body: bytes = b"", *headers: tuple[str, str], host: str = "127.0.0.1", length: bool = True
) -> bytes:
    """A request as it should be, save for what is given; it asks for the connection to be closed."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    if length and (body or method in ("POST", "PUT", "PATCH")):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + _HEAD_END + body


def posted(body: bytes, *headers: tuple[str, str], target: str = "/fhir/QuestionnaireResponse") -> bytes:
    """A POST of FHIR JSON."""
    return request("POST", target, body, ("Content-Type", FHIR), *headers)


def replies(data: bytes) -> list[Reply]:
    """Take apart what came; `[Reply(status=CLOSED)]` if it was nothing that is HTTP."""
    found: list[Reply] = []
    while data:
        head, separator, rest = data.partition(_HEAD_END)
        line = re.match(rb"HTTP/1\.[01] (\d{3})", head)
        if not (separator and line):
            break
        status = int(line[1])
        if status == 100:
            data = rest
            continue
        body, data = _body(head, rest)
        found.append(Reply(status=status, head=head, body=body))
    return found or [Reply(status=CLOSED, body=data)]


def _body(head: bytes, rest: bytes) -> tuple[bytes, bytes]:
    """Return a body and what follows it."""
    if _CHUNKED.search(head):
        pieces = []
        while rest:
            line, _, rest = rest.partition(b"\r\n")
            size = int(line.split(b";")[0], 16)
            pieces.append(rest[:size])
            rest = rest[size + 2 :]
            if not size:
                break
        return b"".join(pieces), rest
    if found := _LENGTH.search(head):
        return rest[: int(found[1])], rest[int(found[1]) :]
    return rest, b""


def _received(connection: socket.socket) -> bytes:
    """Return all that comes.

    Raises:
        TimeoutError: nothing came, although we had said that we send no more.
    """
    pieces: list[bytes] = []
    is_half_closed = False
    with suppress(ConnectionError):
        while True:
            connection.settimeout(QUIET if pieces else PATIENCE if is_half_closed else STUCK)
            try:
                piece = connection.recv(65536)
            except TimeoutError:
                if is_half_closed and not pieces:
                    raise
                if pieces:
                    break
                connection.shutdown(socket.SHUT_WR)
                is_half_closed = True
                continue
            if not piece:
                break
            pieces.append(piece)
    return b"".join(pieces)
