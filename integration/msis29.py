"""Score the Multiple Sclerosis Impact Scale (MSIS-29), versions 1 and 2.

Items 1-20 are the physical subscale, items 21-29 the psychological one (Hobart et al. 2001,
doi:10.1093/brain/124.5.962). Version 1 has answers 1-5, version 2 answers 1-4. Higher is worse. There is no total of 29
items: both Rasch work (Ramp et al. 2009, PMC2706812) and the UK MS Register (Jones et al. 2013,
doi:10.1371/journal.pone.0055422) keep two scales.

No wording of the questionnaire is here or anywhere in this project: it is under copyright, and scoring needs numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

Version = Literal["1", "2"]
Reason = Literal["answer out of range", "several answers", "answer not understood", "too few answers"]

HIGHEST_ANSWER: Final[Mapping[Version, int]] = {"1": 5, "2": 4}
LOWEST_ANSWER: Final = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscale:
    """One of the two subscales.

    Attributes:
        name: `physical` or `psychological`.
        items: the item numbers that belong to it.
    """

    name: str
    items: range


PHYSICAL: Final = Subscale(name="physical", items=range(1, 21))
PSYCHOLOGICAL: Final = Subscale(name="psychological", items=range(21, 30))
SUBSCALES: Final = (PHYSICAL, PSYCHOLOGICAL)
ITEMS: Final = range(1, 30)


@dataclass(frozen=True, kw_only=True, slots=True)
class SubscaleScore:
    """What the answers to one subscale's items come to.

    Attributes:
        items: how many items the subscale has (20 or 9).
        answered: how many of them were answered.
        raw: the sum of the answered items, an integer, nothing imputed.
        highest_answer: 5 in version 1, 4 in version 2.
        is_scored: whether enough items were answered.
    """

    items: int
    answered: int
    raw: int
    highest_answer: int
    is_scored: bool

    @property
    def imputed(self) -> int:
        """How many missing items took the person's mean; 0 where there is no score."""
        return self.items - self.answered if self.is_scored else 0

    @property
    def imputed_sum(self) -> Fraction | None:
        """The raw sum with each missing item at the person's mean of the answered ones, exact; None without a score."""
        return Fraction(self.raw * self.items, self.answered) if self.is_scored else None

    @property
    def score(self) -> Fraction | None:
        """The score, 0 (best) to 100 (worst), exact; None without a score.

        `100 x (raw - n) / (n x (highest - 1))` over the n answered items, which is `100 x (S - min) / (max - min)` of
        the imputed sum S. The linear transformation reproduces the UK MS Register's printed pair 60.5 -> 50.6
        (doi:10.1371/journal.pone.0055422).
        """
        if not self.is_scored:
            return None
        return Fraction(100 * (self.raw - self.answered), self.answered * (self.highest_answer - LOWEST_ANSWER))


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Both subscales of one response, or the reason why it has none.

    Attributes:
        physical: items 1-20; None if the answers as a whole could not be used.
        psychological: items 21-29; likewise.
        reason: empty if at least one subscale has a score.
    """

    physical: SubscaleScore | None
    psychological: SubscaleScore | None
    reason: Reason | Literal[""]

    @property
    def is_scorable(self) -> bool:
        """Whether at least one subscale has a score."""
        return not self.reason


@dataclass(frozen=True, kw_only=True, slots=True)
class MissingItemRule:
    """How many items must be answered for a score; the rest take the person's mean.

    Attributes:
        physical: of 20 items.
        psychological: of 9 items.
    """

    physical: int
    psychological: int

    def minimum(self, subscale: Subscale) -> int:
        """Return how many items of the subscale must be answered."""
        return self.physical if subscale is PHYSICAL else self.psychological


HALF_OF_THE_ITEMS: Final = MissingItemRule(physical=10, psychological=5)

Answers = Mapping[int, Sequence[int | None]]
"""Item number (1-29) to the answers given to it; None is one that was not understood. Unanswered items are absent."""


def score(answers: Answers, version: Version, rule: MissingItemRule = HALF_OF_THE_ITEMS) -> Score:
    """Score one response.

    A response with an answer outside its version's range, two answers to one item, or an answer that is not understood
    is not scored at all: any of them says that the form is not the one we think it is.

    >>> half_way = {item: [3] for item in ITEMS}
    >>> score(half_way, "1").physical.score
    Fraction(50, 1)
    """
    reason = _unusable(answers, HIGHEST_ANSWER[version])
    if reason:
        return Score(physical=None, psychological=None, reason=reason)
    physical, psychological = (_subscale_score(answers, subscale, version, rule) for subscale in SUBSCALES)
    too_few = not (physical.is_scored or psychological.is_scored)
    return Score(physical=physical, psychological=psychological, reason="too few answers" if too_few else "")


def _unusable(answers: Answers, highest: int) -> Reason | Literal[""]:
    given = [answer for item_answers in answers.values() for answer in item_answers]
    if any(answer is not None and not LOWEST_ANSWER <= answer <= highest for answer in given):
        return "answer out of range"
    if any(len(item_answers) > 1 for item_answers in answers.values()):
        return "several answers"
    return "answer not understood" if None in given else ""


def _subscale_score(answers: Answers, subscale: Subscale, version: Version, rule: MissingItemRule) -> SubscaleScore:
    values = [answer for item in subscale.items for answer in answers.get(item, ()) if answer is not None]
    return SubscaleScore(
        items=len(subscale.items),
        answered=len(values),
        raw=sum(values),
        highest_answer=HIGHEST_ANSWER[version],
        is_scored=len(values) >= max(1, rule.minimum(subscale)),
    )
