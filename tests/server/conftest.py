from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from integration import msis29, outcomes
from integration.records import Moment, Response
from server.ledger import Ledger

NOW = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)

BuildOutcome = Callable[..., outcomes.Outcome]


@pytest.fixture
def origin() -> outcomes.Origin:
    return outcomes.Origin(
        site="north",
        software_version="0.1.0",
        mapping="msis29_venoplasty 1.0.0",
        recorded=NOW,
        minimum_answered=msis29.HALF_OF_THE_ITEMS,
    )


@pytest.fixture
def build_outcome(origin: outcomes.Origin) -> BuildOutcome:
    """Build the outcome of a response that answered every item alike; `answer=None` leaves all of them out."""

    def build(
        response_id: str = "r1",
        *,
        answer: int | None = 3,
        status: str = "completed",
        version_id: str = "1",
        instrument: msis29.Version = "1",
    ) -> outcomes.Outcome:
        answers: msis29.Answers = {item: [answer] for item in msis29.ITEMS} if answer is not None else {}
        score = msis29.score(answers, instrument)
        moment = datetime(2012, 5, 4, 7, 15, tzinfo=UTC)
        response = Response(
            response_id=response_id,
            patient_id=f"patient-of-{response_id}",
            status=status,
            version_id=version_id,
            moment=Moment(day=date(2012, 5, 4), instant=moment, text="2012-05-04T07:15:00Z"),
            instrument_version=instrument,
            is_answered_by_patient=True,
            score=score,
            reason=score.reason,
        )
        return outcomes.build(response, origin)

    return build


@pytest.fixture
def device(origin: outcomes.Origin) -> outcomes.Resource:
    return outcomes.device(origin)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "state" / "ledger.sqlite", now=lambda: NOW) as opened:
        yield opened
