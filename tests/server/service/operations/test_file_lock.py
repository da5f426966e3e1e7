"""The threads of a process and other processes are kept out alike, and let in again whatever happens."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.service.operations.file_lock import FileLock


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[FileLock]:
    made = FileLock(tmp_path / "lock")
    yield made
    made.close()


@pytest.fixture
def another(tmp_path: Path) -> Iterator[int]:
    """The file as another process has it open."""
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def test_whoever_is_inside_keeps_out_other_threads_and_processes(lock: FileLock, another: int) -> None:
    with lock.alone():
        assert lock.threads.locked()
        with pytest.raises(BlockingIOError):
            fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_failure_inside_lets_the_next_one_in(lock: FileLock, another: int) -> None:
    with pytest.raises(OSError, match="full"), lock.alone():
        raise OSError("full")

    fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not lock.threads.locked()


def test_the_file_is_its_owners(tmp_path: Path) -> None:
    FileLock(tmp_path / "new").close()

    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
