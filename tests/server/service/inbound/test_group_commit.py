"""Group commit: together where many come, each by itself where that fails, nobody lost."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from server.service.inbound.deposits import Answer, Deposit, Receipt, Taken, Unit
from server.service.inbound.group_commit import MOST_DEPOSITS, GroupCommit

PATIENCE = 10.0


def unit(name: str, deposits: int = 1) -> Unit:
    made = [Deposit(resource_type="Patient", resource_id=name, content_hash=name, body=b"") for _ in range(deposits)]
    return Unit(caller="", request_id="", content_hash=name, deposits=made, answer=lambda _: Answer(status=200))


def taken(one: Unit) -> Taken:
    receipt = Receipt(resource_type="Patient", resource_id=one.content_hash, version=1)
    return Taken(answer=Answer(status=200), receipts=[receipt] * len(one.deposits))


class Written:
    """Writes units where the test lets it, and remembers which came together."""

    def __init__(self, refused: str = "") -> None:
        self.together: list[list[str]] = []
        self.first, self.go_on, self._refused = threading.Event(), threading.Event(), refused

    def __call__(self, units: Sequence[Unit]) -> Sequence[Taken | Exception]:
        self.together.append([one.content_hash for one in units])
        self.first.set()
        assert self.go_on.wait(PATIENCE)
        if any(one.content_hash == self._refused for one in units):
            raise RuntimeError("refused")
        return [taken(one) for one in units]


def start(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def all_of(commit: GroupCommit, written: Written, units: Sequence[Unit]) -> dict[str, Any]:
    """Take the first unit, and the others while that is written; returns what became of each."""
    found: dict[str, Any] = {}

    def take(one: Unit) -> None:
        try:
            found[one.content_hash] = commit.take(one)
        except RuntimeError as error:
            found[one.content_hash] = error

    threads = [start(lambda: take(units[0]))]
    assert written.first.wait(PATIENCE)
    threads += [start(lambda one=one: take(one)) for one in units[1:]]
    pause = threading.Event()
    while len(commit._waiting) < len(units) - 1:
        pause.wait(0.001)
    written.go_on.set()
    for thread in threads:
        thread.join(PATIENCE)
    return found


def test_what_comes_while_one_is_written_is_written_together() -> None:
    written = Written()
    commit = GroupCommit(written)

    found = all_of(commit, written, [unit(f"u{number}") for number in range(8)])

    assert [len(names) for names in written.together] == [1, 7]
    assert {name: one.receipts[0].resource_id for name, one in found.items()} == {f"u{n}": f"u{n}" for n in range(8)}


def test_one_that_the_database_refuses_is_no_matter_of_the_others() -> None:
    written = Written("u3")
    commit = GroupCommit(written)

    found = all_of(commit, written, [unit(f"u{number}") for number in range(6)])

    assert {name for name, one in found.items() if isinstance(one, RuntimeError)} == {"u3"}
    assert len(found) == 6


def test_large_units_are_not_gathered_without_end() -> None:
    written = Written()
    commit = GroupCommit(written)

    found = all_of(commit, written, [unit(f"u{number}", MOST_DEPOSITS // 2) for number in range(6)])

    assert max(len(names) for names in written.together) == 1
    assert len(found) == 6


def test_who_says_that_it_is_coming_and_does_not_come_holds_up_nobody() -> None:
    written = Written()
    written.go_on.set()
    commit = GroupCommit(written)

    with commit.coming():
        assert isinstance(commit.take(unit("a")), Taken)
    with commit.coming() as take:
        assert isinstance(take(unit("b")), Taken)

    assert written.together == [["a"], ["b"]]


def test_what_was_stored_is_staged_before_it_is_answered_and_a_failure_of_that_is_none() -> None:
    staged: list[str] = []

    def stage(deposits: Sequence[Deposit]) -> None:
        staged.extend(one.resource_id for one in deposits)
        raise OSError

    commit = GroupCommit(lambda units: [taken(one) for one in units], stage)

    assert isinstance(commit.take(unit("a")), Taken)
    assert staged == ["a"]


def test_it_says_when_much_is_taken() -> None:
    commit = GroupCommit(lambda units: [taken(one) for one in units])

    before = commit.is_busy()
    for number in range(40):
        commit.take(unit(f"u{number}"))

    assert (before, commit.is_busy()) == (False, True)
