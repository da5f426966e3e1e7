"""What the command line shows: tables, progress, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from integration import progress
from integration.sources.resource import RawResource, Unreadable

Format = Literal["table", "json"]

_WIDTH_OF_FILES = 120
_STEPS = {
    "read": "Reading resources",
    "assess": "Assessing patients",
    "analyse": "Analysing",
    "write": "Writing tables and report",
}


class Terminal:
    """Writes results to standard output, and progress and remarks to standard error.

    Args:
        output: `table` for a person, `json` for a program; JSON is one document, printed by `finish`.

    Attributes:
        documents: what was kept so far, by kind.
    """

    def __init__(self, output: Format = "table") -> None:
        self.is_json = output == "json"
        self.documents: dict[str, Mapping[str, Any]] = {}
        width = None if sys.stdout.isatty() else _WIDTH_OF_FILES
        self._out = Console(file=sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=True, width=width)
        self._err = Console(file=sys.stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def table(self, title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Show a table; nothing when the output is JSON."""
        if self.is_json:
            return
        table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for name in header:
            table.add_column(name, justify="left", overflow="fold")
        for row in rows:
            table.add_row(*("" if cell is None else str(cell) for cell in row))
        self._out.print(table)
        self._out.print()

    def say(self, text: str) -> None:
        """Show a line; nothing when the output is JSON."""
        if not self.is_json:
            self._out.print(text)

    def remark(self, text: str) -> None:
        """Show a line on standard error, whatever the output is."""
        click.echo(text, err=True)  # a line as it is: not wrapped, and fast where there are many

    def document(self, kind: str, document: Mapping[str, Any]) -> None:
        """Keep a document for `finish`; a command that does several things keeps several."""
        self.documents[kind] = document

    def finish(self) -> None:
        """Print one JSON document, by kind where several were kept; nothing when the output is for a person."""
        if self.is_json and self.documents:
            only = next(iter(self.documents.values())) if len(self.documents) == 1 else self.documents
            sys.stdout.write(f"{json.dumps(only, indent=2, default=str)}\n")

    def progress(self, total_bytes: int | None = None) -> RunProgress:
        """Return a progress bar for a run; it shows nothing where standard error is no terminal."""
        return RunProgress(self._err, total_bytes)


class RunProgress(progress.Progress):
    """A bar on standard error that moves with the bytes read, and names the step at hand.

    Args:
        console: where to.
        total_bytes: how much will be read in all; None where that is not known.
    """

    def __init__(self, console: Console, total_bytes: int | None) -> None:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
        )
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._total = total_bytes
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def step(self, name: str) -> None:
        """Name the step that begins."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(_STEPS.get(name, name), total=self._total if name == "read" else None)

    def resource(self, found: RawResource | Unreadable) -> None:
        """Move the bar by the bytes of one resource."""
        if isinstance(found, RawResource) and self._task is not None:
            self._bar.advance(self._task, len(found.body))
