"""The key that signs cookies."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from integration.errors import SettingsError
from server.service.access import secret_files, session_key


def test_the_key_is_made_once_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    first = session_key.read_or_make(tmp_path / "state")

    file = tmp_path / "state" / "session.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(first) == 32
    assert session_key.read_or_make(tmp_path / "state") == first
    assert session_key.read_or_make(tmp_path / "other") != first
    assert [one.name for one in file.parent.iterdir()] == ["session.key"]


def test_whatever_the_umask_is_nobody_else_can_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        session_key.read_or_make(tmp_path)
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "session.key").stat().st_mode) == 0o600


def test_all_that_start_at_once_have_the_same_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: session_key.read_or_make(tmp_path), range(16)))

    assert len(keys) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o660])
def test_a_key_that_others_can_read_is_not_used(tmp_path: Path, mode: int) -> None:
    session_key.read_or_make(tmp_path)
    (tmp_path / "session.key").chmod(mode)

    with pytest.raises(SettingsError, match="others can read it"):
        session_key.read_or_make(tmp_path)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64, b"0" * 63, b"0" * 65])
def test_a_file_that_holds_no_key_is_not_used(tmp_path: Path, content: bytes) -> None:
    session_key.read_or_make(tmp_path)
    (tmp_path / "session.key").write_bytes(content)

    with pytest.raises(SettingsError, match="holds no key") as caught:
        session_key.read_or_make(tmp_path)
    assert "short" not in str(caught.value)


def test_a_state_folder_that_is_a_file_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")

    with pytest.raises(SettingsError, match="cannot be read or written"):
        session_key.read_or_make(tmp_path / "state")


def test_a_secret_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "good").write_text(" s3cret \n", encoding="ascii")
    (tmp_path / "bad").write_text("two words\n", encoding="ascii")

    assert secret_files.read(tmp_path / "good") == "s3cret"
    assert secret_files.read(None) == ""
    for name in ("bad", "missing"):
        with pytest.raises(SettingsError) as caught:
            secret_files.check(tmp_path / name)
        assert "two words" not in str(caught.value)
