"""Resources out of files: NDJSON, plain or gzip, and JSON files that hold a Bundle or one resource."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from integration.errors import InputError
from integration.sources import bundle, folders
from integration.sources.folders import ENDINGS, Skipped
from integration.sources.resource import RawResource, Unreadable

LINE_LIMIT_BYTES: Final = 16 * 1024 * 1024
EMPTY: Final = "empty file; nothing was read"
UTF_16: Final = "UTF-16; save it as UTF-8"
_READ_AHEAD_BYTES: Final = 1 << 20
_GZIP: Final = b"\x1f\x8b"
"""RFC 1952, section 2.3.1."""
_STARTS_OF_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"{\0", b"\0{", b"[\0", b"\0[")
_DOCUMENT: Final = "looks like one JSON document over several lines; name it .json"


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
        paths: files, or folders that are searched through for `*.ndjson`, `*.ndjson.gz` and `*.json`, in any case.
        line_limit_bytes: a longer line is rejected unread.

    Raises:
        InputError: a path does not exist, cannot be read, or no file is there to read.
    """

    def __init__(self, paths: Sequence[Path], line_limit_bytes: int = LINE_LIMIT_BYTES) -> None:
        found = [folders.find(path) for path in paths]
        self._files = sorted({file for one in found for file in one.files}, key=lambda file: file.as_posix())
        self._skipped = list(dict.fromkeys(skipped for one in found for skipped in one.skipped))
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
    def skipped(self) -> list[Skipped]:
        """What lies in the folders and is not read, each with why; `(file, why)`."""
        return list(self._skipped)

    @property
    def total_bytes(self) -> int:
        """The size of all files as they lie on disk."""
        return sum(file.stat().st_size for file in self._files)


def _open(file: Path) -> IO[bytes]:
    try:
        return file.open("rb", buffering=_READ_AHEAD_BYTES)
    except OSError as error:
        raise InputError(path=str(file), problem=f"cannot be read: {error.strerror}") from error


def resources(file: Path, limit: int) -> Iterator[RawResource | Unreadable]:
    """Yield every resource of one file; a line over the limit in bytes is not read, and an empty file is listed."""
    name = file.as_posix()
    with _open(file) as stream:
        if folders.has_ending(file, ".json"):
            yield from _resources_of_json(name, stream.read(), limit)
        elif not folders.has_ending(file, ".gz"):
            yield from _resources_of_ndjson(name, stream, limit)
        elif (start := stream.read(len(_GZIP))) and start != _GZIP:
            yield Unreadable(name, 0, "", "not gzip data")
        else:
            stream.seek(0)
            yield from _resources_of_ndjson(name, gzip.GzipFile(fileobj=stream), limit)  # type: ignore[arg-type]  # a binary stream, though typeshed says otherwise


def is_line_by_line(file: Path, limit: int) -> bool:
    """Return whether a file is NDJSON with nothing wrong with it as a whole, so that it may be read in parts."""
    is_packed = folders.has_ending(file, ".gz")
    if not is_packed and not folders.has_ending(file, ".ndjson"):
        return False
    with _open(file) as stream:
        if is_packed and stream.read(len(_GZIP)) != _GZIP:
            return False
        stream.seek(0)
        lines: IO[bytes] = gzip.GzipFile(fileobj=stream) if is_packed else stream  # type: ignore[assignment]  # see above
        return _problem_of_start(file.as_posix(), _start(_lines(file.as_posix(), lines, limit))) is None


def resources_of_lines(
    file: str, stream: IO[bytes], limit: int, *, is_start: bool = True
) -> Iterator[RawResource | Unreadable]:
    """Yield every resource of a stream of lines, which may be a part of a file that is not its start."""
    yield from _unpacked(_lines(file, stream, limit, is_start=is_start), limit)


def _resources_of_ndjson(file: str, stream: IO[bytes], limit: int) -> Iterator[RawResource | Unreadable]:
    lines = _lines(file, stream, limit)
    start = _start(lines)
    problem = _problem_of_start(file, start)
    yield from [problem] if problem else _unpacked(chain(start, lines), limit)


def _resources_of_json(file: str, body: bytes, limit: int) -> Iterator[RawResource | Unreadable]:
    text = _without_mark(body)
    whole = RawResource(file, 1, "", text)
    problem = _problem_of_start(file, [whole] if text.strip() else [])
    if problem:
        yield problem
    elif _begins_with_a_whole_line(text):
        yield from resources_of_lines(file, io.BytesIO(body), limit)
    elif _is(text, list[msgspec.Raw]):
        yield Unreadable(file, 1, "", "a JSON array, not a resource or Bundle")
    else:
        yield from bundle.unpacked(whole, limit)


def _unpacked(lines: Iterable[RawResource | Unreadable], limit: int) -> Iterator[RawResource | Unreadable]:
    for line in lines:
        if isinstance(line, Unreadable):
            yield line
        else:
            yield from bundle.unpacked(line, limit)


def _start(lines: Iterator[RawResource | Unreadable]) -> list[RawResource | Unreadable]:
    """Take as many lines as tell what kind of file it is."""
    return list(islice(lines, 2))


def _problem_of_start(file: str, start: Sequence[RawResource | Unreadable]) -> Unreadable | None:
    """Say what is wrong with a file as a whole, by its first two lines that are not blank."""
    if not start:
        return Unreadable(file, 0, "", EMPTY)
    first, *further = start
    if isinstance(first, Unreadable):
        return None
    if first.body.startswith(_STARTS_OF_UTF_16):
        return Unreadable(file, 0, "", UTF_16)
    if first.body.startswith(_GZIP):
        return Unreadable(file, 0, "", "gzip data; name it .ndjson.gz or unpack it")
    if further and _is_a_document(first.body, further[0]):
        return Unreadable(file, first.line, "", _DOCUMENT)
    return None


def _is_a_document(first: bytes, second: RawResource | Unreadable) -> bool:
    """Whether JSON begins in the first line and goes on in the second; one broken line among whole ones is none."""
    if first in (b"{", b"["):
        return True
    goes_on = isinstance(second, RawResource) and not _is(second.body, dict[str, msgspec.Raw])
    return goes_on and first.startswith((b"{", b"[")) and _is_cut_off(first)


def _begins_with_a_whole_line(text: bytes) -> bool:
    """Whether there is one JSON object on the first line that is not blank, and more below."""
    begun = text.lstrip()
    end = begun.find(b"\n")
    return end >= 0 and _is(begun[:end], dict[str, msgspec.Raw]) and bool(begun[end:].strip())


def _is(text: bytes, kind: Any) -> bool:
    try:
        msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _is_cut_off(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return "truncated" in str(error)
    return False


def _lines(file: str, stream: IO[bytes], limit: int, *, is_start: bool = True) -> Iterator[RawResource | Unreadable]:
    """Yield every line that is not blank, whole."""
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
                yield RawResource(file, number, "", text)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        yield Unreadable(file, number + 1, "", "compressed data ends early or is damaged; the rest was not read")


def _without_mark(text: bytes) -> bytes:
    """Leave out the byte order mark that Windows programs put before UTF-8 (RFC 8259 lets a reader ignore it)."""
    return text.removeprefix(codecs.BOM_UTF8)


def _skip_line(stream: IO[bytes]) -> None:
    while chunk := stream.readline(_READ_AHEAD_BYTES):
        if chunk.endswith(b"\n"):
            return
