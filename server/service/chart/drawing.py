"""Draw a chart as SVG: two panels, one a subscale, over one time axis (pure).

The subscales are two measures of two things, so each has a panel of its own; over one axis of time they can be read
together with the procedure and the visits. The picture is drawn for a width, not scaled to it, so that its words stay
readable on a phone: the page holds it twice and shows the one that fits.

What is not known is not drawn over: a line is broken with dashes wherever something is missing between two scores, and
absent where two scores are not of one version of the instrument and cannot be compared.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Final, Literal

from markupsafe import Markup, escape

from integration.report.formats import MINUS
from server.service.chart import wording
from server.service.chart.model import LABELS, SCALES, Chart, Line, Scale, Threshold
from server.service.chart.timeline import Label, Timeline, labels, timeline

WIDE: Final = 760
NARROW: Final = 340
_LEFT: Final = 34.0
_ROW: Final = 16.0
_NAME: Final = 26.0
_NAME_WIDTH: Final = 130.0
_BETWEEN: Final = 44.0
_AXIS: Final = 26.0
_RADIUS: Final = 5.0
_SMALL_RADIUS: Final = 3.5
_MOST_VALUES: Final = 10
_DIGIT: Final = 8.6
Join = Literal["line", "line broken"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One subscale's place in the picture.

    Attributes:
        scale: which.
        top: where 100 is.
        bottom: where 0 is.
        time: where dates are.
    """

    scale: Scale
    top: float
    bottom: float
    time: Timeline

    def y(self, score: float) -> float:
        """Return the place of a score; higher is worse, and is drawn higher."""
        return self.bottom - (self.bottom - self.top) * score / 100


def draw(chart: Chart, *, width: int = WIDE, name: str = "wide") -> Markup:
    """Draw a chart.

    Args:
        chart: with at least one response to draw or one session; else there is nothing to draw.
        width: in units, of which one is about a CSS pixel.
        name: unique on the page; keeps the identifiers of two pictures apart.

    Returns:
        An `<svg>` element with a title and a description, styled by `chart.css`; empty if there is nothing to draw.
    """
    days = _days(chart)
    if not days:
        return Markup("")
    right = 58.0 if width == WIDE else 30.0
    time = timeline(days, left=_LEFT, right=width - right)
    placed = _labels(chart, time, width)
    head = 10 + _ROW * _rows(placed) + _NAME
    tall = 190.0 if width == WIDE else 170.0
    panels = [
        Panel(scale=scale, top=head + number * (tall + _BETWEEN), bottom=head + number * (tall + _BETWEEN) + tall,
              time=time)
        for number, scale in enumerate(SCALES)
    ]  # fmt: skip
    height = panels[-1].bottom + _AXIS
    inside = [*_background(chart, panels, placed), *_ticks(time, panels, width), *_panels(chart, panels, width)]
    return _svg(chart, Markup("").join(inside), width=width, height=height, name=name)


def description(chart: Chart) -> str:
    """Say in words what the picture shows; the numbers are in the table beside it."""
    said = []
    for scale in SCALES:
        scored = [(line.day, score) for line in chart.drawn if line.day and (score := _score(line, scale)) is not None]
        if scored:
            (first, before), (last, after) = scored[0], scored[-1]
            said.append(
                f"{LABELS[scale]}: {len(scored)} scores, {wording.number(before)} on {wording.short_day(first)}"
                f" to {wording.number(after)} on {wording.short_day(last)}."
            )
        else:
            said.append(f"{LABELS[scale]}: no score.")
    said += [f"{mark.label} on {wording.short_day(mark.day)}." for mark in chart.marks]
    if len(chart.versions) > 1:
        said.append("Scores of two versions of the questionnaire are not joined.")
    return " ".join((*said, "Higher is worse. All numbers are in the table after the picture."))


def joins(chart: Chart, scale: Scale) -> list[tuple[Line, Line, Join]]:
    """Return which neighbouring scores are joined, and how: broken where something is missing between them.

    Scores of two versions of the instrument are not joined at all.
    """
    found: list[tuple[Line, Line, Join]] = []
    last: Line | None = None
    is_gap = False
    for line in chart.drawn:
        if _score(line, scale) is None:
            is_gap = True
            continue
        if last is not None and last.version == line.version:
            is_broken = is_gap or _missed_between(chart, last, line)
            found.append((last, line, "line broken" if is_broken else "line"))
        last, is_gap = line, False
    return found


def _missed_between(chart: Chart, one: Line, other: Line) -> bool:
    """Whether a study visit lies between two responses that nobody answered at."""
    if one.day is None or other.day is None:
        return False
    return any(window.is_missed and one.day < window.first and window.last < other.day for window in chart.windows)


def _days(chart: Chart) -> list[date]:
    days = [line.day for line in chart.drawn if line.day]
    days += [mark.day for mark in chart.marks]
    return days + [day for window in chart.windows for day in (window.first, window.last)] if days else []


def _labels(chart: Chart, time: Timeline, width: int) -> list[Label]:
    """Place the names of visits and sessions; those of sessions are short where whole ones need more than one row."""
    windows = [(window.label, (time.x(window.first) + time.x(window.last)) / 2, "window") for window in chart.windows]
    places = [time.x(mark.day) for mark in chart.marks]

    def placed(names: Sequence[str]) -> list[Label]:
        marks = [(name, x, "mark") for name, x in zip(names, places, strict=False)]
        return labels([*windows, *marks], left=2, right=width - 2)

    whole = placed([mark.label for mark in chart.marks])
    if _rows(whole) <= _rows(placed([])) + 1:
        return whole
    return placed([mark.short_label for mark in chart.marks])


def _rows(placed: Sequence[Label]) -> int:
    return 1 + max((label.row for label in placed), default=-1)


def _background(chart: Chart, panels: Sequence[Panel], placed: Sequence[Label]) -> Iterator[Markup]:
    time, bottom = panels[0].time, panels[-1].bottom
    top = panels[0].top - _NAME
    for window in chart.windows:
        x = time.x(window.first)
        width = max(2.0, time.x(window.last) - x)
        for panel in panels:
            yield _element("rect", "band", x=x, y=panel.top, width=width, height=panel.bottom - panel.top)
    for label in placed:
        if label.kind == "mark":
            yield _stroke("mark", label.at, top - label.row * _ROW, label.at, bottom)
    for label in placed:
        yield from _plate(label, y=top - 4 - label.row * _ROW)


def _plate(label: Label, *, y: float) -> Iterator[Markup]:
    """Write words on a ground of their own, so that no line of another label runs through them."""
    yield _element("rect", "plate", x=label.x - label.width / 2 - 1, y=y - 11, width=label.width + 2, height=14)
    yield _text(label.text, label.kind, x=label.x, y=y, anchor="middle")


def _ticks(time: Timeline, panels: Sequence[Panel], width: int) -> Iterator[Markup]:
    bottom = panels[-1].bottom
    for day, text in time.ticks(80.0 if width == WIDE else 74.0):
        x = time.x(day)
        yield _stroke("tick", x, bottom, x, bottom + 5)
        yield _text(text, "axis", x=min(max(x, 28.0), width - 28.0), y=bottom + 18, anchor="middle")


def _panels(chart: Chart, panels: Sequence[Panel], width: int) -> Iterator[Markup]:
    for panel in panels:
        yield _text(LABELS[panel.scale], f"name {panel.scale}", x=_LEFT, y=panel.top - 8)
        yield from _grid(panel)
        yield from _limits(chart, panel, width)
        yield from _series(chart, panel)


def _grid(panel: Panel) -> Iterator[Markup]:
    for score in (0, 25, 50, 75, 100):
        y = panel.y(score)
        yield _stroke("grid", panel.time.left, y, panel.time.right, y)
        yield _text(str(score), "axis", x=panel.time.left - 6, y=y + 4, anchor="end")


def _limits(chart: Chart, panel: Panel, width: int) -> Iterator[Markup]:
    """Draw the baseline and a meaningful change to either side of it, from the baseline's day on."""
    line = chart.baseline
    score = _score(line, panel.scale) if line else None
    if line is None or line.day is None or score is None:
        return
    x, end = panel.time.x(line.day), panel.time.right
    yield _stroke("base", x, panel.y(float(score)), end, panel.y(float(score)))
    texts = dict(_limit_texts(chart.thresholds[panel.scale], is_wide=width == WIDE))
    for change, y in _limit_places(chart, panel):
        yield _stroke("limit", x, y, end, y)
        yield _text(texts[change], "limit", x=end + 4, y=_limit_foot(change, y))


def _limit_places(chart: Chart, panel: Panel) -> list[tuple[int, float]]:
    """Return a meaningful change to either side of the baseline, and where it is; none outside the scale."""
    score = _score(chart.baseline, panel.scale) if chart.baseline else None
    points = chart.thresholds[panel.scale].points
    limits = [(change, float(score) + change) for change in (points, -points)] if score is not None else []
    return [(change, panel.y(limit)) for change, limit in limits if 0 <= limit <= 100]


def _limit_foot(change: int, y: float) -> float:
    """Return where the words of a limit stand."""
    return y if change > 0 else y + 8


def _limit_texts(threshold: Threshold, *, is_wide: bool) -> list[tuple[int, str]]:
    worse, better = f"+{threshold.points}", f"{MINUS}{threshold.points}"
    if is_wide:
        return [(threshold.points, f"{worse} worse"), (-threshold.points, f"{better} better")]
    return [(threshold.points, worse), (-threshold.points, better)]


def _series(chart: Chart, panel: Panel) -> Iterator[Markup]:
    for one, other, join in joins(chart, panel.scale):
        first, second = _place(panel, one), _place(panel, other)
        if first and second:
            yield _stroke(f"{join} {panel.scale}", *first, *second)
    radius = _radius(chart, panel)
    for line in chart.drawn:
        yield from _point(panel, line, radius)
    if len(chart.drawn) <= _MOST_VALUES:
        yield from _values(chart, panel)


def _radius(chart: Chart, panel: Panel) -> float:
    """Return the size of points: small ones where neighbours would lie on each other."""
    places = sorted({panel.time.x(line.day) for line in chart.drawn if line.day})
    is_dense = any(other - one < 2 * _RADIUS for one, other in itertools.pairwise(places))
    return _SMALL_RADIUS if is_dense else _RADIUS


def _point(panel: Panel, line: Line, radius: float) -> Iterator[Markup]:
    place = _place(panel, line)
    if place is None:
        yield from _gap(panel, line)
        return
    x, y = place
    kind = f"dot {panel.scale}" + (" hollow" if line.results[panel.scale].is_imputed else "")
    if panel.scale == "physical":
        yield _element("circle", kind, cx=x, cy=y, r=radius)
    else:
        yield _element("rect", kind, x=x - radius, y=y - radius, width=2 * radius, height=2 * radius)


def _values(chart: Chart, panel: Panel) -> Iterator[Markup]:
    """Write the scores beside their points, where there is room; the table has them all."""
    points = [
        (*place, wording.number(score))
        for line in chart.drawn
        if (place := _place(panel, line)) and (score := _score(line, panel.scale)) is not None
    ]
    taken = [(x - _RADIUS, y - _RADIUS, x + _RADIUS, y + _RADIUS) for x, y, _ in points]
    end = panel.time.right + 2
    feet = [_limit_foot(change, y) for change, y in _limit_places(chart, panel)]
    taken += [(end, foot - 9, float("inf"), foot + 2) for foot in feet]
    for number, (x, y, text) in enumerate(points):
        beside = [other_y for _, other_y, _ in points[max(0, number - 1) : number + 2] if other_y != y]
        is_lowest = bool(beside) and all(other_y < y for other_y in beside)
        half = len(text) * _DIGIT / 2
        for at in _above_or_below(x, y, panel, below_first=is_lowest):
            box = (x - half - 2, at - 11, x + half + 2, at + 3)
            if not any(_overlap(box, other) for other in taken):
                taken.append(box)
                yield _text(text, "value", x=x, y=at, anchor="middle")
                break


def _above_or_below(x: float, y: float, panel: Panel, *, below_first: bool) -> list[float]:
    above, below = y - 10, y + 19
    highest = panel.top + 8 if x < panel.time.left + _NAME_WIDTH else panel.top - 12  # beside the panel's name
    ordered = [below, above] if below_first else [above, below]
    return [at for at in ordered if highest <= at <= panel.bottom - 4]


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _gap(panel: Panel, line: Line) -> Iterator[Markup]:
    """Draw a cross at the foot of the panel: there was a response here, and it gave no score."""
    if line.day is None:
        return
    x, y, arm = panel.time.x(line.day), panel.bottom - 9, 4.5
    yield _stroke("gap", x - arm, y - arm, x + arm, y + arm)
    yield _stroke("gap", x - arm, y + arm, x + arm, y - arm)


def _place(panel: Panel, line: Line) -> tuple[float, float] | None:
    score = _score(line, panel.scale)
    return (panel.time.x(line.day), panel.y(float(score))) if line.day and score is not None else None


def _score(line: Line, scale: Scale) -> Fraction | None:
    result = line.results.get(scale)
    return result.score if result else None


def _svg(chart: Chart, inside: Markup, *, width: int, height: float, name: str) -> Markup:
    head = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="plot {name}" viewBox="0 0 {width} {height}" role="img" '
        'aria-labelledby="{name}-title {name}-desc"><title id="{name}-title">{title}</title>'
        '<desc id="{name}-desc">{description}</desc>'
    ).format(
        name=name, width=width, height=_number(height), title="MSIS-29 scores over time", description=description(chart)
    )
    return head + inside + Markup("</svg>")


def _stroke(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    return _element("line", kind, x1=x1, y1=y1, x2=x2, y2=y2)


def _element(tag: str, kind: str, **places: float) -> Markup:
    written = Markup(" ").join(
        Markup('{}="{}"').format(attribute, _number(value)) for attribute, value in places.items()
    )
    return Markup('<{} class="{}" {}/>').format(tag, kind, written)


def _text(text: str, kind: str, *, x: float, y: float, anchor: str = "start") -> Markup:
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        kind, _number(x), _number(y), anchor, escape(text)
    )


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
