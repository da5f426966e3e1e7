"""Files in parts that can be read apart: NDJSON by byte ranges that end where a line ends, everything else whole."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from integration.errors import InputError
from integration.sources import files
from integration.sources.resource import RawResource, Unreadable

_READ_AHEAD_BYTES: Final = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part of a file.

    Attributes:
        path: the file.
        start: the first byte.
        end: the byte behind the last; None for a whole file that cannot be split.
    """

    path: Path
    start: int = 0
    end: int | None = None


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
            section = _Section(stream, part.start, part.end)
            lines: IO[bytes] = io.BufferedReader(section, _READ_AHEAD_BYTES)
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


def parts(source: files.Files, size_bytes: int) -> Iterator[Part]:
    """Yield the parts of a source in its order, those of NDJSON of about a size; a longer line stays whole."""
    for path in source.paths:
        if path.stat().st_size > size_bytes and files.is_line_by_line(path, source.line_limit_bytes):
            yield from _split(path, size_bytes)
        else:
            yield Part(path=path)


def _split(path: Path, size: int) -> Iterator[Part]:
    with _opened(path) as stream:
        total, start = stream.seek(0, io.SEEK_END), 0
        while start < total:
            end = min(_line_end(stream, start + size), total)
            yield Part(path=path, start=start, end=end)
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
