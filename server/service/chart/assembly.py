"""Put a chart together from what the ledger, the staged resources and the EHR say (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fractions import Fraction
from typing import Final

from integration import msis29
from integration.cohort import visits
from integration.cohort.member import subscale_score
from integration.cohort.sessions import Session, sessions
from integration.intake.moments import NotADateTimeError
from integration.intake.moments import moment as read_moment
from integration.records import PatientRows, Response
from integration.report import labels
from integration.study import BASELINE, StudyFile
from server.ledger.reading import Held
from server.service.chart import found, progress, wording
from server.service.chart.found import EhrReading
from server.service.chart.model import SCALES, Chart, Identity, Kind, Line, Mark, Result, Said, Scale, Threshold, Window
from server.service.chart.thresholds import THRESHOLDS
from server.service.chart.timeline import moved

_SUBSCALES: Final[Mapping[Scale, msis29.Subscale]] = {
    "physical": msis29.PHYSICAL,
    "psychological": msis29.PSYCHOLOGICAL,
}
_BEFORE_ANY_TIME: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Everything that a chart is made of.

    Attributes:
        rows: the patient, the procedures and the responses, newest versions.
        aliases: ids of the Patients that were merged into this one, and its own.
        held: the ledger's entries of the patient.
        ehr: what was read from the EHR for this page.
        identity: who the patient is, if the page shall say so.
        today: when the page is made.
    """

    rows: PatientRows
    aliases: frozenset[str]
    held: Sequence[Held]
    ehr: EhrReading
    identity: Identity | None
    today: date


def chart(sources: Sources, study: StudyFile) -> Chart:
    """Put a chart together; visits, baseline and sessions are those of the study."""
    treated = sessions(sources.rows.procedures)
    responses = sources.rows.responses
    chosen = visits.choose(responses, treated[0], study.visits) if treated else {}
    assembly = _Assembly(sources, chosen, study)
    return Chart(
        patient_id=sources.rows.patient.patient_id,
        identity=sources.identity,
        is_synthetic=sources.rows.patient.is_synthetic,
        marks=_marks(treated),
        windows=_windows(treated, chosen, study, sources.today),
        lines=assembly.lines(),
        strangers=found.strangers(sources.held, assembly.found, sources.aliases),
        thresholds=THRESHOLDS,
        ehr_read_at=sources.ehr.read_at,
        ehr_problem=sources.ehr.problem,
        today=sources.today,
    )


def verdict(change: Fraction, threshold: Threshold) -> str:
    """Say what a change is by a threshold: exact, so a change of just the threshold reaches it.

    >>> verdict(Fraction(-8), THRESHOLDS["physical"])
    'better by 8 points or more'
    """
    if abs(change) < threshold.points:
        return f"less than {threshold.points} points"
    return f"{'better' if change < 0 else 'worse'} by {threshold.points} points or more"


def _marks(treated: Sequence[Session]) -> tuple[Mark, ...]:
    return tuple(
        Mark(
            day=session.day,
            days=(session.day - treated[0].day).days,
            number=number,
            veins=len(session.sites),
            has_stent=session.has_stent,
        )
        for number, session in enumerate(treated)
    )


def _windows(treated: Sequence[Session], chosen: visits.Chosen, study: StudyFile, today: date) -> tuple[Window, ...]:
    if not treated:
        return ()
    index = treated[0].day
    return tuple(
        Window(
            name=name,
            label=labels.visit(name),
            first=moved(index, visit.first_day),
            last=moved(index, visit.last_day),
            response_id=chosen[name].response_id if name in chosen else "",
            is_over=moved(index, visit.last_day) < today,
        )
        for name, visit in study.visits.items()
    )


class _Assembly:
    """Makes the lines of one chart."""

    def __init__(self, sources: Sources, chosen: visits.Chosen, study: StudyFile) -> None:
        self._sources, self._instrument = sources, study.instrument
        self.found = found.observations(sources.ehr.observations)
        self._baseline = chosen.get(BASELINE)
        self._visits = {one.response_id: labels.visit(name) for name, one in chosen.items()}
        self._held: dict[tuple[str, str], Held] = {}
        for held in sources.held:
            self._held[held.entry.response_id, held.entry.kind] = _current(
                self._held.get((held.entry.response_id, held.entry.kind)), held
            )

    def lines(self) -> tuple[Line, ...]:
        responses = {one.response_id: one for one in self._sources.rows.responses if self._is_shown(one)}
        only_in_ledger = sorted({response_id for response_id, _ in self._held} - responses.keys() - {""})
        lines = [self._line(one) for one in responses.values()]
        lines += [line for one in only_in_ledger if (line := self._from_ledger(one))]
        moments = {one.response_id: one.moment.instant for one in responses.values() if one.moment}
        return tuple(
            sorted(lines, key=lambda line: (
                line.day or date.max, moments.get(line.response_id) or _BEFORE_ANY_TIME, line.response_id))
        )  # fmt: skip

    def _is_shown(self, response: Response) -> bool:
        """Another questionnaire is none of this page's business, unless scores of it were planned before."""
        is_ours = bool(self._instrument.version_of(response.questionnaire))
        return is_ours or any((response.response_id, scale) in self._held for scale in SCALES)

    def _line(self, response: Response) -> Line:
        results = {scale: self._result(response, scale) for scale in SCALES}
        kind = _kind(response, results.values())
        was_planned = any((response.response_id, scale) in self._held for scale in SCALES)
        return Line(
            response_id=response.response_id,
            day=response.moment.day if response.moment else None,
            authored=response.authored,
            kind=kind,
            reason="" if kind == "scored" else _why(response),
            visit=self._visits.get(response.response_id, ""),
            is_baseline=self._baseline is not None and response.response_id == self._baseline.response_id,
            version=response.instrument_version,
            status=response.status,
            answered_by=wording.who(response.answered_by),
            results=results if kind in ("scored", "gap") or was_planned else {},
        )

    def _result(self, response: Response, scale: Scale) -> Result:
        subscale = _SUBSCALES[scale]
        scored = subscale_score(response, subscale)
        score = scored.score if scored else None
        change = self._change(response, scale)
        held = self._held.get((response.response_id, scale))
        return Result(
            score=score,
            items=len(subscale.items),
            answered=scored.answered if scored else None,
            change=change,
            verdict=verdict(change, THRESHOLDS[scale]) if change is not None else self._no_change(response, score),
            reason="" if score is not None else wording.reason(response.reason or "too few answers"),
            ledger=progress.said(held) if held else self._of_document(response.response_id),
            ehr=found.said(held, self._sources.ehr, self.found, score),
        )

    def _of_document(self, response_id: str) -> Said:
        document = self._held.get((response_id, "document"))
        if document is None:
            return progress.NOT_PLANNED
        said = progress.said(document)
        return Said(words=f"in a document: {said.words}", tone=said.tone)

    def _change(self, response: Response, scale: Scale) -> Fraction | None:
        """Return the change from baseline of a later response of the same version."""
        before = self._baseline
        if before is None or before.response_id == response.response_id or not _is_after(response, before):
            return None
        first, second = (subscale_score(one, _SUBSCALES[scale]) for one in (before, response))
        if not first or not second or first.score is None or second.score is None:
            return None
        same = before.instrument_version == response.instrument_version
        return second.score - first.score if same else None

    def _no_change(self, response: Response, score: Fraction | None) -> str:
        """Say why a response has no change from baseline."""
        before = self._baseline
        if before is None:
            return "no baseline"
        if before.response_id != response.response_id and not _is_after(response, before):
            return "before the baseline"
        if score is not None and before.instrument_version != response.instrument_version:
            return "another version than the baseline’s"
        return ""

    def _from_ledger(self, response_id: str) -> Line | None:
        """Return a response that only the ledger still knows, as far as its outcomes say it."""
        held = {scale: one for scale in SCALES if (one := self._held.get((response_id, scale)))}
        if not held:
            return None
        results = {scale: self._planned(one, scale) for scale, one in held.items()}
        authored = _effective(next(iter(held.values())))
        is_withdrawn = all(one.entry.is_withdrawn for one in held.values())
        has_score = any(one.score is not None for one in results.values())
        return Line(
            response_id=response_id,
            day=_day(authored),
            authored=authored,
            kind="withdrawn" if is_withdrawn else "scored" if has_score else "gap",
            reason="" if has_score and not is_withdrawn else "withdrawn" if is_withdrawn else "no score",
            is_held=False,
            results=results,
        )

    def _planned(self, held: Held, scale: Scale) -> Result:
        value = found.value_of(held.entry.resource()) if held.entry.resource_type == "Observation" else None
        score = Fraction(value) if value is not None and not held.entry.is_withdrawn else None
        return Result(
            score=score,
            items=len(_SUBSCALES[scale].items),
            answered=None,
            reason="" if score is not None else "the ledger holds no score",
            ledger=progress.said(held),
            ehr=found.said(held, self._sources.ehr, self.found, score),
        )


def _current(one: Held | None, other: Held) -> Held:
    """Return which of two entries of one kind counts: what is not withdrawn, else what was planned last."""
    if one is None:
        return other
    return max(one, other, key=lambda held: (not held.entry.is_withdrawn, held.planned_at, held.entry.key))


def _kind(response: Response, results: Iterable[Result]) -> Kind:
    if response.status == "entered-in-error":
        return "withdrawn"
    if any(one.score is not None for one in results):
        return "scored"
    return "gap" if response.has_outcome and response.moment else "unusable"


def _why(response: Response) -> str:
    if response.status == "entered-in-error":
        return "entered in error"
    if response.reason == "status":
        return f"its status is {response.status or 'missing'}"
    return wording.reason(response.reason)


def _is_after(response: Response, before: Response) -> bool:
    if response.moment is None or before.moment is None:
        return False
    if response.moment.day != before.moment.day:
        return response.moment.day > before.moment.day
    ours, theirs = response.moment.instant, before.moment.instant
    return ours is not None and theirs is not None and ours > theirs


def _effective(held: Held) -> str:
    text = held.entry.resource().get("effectiveDateTime")
    return text if isinstance(text, str) else ""


def _day(text: str) -> date | None:
    try:
        moment = read_moment(text or None)
    except NotADateTimeError:
        return None
    return moment.day if moment else None
