"""The worker: at once when woken, again by itself, never ending in silence."""

import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from integration.errors import ConfigurationError, ServerUnreachableError, SettingsError
from server.service.inbound import schema
from server.service.inbound.worker import DELIVERIES_PER_SWEEP, Step, Worker

LONG = 3600.0
PATIENCE = 10.0


class Steps:
    """Counts steps and lets a test wait for the next one."""

    def __init__(self, results: Iterator[bool | Exception] | None = None) -> None:
        self._done, self._results = threading.Semaphore(0), results

    def __call__(self) -> bool:
        result = next(self._results) if self._results else True
        self._done.release()
        if isinstance(result, Exception):
            raise result
        return result

    def wait(self) -> bool:
        return self._done.acquire(timeout=PATIENCE)


@pytest.fixture
def started() -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def start(step: Callable[[], bool], sweep_seconds: float = LONG) -> Worker:
        workers.append(Worker(step, sweep_seconds=sweep_seconds))
        workers[-1].start()
        return workers[-1]

    yield start
    for worker in workers:
        assert worker.stop(PATIENCE)


def test_a_step_is_taken_at_the_start_so_that_a_crash_is_repaired(started: Callable[..., Worker]) -> None:
    steps = Steps()

    worker = started(steps)

    assert steps.wait()
    assert worker.is_working


def test_the_log_says_which_file_of_the_settings_is_wrong(
    started: Callable[..., Worker], caplog: pytest.LogCaptureFixture
) -> None:
    wrong = SettingsError(file="opted-out.txt", problem="cannot be read")
    results: list[bool | Exception] = [wrong, True]
    steps = Steps(iter(results))
    worker = started(steps)

    assert steps.wait()
    worker.wake()
    assert steps.wait()

    [record] = [one for one in caplog.records if one.getMessage().startswith("a step of the worker failed")]
    assert vars(record)["problem"] == str(wrong)


def test_a_step_is_taken_when_woken(started: Callable[..., Worker]) -> None:
    steps = Steps()
    worker = started(steps)
    assert steps.wait()

    worker.wake()

    assert steps.wait()


def test_a_wake_during_a_step_is_not_lost(started: Callable[..., Worker]) -> None:
    in_step, go_on, steps = threading.Event(), threading.Event(), Steps()

    def step() -> bool:
        in_step.set()
        assert go_on.wait(PATIENCE)
        return steps()

    worker = started(step)
    assert in_step.wait(PATIENCE)
    worker.wake()
    go_on.set()

    assert steps.wait()
    assert steps.wait()


def test_a_step_is_taken_again_by_itself(started: Callable[..., Worker]) -> None:
    steps = Steps()
    started(steps, sweep_seconds=0.001)

    assert all(steps.wait() for _ in range(3))


def test_a_step_that_fails_is_shown_and_the_next_is_taken(
    started: Callable[..., Worker], caplog: pytest.LogCaptureFixture
) -> None:
    steps = Steps(iter([RuntimeError("Zylpha-4711"), True]))
    worker = started(steps)
    assert steps.wait()
    ill = _until(lambda: not worker.is_working)

    worker.wake()
    assert steps.wait()

    assert ill
    assert _until(lambda: worker.is_working)
    assert [record.__dict__["error"] for record in caplog.records] == ["RuntimeError"]
    assert "Zylpha" not in caplog.text


def test_a_stopped_worker_works_no_more(started: Callable[..., Worker]) -> None:
    steps = Steps()
    worker = started(steps)
    assert steps.wait()

    assert worker.stop(PATIENCE)

    assert not worker.is_working


def test_a_worker_that_was_never_started_can_be_stopped() -> None:
    worker = Worker(lambda: True)

    assert not worker.is_working
    assert worker.stop(0)


def test_a_step_plans_what_was_stored_and_then_delivers(service: Any, body: Any) -> None:
    delivered: list[tuple[int, int]] = []
    service.post(body())
    step = Step(service.reader, lambda limit: delivered.append((limit, len(service.planned()))))

    assert step()
    assert delivered == [(DELIVERIES_PER_SWEEP, 4)]


def test_a_server_that_is_away_is_waited_for(service: Any, body: Any, caplog: pytest.LogCaptureFixture) -> None:
    def deliver(limit: int) -> None:
        raise ServerUnreachableError(url="http://example.invalid", problem=f"refused {limit}")

    service.post(body())
    with caplog.at_level(logging.WARNING):
        is_well = Step(service.reader, deliver)()

    assert is_well
    assert len(service.planned()) == 4
    assert [record.__dict__["action"] for record in caplog.records] == ["delivery_postponed"]


def test_what_was_delivered_is_read_back_unless_the_server_is_away(service: Any) -> None:
    done: list[str] = []
    away = ServerUnreachableError(url="http://example.invalid", problem="refused")
    answers: Iterator[Exception | None] = iter([None, away])

    def deliver(limit: int) -> None:
        done.append("delivered" if limit else "")
        if error := next(answers):
            raise error

    step = Step(service.reader, deliver, read_back=lambda: done.append("read back"))

    assert step()
    assert step()
    assert done == ["delivered", "read back", "delivered"]


def test_a_part_that_meets_an_unforeseen_fault_stops_no_other_and_is_shown(
    service: Any, body: Any, caplog: pytest.LogCaptureFixture
) -> None:
    delivered: list[int] = []

    def fails() -> None:
        raise ConfigurationError("Zylpha-4711")

    service.post(body())
    step = Step(service.reader, delivered.append, before=(fails,))

    assert not step()
    assert service.inbox.counts() == {"planned": 1}
    assert delivered == [DELIVERIES_PER_SWEEP]
    assert [record.__dict__["action"] for record in caplog.records if record.levelname == "ERROR"] == ["step_failed"]
    assert "Zylpha" not in caplog.text
    assert Step(service.reader, delivered.append)()


def test_a_deferred_request_that_cannot_be_read_or_taken_is_answered_with_500_and_stops_no_other(
    service: Any, body: Any
) -> None:
    inbound, later = service.services.inbound, {"Prefer": "respond-async"}
    unreadable = service.put("r1", body(), **later).headers["Content-Location"]
    with service.inbox._engine.begin() as connection:
        connection.execute(schema.deferred.update().values(request='{"kind":"resource"}'))
    service.put("r2", body(id="r2", subject={"reference": "Patient/p2"}), **later)
    service.put("r3", body(id="r3"), **later)

    def read(kind: str, name: str, *rest: Any) -> Any:
        if name == "r2":
            raise KeyError(name)
        return inbound.desk.read(kind, name, *rest)

    faulty = dataclasses.replace(inbound, desk=dataclasses.replace(inbound.desk, read=read))

    assert not faulty.take_deferred()
    assert service.inbox.deferred.next_id() == ""
    assert service.inbox.version("QuestionnaireResponse", "r3") is not None
    assert b"500" in service.client.get(unreadable.removeprefix("http://localhost")).data


def test_a_post_reaches_the_delivery_through_the_running_worker(
    service: Any, body: Any, started: Callable[..., Worker]
) -> None:
    delivered = threading.Event()

    def deliver(limit: int) -> None:
        if len(service.planned()) == 4 and limit:
            delivered.set()

    service.post(body())
    started(Step(service.reader, deliver))

    assert delivered.wait(PATIENCE)


def _until(is_true: Callable[[], bool]) -> bool:
    pause = threading.Event()
    return any(is_true() or pause.wait(0.002) for _ in range(5000))


def test_planning_gives_way_while_much_comes_and_longer_after_longer_work(service: Any, body: Any) -> None:
    for name in ("a", "b"):
        service.post(body(id=name))
    pauses: list[float] = []
    times = iter([0.0, *[0.4] * 8])
    step = Step(service.reader, lambda _: None, is_busy=lambda: True, pause=pauses.append, clock=lambda: next(times))

    assert step()

    assert pauses == [2.0, 0.5, 0.5, 0.5]
    assert service.inbox.counts() == {"planned": 2}
