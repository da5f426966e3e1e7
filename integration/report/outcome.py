"""Improvement, change, thresholds: the study's main tables and figures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from integration.report import charts, formats, labels, people
from integration.report.drawing import Drawing
from integration.report.inputs import ReportInputs
from integration.report.results import Estimate, Results
from integration.report.tables import Body, Table, columns

SMALL_P = 0.05
CATEGORIES = ("improved", "unchanged", "worsened")
COMMON_SCALE = "wilcoxon_w_0_100"
MIXED = (
    "Both versions are in use, and a raw point is not the same in both (physical: 1.25 points of 0 to 100 in version "
    "1, 1.667 in version 2); so the same test on points of 0 to 100 stands beside it, as sensitivity. "
)


def main_rate(
    results: Results, scale: str, visit: str, kind: str = "with_change", category: str = "improved"
) -> Estimate | None:
    """Return the rate of any decrease at a visit among one kind of denominator."""
    return results.rate(
        "improvement_rate", kind, scale=scale, visit=visit, responder="any_decrease", category=category
    )  # fmt: skip


def share(estimate: Estimate | None) -> str:
    """Return `n/N (p %)` of a rate."""
    if estimate is None or estimate.numerator is None or estimate.denominator is None:
        return formats.NONE
    return formats.part_percent(estimate.numerator, estimate.denominator)


def limits(estimate: Estimate | None, places: int = 1) -> str:
    """Return a rate's interval in percent."""
    return formats.NONE if estimate is None else formats.percent_interval(estimate.ci_low, estimate.ci_high, places)


def points(estimate: Estimate | None, places: int = 1) -> str:
    """Return a value in points with its interval in brackets, if it has one."""
    if estimate is None or estimate.value is None:
        return formats.NONE
    if estimate.ci_low is None or estimate.ci_high is None:
        return formats.decimal(estimate.value, places)
    return f"{formats.decimal(estimate.value, places)} [{formats.interval(estimate.ci_low, estimate.ci_high, places)}]"


def rates_table(results: Results) -> Table:
    """Return who improved at each visit, among each of the three denominators."""
    rows = []
    for scale, visit in results.questions():
        rates = [main_rate(results, scale, visit, kind) for kind in ("with_change", "seen", "cohort")]
        if rates[0] is not None and rates[0].denominator:
            rows.append(
                (labels.scale_visit(scale, visit), share(rates[0]), limits(rates[0]), share(rates[1]), share(rates[2]))
            )
    return Table(
        name="rates",
        caption="Improved: the score fell by any amount",
        columns=columns(
            "Scale, visit", "Of those with a change score", "95 % CI", "Of those seen at the visit", "Of the cohort"
        ),
        bodies=(Body(rows=tuple(rows)),),
        note="Exact (Clopper-Pearson) intervals. Who has no change score counts as not improved in the two columns on "
        "the right.",
        empty="No patient has a score both before and after, so no rate can be given.",
    )


def change_table(results: Results) -> Table:
    """Return the change from baseline by scale and visit."""
    rows = tuple(
        _change_row(results, scale, visit) for scale, visit in results.questions() if _tests(results, scale, visit)
    )
    heads = ("n", "Median [95 % CI]", "Mean [95 % CI]", "Hodges-Lehmann [95 % CI]", "SRM", "SES")
    return Table(
        name="change",
        caption="Change from baseline in points of 0 to 100; a negative change is an improvement",
        columns=columns("Scale, visit", *heads),
        bodies=(Body(rows=rows),),
        note="n: everybody with a change score, on whom all of the columns rest. Hodges-Lehmann: median of the Walsh "
        "averages of all differences, those of zero kept; R's, over the non-zero ones only, stands in statistics.csv. "
        "With ties its interval may end exactly at 0, the end not included. SRM: mean change / SD of the change. "
        "SES: mean change / SD of the baseline of those with a change score.",
        empty="No patient has a score both before and after.",
    )


def _change_row(results: Results, scale: str, visit: str) -> tuple[str, ...]:
    def one(statistic: str) -> Estimate | None:
        return results.one("change", statistic, scale=scale, visit=visit)

    median = one("median_change")
    effects = (points(one(name), 2).split(" [")[0] for name in ("srm", "ses"))
    shown = (points(median), points(one("mean_change")), points(one("hodges_lehmann_all_0_100")))
    return (labels.scale_visit(scale, visit), formats.count(median.n if median is not None else None), *shown, *effects)


def _tests(results: Results, scale: str, visit: str) -> Estimate | None:
    test = results.one("change", "wilcoxon_w", scale=scale, visit=visit)
    return test if test is not None and test.denominator else None


def tests_table(results: Results) -> Table:
    """Return the tests of change, each with what it means in words."""
    is_mixed = any(key.statistic == COMMON_SCALE for key, _ in results)
    beside = {"wilcoxon_w_pratt": "P, Pratt", "paired_t": "P, paired t"}
    if is_mixed:
        beside = {COMMON_SCALE: "P, 0 to 100", **beside}
    bodies = tuple(
        Body(
            rows=((*_test_row(test, scale, visit), *_beside(results, scale, visit, tuple(beside))),),
            remark=in_words(results, scale, visit),
        )
        for scale, visit in results.questions()
        if (test := _tests(results, scale, visit)) is not None
    )
    return Table(
        name="tests",
        caption="Tests of no change; Holm over the primary tests",
        columns=columns("Scale, visit", "Changed, n/N", "Wilcoxon W", "P", "P, Holm", *beside.values()),
        bodies=bodies or (Body(rows=()),),
        note="Wilcoxon signed-rank on differences of raw sums, each within one version of the questionnaire; zeros "
        "dropped; normal approximation with tie and continuity correction. W: sum of the ranks of rises. "
        f"{MIXED if is_mixed else ''}Pratt: zeros ranked, as sensitivity.",
        empty="No patient has a score both before and after.",
    )


def _test_row(test: Estimate, scale: str, visit: str) -> tuple[str, ...]:
    changed = formats.part(test.numerator, test.denominator)
    p_values = (formats.p_value(test.p_value), formats.p_value(test.p_adjusted))
    return (labels.scale_visit(scale, visit), changed, formats.decimal(test.value), *p_values)


def _beside(results: Results, scale: str, visit: str, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        other = results.one("change", name, scale=scale, visit=visit)
        yield "one version" if other is None and name == COMMON_SCALE else p_of(other)


def p_of(estimate: Estimate | None) -> str:
    """Return the P value of a row, or that there is none."""
    return formats.NONE if estimate is None else formats.p_value(estimate.p_value)


def in_words(results: Results, scale: str, visit: str) -> str:
    """Return what a Wilcoxon test says about the patients, with the median and the share that improved."""
    rate, median = main_rate(results, scale, visit), results.one("change", "median_change", scale=scale, visit=visit)
    test = _tests(results, scale, visit)
    if rate is None or rate.value is None or median is None or test is None:
        return formats.NONE
    same, worse = (main_rate(results, scale, visit, category=one) for one in ("unchanged", "worsened"))
    facts = (
        f"Median change {formats.decimal(median.value)} points; improved {share(rate)}, unchanged {share(same)}, "
        f"worsened {share(worse)}."
    )
    if test.p_value is None:
        return facts
    if test.p_value >= SMALL_P:
        return f"{facts} No clear shift in either direction."
    if rate.value < 0.5:
        return (
            f"{facts} Fewer than half improved. The small P comes from falls that outweigh the rises, larger or more "
            "often, not from a majority that got better."
        )
    return f"{facts} The small P says that falls, weighed by their size, outweigh rises; it does not say why."


def responder_table(results: Results) -> Table:
    """Return improved, unchanged and worsened under every threshold."""
    bodies = tuple(
        Body(label=labels.scale_visit(scale, visit), rows=tuple(_responder_rows(results, scale, visit)))
        for scale, visit in results.questions()
    )
    return Table(
        name="responders",
        caption="Responders under every threshold, of those with a change score, n/N (%) and 95 % CI",
        columns=columns("Change counts from", "Improved", "95 % CI", "Unchanged", "95 % CI", "Worsened", "95 % CI"),
        bodies=tuple(body for body in bodies if body.rows) or (Body(rows=()),),
        note="Worsened is the mirror image of improved; unchanged is everybody between. Exact (Clopper-Pearson) "
        "intervals.",
        empty="No patient has a score both before and after.",
    )


def responder_names(results: Results, scale: str) -> tuple[str, ...]:
    """Return the thresholds of a scale in the order of the frame."""
    return tuple(
        dict.fromkeys(
            key.responder
            for key, _ in results
            if (key.analysis, key.statistic, key.scale) == ("improvement_rate", "rate", scale)
        )
    )


def _panel(results: Results, scale: str, visit: str, responder: str) -> list[Estimate | None]:
    where = {"scale": scale, "visit": visit, "responder": responder}
    return [results.rate("improvement_rate", "with_change", category=category, **where) for category in CATEGORIES]


def _responder_rows(results: Results, scale: str, visit: str) -> Iterator[tuple[str, ...]]:
    for responder in responder_names(results, scale):
        panel = _panel(results, scale, visit, responder)
        if panel[0] is not None and panel[0].denominator:
            yield (labels.responder(responder), *(text for one in panel for text in (share(one), limits(one))))


def responder_figures(results: Results) -> tuple[Drawing, ...]:
    """Return one figure a scale and visit: the shares under every threshold."""
    return tuple(
        drawing for scale, visit in results.questions() for drawing in _responder_figure(results, scale, visit)
    )


def _responder_figure(results: Results, scale: str, visit: str) -> Iterator[Drawing]:
    bars = []
    for responder in responder_names(results, scale):
        counts = [one.numerator or 0 for one in _panel(results, scale, visit, responder) if one]
        if len(counts) == len(CATEGORIES) and any(counts):
            bars.append(
                charts.Bar(
                    label=labels.responder(responder).replace(" or more", ""),
                    improved=counts[0],
                    unchanged=counts[1],
                    worsened=counts[2],
                )
            )
    if bars:
        said = "; ".join(
            f"{bar.label}: {bar.improved} improved, {bar.unchanged} unchanged, {bar.worsened} worsened" for bar in bars
        )
        total = bars[0].improved + bars[0].unchanged + bars[0].worsened
        title = labels.scale_visit(scale, visit)
        yield charts.responders(
            f"responders-{scale}-{visit}", bars, title=f"{title} (n = {total:,})", alternative=f"{title}. {said}."
        )


def change_figures(report: ReportInputs, results: Results) -> tuple[Drawing, ...]:
    """Return one figure a scale and visit: how the changes are distributed."""
    drawings = []
    for scale, visit in results.questions():
        changes = people.changes(report.cohort, scale, visit)
        visits = people.follow_ups(report.cohort)
        reach = max((_reach(people.changes(report.cohort, scale, one)) for one in visits), default=0.0)
        if len(changes):
            title = labels.scale_visit(scale, visit)
            said = f"{title}: {distribution(changes)}"
            drawings.append(
                charts.change(
                    f"change-{scale}-{visit}",
                    changes,
                    reach=reach,
                    title=f"{title} (n = {len(changes):,})",
                    alternative=said,
                )
            )
    return tuple(drawings)


def _reach(changes: charts.Floats) -> float:
    """Return the next whole ten of points above the largest change."""
    return float(np.ceil(max(10.0, np.abs(changes).max(initial=0.0)) / 10) * 10)


def distribution(changes: charts.Floats) -> str:
    """Return a distribution of changes in words."""
    low, middle, high = np.percentile(changes, (25, 50, 75))
    fell, same, rose = int((changes < 0).sum()), int((changes == 0).sum()), int((changes > 0).sum())
    ends = f"from {formats.decimal(float(changes.min()))} to {formats.decimal(float(changes.max()))}"
    return (
        f"{fell:,} of {len(changes):,} fell, {same:,} stayed, {rose:,} rose; median {formats.decimal(float(middle))}, "
        f"middle half {formats.interval(float(low), float(high))}, {ends} points."
    )


def score_figures(report: ReportInputs) -> tuple[Drawing, ...]:
    """Return one figure a scale: the score before and after, of the same patients."""
    return tuple(drawing for scale in labels.SCALES for drawing in _score_figure(report.cohort, scale))


def _score_figure(cohort: pd.DataFrame, scale: str) -> Iterator[Drawing]:
    pairs = []
    for visit in people.follow_ups(cohort):
        kept = people.with_change(cohort, scale, visit)
        if kept.any():
            before, after = (cohort.loc[kept, f"{scale}_{when}"].to_numpy(dtype=float) for when in ("baseline", visit))
            pairs.append((labels.visit(visit), before, after))
    if pairs:
        said = "; ".join(
            f"{visit}, n {len(after)}: median {_median(before)} before, {_median(after)} after"
            for visit, before, after in pairs
        )
        title = f"{labels.SCALES[scale]} scale"
        yield charts.scores(f"scores-{scale}", pairs, title=title, alternative=f"{title}. {said}. Lower is better.")


def _median(values: charts.Floats) -> str:
    return formats.decimal(float(np.median(values)))


def sustained(results: Results) -> tuple[str, ...]:
    """Return, a sentence a scale, how improvement at the first and at the last visit differ in the same patients."""
    visits = [labels.visit(visit) for visit in dict.fromkeys(visit for _, visit in results.questions())]
    said = []
    for key, one in results:
        if key.statistic == "mcnemar" and one.denominator:
            gone = formats.part_percent(one.numerator or 0, one.denominator)
            test = formats.p_equals(one.p_value)
            said.append(
                f"{labels.SCALES.get(key.scale, key.scale)}: of the patients who differ between the two visits, {gone} "
                f"had improved at {visits[0]} only, the others at {visits[-1]} only (exact McNemar test, {test})."
            )
    return tuple(said)


def reliable_limits(results: Results) -> tuple[str, ...]:
    """Return, a sentence a scale, how far a score must move to exceed measurement error."""
    said = []
    for scale, label in labels.SCALES.items():
        limit = results.one("improvement_rate", "reliable_change_limit", scale=scale, responder="reliable")
        if limit is not None and limit.value is not None:
            said.append(f"{label}: {formats.decimal(limit.value)} points (n = {formats.count(limit.n)}).")
    return tuple(said)
