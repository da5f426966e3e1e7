"""Time to retreatment by Kaplan and Meier."""

from __future__ import annotations

import numpy as np
import pandas as pd
from lifelines import KaplanMeierFitter  # type: ignore[import-untyped]  # ships no types

from integration.statistics.cohort_frame import floats, is_true
from integration.statistics.estimate import Estimate


def kaplan_meier(cohort: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Return the product-limit estimate of remaining without retreatment (doi:10.1080/01621459.1958.10501452).

    A patient is an event at `retreatment_days`, or censored at `last_contact_days`, the last scorable response or
    session; one without either time is left out. Interval of log(-log S) with Greenwood's variance. The same in R:
    `survfit(Surv(days, retreated) ~ 1, conf.type = "log-log")`.

    Args:
        cohort: one row a patient; reads `retreated`, `retreatment_days`, `last_contact_days`.
        confidence: of the interval, 0-1, at each time by itself.

    Returns:
        One row a distinct time, first row day 0: `days` float, `at_risk`, `events`, `censored` int, `survival`,
        `ci_low`, `ci_high` float 0-1. The interval is NaN where survival is 0 or 1, as in R, since it is not defined
        there. At risk is who was followed to that day or longer. No rows without patients.
    """
    event = is_true(cohort["retreated"])
    days = np.where(event, floats(cohort["retreatment_days"]), floats(cohort["last_contact_days"]))
    known = ~np.isnan(days)
    if not known.any():
        return pd.DataFrame({name: np.empty(0, dtype=kind) for name, kind in _COLUMNS.items()})
    fitter = KaplanMeierFitter(alpha=1 - confidence).fit(days[known], event[known])
    survival = fitter.survival_function_.iloc[:, 0].to_numpy()
    defined = (survival > 0) & (survival < 1)
    interval = fitter.confidence_interval_.to_numpy()
    table = fitter.event_table
    return pd.DataFrame(
        {
            "days": table.index.to_numpy(dtype=np.float64),
            "at_risk": table["at_risk"].to_numpy(),
            "events": table["observed"].to_numpy(),
            "censored": table["censored"].to_numpy(),
            "survival": survival,
            "ci_low": np.where(defined, interval[:, 0], np.nan),
            "ci_high": np.where(defined, interval[:, 1], np.nan),
        }
    ).astype(_COLUMNS)


def cumulative_by(curve: pd.DataFrame, day: int) -> Estimate:
    """Return the share retreated by a day: 1 - S, with its interval turned round; n is the number at risk on that day.

    Args:
        curve: as `kaplan_meier` returns it.
        day: days from the index procedure.

    Returns:
        Nothing (n = 0) beyond the last day anybody was followed.
    """
    later = curve.loc[curve["days"] >= day]
    if later.empty:
        return Estimate()
    now = curve.loc[curve["days"] <= day].iloc[-1]
    return Estimate(
        value=1 - float(now["survival"]),
        ci_low=1 - float(now["ci_high"]),
        ci_high=1 - float(now["ci_low"]),
        n=int(later.iloc[0]["at_risk"]),
    )


_COLUMNS = {
    "days": np.float64,
    "at_risk": np.int64,
    "events": np.int64,
    "censored": np.int64,
    "survival": np.float64,
    "ci_low": np.float64,
    "ci_high": np.float64,
}
