from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integration import msis29
from integration.msis29 import PHYSICAL, PSYCHOLOGICAL, MissingItemRule, Subscale, SubscaleScore, Version

VERSIONS: tuple[Version, ...] = ("1", "2")


def subscale(raw: int, answered: int, highest: int, items: int) -> SubscaleScore:
    return SubscaleScore(items=items, answered=answered, raw=raw, highest_answer=highest, is_scored=True)


def alike(answer: int, items: range = msis29.ITEMS) -> dict[int, list[int | None]]:
    return {item: [answer] for item in items}


def score_of(result: SubscaleScore | None) -> Fraction | None:
    assert result is not None
    return result.score


# The transformation


@pytest.mark.parametrize(
    ("mean_raw_times_ten", "answered", "score"),
    [(605, 20, Fraction("50.625")), (248, 9, Fraction(395, 9))],
    ids=["physical", "psychological"],
)
def test_the_uk_ms_registers_printed_pairs_are_reproduced(
    mean_raw_times_ten: int, answered: int, score: Fraction
) -> None:
    """60.5 -> 50.6 and 24.8 -> 43.8, version 1 (Jones et al. 2013, doi:10.1371/journal.pone.0055422, printed rounded).

    The register prints means of raw sums; ten forms of the same mean have ten times the sum and the items.
    """
    ten_forms = subscale(mean_raw_times_ten, 10 * answered, 5, 10 * answered)

    assert ten_forms.score == score


@pytest.mark.parametrize(
    ("version", "items", "raw", "score"),
    [
        ("1", 20, 20, 0), ("1", 20, 60, 50), ("1", 20, 100, 100),
        ("1", 9, 9, 0), ("1", 9, 27, 50), ("1", 9, 45, 100),
        ("2", 20, 20, 0), ("2", 20, 50, 50), ("2", 20, 80, 100),
        ("2", 9, 9, 0), ("2", 9, 36, 100),
    ],
)  # fmt: skip
def test_ends_and_middle_of_the_raw_range_are_0_50_and_100(version: Version, items: int, raw: int, score: int) -> None:
    """`100 x (S - min) / (max - min)` worked by hand for each version's raw range."""
    assert subscale(raw, items, msis29.HIGHEST_ANSWER[version], items).score == score


@pytest.mark.parametrize(
    ("version", "items", "step"),
    [("1", 20, "1.25"), ("1", 9, "2.778"), ("2", 20, "1.667"), ("2", 9, "3.704")],
)
def test_one_raw_point_is_the_documented_step(version: Version, items: int, step: str) -> None:
    """100/80, 100/36, 100/60 and 100/27, rounded to three decimals."""
    highest = msis29.HIGHEST_ANSWER[version]

    one_more = score_of(subscale(items + 1, items, highest, items))

    assert one_more is not None
    assert round(float(one_more), 3) == float(step)


@pytest.mark.parametrize(
    ("version", "items", "threshold", "smallest_raw_fall"),
    [
        ("1", 20, "8", 7), ("1", 20, "7.5", 6), ("1", 20, "7", 6),
        ("2", 20, "8", 5), ("2", 20, "7.5", 5), ("2", 20, "7", 5),
        ("1", 9, "6", 3), ("2", 9, "6", 2),
    ],
)  # fmt: skip
def test_a_threshold_is_reached_by_the_documented_raw_fall(
    version: Version, items: int, threshold: str, smallest_raw_fall: int
) -> None:
    """Worked by hand from the raw ranges; exactness matters in version 1 at 7.5, which is six raw points."""
    highest = msis29.HIGHEST_ANSWER[version]
    before = score_of(subscale(3 * items, items, highest, items))

    after = {fall: score_of(subscale(3 * items - fall, items, highest, items)) for fall in range(1, 10)}

    assert before is not None
    reaching = [fall for fall, score in after.items() if score is not None and score - before <= -Fraction(threshold)]
    assert reaching[0] == smallest_raw_fall


def test_the_same_raw_sum_scores_higher_in_version_2() -> None:
    """60.5 raw is 50.6 in version 1 and 67.5 in version 2: why the version must be known."""
    assert subscale(605, 200, 4, 200).score == Fraction("67.5")


# The subscales


def test_items_1_to_20_are_physical_and_21_to_29_psychological() -> None:
    answers = alike(1, range(1, 21)) | alike(5, range(21, 30))

    result = msis29.score(answers, "1")

    assert (score_of(result.physical), score_of(result.psychological)) == (0, 100)
    assert [list(one.items) for one in msis29.SUBSCALES] == [list(range(1, 21)), list(range(21, 30))]


def test_there_is_no_total_of_29_items() -> None:
    public = {name for kind in (msis29.Score, SubscaleScore) for name in dir(kind) if not name.startswith("_")}

    assert not [name for name in public if "total" in name]


def test_raw_integers_are_kept() -> None:
    result = msis29.score(alike(3) | {1: [5]}, "1")

    assert result.physical is not None
    assert result.psychological is not None
    assert (result.physical.raw, result.psychological.raw) == (62, 27)


# Missing items


@pytest.mark.parametrize(
    ("scale", "answered", "is_scored"),
    [(PHYSICAL, 10, True), (PHYSICAL, 9, False), (PSYCHOLOGICAL, 5, True), (PSYCHOLOGICAL, 4, False)],
)
def test_at_least_half_of_the_items_must_be_answered(scale: Subscale, answered: int, is_scored: bool) -> None:
    result = msis29.score(alike(2, scale.items[:answered]), "1")

    found = result.physical if scale is PHYSICAL else result.psychological
    assert found is not None
    assert found.is_scored is is_scored
    assert (found.score is not None) is is_scored
    assert found.answered == answered


def test_missing_items_take_the_mean_of_the_answered_ones() -> None:
    """Eleven items at 3 and one at 5 have the mean 38/12; twenty at that mean sum to 190/3."""
    answers = alike(3, range(1, 13)) | {12: [5]}

    physical = msis29.score(answers, "1").physical

    assert physical is not None
    assert physical.imputed == 8
    assert physical.imputed_sum == Fraction(190, 3)
    assert physical.score == 100 * (Fraction(190, 3) - 20) / 80


def test_a_missing_item_of_one_subscale_leaves_the_other_alone() -> None:
    result = msis29.score(alike(4, range(1, 21)) | alike(2, range(21, 25)), "1")

    assert score_of(result.physical) == 75
    assert score_of(result.psychological) is None
    assert result.is_scorable


def test_too_few_answers_on_both_subscales_is_the_reason() -> None:
    result = msis29.score(alike(2, range(1, 10)) | alike(2, range(21, 25)), "1")

    assert result.reason == "too few answers"
    assert not result.is_scorable
    assert result.physical is not None
    assert (result.physical.answered, result.physical.imputed, result.physical.imputed_sum) == (9, 0, None)


def test_a_form_without_answers_has_too_few() -> None:
    assert msis29.score({}, "2").reason == "too few answers"


def test_nothing_answered_is_never_scored_whatever_the_rule() -> None:
    rule = MissingItemRule(physical=0, psychological=0)

    assert msis29.score({}, "1", rule).reason == "too few answers"


def test_a_site_may_ask_for_more_items() -> None:
    rule = MissingItemRule(physical=20, psychological=9)

    result = msis29.score(alike(2, range(1, 30)[1:]), "1", rule)

    assert score_of(result.physical) is None
    assert score_of(result.psychological) == 25


# Refusals


@pytest.mark.parametrize(("version", "answer"), [("1", 0), ("1", 6), ("2", 0), ("2", 5), ("2", -1)])
def test_an_answer_outside_the_versions_range_refuses_the_form(version: Version, answer: int) -> None:
    result = msis29.score(alike(2) | {29: [answer]}, version)

    assert result.reason == "answer out of range"
    assert (result.physical, result.psychological) == (None, None)


def test_version_1_takes_5_and_version_2_does_not() -> None:
    assert msis29.score(alike(5), "1").is_scorable
    assert msis29.score(alike(5), "2").reason == "answer out of range"


def test_two_answers_to_one_item_refuse_the_form_even_if_they_agree() -> None:
    assert msis29.score(alike(2) | {7: [2, 2]}, "1").reason == "several answers"


def test_an_answer_that_is_not_understood_refuses_the_form() -> None:
    assert msis29.score(alike(2) | {7: [None]}, "1").reason == "answer not understood"


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({1: [9], 2: [1, 1], 3: [None]}, "answer out of range"),
        ({2: [1, 1], 3: [None]}, "several answers"),
        ({2: [1, None]}, "several answers"),
    ],
)
def test_of_several_reasons_the_first_of_the_contracts_list_is_given(
    answers: dict[int, list[int | None]], reason: str
) -> None:
    assert msis29.score(answers, "1").reason == reason


# For all forms


def forms(version: Version) -> st.SearchStrategy[dict[int, list[int | None]]]:
    answer = st.integers(1, msis29.HIGHEST_ANSWER[version])
    return st.dictionaries(st.sampled_from(list(msis29.ITEMS)), answer.map(lambda one: [one]))


@given(data=st.data(), version=st.sampled_from(VERSIONS))
def test_a_score_lies_within_0_and_100(data: st.DataObject, version: Version) -> None:
    result = msis29.score(data.draw(forms(version)), version)

    for found in (result.physical, result.psychological):
        assert found is not None
        assert found.score is None or 0 <= found.score <= 100


@given(data=st.data(), version=st.sampled_from(VERSIONS))
def test_the_score_is_that_of_the_imputed_sum(data: st.DataObject, version: Version) -> None:
    result = msis29.score(data.draw(forms(version)), version)

    for found in (result.physical, result.psychological):
        assert found is not None
        if found.imputed_sum is not None:
            span = found.items * (msis29.HIGHEST_ANSWER[version] - 1)
            assert found.score == 100 * (found.imputed_sum - found.items) / span


@given(data=st.data(), version=st.sampled_from(VERSIONS))
def test_a_higher_answer_never_lowers_the_score(data: st.DataObject, version: Version) -> None:
    form = data.draw(forms(version).filter(bool))
    item = data.draw(st.sampled_from(sorted(form)))
    lower = form | {item: [1]}
    higher = form | {item: [msis29.HIGHEST_ANSWER[version]]}

    before, after = msis29.score(lower, version), msis29.score(higher, version)

    for low, high in ((before.physical, after.physical), (before.psychological, after.psychological)):
        assert low is not None
        assert high is not None
        if low.score is not None and high.score is not None:
            assert low.score <= high.score


@given(data=st.data(), version=st.sampled_from(VERSIONS))
def test_the_order_of_the_items_does_not_matter(data: st.DataObject, version: Version) -> None:
    form = data.draw(forms(version))
    shuffled = dict(data.draw(st.permutations(list(form.items()))))

    assert msis29.score(shuffled, version) == msis29.score(form, version)
