"""Looking up rows of the statistics."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from integration.evidence import Selector
from integration.report.results import Results


def _row(**cells: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("analysis", "scale", "visit", "group", "responder", "category", "statistic", "method"), "")
    numbers = dict.fromkeys(("value", "ci_low", "ci_high", "numerator", "denominator", "n", "p_value", "p_adjusted"))
    return {**empty, **numbers, "denominator_kind": "", **cells}


def _results(*rows: dict[str, Any]) -> Results:
    return Results(pd.DataFrame(list(rows)))


def test_a_rate_is_found_by_its_denominator() -> None:
    results = _results(
        _row(analysis="stent", statistic="rate", denominator_kind="cohort", value=0.1),
        _row(analysis="stent", statistic="rate", denominator_kind="seen", value=0.2),
    )

    rates = [results.rate("stent", kind) for kind in ("cohort", "seen", "with_change")]

    assert [rate.value if rate else None for rate in rates] == [0.1, 0.2, None]


@pytest.mark.parametrize("empty", ["", None, float("nan"), pd.NA])
def test_an_empty_cell_is_none_however_it_is_held(empty: object) -> None:
    found = _results(_row(analysis="a", statistic="s", value=1.0, n=empty, p_value=empty, method=empty)).one("a", "s")

    assert found is not None
    assert (found.n, found.p_value, found.method) == (None, None, "")


def test_a_selector_without_denominator_finds_the_first_of_any_kind() -> None:
    results = _results(
        _row(analysis="change", statistic="srm", denominator_kind="with_change", value=1.0),
        _row(analysis="change", statistic="srm", denominator_kind="seen", value=2.0),
    )

    found = results.find(Selector(analysis="change", statistic="srm"))

    assert found is not None
    assert found.value == 1.0


def test_the_questions_are_the_scales_and_visits_of_the_change() -> None:
    results = _results(
        _row(analysis="improvement_rate", scale="physical", visit="week_2"),
        _row(analysis="change", scale="physical", visit="month_3"),
        _row(analysis="change", scale="psychological", visit="month_3"),
    )

    assert results.questions() == (("physical", "month_3"), ("psychological", "month_3"))


def test_reliable_change_without_a_limit_counts_nobody() -> None:
    rate = _row(analysis="improvement_rate", scale="physical", responder="reliable", statistic="rate", value=0.0)
    limit = {"analysis": "improvement_rate", "scale": "physical", "responder": "reliable"}
    defined = _row(**limit, statistic="reliable_change_limit", value=13.8)
    undefined = _row(**limit, statistic="reliable_change_limit")

    assert len(list(_results(rate, defined))) == 2
    assert list(_results(rate, undefined)) == []
