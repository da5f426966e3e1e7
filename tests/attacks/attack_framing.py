"""Requests that two readers of HTTP would cut at different places, and bytes that are no request at all.

What is hidden in a body or behind it must never be answered as a request of its own (RFC 9112, sections 6 and 11.2,
https://www.rfc-editor.org/rfc/rfc9112).
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from attack_case import CLOSED, Attack, attack
from attack_wire import request
from live_messages import FHIR, encoded, response

_BODY = encoded(response("attacked", "p1", status="stopped"))
_HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_HEAD = "POST /fhir/QuestionnaireResponse HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: " + FHIR + "\r\n"
_SIZE = b"%x\r\n%s\r\n"
_END = b"0\r\n\r\n"
_CHUNKS = _SIZE % (len(_BODY), _BODY) + _END
_CHUNKED = "Transfer-Encoding: chunked"
_REFUSED = (400, 501, CLOSED)


def attacks() -> Iterator[Attack]:
    """All of them."""
    for name, headers, body in _two_lengths():
        yield _framed(name, headers, body)
    yield from _chunks()
    yield from _no_requests()
    yield from _versions()


def _framed(name: str, headers: list[str], body: bytes, *expected: int) -> Attack:
    head = (_HEAD + "".join(f"{line}\r\n" for line in headers) + "\r\n").encode("latin-1")
    return attack("framing", name, head + body + _HIDDEN, expected=expected or _REFUSED)


def _two_lengths() -> Iterator[tuple[str, list[str], bytes]]:
    size = len(_BODY)
    yield "Content-Length and chunks", [f"Content-Length: {len(_CHUNKS)}", _CHUNKED], _CHUNKS
    yield "chunks and Content-Length", [_CHUNKED, "Content-Length: 4"], _CHUNKS
    yield "two lengths", [f"Content-Length: {size}", "Content-Length: 4"], _BODY
    yield "two lengths in one", [f"Content-Length: {size}, 4"], _BODY
    yield "a length with a sign", [f"Content-Length: +{size}"], _BODY
    yield "a length below zero", ["Content-Length: -1"], _BODY
    yield "a length in hexadecimal", [f"Content-Length: {size:#x}"], _BODY
    yield "a length with an underscore", ["Content-Length: 1_0"], _BODY
    yield "a length in other digits", [f"Content-Length: {size}\xb2"], _BODY
    yield "a length with a blank before the colon", [f"Content-Length : {size}"], _BODY
    yield "a header folded over two lines", ["X-Folded: a", f" Content-Length: {size}"], _BODY
    yield "Transfer-Encoding: xchunked", ["Transfer-Encoding: xchunked"], _CHUNKS
    yield "Transfer-Encoding: chunked, identity", ["Transfer-Encoding: chunked, identity"], _CHUNKS
    yield "Transfer-Encoding: chunked twice", [_CHUNKED, _CHUNKED], _CHUNKS
    yield "Transfer-Encoding with a vertical tab", ["Transfer-Encoding: \x0bchunked"], _CHUNKS
    yield "Transfer-Encoding before a line end alone", ["X: y\nTransfer-Encoding: chunked"], _CHUNKS
    yield "a name with a blank in it", ["Content Length: 4"], _BODY
    yield "a name with NUL", ["X\x00Y: 4"], _BODY
    yield "a line without a colon", ["Content-Length"], _BODY


def _chunks() -> Iterator[Attack]:
    rest = b"\r\n%s\r\n" % _BODY + _END
    for name, size in (
        ("in letters that are no hexadecimal", b"xyz"),
        ("with 0x", b"0x%x" % len(_BODY)),
        ("with a sign", b"+%x" % len(_BODY)),
        ("below zero", b"-1"),
        ("with an underscore", b"1_0"),
        ("of 17 digits", b"F" * 17),
        ("of nothing", b""),
    ):
        yield _framed(f"a chunk's size {name}", [_CHUNKED], size + rest)
    yield _framed("a chunk longer than it says", [_CHUNKED], _SIZE % (4, _BODY) + _END)
    yield _framed("a chunk's end without its line end", [_CHUNKED], b"%x\r\n%s" % (len(_BODY), _BODY) + _END)
    extended = b"%x;%s\r\n%s\r\n" % (len(_BODY), b"name=value", _BODY) + _END
    yield attack(
        "framing", "a chunk with an extension, which HTTP allows", _chunked_alone(extended), expected=[200, 201, 400]
    )
    long = b"%x;%s\r\n%s\r\n" % (len(_BODY), b"a" * 1_000_000, _BODY) + _END
    yield attack("framing", "a chunk's extension of 1 MB", _chunked_alone(long), expected=[200, 201, *_REFUSED, 413])
    zeros = b"0" * 10_000 + b"%x\r\n%s\r\n" % (len(_BODY), _BODY) + _END
    yield attack("framing", "a chunk's size behind 10,000 zeros", _chunked_alone(zeros), expected=[200, 201, 400])
    trailer = _SIZE % (len(_BODY), _BODY) + b"0\r\nHost: evil.example\r\nContent-Length: 4\r\n\r\n"
    yield attack("framing", "a trailer that names another host", _chunked_alone(trailer), expected=[200, 201, 400])


def _chunked_alone(chunks: bytes) -> bytes:
    return f"{_HEAD}{_CHUNKED}\r\nConnection: close\r\n\r\n".encode() + chunks


def _no_requests() -> Iterator[Attack]:
    noise = random.Random(5).randbytes(65536)  # the same noise each time
    hello = bytes.fromhex("16030100c8010000c40303") + noise[:200]
    yield attack("no HTTP", "64 kB of noise", noise + b"\r\n\r\n", expected=_REFUSED)
    yield attack("no HTTP", "a TLS greeting", hello + b"\r\n\r\n", expected=_REFUSED)
    yield attack("no HTTP", "a line of 1 MB", b"A" * 1_000_000 + b"\r\n\r\n", expected=(*_REFUSED, 414, 431))
    yield attack(
        "no HTTP", "a method of 1,000 letters", request("A" * 1000, "/fhir/metadata"), expected=(*_REFUSED, 405)
    )
    yield attack("no HTTP", "a method of other signs", request("GE\x01T", "/fhir/metadata"), expected=_REFUSED)
    yield attack(
        "no HTTP", "three blanks in the first line", b"GET /fhir/metadata HTTP/1.1 x\r\n\r\n", expected=_REFUSED
    )
    yield attack(
        "no HTTP",
        "a NUL in the first line",
        b"GET /fhir\x00/metadata HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        expected=(*_REFUSED, 404),
    )
    yield attack("no HTTP", "Redis", b"*1\r\n$4\r\nINFO\r\n\r\n", expected=_REFUSED)


def _versions() -> Iterator[Attack]:
    yield attack("version", "HTTP/0.9", b"GET /fhir/metadata\r\n\r\n", expected=_REFUSED)
    yield attack("version", "HTTP/1.0 without a Host", b"GET /fhir/metadata HTTP/1.0\r\n\r\n", expected=(200, 400))
    yield attack("version", "HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", expected=(*_REFUSED, 505))
    yield attack(
        "version", "HTTP/9.9", request("GET", "/fhir/metadata").replace(b"1.1", b"9.9"), expected=(*_REFUSED, 505)
    )
    upgrade = request("GET", "/fhir/metadata", b"", ("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"))
    yield attack("version", "an upgrade to HTTP/2", upgrade, expected=(200, 400))
