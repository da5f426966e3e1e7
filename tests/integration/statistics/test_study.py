"""Every figure of the synthetic study against R, and what happens when there is nothing to compute."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from integration.statistics import COLUMNS, AnalysisPlan, analyse, describe

KEY = ["analysis", "scale", "visit", "group", "responder", "category", "denominator_kind", "statistic"]
NUMBERS = ["value", "ci_low", "ci_high", "p_value", "p_adjusted"]
COUNTS = ["numerator", "denominator", "n"]


VERSIONS = dict.fromkeys(("baseline_version", "month_1_version", "month_6_version"), "str")


@pytest.fixture(scope="module")
def computed(oracles: Path) -> pd.DataFrame:
    cohort = pd.read_csv(oracles / "statistics_cohort.csv", dtype=VERSIONS)
    return analyse(cohort, pd.read_csv(oracles / "statistics_adverse_events.csv", dtype="str"), AnalysisPlan())


@pytest.fixture(scope="module")
def mixed_cohort(oracles: Path) -> pd.DataFrame:
    """240 patients of whom part answered version 2."""
    return pd.read_csv(oracles / "statistics_mixed_cohort.csv", dtype=VERSIONS)


@pytest.fixture(scope="module")
def mixed(mixed_cohort: pd.DataFrame, oracles: Path) -> pd.DataFrame:
    """Their change and the comparisons of groups."""
    events = pd.read_csv(oracles / "statistics_adverse_events.csv", dtype="str")
    found = analyse(mixed_cohort, events, AnalysisPlan())
    return found[found["analysis"].isin(("change", "sex", "ms_type", "vein_sites"))]


@pytest.fixture
def figures(computed: pd.DataFrame) -> pd.DataFrame:
    return computed.copy()


def what_r_wrote(file: Path) -> pd.DataFrame:
    table = pd.read_csv(file, dtype=dict.fromkeys(KEY, "str"))
    return table.fillna(dict.fromkeys(KEY, "")).astype(dict.fromkeys(COUNTS, "Int64"))


@pytest.fixture
def r_figures(oracles: Path) -> pd.DataFrame:
    return what_r_wrote(oracles / "statistics_study.csv")


def one(figures: pd.DataFrame, **wanted: str) -> pd.Series:
    rows = figures
    for column, value in wanted.items():
        rows = rows[rows[column] == value]
    assert len(rows) == 1, wanted
    return rows.iloc[0]


def test_r_has_exactly_the_same_figures(figures: pd.DataFrame, r_figures: pd.DataFrame) -> None:
    ours, rs = (set(table[KEY].itertuples(index=False, name=None)) for table in (figures, r_figures))

    assert ours == rs
    assert len(figures) == len(r_figures)


@pytest.mark.parametrize("number", NUMBERS)
def test_every_number_is_what_r_says(figures: pd.DataFrame, r_figures: pd.DataFrame, number: str) -> None:
    both = figures.merge(r_figures, on=KEY, suffixes=("", "_r"))

    np.testing.assert_allclose(both[number], both[f"{number}_r"], rtol=1e-8, atol=2e-9, equal_nan=True)


@pytest.mark.parametrize("count", COUNTS)
def test_every_count_is_what_r_says(figures: pd.DataFrame, r_figures: pd.DataFrame, count: str) -> None:
    both = figures.merge(r_figures, on=KEY, suffixes=("", "_r"))

    pd.testing.assert_series_equal(both[count], both[f"{count}_r"], check_names=False)


def test_columns_are_those_of_the_contract(figures: pd.DataFrame) -> None:
    assert tuple(figures.columns) == COLUMNS
    assert not figures[[*KEY, "method"]].isna().any(axis=None)
    assert (figures["method"] != "").all()


def test_no_two_figures_have_one_key(figures: pd.DataFrame) -> None:
    assert not figures.duplicated(KEY).any()


def test_a_rate_is_its_numerator_over_its_denominator(figures: pd.DataFrame) -> None:
    rates = figures[figures["statistic"].isin(("rate", "rate_per_session"))]

    np.testing.assert_allclose(rates["value"], rates["numerator"].astype(float) / rates["denominator"].astype(float))
    assert rates["ci_low"].le(rates["value"]).all()
    assert rates["ci_high"].ge(rates["value"]).all()


def test_improved_unchanged_and_worsened_are_everybody_with_a_change(figures: pd.DataFrame) -> None:
    rates = figures.query(
        "analysis == 'improvement_rate' and statistic == 'rate' and denominator_kind == 'with_change'"
    )
    panels = rates.groupby(["scale", "visit", "responder"])

    assert (panels["numerator"].sum() == panels["denominator"].first()).all()
    assert (panels.size() == 3).all()


def test_the_three_denominators_shrink(figures: pd.DataFrame) -> None:
    wanted = {"analysis": "improvement_rate", "scale": "physical", "visit": "month_6", "responder": "any_decrease"}
    sizes = [
        one(figures, **wanted, category="improved", statistic="rate", denominator_kind=kind)["denominator"]
        for kind in ("cohort", "seen", "with_change")
    ]

    assert sizes == [240, 212, 204]


def test_the_main_row_is_where_the_contract_says(figures: pd.DataFrame, cohort: pd.DataFrame) -> None:
    row = one(
        figures,
        analysis="improvement_rate",
        scale="psychological",
        visit="month_1",
        responder="any_decrease",
        category="improved",
        denominator_kind="with_change",
        group="",
        statistic="rate",
    )

    assert row["numerator"] == cohort["psychological_improved_month_1"].eq(True).sum()
    assert row["denominator"] == cohort["psychological_change_month_1"].notna().sum()


def test_only_the_wilcoxon_tests_and_pairs_of_types_are_adjusted(figures: pd.DataFrame) -> None:
    adjusted = figures[figures["p_adjusted"].notna()]

    assert set(adjusted["statistic"]) == {"wilcoxon_w", "mann_whitney_u", "model_difference"}
    assert len(adjusted) == 4 + 4 * 3 * 2
    assert (adjusted["p_adjusted"] >= adjusted["p_value"]).all()


def test_pandas_own_missing_values_give_the_same(
    figures: pd.DataFrame, cohort: pd.DataFrame, adverse_events: pd.DataFrame
) -> None:
    converted = analyse(cohort.convert_dtypes(), adverse_events.convert_dtypes(), AnalysisPlan())

    pd.testing.assert_frame_equal(converted, figures)


def test_none_and_empty_text_are_missing_too(
    figures: pd.DataFrame, cohort: pd.DataFrame, adverse_events: pd.DataFrame
) -> None:
    texts = [
        "sex",
        "ms_type",
        *(f"{visit}_{part}" for visit in ("baseline", "month_1", "month_6") for part in ("date",)),
    ]
    cohort[texts] = cohort[texts].fillna("")
    objects = cohort.astype(object).where(cohort.notna(), None)

    pd.testing.assert_frame_equal(analyse(objects, adverse_events.fillna(""), AnalysisPlan()), figures)


def test_the_order_of_patients_does_not_matter(
    figures: pd.DataFrame, cohort: pd.DataFrame, adverse_events: pd.DataFrame
) -> None:
    shuffled = analyse(cohort.sample(frac=1, random_state=3), adverse_events, AnalysisPlan())

    pd.testing.assert_frame_equal(shuffled, figures, rtol=1e-9, atol=1e-12)


def test_the_frame_that_came_in_is_left_alone(cohort: pd.DataFrame, adverse_events: pd.DataFrame) -> None:
    before = cohort.copy(deep=True)

    describe(cohort, adverse_events, AnalysisPlan())

    pd.testing.assert_frame_equal(cohort, before)


def test_with_both_versions_r_has_the_same_figures_and_numbers(mixed: pd.DataFrame, oracles: Path) -> None:
    r_mixed = what_r_wrote(oracles / "statistics_mixed.csv")

    both = mixed.merge(r_mixed, on=KEY, how="outer", suffixes=("", "_r"), indicator=True, validate="one_to_one")

    assert (both["_merge"] == "both").all()
    for number in NUMBERS:
        np.testing.assert_allclose(both[number], both[f"{number}_r"], rtol=1e-8, atol=2e-9, equal_nan=True)
    for count in COUNTS:
        pd.testing.assert_series_equal(both[count], both[f"{count}_r"], check_names=False)


def signed_ranks(differences: list[Fraction]) -> float:
    """The sum of the ranks of rises, ties found in exact fractions."""
    exact = [value for value in differences if value]
    places = {size: rank for rank, size in enumerate(sorted({abs(value) for value in exact}))}
    ranks = stats.rankdata([places[abs(value)] for value in exact])
    return float(sum(rank for rank, value in zip(ranks, exact, strict=True) if value > 0))


@pytest.mark.parametrize("visit", ["month_1", "month_6"])
def test_with_both_versions_the_test_ranks_raw_sums_and_a_second_one_the_common_scale(
    mixed: pd.DataFrame, mixed_cohort: pd.DataFrame, visit: str
) -> None:
    changed = mixed_cohort[mixed_cohort[f"physical_sum_change_{visit}"].notna()]
    raw = [Fraction(value).limit_denominator(400) for value in changed[f"physical_sum_change_{visit}"]]
    spans = [20 * (4 if version == "1" else 3) for version in changed[f"{visit}_version"]]
    where = {"analysis": "change", "scale": "physical", "visit": visit}

    literal = one(mixed, statistic="wilcoxon_w", **where)
    common = one(mixed, statistic="wilcoxon_w_0_100", **where)

    assert literal["value"] == signed_ranks(raw)
    assert common["value"] == signed_ranks([value / span for value, span in zip(raw, spans, strict=True)])
    assert literal["value"] != common["value"]
    assert "1.25 (version 1) or 1.667 (version 2) points of 0-100" in literal["method"]
    assert pd.isna(common["p_adjusted"])


def test_one_version_needs_no_test_on_the_common_scale(figures: pd.DataFrame) -> None:
    assert "wilcoxon_w_0_100" not in set(figures["statistic"])
    assert not figures["method"].str.contains("pooled").any()


def test_only_four_primary_tests_are_adjusted_with_both_versions_too(mixed: pd.DataFrame) -> None:
    of_change = mixed[mixed["analysis"] == "change"]

    assert set(of_change.loc[of_change["p_adjusted"].notna(), "statistic"]) == {"wilcoxon_w"}
    assert of_change["p_adjusted"].notna().sum() == 4


def test_all_differences_pull_the_estimate_towards_zero(figures: pd.DataFrame) -> None:
    of = {"analysis": "change", "scale": "physical", "visit": "month_1"}
    r, everybody = (one(figures, statistic=f"hodges_lehmann{suffix}_0_100", **of) for suffix in ("", "_all"))

    assert (r["n"], everybody["n"]) == (132, 213)
    assert abs(everybody["value"]) < abs(r["value"])
    assert "non-zero differences only" in r["method"]
    assert "zeros kept" in everybody["method"]


def test_unrounded_sums_and_sums_of_nine_decimals_have_the_same_ties(
    figures: pd.DataFrame, cohort: pd.DataFrame, adverse_events: pd.DataFrame
) -> None:
    sums = [name for name in cohort.columns if "_sum_" in name]

    rounded = analyse(cohort.assign(**cohort[sums].round(9)), adverse_events, AnalysisPlan())

    assert (cohort[sums].round(9) != cohort[sums]).any(axis=None)
    pd.testing.assert_frame_equal(rounded, figures)


def test_what_counts_sessions_names_no_patients(figures: pd.DataFrame, cohort: pd.DataFrame) -> None:
    of_sessions = figures[figures["statistic"] == "rate_per_session"]

    assert set(of_sessions["denominator_kind"]) == {""}
    assert set(of_sessions["denominator"]) == set(of_sessions["n"]) == {cohort["sessions"].sum()}
    assert of_sessions["method"].str.contains("sessions of the cohort").all()


def test_every_named_denominator_counts_those_patients(figures: pd.DataFrame, cohort: pd.DataFrame) -> None:
    everybody = figures[(figures["group"] == "") & figures["denominator"].notna()]

    assert set(everybody.loc[everybody["denominator_kind"] == "cohort", "denominator"]) == {len(cohort)}
    of_change = everybody[(everybody["denominator_kind"] == "with_change") & everybody["analysis"].eq("change")]
    for (scale, visit), rows in of_change.groupby(["scale", "visit"]):
        assert set(rows["denominator"]) == {cohort[f"{scale}_change_{visit}"].notna().sum()}


def test_questions_of_the_abstract_are_labelled_and_everything_else_on_groups_is_exploratory(
    figures: pd.DataFrame,
) -> None:
    of_groups = figures[figures["analysis"].isin(("sex", "ms_type", "vein_sites"))]
    is_question = of_groups["method"].str.contains("question of the abstract, not adjusted", regex=False)
    is_exploratory = of_groups["method"].str.contains("exploratory", regex=False)

    assert (is_question ^ is_exploratory).all()
    asked = of_groups[is_question]
    assert set(asked[["analysis", "scale", "visit"]].itertuples(index=False, name=None)) == {
        ("sex", "physical", "month_6"),
        ("ms_type", "psychological", "month_1"),
        ("vein_sites", "physical", "month_1"),
        ("vein_sites", "physical", "month_6"),
    }
    assert set(asked.loc[asked["analysis"] == "ms_type", "group"]) == {"RRMS", "PPMS", "RRMS vs PPMS"}


def test_reliable_change_without_a_limit_has_no_rate_and_says_why(
    cohort: pd.DataFrame, adverse_events: pd.DataFrame
) -> None:
    found = analyse(alone(cohort), adverse_events, AnalysisPlan())

    of_reliable = found[found["responder"] == "reliable"]
    assert of_reliable["value"].isna().all()
    assert of_reliable["method"].str.contains("fewer than two scores at baseline do not determine").all()
    assert not found["method"].str.contains("nan").any()


def empty(cohort: pd.DataFrame) -> pd.DataFrame:
    return cohort.iloc[:0]


def alone(cohort: pd.DataFrame) -> pd.DataFrame:
    return cohort.iloc[:1]


def never_seen_again(cohort: pd.DataFrame) -> pd.DataFrame:
    later = [name for name in cohort.columns if name.endswith(("_month_1", "_month_6")) or name.startswith("month_")]
    return cohort.assign(**dict.fromkeys(later, None))


def never_changed(cohort: pd.DataFrame) -> pd.DataFrame:
    changes = [name for name in cohort.columns if "_change_" in name]
    return cohort.assign(**{name: cohort[name].where(cohort[name].isna(), 0.0) for name in changes})


def all_alike(cohort: pd.DataFrame) -> pd.DataFrame:
    same = {name: -1.25 for name in cohort.columns if "_change_" in name}
    return cohort.assign(**same, physical_baseline=50.0, psychological_baseline=50.0, vein_sites=2)


def women_only(cohort: pd.DataFrame) -> pd.DataFrame:
    return cohort.assign(sex="female", ms_type="RRMS", vein_sites=1)


def nothing_known(cohort: pd.DataFrame) -> pd.DataFrame:
    return cohort.assign(sex=None, ms_type=None, vein_sites=np.nan, last_contact_days=np.nan, retreated=None)


def two_patients(cohort: pd.DataFrame) -> pd.DataFrame:
    return cohort[cohort["physical_change_month_1"].notna()].iloc[:2]


DEGENERATE = [
    empty,
    alone,
    never_seen_again,
    never_changed,
    all_alike,
    women_only,
    nothing_known,
    two_patients,
]


@pytest.mark.parametrize("spoil", DEGENERATE)
def test_degenerate_cohorts_give_rows_without_numbers_and_no_warning(
    spoil: Callable[[pd.DataFrame], pd.DataFrame],
    cohort: pd.DataFrame,
    adverse_events: pd.DataFrame,
    figures: pd.DataFrame,
) -> None:
    analysis = describe(spoil(cohort), adverse_events, AnalysisPlan())

    found = analysis.statistics[analysis.statistics["statistic"] != "rate_upper_bound"]
    assert found[KEY].to_numpy().tolist() == figures[KEY].to_numpy().tolist()
    assert not np.isinf(found[NUMBERS].to_numpy()).any()
    assert not found["n"].isna().any()
    assert found["p_value"].dropna().between(0, 1).all()


def test_an_empty_cohort_has_no_number_but_counts(cohort: pd.DataFrame, adverse_events: pd.DataFrame) -> None:
    found = analyse(empty(cohort), adverse_events, AnalysisPlan())

    with_value = found[found["value"].notna()]
    assert set(with_value["statistic"]) == {"events"}
    assert (with_value["value"] == 0).all()
    assert (found["n"] == 0).all()


def test_no_change_at_all_has_no_wilcoxon_statistic(cohort: pd.DataFrame, adverse_events: pd.DataFrame) -> None:
    found = analyse(never_changed(cohort), adverse_events, AnalysisPlan())

    tests = found[found["statistic"].isin(("wilcoxon_w", "hodges_lehmann", "paired_t", "jonckheere_j"))]
    assert tests[["value", "p_value"]].isna().all(axis=None)
    assert (found.loc[found["statistic"] == "mean_change", "value"] == 0).all()


def test_no_event_still_has_an_upper_end(cohort: pd.DataFrame, adverse_events: pd.DataFrame) -> None:
    found = analyse(cohort, adverse_events.iloc[:0], AnalysisPlan())

    rate = one(found, analysis="serious_adverse_event", statistic="rate")
    bound = one(found, analysis="serious_adverse_event", statistic="rate_upper_bound")
    assert (rate["numerator"], rate["denominator"], rate["value"], rate["ci_low"]) == (0, 240, 0.0, 0.0)
    assert rate["ci_high"] == pytest.approx(1 - 0.025 ** (1 / 240))
    assert bound["value"] == pytest.approx(1 - 0.05 ** (1 / 240))


def test_events_outside_the_cohort_do_not_count(cohort: pd.DataFrame, adverse_events: pd.DataFrame) -> None:
    found = analyse(cohort, adverse_events, AnalysisPlan())

    assert one(found, analysis="adverse_event", statistic="events")["value"] == 6
    assert one(found, analysis="adverse_event", statistic="rate")["numerator"] == 4
    assert one(found, analysis="adverse_event", statistic="rate_per_session")["numerator"] == 5
    assert one(found, analysis="serious_adverse_event", statistic="rate")["numerator"] == 2


def test_a_plan_with_other_visits_and_thresholds_is_followed(
    cohort: pd.DataFrame, adverse_events: pd.DataFrame
) -> None:
    plan = AnalysisPlan(
        visits=("month_1",),
        scales=("physical",),
        responders={"physical": ("any_decrease", "6.25")},
        test_retest={"physical": 0.9},
        confidence=0.9,
        adverse_event_days=14,
    )

    found = analyse(cohort, adverse_events, plan)

    assert set(found["visit"]) == {"", "month_1"}
    assert set(found["responder"]) == {"", "any_decrease", "6.25", "reliable"}
    assert "mcnemar" not in set(found["statistic"])
    assert found.loc[found["analysis"] == "adverse_event", "method"].str.contains("0 to 14 days").all()
    wide = one(
        analyse(cohort, adverse_events, AnalysisPlan()), analysis="stent", denominator_kind="cohort", statistic="rate"
    )
    narrow = one(found, analysis="stent", denominator_kind="cohort", statistic="rate")
    assert narrow["ci_high"] < wide["ci_high"]
