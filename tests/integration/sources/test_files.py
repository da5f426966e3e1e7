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
from integration.sources import files
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
    (tmp_path / "deep" / "b.ndjson.gz").write_bytes(gzip.compress(patient("zipped"), mtime=0))
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


@pytest.mark.parametrize("name", ["Patient.NDJSON", "a.Ndjson", "a.JSON", "A.NdJson.GZ"])
def test_an_ending_counts_in_any_case(tmp_path: Path, name: str) -> None:
    content = patient("a")
    (tmp_path / name).write_bytes(gzip.compress(content, mtime=0) if name.endswith("GZ") else content)

    assert ids(Files([tmp_path])) == ["a"]
    assert ids(Files([tmp_path / name])) == ["a"]


# What lies beside them


def test_what_is_not_read_is_told_with_why(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(patient("a"))
    (tmp_path / "gone.ndjson").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "linked").symlink_to(tmp_path.parent, target_is_directory=True)
    (tmp_path / "Patient.ndjson").mkdir()
    for name in ("x.csv", "Patient.ndjson/y.CSV", "z.json.gz", "README"):
        (tmp_path / name).write_text("x")

    files = Files([tmp_path])

    assert ids(files) == ["a"]
    ends = ".ndjson, .ndjson.gz, .json are read"
    assert [(Path(file).name, why) for file, why in files.skipped] == [
        ("Patient.ndjson", "a folder, not a file; searched through like any other"),
        ("gone.ndjson", "a link that leads nowhere"),
        ("linked", "a link to a folder, which is not followed; name it with --data"),
        ("pipe.json", "a pipe, socket or device, not a regular file"),
        (tmp_path.name, f"1 file without an ending; {ends}"),
        (tmp_path.name, f"2 files ending in .csv; {ends}"),
        (tmp_path.name, f"1 file ending in .json.gz; {ends}"),
    ]


def test_nothing_is_skipped_where_all_is_read(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.ndjson").write_bytes(patient("a"))

    assert Files([tmp_path, tmp_path / "deep"]).skipped == []


def test_what_is_skipped_below_two_paths_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(patient("a"))
    (tmp_path / "b.ndjson").symlink_to(tmp_path / "nowhere")

    assert len(Files([tmp_path, tmp_path]).skipped) == 1


def test_an_ending_that_may_be_a_name_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(patient("a"))
    (tmp_path / "Chart of Dr.Synthetic Person").write_text("x")

    assert "Synthetic" not in str([why for _, why in Files([tmp_path]).skipped])


@pytest.mark.parametrize("name", ["pipe.ndjson", "pipe.json"])
def test_a_pipe_that_is_named_is_refused_at_once(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)

    with pytest.raises(InputError, match="is not a regular file"):
        Files([tmp_path / name])


# What is in them


def test_lines_are_counted_from_1_and_blank_ones_are_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"\n" + patient("a") + b"\r\n   \n\t\r\n" + patient("b"))

    assert [(found.file, found.line) for found in Files([path])] == [(path.as_posix(), 2), (path.as_posix(), 5)]


def test_a_source_reads_the_same_again(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson.gz").write_bytes(gzip.compress(patient("a") + b"\n" + patient("b"), mtime=0))
    files = Files([tmp_path])

    assert list(files) == list(files)


def test_a_gzip_file_of_several_members_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson.gz"
    path.write_bytes(gzip.compress(patient("a") + b"\n", mtime=0) + gzip.compress(patient("b") + b"\n", mtime=0))

    assert ids(Files([path])) == ["a", "b"]


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(b"\xef\xbb\xbf" + patient("a") + b"\n" + patient("b"))
    (tmp_path / "b.json").write_bytes(b"\xef\xbb\xbf" + bundle("c"))

    assert ids(Files([tmp_path])) == ["a", "b", "c"]


def test_a_bundle_may_stand_on_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(patient("a") + b"\n" + json.dumps(json.loads(bundle("b", "c"))).encode())

    assert [(found.line, found.within) for found in Files([path])] == [
        (1, ""), (2, "entry[0].resource"), (2, "entry[1].resource"),
    ]  # fmt: skip


@pytest.mark.parametrize("blank", [b"", b"\n", b" \r\n\t\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_an_empty_file_is_listed_for_so_looks_an_export_that_was_cut_off(tmp_path: Path, blank: bytes) -> None:
    (tmp_path / "a.ndjson").write_bytes(blank)
    (tmp_path / "b.ndjson.gz").write_bytes(gzip.compress(blank, mtime=0))
    (tmp_path / "c.json").write_bytes(blank)

    assert problems(Files([tmp_path])) == [(0, "empty file; nothing was read")] * 3


def test_a_compressed_file_of_no_bytes_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson.gz").write_bytes(b"")

    assert problems(Files([tmp_path])) == [(0, "empty file; nothing was read")]


def test_a_bundle_without_entries_is_no_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(bundle())

    assert list(Files([tmp_path])) == []


# Files that are not what their name says

DOCUMENT = "looks like one JSON document over several lines; name it .json"


def resource(**more: Any) -> Any:
    return {"resourceType": "Patient", "id": "a", "name": [{"family": "Synthetic-0001"}], **more}


@pytest.mark.parametrize("indent", [0, 1, 2, "\t"])
@pytest.mark.parametrize("content", [resource(), json.loads(bundle("a", "b")), [resource()]])
def test_a_json_document_named_ndjson_is_one_problem(tmp_path: Path, content: Any, indent: int | str) -> None:
    (tmp_path / "a.ndjson").write_text("\n" + json.dumps(content, indent=indent))

    assert [(one.line, getattr(one, "problem", "")) for one in Files([tmp_path])] == [(2, DOCUMENT)]


def test_a_document_that_is_folded_behind_some_content_is_known_too(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text('{"resourceType": "Bundle", "entry": [\n{"resource": {}},\n{"resource": {}}\n]}')

    assert problems(Files([tmp_path])) == [(1, DOCUMENT)]


def test_a_first_line_that_is_broken_takes_no_other_with_it(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(patient("a")[:-3] + b"\n" + patient("b") + b"\n" + patient("c"))

    assert [one.line for one in Files([tmp_path]) if isinstance(one, RawResource)] == [1, 2, 3]


def test_a_file_of_one_broken_line_is_no_document(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(b"{")

    assert [one.line for one in Files([tmp_path]) if isinstance(one, RawResource)] == [1]


def test_ndjson_named_json_is_read_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf\r\n" + patient("a") + b"\r\n\r\n" + patient("b") + b"\r\nrubbish")

    assert [(found.line, found.within) for found in Files([tmp_path])] == [(2, ""), (4, ""), (5, "")]


def test_one_resource_on_one_line_named_json_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(patient("a") + b"\n\n")

    assert ids(Files([tmp_path])) == ["a"]


def test_a_json_array_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([resource()], indent=1))

    assert problems(Files([tmp_path])) == [(1, "a JSON array, not a resource or Bundle")]


def test_text_named_gz_is_not_gzip_data(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson.gz").write_bytes(patient("a"))

    assert problems(Files([tmp_path])) == [(0, "not gzip data")]


@pytest.mark.parametrize("name", ["a.ndjson", "a.json"])
def test_gzip_data_under_another_name_are_called_so(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(patient("a"), mtime=0))

    assert problems(Files([tmp_path])) == [(0, "gzip data; name it .ndjson.gz or unpack it")]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_said_once_a_file(tmp_path: Path, encoding: str) -> None:
    text = "\n".join(patient(one).decode() for one in "abc")
    (tmp_path / "a.ndjson").write_bytes(text.encode(encoding))
    (tmp_path / "b.ndjson.gz").write_bytes(gzip.compress(text.encode(encoding), mtime=0))
    (tmp_path / "c.json").write_bytes(text.encode(encoding))

    assert [(type(one), one.line) for one in Files([tmp_path])] == [(Unreadable, 0)] * 3
    assert {problem for _, problem in problems(Files([tmp_path]))} == {"UTF-16; save it as UTF-8"}


def test_what_is_said_of_a_file_holds_nothing_out_of_it(tmp_path: Path) -> None:
    text = json.dumps(resource(), indent=1)
    (tmp_path / "a.ndjson").write_text(text)
    (tmp_path / "b.ndjson").write_text(text, encoding="utf-16")
    (tmp_path / "c.json").write_text(f"[{text}]")
    (tmp_path / "d.ndjson.gz").write_text(text)

    said = problems(Files([tmp_path]))
    assert len(said) == 4
    assert "Synthetic" not in str(said)


@pytest.mark.parametrize(
    ("name", "content", "answer"),
    [
        ("a.ndjson", patient("a"), True),
        ("a.NDJSON", patient("a") + b"\n" + patient("b"), True),
        ("a.ndjson", b"", False),
        ("a.ndjson", b"{\n}", False),
        ("a.ndjson", patient("a").decode().encode("utf-16"), False),
        ("a.json", patient("a"), False),
        ("a.ndjson.gz", gzip.compress(patient("a"), mtime=0), True),
        ("a.ndjson.gz", gzip.compress(b"{\n}", mtime=0), False),
        ("a.ndjson.gz", patient("a"), False),
    ],
)
def test_only_sound_ndjson_is_line_by_line(tmp_path: Path, name: str, content: bytes, answer: bool) -> None:
    (tmp_path / name).write_bytes(content)

    assert files.is_line_by_line(tmp_path / name, 1000) is answer


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
    path.write_bytes(gzip.compress(lines, mtime=0)[:-2000])

    files = Files([path])

    ((line, problem),) = problems(files)
    assert 0 < len(ids(files)) < 200
    assert line == len(ids(files)) + 1
    assert problem == "compressed data ends early or is damaged; the rest was not read"


@pytest.mark.parametrize("rest", [b"\xff" * 40, b"", b"\xff"])
def test_a_gz_file_that_is_damaged_from_its_start_is_listed(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "a.ndjson.gz"
    path.write_bytes(b"\x1f\x8b\x08\x00" + rest)

    assert [line for line, _ in problems(Files([path]))] == [1]


def test_rubbish_after_the_compressed_data_is_listed(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson.gz"
    path.write_bytes(gzip.compress(patient("a") + b"\n", mtime=0) + b"rubbish")

    assert ids(Files([path])) == ["a"]
    assert len(problems(Files([path]))) == 1


# The record of a run


def test_each_file_is_described_by_the_hash_of_its_bytes_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson.gz"
    path.write_bytes(gzip.compress(patient("a"), mtime=0))
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
    """The first line is whole, so that nothing is wrong with the file as a whole."""
    lines.insert(0, b"{}")
    scratch.write_bytes(b"\n".join(lines) + (b"\n" if ends else b""))

    found = [one.line for one in Files([scratch], line_limit_bytes=limit)]

    assert found == [number for number, line in enumerate(lines, 1) if len(line) > limit or line.strip()]


@given(content=st.binary(max_size=60), limit=st.integers(1, 70))
def test_no_file_is_passed_over_without_a_word(scratch: Path, content: bytes, limit: int) -> None:
    scratch.write_bytes(content)

    assert list(Files([scratch], line_limit_bytes=limit))
