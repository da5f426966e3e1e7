"""The study's questions, all of them, in the order of the abstract."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from integration.statistics import change, figures, improvement, procedures, safety, subgroups, summaries, survival
from integration.statistics.plan import AnalysisPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysis:
    """Everything that a report shows of one cohort.

    Attributes:
        statistics: the rows of `statistics.csv`, see `analyse`.
        scores: see `summaries.scores`.
        baseline: see `summaries.baseline`.
        retreatment: see `survival.kaplan_meier`.
    """

    statistics: pd.DataFrame
    scores: pd.DataFrame
    baseline: pd.DataFrame
    retreatment: pd.DataFrame


def analyse(cohort: pd.DataFrame, adverse_events: pd.DataFrame, plan: AnalysisPlan) -> pd.DataFrame:
    """Return one row a figure, as the columns of `statistics.csv` say.

    Args:
        cohort: one row a patient, columns as in `cohort_frame`.
        adverse_events: one row a counted event: `patient_id`, `seriousness`, `session_date`; others may be in it.
        plan: what to compute.

    Returns:
        Columns `figures.COLUMNS`; a figure that the data do not determine has its `n` and no value. The rows do not
        depend on the data, save the upper bounds of events that did not happen.
    """
    return figures.frame(
        [
            *improvement.figures(cohort, plan),
            *change.figures(cohort, plan),
            *subgroups.figures(cohort, plan),
            *procedures.figures(cohort, plan),
            *safety.figures(cohort, adverse_events, plan),
        ]
    )


def describe(cohort: pd.DataFrame, adverse_events: pd.DataFrame, plan: AnalysisPlan) -> Analysis:
    """Return the figures together with the frames that a report plots and tabulates."""
    return Analysis(
        statistics=analyse(cohort, adverse_events, plan),
        scores=summaries.scores(cohort, plan),
        baseline=summaries.baseline(cohort, plan),
        retreatment=survival.kaplan_meier(cohort, plan.confidence),
    )
