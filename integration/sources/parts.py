"""Files in parts that can be read apart: NDJSON by byte ranges that end where a line ends, everything else whole.

A gzip file has to be unpacked from its start, which takes a small part of the time that its resources take. So it is
split too, into few parts, and each is unpacked up to its end.
"""

from __future__ import annotations

import gzip
import io
import itertools
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from integration.errors import InputError
from integration.sources import files, folders
from integration.sources.resource import RawResource, Unreadable

_READ_AHEAD_BYTES: Final = 1 << 20
_PACKED_BY: Final = 10
"""How many bytes a byte of a gzip file of FHIR resources stands for, more or less."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part of a file.

    Attributes:
        path: the file.
        start: the first byte; of a gzip file, the part has what needs more of its bytes than these to be unpacked.
        end: the byte behind the last; None for a whole file.
        bytes: its size, unpacked; for a gzip file a guess.
    """

    path: Path
    start: int = 0
    end: int | None = None
    bytes: int = 0


class PartOfFile:
    """The resources of one part; lines count from the part's start.

    Attributes:
        lines: how many line ends were read so far; after the last resource, how many the part has.
    """

    def __init__(self, part: Part, line_limit_bytes: int) -> None:
        self._part, self._limit, self.lines = part, line_limit_bytes, 0

    def __iter__(self) -> Iterator[RawResource | Unreadable]:
        """Yield every resource of the part, once."""
        part = self._part
        if part.end is None:
            yield from files.resources(part.path, self._limit)
            return
        with _opened(part.path) as stream:
            section: _Section | _Share
            if _is_packed(part.path):
                section = _Share(stream, part.start, part.end)
                lines = cast("IO[bytes]", section)
            else:
                section = _Section(stream, part.start, part.end)
                lines = io.BufferedReader(section, _READ_AHEAD_BYTES)
            name, is_start = part.path.as_posix(), part.start == 0
            yield from files.resources_of_lines(name, lines, self._limit, is_start=is_start)
            self.lines = section.lines


class _Section(io.RawIOBase):
    """Some bytes of a file, counting the line ends among them."""

    def __init__(self, stream: IO[bytes], start: int, end: int) -> None:
        self._stream, self._left, self.lines = stream, end - start, 0
        stream.seek(start)

    def readable(self) -> bool:
        """Say yes, as a buffered reader asks."""
        return True

    def readinto(self, into: memoryview) -> int:  # type: ignore[override]  # what a buffered reader gives
        """Read as much as fits and is left."""
        chunk = self._stream.read(min(len(into), self._left))
        into[: len(chunk)] = chunk
        self._left -= len(chunk)
        self.lines += chunk.count(b"\n")
        return len(chunk)


class _Share:
    """Some lines of a gzip file: each belongs where as much of the file has been read as its begin needs.

    The first line, which may begin with a byte order mark, always belongs to the first part.

    Everybody reads the same from the start, so that a line belongs to one part, and damage is met after the same line.
    """

    def __init__(self, stream: IO[bytes], start: int, end: int) -> None:
        self._stream, self._unpacked, self.lines = stream, gzip.GzipFile(fileobj=stream), 0
        self._start, self._end = start, end
        self._is_first, self._is_within_line = True, False

    def readline(self, size: int) -> bytes:
        """Read a line, or as much of one."""
        if self._is_within_line:
            piece = self._unpacked.readline(size)
        else:
            piece = self._begin(size)
            self.lines += bool(piece)
        self._is_within_line = bool(piece) and not piece.endswith(b"\n")
        return piece

    def _begin(self, size: int) -> bytes:
        is_first, self._is_first = self._is_first, False
        if is_first:
            return self._unpacked.readline(size) if self._start == 0 else self._within(self._first(size))
        return self._within(self._unpacked.readline(size))

    def _within(self, piece: bytes) -> bytes:
        return piece if self._stream.tell() <= self._end else b""

    def _first(self, size: int) -> bytes:
        """Leave out what belongs to the parts before; damage there is theirs."""
        try:
            piece = self._after(self._unpacked.readline(size), size)
            while piece and self._stream.tell() <= self._start:
                piece = self._after(piece, size)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            self._end = 0
            return b""
        return piece

    def _after(self, piece: bytes, size: int) -> bytes:
        """Read what follows the line that begins with a piece."""
        while piece and not piece.endswith(b"\n"):
            piece = self._unpacked.readline(_READ_AHEAD_BYTES)
        return self._unpacked.readline(size)


def parts(source: files.Files, size_bytes: int, shares: int = 1) -> Iterator[Part]:
    """Yield the parts of a source in its order.

    Args:
        source: the files.
        size_bytes: of a part of NDJSON, more or less; a longer line stays whole.
        shares: how many parts of one gzip file there may be.
    """
    for path in source.paths:
        packed = path.stat().st_size
        size = packed * _PACKED_BY if _is_packed(path) else packed
        if size <= size_bytes or not files.is_line_by_line(path, source.line_limit_bytes):
            yield Part(path=path, bytes=size)
        elif _is_packed(path):
            count = min(shares, math.ceil(size / size_bytes))
            ends = [packed * at // count for at in range(count + 1)]
            yield from (Part(path=path, start=a, end=b, bytes=size // count) for a, b in itertools.pairwise(ends))
        else:
            yield from _split(path, size_bytes)


def _is_packed(path: Path) -> bool:
    return folders.has_ending(path, ".gz")


def _split(path: Path, size: int) -> Iterator[Part]:
    with _opened(path) as stream:
        total, start = stream.seek(0, io.SEEK_END), 0
        while start < total:
            end = min(_line_end(stream, start + size), total)
            yield Part(path=path, start=start, end=end, bytes=end - start)
            start = end


def _line_end(stream: IO[bytes], position: int) -> int:
    """Return where the line ends that holds the byte before a position."""
    stream.seek(position - 1)
    while (chunk := stream.readline(_READ_AHEAD_BYTES)) and not chunk.endswith(b"\n"):
        continue
    return stream.tell()


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(path=str(path), problem=f"cannot be read: {error.strerror}") from error
