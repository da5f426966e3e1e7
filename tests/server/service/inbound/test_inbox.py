"""The inbox: durable, nothing lost, nothing twice; the same in a SQLite file and in PostgreSQL."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from integration.errors import InputError, LedgerError
from server.service.inbound import schema
from server.service.inbound.deposits import (
    Answer,
    Deposit,
    Key,
    KeyReusedError,
    Later,
    Taken,
    Unit,
    VersionConflictError,
)
from server.service.inbound.inbox import Inbox, Settled

NOW = datetime(2012, 6, 1, 12, 0, tzinfo=UTC)


def deposit(content: str, resource_id: str = "r1", kind: str = "QuestionnaireResponse", **more: Any) -> Deposit:
    return Deposit(resource_type=kind, resource_id=resource_id, content_hash=content, body=content.encode(), **more)


def unit(*deposits: Deposit, content: str = "", keys: tuple[Key, ...] = (), **more: Any) -> Unit:
    content = content or "+".join(one.content_hash for one in deposits)

    def answer(receipts: Any) -> Answer:
        return Answer(status=200, headers={"Versions": ",".join(str(one.version) for one in receipts)}, body=b"{}")

    return Unit(
        **{"caller": "engine", "request_id": "q1"} | more,
        content_hash=content,
        deposits=deposits,
        keys=keys,
        answer=answer,
    )


def versions(result: Any) -> str:
    assert isinstance(result, Taken), result
    return result.answer.headers["Versions"]


@pytest.fixture
def inbox(place: Path | str) -> Iterator[Inbox]:
    opened = Inbox.open(place, "north", now=lambda: NOW)
    yield opened
    opened.close()


def test_versions_count_from_one_for_each_resource(inbox: Inbox) -> None:
    found = inbox.write(
        [unit(deposit("a")), unit(deposit("b")), unit(deposit("c", "r2")), unit(deposit("d", kind="Patient"))]
    )

    assert [versions(one) for one in found] == ["1", "2", "1", "1"]
    assert versions(inbox.write([unit(deposit("e"))])[0]) == "3"
    assert inbox.counts() == {"received": 5}


def test_the_same_content_gets_the_first_answer_in_the_same_transaction_and_later(inbox: Inbox) -> None:
    first, again = inbox.write([unit(deposit("a")), unit(deposit("a"), request_id="q2")])
    inbox.write([unit(deposit("b"))])
    [later] = inbox.write([unit(deposit("a"), request_id="q3")])

    assert isinstance(again, Taken)
    assert again.is_replay
    assert versions(first) == versions(again) == versions(later) == "1"
    assert inbox.counts() == {"received": 2}


def test_a_content_that_came_in_a_bundle_is_known_when_it_comes_alone(inbox: Inbox) -> None:
    inbox.write([unit(deposit("a"), deposit("b", "r2"), content="bundle")])

    [alone] = inbox.write([unit(deposit("b", "r2"))])

    assert versions(alone) == "1"
    assert inbox.counts() == {"received": 2}


def test_a_version_that_is_not_the_latest_conflicts_and_concerns_no_other(inbox: Inbox) -> None:
    inbox.write([unit(deposit("a"))])

    good, bad, other = inbox.write(
        [unit(deposit("b", expected_version=1)), unit(deposit("c", expected_version=1)), unit(deposit("d", "r2"))]
    )

    assert versions(good) == "2"
    assert isinstance(bad, VersionConflictError)
    assert versions(other) == "1"
    assert inbox.counts() == {"received": 3}


def test_a_conflict_undoes_all_of_an_atomic_unit_and_only_itself_of_another(inbox: Inbox) -> None:
    conflict = deposit("z", "r9", expected_version=4)

    atomic, batch, after = inbox.write(
        [
            unit(deposit("a"), conflict, content="atomic"),
            unit(deposit("a"), conflict, content="batch", is_atomic=False),
            unit(deposit("b")),
        ]
    )

    assert isinstance(atomic, VersionConflictError)
    assert atomic.position == 1
    assert versions(batch) == "1,0"
    assert versions(after) == "2"


def test_a_promised_key_gives_the_first_answer_and_is_refused_with_other_content(inbox: Inbox) -> None:
    key = Key(digest="k", is_promise=True)
    inbox.write([unit(deposit("a"), keys=(key,))])

    same, other = inbox.write([unit(deposit("a"), keys=(key,)), unit(deposit("b"), keys=(key,))])

    assert versions(same) == "1"
    assert isinstance(other, KeyReusedError)
    assert inbox.counts() == {"received": 1}


def test_another_key_gives_the_first_answer_whatever_else_is_new(inbox: Inbox) -> None:
    key = Key(digest="k")
    inbox.write([unit(deposit("a"), keys=(key,))])

    [again] = inbox.write([unit(deposit("b"), keys=(key,))])

    assert versions(again) == "1"
    assert inbox.counts() == {"received": 1}


@pytest.mark.parametrize("says", [{"keys": (Key(digest="new", is_promise=True),)}, {"expected_version": 2}])
def test_who_goes_back_to_an_earlier_content_and_says_so_makes_a_new_version(
    inbox: Inbox, says: dict[str, Any]
) -> None:
    inbox.write([unit(deposit("a")), unit(deposit("b"))])
    expected = {"expected_version": says["expected_version"]} if "expected_version" in says else {}

    [back] = inbox.write([unit(deposit("a", **expected), keys=says.get("keys", ()), request_id="q9")])
    [again] = inbox.write([unit(deposit("a", **expected), keys=says.get("keys", ()), request_id="q9")])

    assert versions(back) == versions(again) == "3"
    assert inbox.counts() == {"received": 3}


def test_what_was_answered_is_found_without_storing(inbox: Inbox) -> None:
    inbox.write([unit(deposit("a"))])

    assert inbox.find(unit(deposit("a"))) == Answer(status=200, headers={"Versions": "1"}, body=b"{}")
    assert inbox.find(unit(deposit("z"))) is None


def test_sites_do_not_see_each_other(inbox: Inbox, place: Path | str) -> None:
    south = Inbox.open(place, "south", now=lambda: NOW)

    inbox.write([unit(deposit("a"))])
    [taken] = south.write([unit(deposit("a"))])

    assert isinstance(taken, Taken)
    assert not taken.is_replay
    assert len(inbox.waiting()) == len(south.waiting()) == 1
    assert len(south.versions("QuestionnaireResponse", ["r1"])) == 1
    south.close()


def test_what_waits_comes_in_order_and_in_batches(inbox: Inbox) -> None:
    inbox.write([unit(deposit(f"{number:03}")) for number in range(105)])

    first = inbox.waiting()
    rest = inbox.waiting(first[-1].sequence)

    assert [entry.body for entry in (*first, *rest)] == [f"{number:03}".encode() for number in range(105)]
    assert (len(first), len(rest)) == (100, 5)


def test_what_is_settled_waits_no_more_but_stays(inbox: Inbox, place: Path | str) -> None:
    inbox.write([unit(deposit("a"))])
    [entry] = inbox.waiting()

    inbox.settle([Settled(sequence=entry.sequence, state="rejected", problem="subject: unknown patient")])
    inbox.close()
    again = Inbox.open(place, "north", now=lambda: NOW)

    assert again.waiting() == []
    assert again.counts() == {"rejected": 1}
    assert [entry.body for entry in again.versions("QuestionnaireResponse", ["r1"])] == [b"a"]
    again.close()


def test_what_is_set_aside_is_shown_and_waits_only_when_taken_again(inbox: Inbox) -> None:
    inbox.write(
        [unit(deposit("a", problem="subject: unknown patient")), unit(deposit("b", kind="", problem="not JSON"))]
    )

    first, second = inbox.quarantined()

    assert (first.problem, first.caller, first.length) == ("subject: unknown patient", "engine", 1)
    assert inbox.waiting() == []
    assert inbox.version("QuestionnaireResponse", "r1") is None
    assert inbox.take_again([first.sequence, second.sequence]) == 1
    [waiting] = inbox.waiting()
    assert waiting.was_quarantined
    assert inbox.counts() == {"received": 1, "quarantined": 1}


def test_a_version_can_be_read_and_the_latest_is_the_default(inbox: Inbox) -> None:
    inbox.write([unit(deposit("a")), unit(deposit("b"))])

    found = [inbox.version("QuestionnaireResponse", "r1", version) for version in (None, 1, 3)]

    assert [one.body if one else None for one in found] == [b"b", b"a", None]
    assert inbox.version("Patient", "r1") is None


def test_what_is_taken_later_waits_in_order_and_is_shown_to_its_sender_only(inbox: Inbox) -> None:
    for name in ("one", "two"):
        later = Later(id=name, request="{}", body=b"body")
        inbox.write([unit(content=name, later=later)])

    assert inbox.deferred.next_id() == "one"
    assert inbox.deferred.status("one", "another") is None
    inbox.deferred.close("one", status=200, result=b"done")

    done, waits = inbox.deferred.status("one", "engine"), inbox.deferred.status("two", "engine")
    assert done is not None
    assert waits is not None
    assert (done.is_open, done.result, waits.is_open) == (False, b"done", True)
    following = inbox.deferred.next()
    assert following is not None
    assert (following.id, following.body) == ("two", b"body")


def test_many_hints_ask_for_one_pull_and_one_that_comes_meanwhile_for_another(inbox: Inbox) -> None:
    assert inbox.pulls.wanted() is None
    for _ in range(3):
        inbox.pulls.ask()
    wanted = inbox.pulls.wanted()
    assert wanted is not None

    inbox.pulls.ask()
    inbox.pulls.served(wanted, "2012-06-01T12:00:00+00:00")
    still = inbox.pulls.wanted()
    assert still is not None
    inbox.pulls.served(still, "2012-06-01T13:00:00+00:00")

    assert (wanted.watermark, still.watermark) == ("", "2012-06-01T12:00:00+00:00")
    assert inbox.pulls.wanted() is None


def test_one_process_plans_at_a_time_and_another_after_it_is_gone(place: Path | str) -> None:
    moments = [NOW]
    inbox = Inbox.open(place, "north", now=lambda: moments[-1])
    lease = inbox.lease

    assert lease.take("first")
    assert not lease.take("second")
    assert lease.holder() == "first"
    moments.append(NOW + timedelta(seconds=11))
    assert lease.holder() == ""
    assert lease.take("second")
    assert not lease.take("first")
    lease.give_up("second")
    assert lease.take("first")
    inbox.close()


def test_who_lost_the_lease_has_all_versions_of_what_it_settled_planned_again(place: Path | str) -> None:
    inbox = Inbox.open(place, "north", now=lambda: NOW)
    inbox.write([unit(deposit("a")), unit(deposit("b")), unit(deposit("c", "r2"))])
    inbox.lease.take("new")
    settled = [Settled(sequence=one.sequence, state="planned") for one in inbox.waiting()]

    assert inbox.settle(settled[1:], "new")
    assert not inbox.settle(settled[:1], "old")

    assert inbox.counts() == {"received": 2, "planned": 1}
    inbox.close()


def test_a_check_that_it_can_be_written_leaves_nothing(inbox: Inbox) -> None:
    inbox.check_writable()

    assert inbox.counts() == {}


def test_the_position_of_what_was_stored_last_tells_other_processes(inbox: Inbox, place: Path | str) -> None:
    other = Inbox.open(place, "north", now=lambda: NOW)
    before = other.newest_sequence()

    inbox.write([unit(deposit("a"))])

    assert before == 0
    assert other.newest_sequence() == 1
    other.close()


def test_an_inbox_of_another_version_is_refused(place: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    Inbox.open(place, "north").close()
    monkeypatch.setattr(schema, "SCHEMA_VERSION", schema.SCHEMA_VERSION + 1)

    with pytest.raises(InputError, match="version"):
        Inbox.open(place, "north")


def test_a_unit_that_fails_leaves_nothing(inbox: Inbox) -> None:
    broken = Unit(caller="engine", request_id="", content_hash="x", deposits=[deposit("x")], answer=lambda _: 1 / 0)  # type: ignore[arg-type,return-value]

    with pytest.raises(ZeroDivisionError):
        inbox.write([unit(deposit("a")), broken])

    assert inbox.counts() == {}


def test_two_processes_write_at_once_and_number_without_gaps(
    place: Path | str, in_threads: Callable[..., None]
) -> None:
    boxes = [Inbox.open(place, "north", now=lambda: NOW) for _ in range(2)]
    numbers = itertools.count()

    def write(box: Inbox) -> None:
        for _ in range(20):
            box.write([unit(deposit(f"n{next(numbers)}"))])

    in_threads(*[lambda box=box: write(box) for box in boxes])

    found = boxes[0].versions("QuestionnaireResponse", ["r1"])
    assert [one.version for one in found] == list(range(1, 41))
    for box in boxes:
        box.close()


def test_the_database_names_what_it_refuses(tmp_path: Path) -> None:
    inbox = Inbox.open(tmp_path / "inbox.sqlite", "north", now=lambda: NOW)
    with schema.writing(inbox._engine).begin() as connection:
        connection.exec_driver_sql("CREATE TRIGGER full BEFORE INSERT ON arrival BEGIN SELECT RAISE(ABORT, 'x'); END")

    with pytest.raises(DBAPIError):
        inbox.write([unit(deposit("a"))])
    inbox.close()


def test_who_stops_in_the_middle_of_writing_holds_up_no_other_without_end(cluster: Any) -> None:
    place = cluster.new_schema()
    first, second = (Inbox.open(place, "north", now=lambda: NOW) for _ in range(2))
    with first._writing.begin() as connection:
        schema.alone(connection)
        patience = connection.exec_driver_sql("SHOW lock_timeout").scalar_one()
        idle = connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one()

        with pytest.raises(LedgerError, match="in the way"):
            second.check_writable()

    second.check_writable()
    assert (patience, idle) == ("10s", "10s")
    first.close()
    second.close()
