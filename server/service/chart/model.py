"""What the chart page shows of one patient: values only, nothing here reads or draws."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal

Scale = Literal["physical", "psychological"]
Tone = Literal["good", "plain", "warn", "alarm"]
Kind = Literal["scored", "gap", "withdrawn", "unusable"]
"""What a response gives: at least one score; a date without a score; nothing, for it was entered in error; nothing."""

SCALES: Final[tuple[Scale, ...]] = ("physical", "psychological")
LABELS: Final[dict[Scale, str]] = {"physical": "Physical", "psychological": "Psychological"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A state in words, and how much it asks of the reader; the words say it all, the tone only colours them."""

    words: str
    tone: Tone = "plain"


@dataclass(frozen=True, kw_only=True, slots=True)
class Threshold:
    """How many points of change a published source calls meaningful.

    Attributes:
        scale: of which subscale.
        points: of the 0-100 score, in either direction from baseline.
        source: citation.
        url: where it can be read.
        remark: what the same source says against reading too much into it, empty if nothing.
    """

    scale: Scale
    points: int
    source: str
    url: str
    remark: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A treatment session.

    Attributes:
        day: its date.
        days: from the index session, which has 0.
        number: 0 for the index session, then 1, 2, ... for retreatments.
        veins: how many distinct veins were treated.
        has_stent: whether a venous stent was placed.
    """

    day: date
    days: int
    number: int
    veins: int
    has_stent: bool

    @property
    def label(self) -> str:
        """Name it in the picture."""
        return f"Retreatment {self.number}" if self.number else "Procedure"

    @property
    def short_label(self) -> str:
        """Name it where there is no room for more."""
        return f"R{self.number}" if self.number else "P"


def is_future(day: date, today: date) -> bool:
    """Whether a date is later than tomorrow: it may be tomorrow already where it was written."""
    return (day - today).days > 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """A study visit's window around the index session.

    Attributes:
        name: of the visit in study.toml.
        label: in words.
        first: first day in.
        last: last day in.
        response_id: the response that counts for it; empty if none does.
        is_over: whether the last day is past.
    """

    name: str
    label: str
    first: date
    last: date
    response_id: str
    is_over: bool

    @property
    def is_missed(self) -> bool:
        """Whether it is over and nothing was answered in it that counts."""
        return self.is_over and not self.response_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One subscale of one response.

    Attributes:
        score: 0 (best) to 100 (worst), exact; None without a score.
        items: of the subscale.
        answered: how many were answered; None if that is not known here.
        change: from baseline, exact; None if it has none.
        verdict: what the change is by the threshold, in words; without a change, why there is none.
        reason: why there is no score; empty if there is one.
        ledger: what became of it on its way to the EHR.
        ehr: what the EHR holds of it.
    """

    score: Fraction | None
    items: int
    answered: int | None
    change: Fraction | None = None
    verdict: str = ""
    reason: str = ""
    ledger: Said
    ehr: Said

    @property
    def is_imputed(self) -> bool:
        """Whether unanswered items took the mean of the answered ones."""
        return self.score is not None and self.answered is not None and self.answered < self.items


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One response.

    Attributes:
        response_id: logical id.
        day: when it was answered; None if that is not known to the day.
        authored: as written.
        kind: what it gives.
        reason: why it gives nothing, in words; empty if it does.
        visit: label of the study visit that it counts for; empty if for none.
        is_baseline: whether changes are counted from it.
        version: of the instrument; empty if it is not known.
        status: of the QuestionnaireResponse; empty if it is not known.
        answered_by: in words, empty if it is not known.
        is_held: whether the response itself can be shown.
        results: by subscale; empty where nothing can be scored.
    """

    response_id: str
    day: date | None
    authored: str
    kind: Kind
    reason: str = ""
    visit: str = ""
    is_baseline: bool = False
    version: str = ""
    status: str = ""
    answered_by: str = ""
    is_held: bool = True
    results: dict[Scale, Result] = field(default_factory=dict)

    @property
    def is_dated(self) -> bool:
        """Whether it gives a score, or a gap, at a date."""
        return self.day is not None and self.kind in ("scored", "gap")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stranger:
    """A score in the EHR that has this software's code and is not known to the ledger."""

    ehr_id: str
    scale: Scale
    day: str
    value: Decimal | None
    status: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who the patient is, for a page that must say so itself.

    Attributes:
        name: as one text; empty if it is not known.
        birth_date: as written.
        sex: `Patient.gender`.
    """

    name: str
    birth_date: str
    sex: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """One patient's chart.

    Attributes:
        patient_id: logical id, after merging.
        identity: None where the EHR shows who it is.
        is_synthetic: whether the patient is labelled as test data.
        marks: treatment sessions, in order.
        windows: study visits, in order; none without a session.
        lines: responses in order of date, those without a date last.
        strangers: scores in the EHR that are not ours.
        thresholds: of each subscale.
        ehr_read_at: when the EHR was read; None if it was not.
        ehr_problem: why not, or what of it could not be read; empty if all was.
        today: when the page was made.
    """

    patient_id: str
    identity: Identity | None
    is_synthetic: bool
    marks: tuple[Mark, ...]
    windows: tuple[Window, ...]
    lines: tuple[Line, ...]
    strangers: tuple[Stranger, ...]
    thresholds: dict[Scale, Threshold]
    ehr_read_at: datetime | None
    ehr_problem: str
    today: date

    @property
    def baseline(self) -> Line | None:
        """The response that changes are counted from."""
        return next((line for line in self.lines if line.is_baseline), None)

    @property
    def drawn(self) -> tuple[Line, ...]:
        """The responses that have a place in the picture: a score, or a gap at a date that has come."""
        return tuple(line for line in self.lines if line.is_dated and not self._is_future(line))

    @property
    def future(self) -> tuple[Line, ...]:
        """The responses that give a score or a gap, and are dated in the future."""
        return tuple(line for line in self.lines if line.is_dated and self._is_future(line))

    def _is_future(self, line: Line) -> bool:
        return line.day is not None and is_future(line.day, self.today)

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions of the instrument among what is drawn; scores of two of them cannot be compared."""
        return tuple(sorted({line.version for line in self.drawn if line.version}))

    @property
    def withdrawn(self) -> tuple[Line, ...]:
        """The responses that were entered in error."""
        return tuple(line for line in self.lines if line.kind == "withdrawn")

    @property
    def unusable(self) -> tuple[Line, ...]:
        """The responses that give no score and have no place in the picture."""
        return tuple(line for line in self.lines if line.kind == "unusable" or (line.kind == "gap" and not line.day))
