"""Figures as part of a page."""

from __future__ import annotations

import re

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from integration.report import charts
from integration.report.drawing import IMPROVED, UNCHANGED, WORSENED, draw


def _paint(figure: Figure) -> None:
    axes = figure.add_axes((0.1, 0.2, 0.8, 0.7))
    axes.plot([0, 1], [0, 1])
    axes.set_title("<script>& $x$")


def test_a_drawing_is_one_svg_element_with_words_and_live_text() -> None:
    drawing = draw(_paint, name="one", height=120, title="t", alternative='7 of "9" <b>')

    assert drawing.svg.startswith(
        '<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 360 120" role="img"'
    )
    assert 'aria-label="7 of &#34;9&#34; &lt;b&gt;"' in drawing.svg
    assert "&lt;script&gt;&amp; $x$" in drawing.svg
    assert not re.search(r"<\?xml|<!DOCTYPE|<style|<metadata|<!--|font-family", drawing.svg)


def test_two_drawings_share_no_identifier() -> None:
    names = [
        set(re.findall(r'id="([^"]+)"', draw(_paint, name=name, height=90, title="", alternative="").svg))
        for name in "ab"
    ]

    assert names[0]
    assert not names[0] & names[1]


def test_drawing_changes_no_setting_of_matplotlib() -> None:
    before = dict(mpl.rcParams)

    draw(_paint, name="a", height=90, title="", alternative="")

    assert dict(mpl.rcParams) == before


def test_the_colours_differ_in_lightness_from_the_middle_one() -> None:
    def grey(colour: str) -> float:
        red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
        return 0.299 * red + 0.587 * green + 0.114 * blue  # Rec. 601

    assert grey(UNCHANGED) - max(grey(IMPROVED), grey(WORSENED)) > 40


@pytest.mark.parametrize("patients", [1, 259, 25_900])
def test_a_figure_of_changes_is_bounded_and_counts_everybody(patients: int) -> None:
    changes = np.resize(np.array([-12.5, -1.25, 0.0, 3.75]), patients)

    drawing = charts.change("c", changes, reach=20.0, title="", alternative="")

    assert len(drawing.svg) < 30_000
    for word, number in (
        ("improved", (changes < 0).sum()),
        ("unchanged", (changes == 0).sum()),
        ("worsened", (changes > 0).sum()),
    ):
        assert f"{number:,} {word}<" in drawing.svg
