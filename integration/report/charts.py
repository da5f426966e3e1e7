"""The report's figures. Each takes arrays or estimates and returns a drawing; none draws one mark a patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from integration.report import formats
from integration.report.drawing import IMPROVED, INK, MUTED, RULE, UNCHANGED, WORSENED, Drawing, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

Floats = npt.NDArray[np.float64]
BIN_POINTS: Final = 5
WATERFALL_STEPS: Final = 260
SHARES: Final = (("improved", IMPROVED, "white"), ("unchanged", UNCHANGED, INK), ("worsened", WORSENED, "white"))
QUANTILES: Final = (5, 25, 50, 75, 95)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """How many improved, stayed and worsened under one rule."""

    label: str
    improved: int
    unchanged: int
    worsened: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A group's estimate with its 95 % interval, in points; `group` is its name, `heading` what it is a group of."""

    heading: str
    group: str
    n: int
    value: float
    low: float
    high: float


def change(name: str, changes: Floats, *, reach: float, title: str, alternative: str) -> Drawing:
    """Draw how the changes are distributed, and the same changes from the largest fall to the largest rise.

    Args:
        name: unique on the page.
        changes: (n,) points of the 0-100 score, negative is improvement, no NaN, n > 0.
        reach: points shown to either side of zero; none of the changes is larger.
        title: above the figure.
        alternative: in words.
    """

    def paint(figure: Figure) -> None:
        _histogram(_axes(figure, 0.13, 0.60, 0.84, 0.33), changes, reach)
        _waterfall(_axes(figure, 0.13, 0.10, 0.84, 0.33), changes, reach)

    return draw(paint, name=name, height=330, title=title, alternative=alternative)


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    return figure.add_axes((left, bottom, width, height))


def _whole_numbers(most: int) -> MaxNLocator:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - with the rest of matplotlib, when first drawn

    return MaxNLocator(nbins=most, steps=[1, 2, 5, 10], integer=True)


def _histogram(axes: Axes, changes: Floats, reach: float) -> None:
    edges = np.arange(0, reach + BIN_POINTS, BIN_POINTS)
    rises, _ = np.histogram(changes[changes > 0], edges)
    falls, _ = np.histogram(-changes[changes < 0], edges)
    same = int((changes == 0).sum())
    axes.stairs(falls[::-1], -edges[::-1], fill=True, color=IMPROVED)
    axes.stairs(rises, edges, fill=True, color=WORSENED)
    axes.bar([0], [same], width=reach / 20, color=UNCHANGED, edgecolor="white", linewidth=0.6)
    top = max(1, int(max(falls.max(), rises.max(), same)))
    axes.set(
        xlim=(-reach, reach), ylim=(0, top * 1.28), xlabel="Change in points (fall = improvement)", ylabel="Patients"
    )
    axes.yaxis.set_major_locator(_whole_numbers(4))
    _shares(axes, changes)
    middle = float(np.median(changes))
    axes.plot([middle, middle], [0, top * 1.12], color=INK, linewidth=1.2, linestyle=(0, (4, 2)))
    axes.text(middle, top * 1.15, f"median {formats.decimal(middle)}", ha="center", fontsize=10)


def _shares(axes: Axes, changes: Floats) -> None:
    counts = ((changes < 0).sum(), (changes == 0).sum(), (changes > 0).sum())
    for place, anchor, (word, colour, _), number in zip(
        (0.0, 0.5, 1.0), ("left", "center", "right"), SHARES, counts, strict=True
    ):
        text = MUTED if word == "unchanged" else colour
        axes.text(place, 1.12, f"{number:,} {word}", ha=anchor, color=text, fontweight="bold", transform=axes.transAxes)


def _waterfall(axes: Axes, changes: Floats, reach: float) -> None:
    ordered = np.sort(changes)
    n = len(ordered)
    if n > WATERFALL_STEPS:
        ordered = ordered[np.linspace(0, n - 1, WATERFALL_STEPS).round().astype(int)]
    edges = np.linspace(0, 100, len(ordered) + 1)
    axes.stairs(np.minimum(ordered, 0), edges, fill=True, color=IMPROVED)
    axes.stairs(np.maximum(ordered, 0), edges, fill=True, color=WORSENED)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.set(xlim=(0, 100), ylim=(-reach, reach), xlabel=f"Patients in order of change, % of {n:,}", ylabel="Points")


def scores(name: str, pairs: Sequence[tuple[str, Floats, Floats]], *, title: str, alternative: str) -> Drawing:
    """Draw the score before and after, the same patients in both, one pair a visit.

    Args:
        name: unique on the page.
        pairs: the visit's label, scores (n,) before and (n,) after of the same patients, 0-100, n > 0.
        title: above the figure.
        alternative: in words.
    """

    def paint(figure: Figure) -> None:
        axes = _axes(figure, 0.13, 0.17, 0.84, 0.77)
        ticks, labels = [], []
        for index, (visit, before, after) in enumerate(pairs):
            for offset, values, colour, word in ((0.0, before, MUTED, "before"), (1.0, after, IMPROVED, "after")):
                _box(axes, index * 2.6 + offset, values, colour)
                ticks.append(index * 2.6 + offset)
                labels.append(word)
            axes.text(
                index * 2.6 + 0.5, -20, f"{visit}, n = {len(before):,}", ha="center", fontsize=11, fontweight="bold"
            )
        axes.set(ylim=(0, 100), xlim=(-0.8, ticks[-1] + 0.8), ylabel="Score, 0 best to 100 worst", xticks=ticks)
        axes.set_xticklabels(labels)
        axes.tick_params(axis="x", length=0)

    return draw(paint, name=name, height=260, title=title, alternative=alternative)


def _box(axes: Axes, place: float, values: Floats, colour: str) -> None:
    lowest, low, middle, high, highest = np.percentile(values, QUANTILES)
    axes.plot([place, place], [lowest, highest], color=colour, linewidth=1.2, solid_capstyle="butt")
    axes.bar([place], [high - low], bottom=low, width=0.62, color="white", edgecolor=colour, linewidth=1.4)
    axes.plot([place - 0.31, place + 0.31], [middle, middle], color=colour, linewidth=2.6, solid_capstyle="butt")
    axes.plot([place], [values.mean()], marker="o", markersize=5, color=colour, markeredgecolor="white")


def responders(name: str, bars: Sequence[Bar], *, title: str, alternative: str) -> Drawing:
    """Draw how many improved, stayed and worsened under each rule.

    Args:
        name: unique on the page.
        bars: from the top downwards; each adds up to more than nobody.
        title: above the figure.
        alternative: in words.
    """
    height = 62.0 + 26 * len(bars)

    def paint(figure: Figure) -> None:
        axes = _axes(figure, 0.30, 28 / height, 0.64, 1 - 56 / height)
        for place, bar in enumerate(bars):
            _share_bar(axes, place, bar)
        axes.set(xlim=(0, 100), ylim=(len(bars) - 0.5, -0.5), xticks=(0, 25, 50, 75, 100), yticks=range(len(bars)))
        axes.set_xticklabels(["0", "25", "50", "75", "100 %"])
        axes.set_yticklabels([bar.label for bar in bars])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        for position, anchor, (word, colour, _) in zip((0, 50, 100), ("left", "center", "right"), SHARES, strict=True):
            text = MUTED if word == "unchanged" else colour
            axes.text(position, -0.62, word, ha=anchor, va="bottom", color=text, fontweight="bold")

    return draw(paint, name=name, height=height, title=title, alternative=alternative)


def _share_bar(axes: Axes, place: int, bar: Bar) -> None:
    numbers = (bar.improved, bar.unchanged, bar.worsened)
    left = 0.0
    for number, (_, colour, text) in zip(numbers, SHARES, strict=True):
        width = 100 * number / sum(numbers)
        axes.barh([place], [width], left=[left], height=0.74, color=colour, edgecolor="white", linewidth=0.8)
        if width >= 1.0 + 2.6 * len(str(number)):
            axes.text(
                left + width / 2, place, f"{number:,}", ha="center", va="center_baseline", color=text, fontsize=10
            )
        left += width


def forest(name: str, intervals: Sequence[Interval], *, title: str, alternative: str, axis: str) -> Drawing:
    """Draw one estimate with its interval a group, groups under headings, to the left of zero is improvement.

    Args:
        name: unique on the page.
        intervals: from the top downwards, those of a heading together.
        title: above the figure.
        alternative: in words.
        axis: what is estimated.
    """
    lines = _lines(intervals)
    height = 52.0 + 20 * len(lines)

    def paint(figure: Figure) -> None:
        axes = _axes(figure, 0.46, 38 / height, 0.51, 1 - 44 / height)
        for place, (label, row) in enumerate(lines):
            weight = "normal" if row else "bold"
            axes.text(
                -0.46 / 0.51,
                place,
                label,
                transform=axes.get_yaxis_transform(),
                va="center_baseline",
                fontweight=weight,
            )
            if row:
                axes.plot([row.low, row.high], [place, place], color=IMPROVED, linewidth=1.8, solid_capstyle="butt")
                axes.plot([row.value], [place], marker="s", markersize=6, color=IMPROVED, markeredgecolor="white")
        reach = max(abs(limit) for row in intervals for limit in (row.low, row.high)) * 1.08 or 1.0
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.xaxis.set_major_locator(_whole_numbers(5))
        axes.set(xlim=(-reach, reach), ylim=(len(lines) - 0.4, -0.6), yticks=(), xlabel=axis)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x", color=RULE, linewidth=0.5)
        axes.set_axisbelow(True)

    return draw(paint, name=name, height=height, title=title, alternative=alternative)


def _lines(intervals: Sequence[Interval]) -> list[tuple[str, Interval | None]]:
    lines: list[tuple[str, Interval | None]] = []
    heading = ""
    for row in intervals:
        if row.heading != heading:
            heading = row.heading
            lines.append((heading, None))
        lines.append((f"{row.group} ({row.n:,})", row))
    return lines


def survival(name: str, curve: pd.DataFrame, *, ticks: Sequence[int], title: str, alternative: str) -> Drawing:
    """Draw a Kaplan-Meier curve with its interval and the numbers at risk.

    Args:
        name: unique on the page.
        curve: `days, at_risk, survival, ci_low, ci_high`, in order of days, not empty; survival 0-1.
        ticks: days at which the numbers at risk are printed.
        title: above the figure.
        alternative: in words.
    """
    days, share = _steps(curve["days"], curve["survival"])
    limits = [_steps(curve["days"], curve[column].fillna(curve["survival"]))[1] for column in ("ci_low", "ci_high")]

    def paint(figure: Figure) -> None:
        axes = _axes(figure, 0.14, 0.34, 0.83, 0.61)
        axes.fill_between(days, limits[0], limits[1], step="post", color=IMPROVED, alpha=0.2, linewidth=0)
        axes.step(days, share, where="post", color=IMPROVED, linewidth=1.8)
        floor = min(95.0, float(np.floor(np.min(limits[0]) / 5) * 5))
        axes.set(xlim=(0, days[-1]), ylim=(floor, 100), xticks=ticks, xlabel="Days since the first session")
        axes.set_ylabel("Not retreated, %")
        axes.text(-0.14, -0.38, "At risk", transform=axes.transAxes, fontweight="bold", fontsize=10)
        for tick in ticks:
            axes.text(
                tick, -0.50, f"{at_risk(curve, tick):,}", transform=axes.get_xaxis_transform(), ha="center", fontsize=10
            )

    caption = (
        "Shaded: pointwise 95 % interval. The vertical axis does not start at zero. "
        "Drawn while one in ten is still followed (Pocock et al., Lancet 2002;359:1686-1689)."
    )
    return draw(paint, name=name, height=270, title=title, alternative=alternative, caption=caption)


def at_risk(curve: pd.DataFrame, day: int) -> int:
    """Return how many are at risk just before a day: the count at the first time of the curve not before it, else 0."""
    later = curve.loc[curve["days"] >= day, "at_risk"]
    return int(later.iloc[0]) if len(later) else 0


def _steps(days: pd.Series[float], values: pd.Series[float]) -> tuple[Floats, Floats]:
    """Return the curve from day 0 at 100 % on, in percent."""
    places = np.concatenate(([0.0], days.to_numpy(dtype=float)))
    return places, np.concatenate(([100.0], 100 * values.to_numpy(dtype=float)))
