"""The rules that the site chose because the paper does not say: every one of them stands in the mapping."""

from __future__ import annotations

from collections.abc import Iterator

from integration.report.inputs import Choice
from integration.study import BASELINE, StudyFile, Visit


def of(study: StudyFile) -> tuple[Choice, ...]:
    """Return the choices of a study, in the order of its file."""
    return tuple(_choices(study))


def _choices(study: StudyFile) -> Iterator[Choice]:
    answered = study.instrument.minimum_answered
    for version, canonicals in study.instrument.canonicals.items():
        what = f"Questionnaires taken as MSIS-29 version {version}"
        yield Choice(what=what, value=", ".join(canonicals), where=f"study.toml: instrument.canonicals.{version}")
    yield Choice(
        what="Items that must be answered for a score; missing ones take the person's mean of that subscale "
        "(as commonly given; the scoring manual was not read)",
        value=f"{answered.physical} of 20 physical, {answered.psychological} of 9 psychological",
        where="study.toml: instrument.minimum_answered",
    )
    for name, visit in study.visits.items():
        what = f"Window of the visit {name.replace('_', ' ')}"
        yield Choice(what=what, value=_window(name, visit), where=f"study.toml: visits.{name}")
    criteria = ", then ".join(name.replace("_", " ") for name in study.flow.criteria)
    yield Choice(what="Criteria of the flow, in order", value=criteria, where="study.toml: flow.criteria")
    yield Choice(
        what="Improved",
        value="any fall of the score from baseline (change < 0), in one version of the instrument",
        where="software; the responder panel shows the other thresholds",
    )
    yield from _analysis_choices(study)
    yield Choice(
        what="Imaging before the procedure counts for",
        value=f"{study.imaging.days_before} days up to the index date",
        where="study.toml: imaging.days_before",
    )
    yield Choice(
        what="An adverse event counts",
        value=f"day 0 to {study.adverse_events.days_after} of a session, or its procedure is suspected",
        where="study.toml: adverse_events.days_after",
    )
    yield Choice(
        what="Codes that count as venoplasty, stent, target vein, multiple sclerosis and its types, imaging",
        value="the value sets and concept maps of the mapping",
        where="valuesets/, conceptmaps/",
    )


def _analysis_choices(study: StudyFile) -> Iterator[Choice]:
    analysis, retest = study.analysis, study.analysis.test_retest
    for scale, responders in (
        ("physical", analysis.physical_responders),
        ("psychological", analysis.psychological_responders),
    ):
        value = ", ".join(name.replace("_", " ") for name in responders)
        yield Choice(
            what=f"Responder definitions shown, {scale}", value=value, where=f"study.toml: analysis.{scale}_responders"
        )
    yield Choice(
        what="Test-retest reliability for the reliable change (as shipped, not verified in the source)",
        value=f"{retest.physical} physical, {retest.psychological} psychological",
        where="study.toml: analysis.test_retest",
    )


def _window(name: str, visit: Visit) -> str:
    window = f"day {visit.first_day} to {visit.last_day} from the index procedure"
    if visit.choose == "nearest":
        return f"{window}; of several the nearest to day {visit.target_day}, then the earlier"
    start = ", on day 0 not later than the procedure's start" if name == BASELINE else ""
    return f"{window}; of several the last{start}"
