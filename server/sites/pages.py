"""A page of plain text as PDF: the same bytes for the same lines."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 210 / 25.4, 297 / 25.4  # A4, in inches
_CHARACTERS: Final = 88
_LINES: Final = 60
_STYLE: Final[dict[Any, Any]] = {
    "font.family": ["Courier"],
    "font.weight": "medium",  # the name that Courier has for its normal one
    "font.size": 9,
    "pdf.use14corefonts": True,  # every reader has Courier: a tenth of the size and time of an embedded font
    "pdf.compression": 6,
    "text.parse_math": False,
    "text.color": "black",
}
_METADATA: Final = {"CreationDate": None, "Creator": None, "Producer": None}


def pdf(text: str) -> bytes:
    """Return the text as a PDF of A4 pages, long lines wrapped; without a date, so that it depends on nothing else."""
    import matplotlib as mpl  # noqa: PLC0415 - takes most of a second; only who files PDF pays for it
    from matplotlib.backends.backend_pdf import PdfPages  # noqa: PLC0415

    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, _CHARACTERS) or [""]]
    written = io.BytesIO()
    with mpl.rc_context(_STYLE), PdfPages(written, metadata=_METADATA) as pages:
        for figure in _pages(lines):
            pages.savefig(figure)
    return written.getvalue()


def _pages(lines: Sequence[str]) -> Iterator[Figure]:
    from matplotlib.figure import Figure  # noqa: PLC0415

    for start in range(0, max(len(lines), 1), _LINES):
        figure = Figure(figsize=(_WIDTH, _HEIGHT))
        figure.text(0.1, 0.94, "\n".join(lines[start : start + _LINES]), va="top", linespacing=1.4)
        yield figure
