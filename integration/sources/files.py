"""Resources out of files: NDJSON, plain or gzip, and JSON files that hold a Bundle or one resource."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NoReturn

from integration.errors import InputError
from integration.sources import bundle
from integration.sources.resource import RawResource, Unreadable

ENDINGS: Final = (".ndjson", ".ndjson.gz", ".json")
LINE_LIMIT_BYTES: Final = 16 * 1024 * 1024
_READ_AHEAD_BYTES: Final = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class InputFile:
    """A file that a run read, for its record.

    Attributes:
        file: as in RawResource.
        bytes: its size.
        sha256: of its bytes as they lie on disk.
    """

    file: str
    bytes: int
    sha256: str


class Files:
    """All resources of some files and folders, in order of path, then of position.

    Args:
        paths: files, or folders that are searched through for `*.ndjson`, `*.ndjson.gz` and `*.json`.
        line_limit_bytes: a longer line is rejected unread.

    Raises:
        InputError: a path does not exist, cannot be read, or no file is there to read.
    """

    def __init__(self, paths: Sequence[Path], line_limit_bytes: int = LINE_LIMIT_BYTES) -> None:
        self._files = sorted({file for path in paths for file in _files_below(path)}, key=lambda file: file.as_posix())
        self._limit = line_limit_bytes
        if not self._files:
            named = ", ".join(str(path) for path in paths)
            raise InputError(path=named, problem=f"holds no file ending in {', '.join(ENDINGS)}; name another --data")
        for file in self._files:
            _open(file).close()

    def __iter__(self) -> Iterator[RawResource | Unreadable]:
        """Yield every resource of every file."""
        for file in self._files:
            yield from resources(file, self._limit)

    def described(self) -> Iterator[InputFile]:
        """Yield every file with size and hash."""
        for file in self._files:
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            yield InputFile(file=file.as_posix(), bytes=file.stat().st_size, sha256=digest)

    @property
    def paths(self) -> Sequence[Path]:
        """The files, in the order in which they are read."""
        return self._files

    @property
    def line_limit_bytes(self) -> int:
        """The length from which a line is rejected unread."""
        return self._limit

    @property
    def total_bytes(self) -> int:
        """The size of all files as they lie on disk."""
        return sum(file.stat().st_size for file in self._files)


def _files_below(path: Path) -> Iterable[Path]:
    if path.is_dir():
        found = (Path(folder, name) for folder, _, names in os.walk(path, onerror=_refuse) for name in names)
        return [file for file in found if file.name.endswith(ENDINGS) and file.is_file()]
    if not path.exists():
        raise InputError(path=str(path), problem="does not exist; give --data a file or a folder")
    if not path.name.endswith(ENDINGS):
        raise InputError(path=str(path), problem=f"is none of {', '.join(ENDINGS)}")
    return [path]


def _refuse(error: OSError) -> NoReturn:
    """Stop at a folder that cannot be searched through: what is in it would be missing without a word."""
    problem = f"cannot be searched through: {error.strerror}; let this account read it, or name another --data"
    raise InputError(path=str(error.filename), problem=problem) from error


def _open(file: Path) -> IO[bytes]:
    try:
        return file.open("rb", buffering=_READ_AHEAD_BYTES)
    except OSError as error:
        raise InputError(path=str(file), problem=f"cannot be read: {error.strerror}") from error


def resources(file: Path, limit: int) -> Iterator[RawResource | Unreadable]:
    """Yield every resource of one file; a line over the limit in bytes is not read."""
    name = file.as_posix()
    with _open(file) as stream:
        if file.name.endswith(".json"):
            yield from bundle.unpacked(RawResource(name, 1, "", _without_mark(stream.read())), limit)
            return
        lines: IO[bytes] = gzip.GzipFile(fileobj=stream) if file.name.endswith(".gz") else stream  # type: ignore[assignment]  # a binary stream, though typeshed says otherwise
        yield from resources_of_lines(name, lines, limit)


def resources_of_lines(
    file: str, stream: IO[bytes], limit: int, *, is_start: bool = True
) -> Iterator[RawResource | Unreadable]:
    """Yield every resource of a stream of lines, which may be a part of a file that is not its start."""
    number = 0
    try:
        while line := stream.readline(limit + 1):
            number += 1
            if len(line) > limit and not line.endswith(b"\n"):
                _skip_line(stream)
                yield Unreadable(file, number, "", f"line longer than {limit} bytes, not read")
                continue
            text = (_without_mark(line) if number == 1 and is_start else line).strip()
            if text:
                yield from bundle.unpacked(RawResource(file, number, "", text), limit)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        yield Unreadable(file, number + 1, "", "compressed data ends early or is damaged; the rest was not read")


def _without_mark(text: bytes) -> bytes:
    """Leave out the byte order mark that Windows programs put before UTF-8 (RFC 8259 lets a reader ignore it)."""
    return text.removeprefix(codecs.BOM_UTF8)


def _skip_line(stream: IO[bytes]) -> None:
    while chunk := stream.readline(_READ_AHEAD_BYTES):
        if chunk.endswith(b"\n"):
            return
