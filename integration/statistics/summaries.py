"""What the cohort looks like: distributions of scores and the baseline table. No tests, no intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd

from integration.statistics.cohort_frame import floats, in_group, is_present, is_seen, is_true
from integration.statistics.differences import BASELINE
from integration.statistics.estimate import BoolArray, FloatArray
from integration.statistics.plan import AnalysisPlan

DISTRIBUTION: Final = ("n", "mean", "sd", "median", "q1", "q3", "min", "max")
_LEVELS: Final = {
    "sex": ("female", "male", "other", "unknown"),
    "ms_type": ("RRMS", "SPMS", "PPMS", "unspecified"),
}
_TRUTHS: Final = ("stent", "imaging_before", "retreated")


def distribution(sample: FloatArray) -> dict[str, float]:
    """Return n, mean, sd, median, q1, q3, min, max of the numbers that are not NaN.

    Quartiles interpolate linearly (R's type 7, its default); sd has n - 1. What the sample does not determine is NaN.

    >>> distribution(np.array([1.0, 2.0, 3.0, np.nan]))["sd"]
    1.0
    """
    present = sample[~np.isnan(sample)]
    if not len(present):
        return {"n": 0, **dict.fromkeys(DISTRIBUTION[1:], np.nan)}
    q1, median, q3 = np.quantile(present, (0.25, 0.5, 0.75))
    return {
        "n": len(present),
        "mean": float(present.mean()),
        "sd": float(present.std(ddof=1)) if len(present) > 1 else np.nan,
        "median": float(median),
        "q1": float(q1),
        "q3": float(q3),
        "min": float(present.min()),
        "max": float(present.max()),
    }


def scores(cohort: pd.DataFrame, plan: AnalysisPlan) -> pd.DataFrame:
    """Return how scores and changes are distributed at each visit.

    Args:
        cohort: one row a patient, columns as in `cohort_frame`.
        plan: scales and visits.

    Returns:
        One row a scale, visit (the baseline too) and measure: `scale`, `visit`, `measure` (`score` or `change`,
        points of 0-100, change = visit minus baseline), and the columns of `DISTRIBUTION`, n Int64, the others
        float64.
    """
    rows = []
    for scale in plan.scales:
        for visit in (BASELINE, *plan.visits):
            columns = {"score": f"{scale}_{visit}", "change": f"{scale}_change_{visit}"}
            for measure in ("score",) if visit == BASELINE else ("score", "change"):
                numbers = distribution(floats(cohort[columns[measure]]))
                rows.append({"scale": scale, "visit": visit, "measure": measure, **numbers})
    return pd.DataFrame(rows, columns=["scale", "visit", "measure", *DISTRIBUTION]).astype({"n": "Int64"})


def baseline(cohort: pd.DataFrame, plan: AnalysisPlan) -> pd.DataFrame:
    """Return the baseline table: everybody, and those seen and not seen at the last visit beside each other.

    Args:
        cohort: one row a patient, columns as in `cohort_frame`.
        plan: scales and visits.

    Returns:
        One row a characteristic, level and group: `characteristic`, `level` (of a category, else empty), `group`
        (`all`, `seen`, `not_seen`), `n` and `denominator` Int64, `share` float 0-1 for categories; `n` and the rest
        of `DISTRIBUTION` for measured ones. Missing values have a level `missing`, and are not in a measured one's n.
    """
    seen = is_seen(cohort, plan.last_visit)
    everybody = np.ones(len(cohort), dtype=np.bool_)
    rows = []
    for group, who in (("all", everybody), ("seen", seen), ("not_seen", ~seen)):
        rows += [{"group": group, **row} for row in _categories(cohort, who)]
        rows += [{"group": group, **row} for row in _measured(cohort, who, plan)]
    columns = ["characteristic", "level", "group", "n", "denominator", "share", *DISTRIBUTION[1:]]
    return pd.DataFrame(rows, columns=columns).astype({"n": "Int64", "denominator": "Int64"})


def _categories(cohort: pd.DataFrame, who: BoolArray) -> Iterator[dict[str, object]]:
    for column, levels in _LEVELS.items():
        for level in levels:
            yield _share_row(column, level, in_group(cohort[column], level), who)
        yield _share_row(column, "missing", ~is_present(cohort[column]), who)
    sites = floats(cohort["vein_sites"])
    for level, has_level in (("1", sites == 1), ("2", sites == 2), ("3+", sites >= 3)):
        yield _share_row("vein_sites", level, has_level, who)
    yield _share_row("vein_sites", "missing", ~(sites >= 1), who)
    for column in _TRUTHS:
        yield _share_row(column, "", is_true(cohort[column]), who)


def _share_row(characteristic: str, level: str, has_level: BoolArray, who: BoolArray) -> dict[str, object]:
    n, denominator = int((has_level & who).sum()), int(who.sum())
    share = n / denominator if denominator else np.nan
    return {"characteristic": characteristic, "level": level, "n": n, "denominator": denominator, "share": share}


def _measured(cohort: pd.DataFrame, who: BoolArray, plan: AnalysisPlan) -> Iterator[dict[str, object]]:
    for column in ("age_at_procedure", *(f"{scale}_{BASELINE}" for scale in plan.scales)):
        numbers = distribution(floats(cohort[column])[who])
        yield {"characteristic": column, "level": "", "denominator": int(who.sum()), **numbers}
