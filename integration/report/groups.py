"""Women and men, types of MS, numbers of vein sites."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from integration.evidence import Selector
from integration.report import charts, formats, labels
from integration.report.drawing import Drawing
from integration.report.outcome import points, share
from integration.report.results import Estimate, Results
from integration.report.tables import Body, Table, columns

STATISTICS: Final[Mapping[str, str]] = {
    "mann_whitney_u": "Mann-Whitney, W",
    "hodges_lehmann_shift": "Shift (Hodges-Lehmann), points",
    "model_difference": "Difference at the mean baseline, points",
    "model_interaction": "Interaction with baseline, slope",
    "model_interaction_f": "All slopes on baseline equal, F",
    "kruskal_wallis_h": "Kruskal-Wallis, H",
    "jonckheere_j": "Ordered trend (Jonckheere-Terpstra), J",
    "jonckheere_z": "Ordered trend (Jonckheere-Terpstra), z",
    "slope_per_site": "Change for one site more, points",
    "slope_per_site_adjusted": "The same, adjusted for baseline, points",
}
SHORT: Final[Mapping[str, str]] = {
    "mann_whitney_u": "Mann-Whitney",
    "hodges_lehmann_shift": "shift of the change",
    "model_difference": "difference at the mean baseline",
    "kruskal_wallis_h": "Kruskal-Wallis",
    "jonckheere_z": "ordered trend, Jonckheere-Terpstra",
    "slope_per_site": "change for one site more",
}
"""As said in a line of the comparison with the abstract."""
SHOWN: Final = frozenset(STATISTICS) - {"jonckheere_j"}
PRIMARY: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "sex": (("physical", "month_6"),),
    "ms_type": (("psychological", "month_1"),),
    "vein_sites": (("physical", "month_1"), ("physical", "month_6")),
}
"""What the abstract reports of each; everything else is exploratory."""
QUESTION: Final = "question of the abstract, not adjusted"
EXPLORATORY: Final = "exploratory"


def group_tables(results: Results) -> tuple[Table, ...]:
    """Return one table an analysis: every group's change and how many improved."""
    return tuple(_group_table(results, analysis) for analysis in labels.GROUPS)


def _group_table(results: Results, analysis: str) -> Table:
    heading, known = labels.GROUPS[analysis]
    bodies = []
    for scale, visit in results.questions():
        rows = tuple(
            row for name, label in known.items() for row in _group_row(results, analysis, name, label, scale, visit)
        )
        bodies.append(Body(label=_titled(analysis, scale, visit), rows=rows))
    return Table(
        name=f"groups-{analysis.replace('_', '-')}",
        caption=f"{heading}: change from baseline, of those with a change score",
        columns=columns(heading, "n", "Median change", "Mean change [95 % CI]", "Improved, n/N (%)"),
        bodies=tuple(body for body in bodies if body.rows) or (Body(rows=()),),
        empty="No group has a patient with a change score.",
    )


def _titled(analysis: str, scale: str, visit: str) -> str:
    mark = QUESTION if (scale, visit) in PRIMARY[analysis] else EXPLORATORY
    return f"{labels.scale_visit(scale, visit)} ({mark})"


def _aside(analysis: str, scale: str, visit: str, one: Estimate) -> str:
    """Return the mark of a row that stands beside a question of the abstract without belonging to it."""
    is_beside = (scale, visit) in PRIMARY[analysis] and EXPLORATORY in one.method
    return f" ({EXPLORATORY})" if is_beside else ""


def _group_row(
    results: Results, analysis: str, name: str, label: str, scale: str, visit: str
) -> Iterator[tuple[str, ...]]:
    mean, median = (of_group(results, analysis, name, scale, visit, one) for one in ("mean_change", "median_change"))
    if mean and mean.n:
        rate = results.rate(
            analysis, "with_change", scale=scale, visit=visit, group=name, responder="any_decrease", category="improved"
        )
        name = f"{label}{_aside(analysis, scale, visit, mean)}"
        yield (name, formats.count(mean.n), points(median).split(" [")[0], points(mean), share(rate))


def of_group(results: Results, analysis: str, name: str, scale: str, visit: str, statistic: str) -> Estimate | None:
    """Return a figure of one group."""
    return results.one(analysis, statistic, scale=scale, visit=visit, group=name)


def comparison_tables(results: Results) -> tuple[Table, ...]:
    """Return one table an analysis: the tests and models between groups, where the abstract reports of it."""
    return tuple(_comparison_table(results, analysis, asked) for analysis, asked in PRIMARY.items())


def other_comparison_tables(results: Results) -> tuple[Table, ...]:
    """Return one table an analysis: the tests and models between groups at all other scales and visits."""
    return tuple(
        _comparison_table(results, analysis, tuple(one for one in results.questions() if one not in asked), "others")
        for analysis, asked in PRIMARY.items()
    )


def _comparison_table(
    results: Results, analysis: str, asked: tuple[tuple[str, str], ...], suffix: str = "asked"
) -> Table:
    heading, _ = labels.GROUPS[analysis]
    bodies = []
    for scale, visit in asked:
        rows = tuple(
            _comparison_row(analysis, key, one)
            for key, one in results
            if (key.analysis, key.scale, key.visit) == (analysis, scale, visit)
            and key.statistic in SHOWN
            and one.value is not None
        )
        bodies.append(Body(label=_titled(analysis, scale, visit), rows=rows))
    return Table(
        name=f"tests-{analysis.replace('_', '-')}-{suffix}",
        caption=f"{heading}: tests and models between groups",
        columns=columns("What is compared", "Value [95 % CI]", "n", "P", "P, Holm"),
        bodies=tuple(body for body in bodies if body.rows) or (Body(rows=()),),
        empty="There are not two groups to compare.",
    )


def _comparison_row(analysis: str, key: Selector, one: Estimate) -> tuple[str, ...]:
    name = STATISTICS[key.statistic]
    who = labels.group(analysis, key.group)
    adjusted = formats.p_value(one.p_adjusted) if one.p_adjusted is not None else ""
    shown = formats.p_value(one.p_value) if one.p_value is not None else ""
    what = f"{name}: {who}" if who else name
    what += _aside(analysis, key.scale, key.visit, one)
    return (what, points(one, 2), formats.count(one.n), shown, adjusted)


def forest_figures(results: Results) -> tuple[Drawing, ...]:
    """Return one figure a scale and visit: the mean change of every group with its interval."""
    return tuple(drawing for scale, visit in results.questions() for drawing in _forest(results, scale, visit))


def _forest(results: Results, scale: str, visit: str) -> Iterator[Drawing]:
    rows = [row for analysis in labels.GROUPS for row in _intervals(results, analysis, scale, visit)]
    if rows:
        title = labels.scale_visit(scale, visit)
        said = "; ".join(
            f"{row.group}, n {row.n}: {formats.decimal(row.value)} ({formats.interval(row.low, row.high)})"
            for row in rows
        )
        axis = "Mean change in points"
        yield charts.forest(
            f"groups-{scale}-{visit}", rows, title=title, alternative=f"{title}, mean change. {said}.", axis=axis
        )


def _intervals(results: Results, analysis: str, scale: str, visit: str) -> Iterator[charts.Interval]:
    heading, known = labels.GROUPS[analysis]
    for name, label in known.items():
        one = of_group(results, analysis, name, scale, visit, "mean_change")
        if one and one.value is not None and one.ci_low is not None and one.ci_high is not None:
            yield charts.Interval(
                heading=heading, group=label, n=one.n or 0, value=one.value, low=one.ci_low, high=one.ci_high
            )
