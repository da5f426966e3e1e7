from __future__ import annotations

import dataclasses
import gzip
import random
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


def apart(source: Files, size: int, shares: int = 3) -> list[RawResource | Unreadable]:
    """Read a source part by part, and count the lines on from part to part of a file."""
    found: list[RawResource | Unreadable] = []
    lines = 0
    for part in parts(source, size, shares):
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


def packed(count: int) -> bytes:
    """Pack resources that hardly shrink, with some lines over the limit and some blank, in two gzip members."""
    chance = random.Random(29)
    lines = [b'{"id":"%s"}' % chance.randbytes(70).hex().encode() for _ in range(count)]
    lines[5::50] = [chance.randbytes(6_000).hex().encode()] * len(lines[5::50])
    lines[7::50] = [b" "] * len(lines[7::50])
    half = count // 2
    return b"".join(gzip.compress(b"\n".join(some) + b"\n", mtime=0) for some in (lines[:half], lines[half:]))


@pytest.mark.parametrize("shares", [1, 2, 7])
def test_the_parts_of_a_gzip_file_are_the_file(tmp_path: Path, shares: int) -> None:
    (tmp_path / "a.ndjson.gz").write_bytes(packed(1_000))
    source = Files([tmp_path], line_limit_bytes=LIMIT)

    whole = list(source)

    assert apart(source, 1_000, shares) == whole
    assert len(whole) == 980
    in_parts = [sum(1 for _ in PartOfFile(part, LIMIT)) for part in parts(source, 1_000, shares)]
    assert len(in_parts) == shares
    assert max(in_parts) < 2 * len(whole) / shares


@pytest.mark.parametrize("at", [0.02, 0.3, 0.34, 0.6, 0.97])
@pytest.mark.parametrize("is_cut", [True, False])
def test_damage_in_a_gzip_file_is_met_once_and_where_it_is(tmp_path: Path, at: float, is_cut: bool) -> None:
    text = packed(1_000)
    place = int(len(text) * at)
    broken = text[:place] if is_cut else text[:place] + bytes(40) + text[place + 40 :]
    (tmp_path / "a.ndjson.gz").write_bytes(broken)
    source = Files([tmp_path], line_limit_bytes=LIMIT)

    whole = list(source)

    assert apart(source, 1_000) == whole
    assert sum(isinstance(each, Unreadable) and "damaged" in each.problem for each in whole) == 1
