"""The body of a request: its type, its compression, its length; never more unpacked than may be sent plainly."""

from __future__ import annotations

import gzip
import zlib
from typing import Final

from flask import Request, Response
from werkzeug.datastructures import Accept
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_accept_header

from server.service import negotiation
from server.service.operation_outcome import RefusedError

_CHUNK_BYTES: Final = 64 * 1024
_GZIP: Final = 31  # zlib's window bits for a gzip header and trailer
_WORTH_PACKING_BYTES: Final = 1024
_PACKING_LEVEL: Final = 5
_ENCODINGS: Final = ("gzip", "x-gzip")


def of(request: Request, *, fhir_release: str, limit_bytes: int) -> bytes:
    """Return the body of a request, unpacked.

    Args:
        request: the request.
        fhir_release: major and minor version that the body must be of.
        limit_bytes: of the body as it comes and of the unpacked body.

    Raises:
        RefusedError: 400 if what is packed is damaged; 415 if it is of another type.
        RequestEntityTooLarge: 413.
    """
    negotiation.require_json_body(request, fhir_release)
    if request.headers.get("Content-Encoding", "").strip().lower() in _ENCODINGS:
        return _unpacked(request, limit_bytes)
    body = request.get_data(cache=False)
    if len(body) > limit_bytes:
        raise RequestEntityTooLarge
    return body


def _unpacked(request: Request, limit_bytes: int) -> bytes:
    unpacker = zlib.decompressobj(_GZIP)
    pieces: list[bytes] = []
    left, taken = limit_bytes, 0
    try:
        while not unpacker.eof and (packed := request.stream.read(_CHUNK_BYTES)):
            taken += len(packed)
            piece = unpacker.decompress(packed, left + 1)  # one byte more tells that there is more
            left -= len(piece)
            if left < 0 or taken > limit_bytes:
                raise RequestEntityTooLarge
            pieces.append(piece)
    except zlib.error as error:
        raise RefusedError(400, "the body is not gzip, or is damaged") from error
    if not unpacker.eof:
        raise RefusedError(400, "the body's gzip ends too early")
    if unpacker.unused_data or request.stream.read(1):
        raise RefusedError(400, "there is something behind the end of the body's gzip")
    return b"".join(pieces)


def pack(request: Request, response: Response) -> Response:
    """Compress an answer that is worth it, for whoever takes gzip."""
    if response.direct_passthrough or response.is_streamed or response.headers.get("Content-Encoding"):
        return response
    body = response.get_data()
    if len(body) < _WORTH_PACKING_BYTES:
        return response
    response.vary.add("Accept-Encoding")
    if _takes_gzip(request):
        response.set_data(gzip.compress(body, _PACKING_LEVEL, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
    return response


def _takes_gzip(request: Request) -> bool:
    accepted = parse_accept_header(request.headers.get("Accept-Encoding"), Accept)
    return any(accepted.quality(name) > 0 for name in _ENCODINGS)
