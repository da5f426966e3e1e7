"""Draw a matplotlib Figure as inline SVG: the same bytes for the same figure, live text, unique identifiers.

A figure is 360 units wide, so that on a phone's page a unit is about a CSS pixel and 11-unit text stays readable; on
wider screens the page sets two figures side by side. matplotlib is imported when the first figure is drawn, not before,
and its `pyplot` never: nothing global is left behind.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH: Final = 360.0
POINTS_PER_INCH: Final = 72.0

INK, MUTED, RULE = "#1c2733", "#52606d", "#c9d1d9"
IMPROVED, UNCHANGED, WORSENED = "#0067a5", "#9aa5b1", "#c8500a"
"""Blue, grey and vermilion: told apart with every common colour vision deficiency; the words stand beside them too."""

_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],  # measured with it, wider than what the page sets, so that nothing runs over
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.unicode_minus": True,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "path.simplify": True,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """A drawn figure.

    Attributes:
        svg: an `<svg>` element with its own text alternative.
        title: above it.
        caption: below it, empty if nothing.
        alternative: what it shows, in words, with the key numbers.
    """

    svg: Markup
    title: str
    caption: str
    alternative: str


def draw(
    paint: Callable[[Figure], None], *, name: str, height: float, title: str, alternative: str, caption: str = ""
) -> Drawing:
    """Let `paint` draw on an empty figure and return it as SVG.

    Args:
        paint: is given the figure and adds axes to it.
        name: unique on the page; keeps the identifiers inside the SVG apart from those of other figures.
        height: in units, of which the width has 360.
        title: above the figure.
        alternative: the text alternative.
        caption: below the figure.
    """
    import matplotlib as mpl  # noqa: PLC0415 - takes most of a second; only who draws pays for it
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(WIDTH / POINTS_PER_INCH, height / POINTS_PER_INCH), facecolor="none")
        paint(figure)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return Drawing(svg=_inline(written.getvalue(), alternative), title=title, caption=caption, alternative=alternative)


def _inline(document: str, alternative: str) -> Markup:
    """Return what matplotlib wrote as an element of an HTML page."""
    viewbox = re.search(r'viewBox="([\d. ]+)"', document)
    opening = re.search(r"<svg[^>]*>", document)
    if viewbox is None or opening is None:
        raise ValueError("matplotlib wrote an SVG without a viewBox")
    body = document[opening.end() :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[\w.]+"', "<g", body).replace("xlink:href", "href")
    body = re.sub(r" font-family: [^;]*;| transform=\"rotate\(-0 [^)]*\)\"", "", body)
    body = re.sub(r"\s*\n\s*", " ", re.sub(r"(\d\.\d\d)\d+", r"\1", body))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="{viewbox[1]}" role="img" aria-label="'
    return Markup(head) + escape(alternative) + Markup('">' + body)  # noqa: S704 - matplotlib escapes the texts it writes
