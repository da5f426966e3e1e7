"""Kaplan-Meier against R's survival package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from integration.statistics import kaplan_meier
from integration.statistics.survival import cumulative_by

# survival::aml, the maintained arm: weeks, and whether the remission ended.
WEEKS = [9, 13, 13, 18, 23, 28, 31, 34, 45, 48, 161]
ENDED = [True, True, False, True, True, False, True, True, False, True, False]


def frame(days: list[float], event: list[bool]) -> pd.DataFrame:
    times = pd.Series(days, dtype="float64")
    happened = pd.Series(event, dtype="bool")
    return pd.DataFrame(
        {
            "retreated": happened,
            "retreatment_days": times.where(happened),
            "last_contact_days": times.mask(happened),
        }
    )


def test_leukaemia_remission_is_what_r_says(r_examples: dict[str, dict[str, float]]) -> None:
    curve = kaplan_meier(frame(WEEKS, ENDED)).set_index("days")

    expected = r_examples["aml"]
    assert curve.loc[13, "survival"] == pytest.approx(0.8181818, abs=1e-7)
    assert curve.loc[13, ["survival", "ci_low", "ci_high", "at_risk"]].tolist() == pytest.approx(
        [expected["s_13"], expected["low_13"], expected["high_13"], expected["risk_13"]]
    )
    assert curve.loc[48, "survival"] == pytest.approx(expected["s_48"])
    assert curve.index[curve["survival"] <= 0.5][0] == expected["median"] == 31


def test_a_day_between_two_times_has_the_estimate_of_the_earlier(r_examples: dict[str, dict[str, float]]) -> None:
    by_then = cumulative_by(kaplan_meier(frame(WEEKS, ENDED)), 30)

    expected = r_examples["aml"]
    assert by_then.value == pytest.approx(1 - expected["s_30"])
    assert (by_then.ci_low, by_then.ci_high) == pytest.approx((1 - expected["high_30"], 1 - expected["low_30"]))
    assert by_then.n == 5


def test_the_whole_curve_of_the_study_is_what_r_says(cohort: pd.DataFrame, oracles: Path) -> None:
    expected = pd.read_csv(oracles / "statistics_kaplan_meier.csv")

    pd.testing.assert_frame_equal(kaplan_meier(cohort), expected, check_dtype=False, rtol=1e-9)


def test_everybody_leaves_as_event_or_censored(cohort: pd.DataFrame) -> None:
    curve = kaplan_meier(cohort)

    assert curve["events"].sum() + curve["censored"].sum() == curve["at_risk"].iloc[0] == 240
    left = curve["events"] + curve["censored"]
    assert (curve["at_risk"].diff().dropna() == -left.iloc[:-1].to_numpy()).all()


def test_nothing_is_said_beyond_the_last_day() -> None:
    curve = kaplan_meier(frame([10, 20], [True, False]))

    assert cumulative_by(curve, 20).n == 1
    assert cumulative_by(curve, 21).n == 0
    assert np.isnan(cumulative_by(curve, 21).value)


def test_no_event_has_no_interval() -> None:
    curve = kaplan_meier(frame([10, 20], [False, False]))

    assert (curve["survival"] == 1).all()
    assert curve[["ci_low", "ci_high"]].isna().all(axis=None)


def test_nobody_has_no_curve() -> None:
    curve = kaplan_meier(frame([], []))

    assert curve.empty
    assert list(curve.columns) == ["days", "at_risk", "events", "censored", "survival", "ci_low", "ci_high"]
    assert cumulative_by(curve, 30).n == 0
