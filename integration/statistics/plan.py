"""What a study wants computed: the part of `study.toml` that the statistics need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

ANY_DECREASE: Final = "any_decrease"
RELIABLE: Final = "reliable"


def _default_responders() -> dict[str, tuple[str, ...]]:
    return {
        "physical": (ANY_DECREASE, "7", "7.5", "8", "10", RELIABLE),
        "psychological": (ANY_DECREASE, "6", "10", RELIABLE),
    }


def _default_test_retest() -> dict[str, float]:
    return {"physical": 0.94, "psychological": 0.87}


@dataclass(frozen=True, kw_only=True, slots=True)
class AnalysisPlan:
    """What to compute. Every default is one of the default study; a study's own values come out of its `study.toml`.

    Attributes:
        visits: names of the follow-up visits in order of time; the baseline is always called `baseline`.
        scales: the subscales, each with columns of its own in the cohort frame.
        responders: scale to its definitions of a responder, in the order of the panel: `any_decrease` (change < 0), a
            number of points t written as a decimal (change <= -t), or `reliable` (Jacobson-Truax).
        test_retest: scale to the test-retest correlation r of the reliable change. The defaults are the figures
            remembered from Hobart et al. 2001 (doi:10.1093/brain/124.5.962) and were not verified in the paper.
        confidence: of every interval, 0-1.
        adverse_event_days: days after a session in which an event counted; said in the methods, filters nothing.
    """

    visits: tuple[str, ...] = ("month_1", "month_6")
    scales: tuple[str, ...] = ("physical", "psychological")
    responders: Mapping[str, tuple[str, ...]] = field(default_factory=_default_responders)
    test_retest: Mapping[str, float] = field(default_factory=_default_test_retest)
    confidence: float = 0.95
    adverse_event_days: int = 30

    @property
    def last_visit(self) -> str:
        """The follow-up visit whose seen patients are the second denominator of retreatment and stents."""
        return self.visits[-1]
