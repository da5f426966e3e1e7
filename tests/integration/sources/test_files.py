from __future__ import annotations

import gzip
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration.errors import InputError
from integration.sources.files import Files
from integration.sources.resource import RawResource, Unreadable


def patient(patient_id: str) -> bytes:
    return json.dumps({"resourceType": "Patient", "id": patient_id}).encode()


def bundle(*patient_ids: str) -> bytes:
    entries = [{"resource": json.loads(patient(one))} for one in patient_ids]
    return json.dumps({"resourceType": "Bundle", "entry": entries}, indent=1).encode()


def ids(files: Files) -> list[str]:
    return [json.loads(found.body)["id"] for found in files if isinstance(found, RawResource)]


def problems(files: Files) -> list[tuple[int, str]]:
    return [(found.line, found.problem) for found in files if isinstance(found, Unreadable)]


# Which files


def test_a_folder_is_searched_through(tmp_path: Path) -> None:
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "a.ndjson").write_bytes(patient("plain"))
    (tmp_path / "deep" / "b.ndjson.gz").write_bytes(gzip.compress(patient("zipped")))
    (tmp_path / "deep" / "deeper" / "c.json").write_bytes(bundle("bundled"))
    (tmp_path / "notes.txt").write_text("no resource")
    (tmp_path / "folder.json").mkdir()

    assert ids(Files([tmp_path])) == ["plain", "zipped", "bundled"]


def test_files_come_in_order_of_path_whatever_the_order_they_are_named_in(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.ndjson" for name in "cab"]
    for path in paths:
        path.write_bytes(patient(path.stem))

    assert ids(Files(paths)) == ["a", "b", "c"]


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(patient("a"))

    assert ids(Files([path, tmp_path, path])) == ["a"]


@pytest.mark.parametrize("name", ["a.csv", "a.json.gz", "ndjson"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(patient("a"))

    with pytest.raises(InputError, match=r"is none of \.ndjson"):
        Files([tmp_path / name])


def test_a_path_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent: does not exist"):
        Files([tmp_path / "absent"])


def test_a_folder_without_any_file_to_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")

    with pytest.raises(InputError, match="holds no file"):
        Files([tmp_path])


def test_a_folder_that_cannot_be_searched_is_refused_and_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.ndjson").write_bytes(patient("a"))
    locked = tmp_path / "locked"
    locked.mkdir()
    scandir = os.scandir

    def guarded(path: Any) -> Any:  # the superuser, who runs tests in containers, is refused nothing
        if Path(path) == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)

    with pytest.raises(InputError, match="locked: cannot be searched through: Permission denied"):
        Files([tmp_path])


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(patient("a"))
    path.chmod(0)

    with pytest.raises(InputError, match="cannot be read"):
        Files([path])


def test_a_link_that_leads_nowhere_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(patient("a"))
    (tmp_path / "b.ndjson").symlink_to(tmp_path / "gone.ndjson")

    assert ids(Files([tmp_path])) == ["a"]


# What is in them


def test_lines_are_counted_from_1_and_blank_ones_are_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"\n" + patient("a") + b"\r\n   \n\t\r\n" + patient("b"))

    assert [(found.file, found.line) for found in Files([path])] == [(path.as_posix(), 2), (path.as_posix(), 5)]


def test_a_source_reads_the_same_again(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson.gz").write_bytes(gzip.compress(patient("a") + b"\n" + patient("b")))
    files = Files([tmp_path])

    assert list(files) == list(files)


def test_a_gzip_file_of_several_members_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson.gz"
    path.write_bytes(gzip.compress(patient("a") + b"\n") + gzip.compress(patient("b") + b"\n"))

    assert ids(Files([path])) == ["a", "b"]


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(b"\xef\xbb\xbf" + patient("a") + b"\n" + patient("b"))
    (tmp_path / "b.json").write_bytes(b"\xef\xbb\xbf" + bundle("c"))
    (tmp_path / "c.ndjson").write_bytes(b"\xef\xbb\xbf\n")

    assert ids(Files([tmp_path])) == ["a", "b", "c"]


def test_a_bundle_may_stand_on_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(patient("a") + b"\n" + json.dumps(json.loads(bundle("b", "c"))).encode())

    assert [(found.line, found.within) for found in Files([path])] == [
        (1, ""), (2, "entry[0].resource"), (2, "entry[1].resource"),
    ]  # fmt: skip


def test_an_empty_file_is_nothing(tmp_path: Path) -> None:
    for name in ("a.ndjson", "b.ndjson.gz", "c.json"):
        (tmp_path / name).write_bytes(b"")

    assert list(Files([tmp_path])) == []


# Lines that are too long


def test_a_line_over_the_limit_is_rejected_unread_and_the_next_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(patient("a") + b"\n" + b"x" * 2_000_000 + b"\n" + patient("b"))

    files = Files([path], line_limit_bytes=100)

    assert ids(files) == ["a", "b"]
    assert problems(files) == [(2, "line longer than 100 bytes, not read")]


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize(("over", "is_read"), [(-1, True), (0, True), (1, False)])
def test_the_limit_is_the_longest_line_that_is_read(tmp_path: Path, over: int, is_read: bool, end: bytes) -> None:
    line = patient("a")
    path = tmp_path / "a.ndjson"
    path.write_bytes(line + end)

    files = Files([path], line_limit_bytes=len(line) - over)

    assert ids(files) == (["a"] if is_read else [])
    assert len(problems(files)) == (not is_read)


def test_a_long_line_at_the_end_ends_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(patient("a") + b"\n" + b"x" * 1000)

    assert problems(Files([path], line_limit_bytes=100)) == [(2, "line longer than 100 bytes, not read")]


def test_a_bundle_may_be_longer_than_the_limit_of_a_resource(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(bundle(*"abcdefgh"))

    assert ids(Files([path], line_limit_bytes=60)) == list("abcdefgh")


# Damage


def test_a_gzip_file_that_was_cut_off_gives_what_can_be_read_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson.gz"
    lines = b"".join(patient(f"{hashlib.sha256(bytes([n])).hexdigest()}") + b"\n" for n in range(200))
    path.write_bytes(gzip.compress(lines)[:-2000])

    files = Files([path])

    ((line, problem),) = problems(files)
    assert 0 < len(ids(files)) < 200
    assert line == len(ids(files)) + 1
    assert problem == "compressed data ends early or is damaged; the rest was not read"


@pytest.mark.parametrize("content", [b"not gzip at all", b"\x1f\x8b\x08\x00" + b"\xff" * 40])
def test_a_gz_file_that_is_none_is_listed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.ndjson.gz"
    path.write_bytes(content)

    assert [line for line, _ in problems(Files([path]))] == [1]


def test_rubbish_after_the_compressed_data_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson.gz"
    path.write_bytes(gzip.compress(patient("a") + b"\n") + b"rubbish")

    assert ids(Files([path])) == ["a"]
    assert len(problems(Files([path]))) == 1


# The record of a run


def test_each_file_is_described_by_the_hash_of_its_bytes_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson.gz"
    path.write_bytes(gzip.compress(patient("a")))
    files = Files([tmp_path])

    (described,) = files.described()

    assert (described.file, described.bytes) == (path.as_posix(), path.stat().st_size)
    assert described.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert files.total_bytes == path.stat().st_size


# For all lines


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lines") / "a.ndjson"


@given(
    lines=st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), max_size=12),
    limit=st.integers(1, 45),
    ends=st.booleans(),
)
def test_every_line_that_is_not_blank_is_given_or_listed(
    scratch: Path, lines: list[bytes], limit: int, ends: bool
) -> None:
    scratch.write_bytes(b"\n".join(lines) + (b"\n" if ends else b""))

    found = [one.line for one in Files([scratch], line_limit_bytes=limit)]

    def counts(line: bytes, first: bool) -> bool:
        text = line.removeprefix(b"\xef\xbb\xbf") if first and len(line) <= limit else line
        return len(line) > limit or bool(text.strip())

    assert found == [number for number, line in enumerate(lines, 1) if counts(line, number == 1)]
