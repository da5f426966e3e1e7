"""How numbers are printed."""

from __future__ import annotations

import math

import pytest

from integration.report import formats

NBSP = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("numerator", "denominator", "printed"),
    [
        (159, 234, "67.9"),  # the six percentages of the abstract, under one reading of their denominators
        (124, 234, "53.0"),
        (128, 239, "53.6"),
        (106, 239, "44.4"),
        (15, 239, "6.3"),
        (6, 239, "2.5"),
        (15, 240, "6.3"),  # exactly 6.25: half up, not to even
        (1, 1, "100.0"),
        (0, 259, "0.0"),
    ],
)
def test_percentages_are_rounded_half_up(numerator: int, denominator: int, printed: str) -> None:
    assert formats.percent(numerator / denominator) == f"{printed}{NBSP}%"


@pytest.mark.parametrize(
    ("low", "high", "places", "printed"),
    [
        (9.775e-05, 0.02132, 1, "0.01 to 2.13"),  # 1 of 259, Clopper-Pearson
        (9.775e-05, 0.02132, 2, "0.01 to 2.13"),
        (0.0, 0.01414, 1, "0.0 to 1.4"),  # nobody of 259
        (0.0328, 0.0937, 1, "3.3 to 9.4"),
    ],
)
def test_a_lower_limit_above_zero_is_never_printed_as_zero(low: float, high: float, places: int, printed: str) -> None:
    assert formats.percent_interval(low, high, places) == f"{printed}{NBSP}%"


def test_a_rare_event_among_many_is_not_printed_as_none() -> None:
    assert formats.percent(1 / 24_000) == f"0.004{NBSP}%"


@pytest.mark.parametrize(
    ("value", "printed"),
    [(0.00099, "< .001"), (0.001, ".001"), (0.0124, ".012"), (0.0499, ".050"), (0.3, ".30"), (0.995, "> .99")],
)
def test_p_values_are_printed_as_journals_do(value: float, printed: str) -> None:
    assert formats.p_value(value) == printed


def test_a_p_value_reads_as_part_of_a_sentence() -> None:
    assert [formats.p_equals(value) for value in (0.0001, 0.012, None)] == ["P < .001", "P = .012", "P not estimated"]


def test_what_is_missing_is_called_not_estimated() -> None:
    nothing = math.nan

    printed = (
        formats.decimal(nothing), formats.percent(None), formats.p_value(nothing), formats.count(None),
        formats.interval(1.0, nothing), formats.percent_interval(None, 0.5), formats.part(None, 3),
    )  # fmt: skip

    assert set(printed) == {"not estimated"}


def test_limits_below_zero_have_a_real_minus_sign_and_no_dash_between() -> None:
    assert formats.interval(-3.75, -1.2) == "\N{MINUS SIGN}3.8 to \N{MINUS SIGN}1.2"


def test_nothing_is_minus_zero() -> None:
    assert formats.decimal(-0.04) == "0.0"


def test_a_share_of_nobody_has_no_percentage() -> None:
    assert formats.part_percent(0, 0) == "0/0"


def test_one_is_singular() -> None:
    assert (formats.plural(1, "event"), formats.plural(2, "event")) == ("1 event", "2 events")
