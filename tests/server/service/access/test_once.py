"""What may be used once, in every process, in a file and in PostgreSQL."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from integration.errors import InputError
from server.service.access.once import Once

ANOTHER_PROCESS = """
import sys
from pathlib import Path
from server.service.access.once import Once
place = sys.argv[1]
once = Once.open(place if "://" in place else Path(place))
print(once.is_first("jti", "token-1", 4e9), once.is_first("jti", "token-2", 4e9))
"""


@pytest.fixture
def once(place: Path | str, time: Any) -> Iterator[Once]:
    opened = Once.open(place, now=time.now)
    yield opened
    opened.close()


def test_the_second_use_is_not_the_first(once: Once) -> None:
    assert [once.is_first("jti", "a", 4e9) for _ in range(3)] == [True, False, False]
    assert once.is_first("jti", "b", 4e9)


def test_kinds_have_nothing_to_do_with_each_other(once: Once) -> None:
    assert once.is_first("jti", "a", 4e9)
    assert once.is_first("login", "a", 4e9)
    assert (once.was_used("jti", "a"), once.was_used("session-ended", "a")) == (True, False)


def test_of_many_at_once_one_is_the_first(once: Once) -> None:
    with ThreadPoolExecutor(8) as pool:
        first = list(pool.map(lambda _: once.is_first("jti", "a", 4e9), range(40)))

    assert first.count(True) == 1


def test_a_use_is_known_to_other_processes(once: Once, place: Path | str) -> None:
    once.is_first("jti", "token-1", 4e9)

    other = subprocess.run(
        [sys.executable, "-c", ANOTHER_PROCESS, str(place)], capture_output=True, text=True, check=True, timeout=60
    )

    assert other.stdout.split() == ["False", "True"]
    assert not once.is_first("jti", "token-2", 4e9)


def test_what_has_expired_is_forgotten(once: Once, time: Any) -> None:
    ends = time.now().timestamp() + 60
    once.is_first("jti", "short", ends)
    once.is_first("jti", "long", ends + 7200)
    time.passes(hours=1)

    for number in range(200):  # it is looked through now and then
        once.is_first("jti", str(number), ends + 7200)

    assert (once.was_used("jti", "short"), once.was_used("jti", "long")) == (False, True)


@pytest.mark.parametrize("value", ["", "\ud800", "é" * 5000, "a\0b"])
def test_any_text_may_be_used(once: Once, value: str) -> None:
    assert [once.is_first("jti", value, 4e9) for _ in range(2)] == [True, False]


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "access.sqlite").write_bytes(b"not a database, but long enough to be taken for one" * 40)

    with pytest.raises(InputError, match="cannot be opened as a database"):
        Once.open(tmp_path / "access.sqlite")


def test_a_database_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be made"):
        Once.open(f"postgresql+psycopg://nobody@/none?host={tmp_path}")
