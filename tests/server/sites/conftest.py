"""Outcomes of every kind, and sites of every kind."""

import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest

from integration import msis29, outcomes
from integration.records import Moment, Response
from integration.settings import Site
from server.sites import WriteProfile, profile_of

ORIGIN = outcomes.Origin(
    site="north",
    software_version="0.1.0",
    mapping="msis29_venoplasty 1.0.0",
    recorded=datetime(2026, 1, 5, 12, 0, tzinfo=UTC),
    minimum_answered=msis29.HALF_OF_THE_ITEMS,
)
INSTANT = datetime.fromisoformat("2012-05-04T09:15:00+02:00")
TIMED = Moment(day=date(2012, 5, 4), instant=INSTANT, text="2012-05-04T09:15:00+02:00")
DATED = Moment(day=date(2012, 5, 4), instant=None, text="2012-05-04")

CODES = """
[profile.codes]
physical = { system = "urn:rows", code = "11" }
psychological = { system = "urn:rows", code = "12", display = "row of the site" }
"""
TYPE = """
[profile.document_type]
system = "urn:notes"
code = "7"
"""
SITES = {
    "generic": 'write_profile = "generic"',
    "single": 'write_profile = "single"\n[profile]\nfallback = "document"',
    "epic": f'write_profile = "epic"\n[profile]\nunit = "points"\nfallback = "document"\n{CODES}{TYPE}',
    "epic, default unit": f'write_profile = "epic"\n[profile]\nencounter = "none"\n{CODES}',
    "oracle": (
        'write_profile = "oracle"\n[profile]\ncategory = "vital-signs"\nperformer = "Practitioner/9"\n'
        f'fallback = "document"\n{CODES}{TYPE}'
    ),
    "oracle, laboratory": f'write_profile = "oracle"\n[profile]\ncategory = "laboratory"\nunit = "points"\n{CODES}',
    "athena": (
        'write_profile = "athena"\n[profile]\npractice = "Organization/a-1"\n'
        '[profile.questionnaire]\nphysical = "urn:q:1"\npsychological = "urn:q:2"'
    ),
    "document": 'write_profile = "document"',
    "document, both": f'write_profile = "document"\n[profile]\ndocument_formats = ["text", "pdf"]\n'
    f"document_updates = true\n{TYPE}",
}
"""A site file of each kind and of its variants."""


def _score(skipped: int, *, contradicts: bool) -> msis29.Score:
    answers: dict[int, list[int | None]] = {item: [1 + item % 5] for item in msis29.ITEMS if item > skipped}
    return msis29.score({**answers, 29: [1, 2]} if contradicts else answers, "1")


@pytest.fixture
def outcome() -> Callable[..., outcomes.Outcome]:
    """Build an outcome; `skipped` is how many items from the first are without an answer, 11 leave one score."""

    def build(*, skipped: int = 0, contradicts: bool = False, **changes: Any) -> outcomes.Outcome:
        score = _score(skipped, contradicts=contradicts)
        facts: dict[str, Any] = {
            "patient_id": "p1",
            "status": "completed",
            "version_id": "3",
            "moment": TIMED,
            "instrument_version": "1",
            "answered_by": "Patient/p1",
            "encounter_id": "e1",
        }
        response = Response(response_id="r1", score=score, reason=score.reason, **{**facts, **changes})
        return outcomes.build(response, ORIGIN)

    return build


@pytest.fixture
def many(outcome: Callable[..., outcomes.Outcome]) -> Mapping[str, outcomes.Outcome]:
    """Outcomes that differ in what they hold."""
    return {
        "complete": outcome(),
        "amended": outcome(status="amended"),
        "test data": outcome(is_synthetic=True),
        "one score": outcome(skipped=11),
        "no score": outcome(skipped=29),
        "contradicts": outcome(contradicts=True),
        "only the day": outcome(moment=DATED),
        "no encounter": outcome(encounter_id=""),
        "by nobody known": outcome(answered_by=""),
        "by a practitioner": outcome(answered_by="Practitioner/d7"),
    }


@pytest.fixture
def device() -> outcomes.Resource:
    return outcomes.device(ORIGIN)


@pytest.fixture
def site() -> Callable[[str], Site]:
    """Return the site of a name in SITES, or of a site file's text."""

    def build(text: str) -> Site:
        return Site.model_validate(
            {"name": "north", "base_url": "http://h/fhir", **tomllib.loads(SITES.get(text, text))}
        )

    return build


@pytest.fixture
def profile(site: Callable[[str], Site]) -> Callable[[str], WriteProfile]:
    """Return the profile of a name in SITES, or of a site file's text."""
    return lambda text: profile_of(site(text))


@pytest.fixture(params=list(SITES))
def any_profile(request: pytest.FixtureRequest, profile: Callable[[str], WriteProfile]) -> WriteProfile:
    """Each profile in turn."""
    return profile(request.param)
