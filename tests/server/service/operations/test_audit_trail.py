"""What was done with patients' data is written down once, in order, by all processes, and reaches the repository."""

import json
import multiprocessing
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from integration.process_settings import Audit
from server.service.operations.audit_keeper import AuditKeeper
from server.service.operations.audit_posting import AuditPosting, AwayError
from server.service.operations.audit_trail import AuditTrail
from server.service.operations.marks import Marks

NOW = datetime(2012, 6, 1, 12, 0, tzinfo=UTC)


class Ticks:
    """A clock that goes on by a second whenever it is asked."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> datetime:
        self.count += 1
        return NOW + timedelta(seconds=self.count)


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[AuditTrail]:
    made = AuditTrail(tmp_path / "audit.ndjson", most_bytes=200, now=Ticks())
    yield made
    made.close()


@pytest.fixture
def marks(tmp_path: Path) -> Iterator[Marks]:
    made = Marks(tmp_path / "audit.marks")
    yield made
    made.close()


def written(trail: AuditTrail) -> list[int]:
    return [json.loads(line)["number"] for path in trail.files() for line in path.read_text().splitlines()]


def test_a_long_file_is_set_aside_and_all_of_it_can_be_read_by_its_owner_only(trail: AuditTrail) -> None:
    for number in range(40):
        trail.append({"number": number})

    assert written(trail) == list(range(40))
    assert len(trail.files()) > 2
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in trail.files())


def append_many(folder: Path, first: int) -> None:
    trail = AuditTrail(folder / "audit.ndjson", most_bytes=2000, now=lambda: datetime.now(UTC))
    for number in range(first, first + 300):
        trail.append({"number": number})
    trail.close()


def test_several_processes_lose_and_mix_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=append_many, args=(tmp_path, 1000 * one)) for one in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    trail = AuditTrail(tmp_path / "audit.ndjson", most_bytes=2000, now=Ticks())
    assert sorted(written(trail)) == sorted(1000 * one + number for one in range(3) for number in range(300))
    assert len(trail.files()) > 3
    trail.close()


class Repository:
    """An audit repository that can be away.

    Attributes:
        taken: numbers of the events that it took.
        status: what it answers with.
    """

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.status = 201

    def handle(self, request: Request) -> Response:
        number = json.loads(request.get_data())["number"]
        if self.status == 201 or (self.status == 422 and number % 2):
            self.taken.append(number)
            return Response(status=201)
        return Response(status=self.status, headers={"Location": "/elsewhere"})


@pytest.fixture
def repository(httpserver: HTTPServer) -> Repository:
    made = Repository()
    httpserver.expect_request("/fhir/AuditEvent", method="POST").respond_with_handler(made.handle)
    return made


@pytest.fixture
def posting(trail: AuditTrail, marks: Marks, httpserver: HTTPServer) -> Iterator[AuditPosting]:
    made = AuditPosting(trail, Audit(url=httpserver.url_for("/fhir")), marks, requests.Session)
    yield made
    made.close()


def post_all(posting: AuditPosting) -> None:
    while posting.step():
        pass


def test_every_event_is_posted_once_also_those_of_files_that_were_set_aside(
    trail: AuditTrail, posting: AuditPosting, repository: Repository
) -> None:
    for number in range(30):
        trail.append({"number": number})
    post_all(posting)
    for number in range(30, 60):
        trail.append({"number": number})
    post_all(posting)

    assert repository.taken == list(range(60))
    assert posting.step() == 0


@pytest.mark.parametrize("status", [302, 401, 429, 503])
def test_a_repository_that_is_away_is_tried_again_with_the_same_event(
    trail: AuditTrail, posting: AuditPosting, repository: Repository, status: int
) -> None:
    for number in range(5):
        trail.append({"number": number})
    repository.status = status

    with pytest.raises(AwayError, match=str(status)):
        posting.step()
    repository.status = 201
    post_all(posting)

    assert repository.taken == list(range(5))


def test_an_event_that_is_refused_for_what_it_is_holds_up_no_other(
    trail: AuditTrail, posting: AuditPosting, repository: Repository
) -> None:
    for number in range(6):
        trail.append({"number": number})
    repository.status = 422

    post_all(posting)

    assert repository.taken == [1, 3, 5]
    assert written(trail) == list(range(6))


class Nothing:
    def step(self) -> int:
        return 0


@pytest.fixture
def keep(trail: AuditTrail, marks: Marks) -> Callable[..., AuditKeeper]:
    def make(posting: AuditPosting | None) -> AuditKeeper:
        return AuditKeeper(trail, marks, [Nothing()], posting, kept=2)

    return make


def test_the_oldest_files_go_but_none_that_was_not_posted(
    trail: AuditTrail, posting: AuditPosting, repository: Repository, keep: Callable[..., AuditKeeper]
) -> None:
    keeper = keep(posting)
    for number in range(60):
        trail.append({"number": number})
    repository.status = 503

    keeper.step()
    kept_while_away = written(trail)
    repository.status = 201
    for _ in range(5):
        keeper.step()

    assert kept_while_away == list(range(60))
    assert repository.taken == list(range(60))
    assert len(trail.files()) == 3


def test_without_a_repository_the_oldest_files_go(trail: AuditTrail, keep: Callable[..., AuditKeeper]) -> None:
    for number in range(60):
        trail.append({"number": number})

    keep(None).step()

    assert len(trail.files()) == 3
    assert written(trail)[-1] == 59


def begin_many(folder: Path, first: int) -> None:
    made = Marks(folder / "audit.marks")
    for number in range(60):
        made.begin(f"{first + number}", first + number)
        made.begin("same", first)
    made.close()


def test_several_processes_may_begin_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=begin_many, args=(tmp_path, 1000 * one)) for one in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    made = Marks(tmp_path / "audit.marks")
    assert [process.exitcode for process in processes] == [0, 0, 0]
    kept = [made.get(f"{1000 * one + number}") for one in range(3) for number in range(60)]
    assert kept == [1000 * one + number for one in range(3) for number in range(60)]
    assert made.get("same") in (0, 1000, 2000)
    made.close()


def test_one_process_leads(marks: Marks, tmp_path: Path) -> None:
    other = Marks(tmp_path / "audit.marks")

    assert marks.lead()
    assert not other.lead()
    marks.set("a", 3)
    assert other.get("a") == 3
    other.close()
