"""The sessions of launches: for one browser, until the token ends, and worth nothing to who reads the table."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from integration.errors import InputError
from server.service.chart.smart.sessions import ChartSessions, Launched

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
UNTIL = int(START.timestamp()) + 300
LAUNCHED = Launched(
    patient_id="p1", fhir_url="https://ehr.example/fhir", token="very-secret", scope="launch", subject="dr-1",
    needs_banner=True, until=UNTIL,
)  # fmt: skip


class Time:
    moment = START

    def now(self) -> datetime:
        return self.moment


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def sessions(place: Path | str, time: Time) -> Iterator[ChartSessions]:
    opened = ChartSessions.open(place, now=time.now)
    yield opened
    opened.close()


def test_a_session_is_found_by_its_id_alone(sessions: ChartSessions) -> None:
    session_id = sessions.begin(LAUNCHED)

    assert sessions.find(session_id) == LAUNCHED
    assert sessions.find(session_id[:-1]) is None
    assert sessions.find("") is None
    assert sessions.find("\udcff") is None


def test_another_process_finds_it_too(sessions: ChartSessions, place: Path | str, time: Time) -> None:
    session_id = sessions.begin(LAUNCHED)
    other = ChartSessions.open(place, now=time.now)

    assert other.find(session_id) == LAUNCHED
    other.close()


def test_it_ends_with_the_token_and_is_forgotten(sessions: ChartSessions, time: Time) -> None:
    session_id = sessions.begin(LAUNCHED)
    time.moment = START + timedelta(seconds=300)

    assert sessions.find(session_id) is None

    sessions.begin(LAUNCHED)
    with sessions._engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM chart_session")).scalar_one() == 1


def test_it_can_be_ended(sessions: ChartSessions) -> None:
    session_id = sessions.begin(LAUNCHED)

    sessions.end(session_id)

    assert sessions.find(session_id) is None


def test_the_table_tells_nothing_and_a_changed_row_opens_nothing(sessions: ChartSessions) -> None:
    session_id, other_id = sessions.begin(LAUNCHED), sessions.begin(LAUNCHED)

    with sessions._engine.begin() as connection:
        rows = connection.execute(sa.text("SELECT digest, sealed FROM chart_session")).all()
        for digest, _ in rows:  # each row gets another's content
            swapped = next(bytes(sealed) for one, sealed in rows if one != digest)
            statement = sa.text("UPDATE chart_session SET sealed = :sealed WHERE digest = :digest")
            connection.execute(statement, {"sealed": swapped, "digest": digest})

    assert all(word not in bytes(sealed) for _, sealed in rows for word in (b"very-secret", b"p1", b"dr-1"))
    assert all(session_id != digest for digest, _ in rows)
    assert (sessions.find(session_id), sessions.find(other_id)) == (None, None)


def test_nothing_that_is_printed_holds_the_token() -> None:
    assert "very-secret" not in repr(LAUNCHED)


def test_a_database_that_cannot_be_opened_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "sessions.sqlite").write_text("text " * 1000, encoding="utf-8")

    with pytest.raises(InputError, match="cannot be opened as a database"):
        ChartSessions.open(tmp_path / "sessions.sqlite")
