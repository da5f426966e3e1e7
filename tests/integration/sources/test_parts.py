from __future__ import annotations

import dataclasses
import gzip
from pathlib import Path

import pytest

from integration.sources.files import Files
from integration.sources.parts import PartOfFile, parts
from integration.sources.resource import RawResource, Unreadable

PATIENT = b'{"resourceType":"Patient","id":"%d"}'
LIMIT = 200
LINES = [
    b"\xef\xbb\xbf" + PATIENT % 1,
    b"",
    PATIENT % 2,
    b"\xef\xbb\xbf" + PATIENT % 3,
    b"x" * (3 * LIMIT),
    b"  ",
    b"not JSON",
    PATIENT % 4 + b"\r",
    PATIENT % 5,
]


def apart(source: Files, size: int) -> list[RawResource | Unreadable]:
    """Read a source part by part, and count the lines on from part to part of a file."""
    found: list[RawResource | Unreadable] = []
    lines = 0
    for part in parts(source, size):
        reader = PartOfFile(part, source.line_limit_bytes)
        lines = 0 if part.start == 0 else lines
        found += [dataclasses.replace(each, line=each.line + lines) for each in reader]
        lines += reader.lines
    return found


@pytest.mark.parametrize("size", [1, 7, 36, 37, 38, 100, 10_000])
@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n"])
def test_the_parts_of_files_are_the_files(tmp_path: Path, size: int, end: bytes) -> None:
    text = b"\n".join(LINES) + end
    (tmp_path / "a.ndjson").write_bytes(text)
    (tmp_path / "b.ndjson.gz").write_bytes(gzip.compress(text))
    (tmp_path / "c.json").write_bytes(PATIENT % 6)
    (tmp_path / "d.ndjson").write_bytes(b"")
    (tmp_path / "e.ndjson").write_bytes(text)
    source = Files([tmp_path], line_limit_bytes=LIMIT)

    whole = list(source)

    assert apart(source, size) == whole
    assert sum(isinstance(each, Unreadable) for each in whole) == 4


def test_a_part_ends_where_a_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson"
    file.write_bytes(b"\n".join(LINES))

    ends = [part.end or 0 for part in parts(Files([file]), 50)]

    assert len(ends) == 3
    assert all(file.read_bytes()[end - 1 : end] == b"\n" for end in ends[:-1])
    assert ends[-1] == file.stat().st_size
