"""The card: a patient's latest MSIS-29 scores as the chart was given them, and whether it still holds them (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from integration.intake.moments import NotADateTimeError, moment
from server.ledger.reading import Held
from server.ledger.states import IN_CHART
from server.service.chart import found, wording
from server.service.chart.found import Found
from server.service.chart.model import LABELS, SCALES, Scale, is_future

LONGEST_SUMMARY: Final = 139
_MOST_ROWS: Final = 5
_MARKDOWN: Final = re.compile(r"([\\`*_\[\]#!|<>~&])")
_CAUTION: Final = (
    "Higher is worse, 0 to 100. A change before and after a procedure does not show what caused it; the chart names the"
    " later trials."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """What the chart was given of one response.

    Attributes:
        day: when it was answered.
        scores: by subscale; one without a score is absent.
        differs: what the EHR holds otherwise, in words; empty if nothing does, or it was not looked at.
    """

    day: date
    scores: dict[Scale, Decimal]
    differs: str = ""


def answered(held: Iterable[Held], scores: Sequence[Found] | None) -> list[Answered]:
    """Return the responses whose scores the chart was given, the latest first.

    What is withheld, waits to be sent or was taken back is not among them: a card is part of the chart.

    Args:
        held: the ledger's entries of the patient.
        scores: what the EHR holds; None if it was not looked at.
    """
    by_response: dict[str, list[Held]] = {}
    for one in held:
        entry = one.entry
        is_score = entry.kind in SCALES and entry.resource_type == "Observation"
        if is_score and entry.state in IN_CHART and entry.state != "retracted" and not entry.is_withdrawn:
            by_response.setdefault(entry.response_id, []).append(one)
    made = [response for group in by_response.values() if (response := _answered(group, scores))]
    return sorted(made, key=lambda one: one.day, reverse=True)


def card(shown: Sequence[Answered], *, today: date, link: dict[str, str], url: str, uuid: str) -> dict[str, Any]:
    """Return the card; its headline is the latest response with a score that is not dated in the future.

    Args:
        shown: at least one, the latest first.
        today: what is dated later than tomorrow is said to be dated in the future.
        link: to the chart page: `type` and `url`.
        url: of this service, as the card's source.
        uuid: of the card.
    """
    come = [one for one in shown if not is_future(one.day, today)]
    latest = next((one for one in come if one.scores), (come or shown)[0])
    scores = ", ".join(f"{scale} {wording.number(value)}" for scale, value in latest.scores.items()) or "no score"
    summary = f"MSIS-29 of {wording.short_day(latest.day)}: {scores} (0-100, higher is worse)"
    return {
        "uuid": uuid,
        "summary": summary[:LONGEST_SUMMARY],
        "indicator": "info",
        "detail": _detail(shown, today),
        "source": {"label": "Outcome Bridge", "url": url},
        "links": [{"label": "MSIS-29 over time", **link}],
    }


def escaped(text: str) -> str:
    """Return text as Markdown that shows it as it is.

    >>> print(escaped("a*b <i>"))
    a\\*b \\<i\\>
    """
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def _answered(held: Sequence[Held], scores: Sequence[Found] | None) -> Answered | None:
    resources = {one.entry.kind: one.entry.resource() for one in held}
    day = next((day for one in resources.values() if (day := _day(one.get("effectiveDateTime")))), None)
    if day is None:
        return None
    values = {scale: value for scale in SCALES if (value := found.value_of(resources.get(scale, {}))) is not None}
    differing = [] if scores is None else [words for one in held if (words := _difference(one, scores))]
    return Answered(day=day, scores=values, differs="; ".join(differing))


def _difference(held: Held, scores: Sequence[Found]) -> str:
    """Say what the EHR holds otherwise than it was given; nothing where its search need not have found it."""
    ours, wanted = found.of_entry(held, scores), found.value_of(held.entry.resource())
    if not ours or held.entry.kind not in SCALES:
        return ""
    if ours[0].status == "entered-in-error":
        return f"{held.entry.kind}: the EHR has it as entered in error"
    if ours[0].value == wanted:
        return ""
    holds = wording.number(ours[0].value) if ours[0].value is not None else "no value"
    return f"{held.entry.kind}: the EHR holds {holds}"


def _detail(shown: Sequence[Answered], today: date) -> str:
    head = f"| Answered | {' | '.join(LABELS[scale] for scale in SCALES)} |"
    rows = [
        f"| {_when(one.day, today)} | {' | '.join(_cell(one, scale) for scale in SCALES)} |"
        for one in shown[:_MOST_ROWS]
    ]
    differing = [
        f"**Differs from what was computed**, {escaped(wording.short_day(one.day))}: {escaped(one.differs)}."
        for one in shown
        if one.differs
    ]
    return "\n".join((head, "|---|---|---|", *rows, "", *differing, "", _CAUTION))


def _when(day: date, today: date) -> str:
    return escaped(wording.short_day(day)) + (" (dated in the future)" if is_future(day, today) else "")


def _cell(one: Answered, scale: Scale) -> str:
    value = one.scores.get(scale)
    return escaped(wording.number(value)) if value is not None else "no score"


def _day(text: Any) -> date | None:
    try:
        found_moment = moment(text) if isinstance(text, str) else None
    except NotADateTimeError:
        return None
    return found_moment.day if found_moment else None
