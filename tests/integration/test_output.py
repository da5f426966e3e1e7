from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from integration import output
from integration.errors import InputError


def write_run(folder: Path, content: str) -> None:
    (folder / "result.csv").write_text(content)
    (folder / output.MARK).write_text("{}")


def run(folder: Path, content: str = "new") -> None:
    with output.replaced(folder) as new:
        write_run(new, content)


def fail(folder: Path) -> None:
    with output.replaced(folder) as new:
        write_run(new, "half")
        raise RuntimeError("the disk is full")


# The folder


def test_a_new_folder_appears_with_its_parents(tmp_path: Path) -> None:
    run(tmp_path / "a" / "b" / "out")

    assert (tmp_path / "a" / "b" / "out" / "result.csv").read_text() == "new"


def test_nothing_appears_before_the_end(tmp_path: Path) -> None:
    with output.replaced(tmp_path / "out") as new:
        write_run(new, "new")
        assert not (tmp_path / "out").exists()

    assert (tmp_path / "out").is_dir()


def test_an_earlier_run_is_replaced_whole(tmp_path: Path) -> None:
    run(tmp_path / "out", "old")
    (tmp_path / "out" / "left over").write_text("x")

    run(tmp_path / "out")

    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["result.csv", output.MARK]
    assert (tmp_path / "out" / "result.csv").read_text() == "new"


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    run(tmp_path / "out")

    assert (tmp_path / "out" / output.MARK).is_file()


def test_a_run_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    run(tmp_path / "out", "old")

    with pytest.raises(RuntimeError, match="disk is full"):
        fail(tmp_path / "out")

    assert (tmp_path / "out" / "result.csv").read_text() == "old"


def test_a_first_run_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="disk is full"):
        fail(tmp_path / "out")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("runs", [1, 2, 3])
def test_nothing_is_left_beside_the_folder(tmp_path: Path, runs: int) -> None:
    for _ in range(runs):
        run(tmp_path / "out")

    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_is_replaced_also_where_the_system_cannot_exchange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other systems than Linux have no renameat2."""
    run(tmp_path / "out", "old")
    monkeypatch.setattr(output.ctypes, "CDLL", lambda *_, **__: object())

    run(tmp_path / "out")

    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "result.csv").read_text() == "new"


def test_a_link_stays_and_the_folder_behind_it_is_replaced(tmp_path: Path) -> None:
    run(tmp_path / "real", "old")
    (tmp_path / "link").symlink_to(tmp_path / "real")

    run(tmp_path / "link")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "result.csv").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


# What is left alone


def test_a_folder_that_no_run_wrote_is_refused_untouched(tmp_path: Path) -> None:
    foreign = tmp_path / "out" / "thesis.doc"
    foreign.parent.mkdir()
    foreign.write_text("years of work")

    with pytest.raises(InputError, match=r"holds files but no run\.json"):
        run(tmp_path / "out")

    assert [path.name for path in foreign.parent.iterdir()] == ["thesis.doc"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_file_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")

    with pytest.raises(InputError, match="is a file"):
        run(tmp_path / "out")

    assert (tmp_path / "out").read_text() == "mine"


def test_a_parent_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("mine")

    with pytest.raises(InputError, match="name another --out"):
        run(tmp_path / "a" / "out")


def test_a_mount_point_is_refused_before_anything_is_computed() -> None:
    with pytest.raises(InputError, match="is a mount point"):
        output.refuse_foreign(Path("/"))


@pytest.mark.parametrize("inside", ["export.ndjson", "deep/export.ndjson"])
def test_a_folder_that_holds_an_input_is_refused(tmp_path: Path, inside: str) -> None:
    with pytest.raises(InputError, match=r"holds the input .*export\.ndjson"):
        output.refuse_holding(tmp_path / "out", [tmp_path / "other", tmp_path / "out" / inside])


def test_a_folder_beside_the_input_is_fine(tmp_path: Path) -> None:
    output.refuse_holding(tmp_path / "out", [tmp_path / "out.ndjson", tmp_path / "data" / "out" / "a.ndjson"])


# CSV


def written(frame: pd.DataFrame, folder: Path) -> list[list[str]]:
    output.write_csv(frame, folder / "a.csv")
    with (folder / "a.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def test_a_table_is_written_as_the_contract_says(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "flag": [True, False],
            "maybe": pd.Series([True, None], dtype=object),
            "nullable": pd.Series([False, None], dtype="boolean"),
            "numpy": pd.Series([np.True_, np.False_], dtype=object),
            "count": pd.Series([7, None], dtype="Int64"),
            "score": [100 / 3, np.nan],
            "text": ['caf\u00e9, "b"', None],
            "day": ["2011-05-10", None],
        }
    )

    header, first, second = written(frame, tmp_path)

    assert header == list(frame.columns)
    assert first == ["true", "true", "false", "true", "7", "33.333333333333336", 'caf\u00e9, "b"', "2011-05-10"]
    assert second == ["false", "", "", "false", "", "", "", ""]


@pytest.mark.parametrize("value", [0.1 + 0.2, 1e-300, 123456789.123456789, 2 / 3, 0.0])
def test_numbers_are_not_rounded(tmp_path: Path, value: float) -> None:
    _, (cell,) = written(pd.DataFrame({"value": [value]}), tmp_path)

    assert float(cell) == value


@pytest.mark.parametrize("dtype", [object, "string", "category"])
@pytest.mark.parametrize("text", ["=1+1", "+49", "@SUM(1)", "\tx", '=HYPERLINK("http://example.invalid")'])
def test_text_that_a_spreadsheet_takes_for_a_formula_gets_an_apostrophe(
    tmp_path: Path, text: str, dtype: type | str
) -> None:
    assert written(pd.DataFrame({"a": pd.Series([text], dtype=dtype)}), tmp_path) == [["a"], [f"'{text}"]]


@pytest.mark.parametrize(("text", "cell"), [("a\rb", "a\nb"), ("a\r\nb\r", "a\nb\n"), ("\r=1", "'\n=1")])
def test_a_carriage_return_begins_no_row_of_its_own(tmp_path: Path, text: str, cell: str) -> None:
    assert written(pd.DataFrame({"a": [text], "b": ["x"]}), tmp_path) == [["a", "b"], [cell, "x"]]


@pytest.mark.parametrize("text", ["-1", "-id", "a=b", "'=1", "1.5", "x"])
def test_other_text_is_written_as_it_is(tmp_path: Path, text: str) -> None:
    assert written(pd.DataFrame({"a": [text]}), tmp_path) == [["a"], [text]]


def test_a_negative_number_stays_a_number(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": pd.Series([-1.5, None], dtype=object), "b": [-2.5, 3.5]})

    assert written(frame, tmp_path) == [["a", "b"], ["-1.5", "-2.5"], ["", "3.5"]]


def test_an_empty_table_has_its_header(tmp_path: Path) -> None:
    assert written(pd.DataFrame(columns=["a", "b"]), tmp_path) == [["a", "b"]]


def test_writing_a_table_leaves_it_as_it_was(tmp_path: Path) -> None:
    frame = pd.DataFrame({"flag": [True, False], "maybe": pd.Series([True, None], dtype=object)})
    before = frame.copy()

    output.write_csv(frame, tmp_path / "a.csv")

    pd.testing.assert_frame_equal(frame, before)


def test_lines_end_alike_on_every_system(tmp_path: Path) -> None:
    output.write_csv(pd.DataFrame({"a": ["x"]}), tmp_path / "a.csv")

    assert (tmp_path / "a.csv").read_bytes() == b"a\nx\n"
