"""Run one ViewDefinition over files and write its rows: the `view` command."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Literal

import msgspec
import pyarrow.ipc
import pyarrow.parquet

from integration.csv_cells import no_formula
from integration.errors import InputError, MappingError, ViewError
from integration.sources.resource import RawResource, Source, Unreadable
from integration.views import CompiledView, compile_view
from integration.views.columns import ColumnType
from integration.views.schema import BOOLEAN, INTEGER, NUMBER

Form = Literal["csv", "ndjson", "parquet"]
PartForm = Literal["arrow"]
"""How rows go from one of several processes to the one that writes Parquet."""

_ROW_END = "\r\n"
"""What the CSV writer is told to end a row with, so that it quotes a cell with either; a row ends with `\\n` alone."""

_encoder = msgspec.json.Encoder(decimal_format="number")


def compiled(file: Path, fhir_version: str) -> CompiledView:
    """Read and compile a ViewDefinition.

    Raises:
        MappingError: it cannot be read or compiled; names the file and the path in it.
    """
    try:
        definition = msgspec.json.decode(file.read_bytes())
    except OSError as error:
        raise MappingError(file=str(file), path="", problem=f"cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MappingError(file=str(file), path="", problem=f"is not JSON: {error}") from error
    if not isinstance(definition, dict):
        raise MappingError(file=str(file), path="", problem="must hold one JSON object")
    try:
        return compile_view(definition, fhir_version=fhir_version)
    except ViewError as error:
        raise MappingError(file=str(file), path=error.path, problem=error.problem) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """A resource or line that gave no row; `said` is why, and holds no value out of it."""

    file: str
    line: int
    within: str
    said: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}{f' {self.within}' if self.within else ''}: {self.said}"


OnRejection = Callable[[Rejection], None]
"""Is told of each rejection as it comes; none is kept, however many a file has."""


def write(view: CompiledView, source: Source, form: Form, to: Path | None, on_rejection: OnRejection) -> None:
    """Write the view's rows over a source, lazily."""
    with opened(to) as stream:
        write_to(stream, view, source, form, on_rejection)


def write_to(
    stream: IO[bytes],
    view: CompiledView,
    source: Source,
    form: Form | PartForm,
    on_rejection: OnRejection,
    *,
    has_header: bool = True,
) -> None:
    """Write the view's rows over a source to a stream.

    Args:
        stream: for bytes.
        view: the compiled view.
        source: what it reads.
        form: how the rows are written.
        on_rejection: is told of what gave no row.
        has_header: whether CSV begins with the columns' names.
    """
    at: list[RawResource | Unreadable] = []

    def reject(said: str) -> None:
        # A view reads one resource at a time, so the resource at hand is the one that broke it.
        on_rejection(Rejection(file=at[0].file, line=at[0].line, within=at[0].within, said=said))

    def bodies() -> Iterator[bytes]:
        for found in source:
            at[:] = [found]
            if isinstance(found, Unreadable):
                reject(found.problem)
            else:
                yield found.body

    def refuse(error: ViewError) -> None:
        reject(": ".join(part for part in (error.reference, error.path, error.problem) if part))

    _write_rows(stream, view, bodies(), refuse, form, has_header=has_header)


def _write_rows(
    stream: IO[bytes],
    view: CompiledView,
    bodies: Iterable[bytes],
    refuse: Callable[[ViewError], None],
    form: Form | PartForm,
    *,
    has_header: bool,
) -> None:
    if form in ("parquet", "arrow"):
        make = pyarrow.parquet.ParquetWriter if form == "parquet" else pyarrow.ipc.new_stream
        with make(stream, view.schema) as writer:
            for batch in view.batches(bodies, on_error=refuse):
                writer.write_batch(batch)
        return
    rows = view.rows(bodies, on_error=refuse)
    if form == "ndjson":
        stream.writelines(_encoder.encode(row) + b"\n" for row in rows)
    else:
        if has_header:
            write_header(stream, view)
        _write_csv(stream, _cells(view, rows))


def write_header(stream: IO[bytes], view: CompiledView) -> None:
    """Write the names of a view's columns as CSV."""
    _write_csv(stream, [view.columns])


def _write_csv(stream: IO[bytes], rows: Iterable[Sequence[object]]) -> None:
    class _Text:
        def write(self, text: str) -> int:
            return stream.write(f"{text.removesuffix(_ROW_END)}\n".encode())

    writer = csv.writer(_Text(), lineterminator=_ROW_END)
    writer.writerows(rows)


def _cells(view: CompiledView, rows: Iterable[dict[str, object]]) -> Iterator[list[object]]:
    """Turn values to what the CSV writer is given; it writes integers as they are, and nothing for None."""
    ways = [(name, _way(column)) for name, column in view.program.columns.items()]
    for row in rows:
        for name, way in ways:
            value = row[name]
            if value is not None:
                row[name] = way(value)
        yield list(row.values())


def _way(column: ColumnType) -> Callable[[Any], object]:
    """Return how a column's values are written."""
    if column.is_collection:
        return lambda value: _encoder.encode(value).decode()
    ways: dict[str, Callable[[Any], object]] = {
        BOOLEAN: lambda value: "true" if value else "false",
        INTEGER: lambda value: value,
        NUMBER: lambda value: f"{value:f}" if isinstance(value, Decimal) else value,
    }
    return ways.get(column.kind, no_formula)


@contextmanager
def opened(to: Path | None) -> Iterator[IO[bytes]]:
    """Open a file for the rows, or give standard output."""
    if to is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        stream = to.open("wb")
    except OSError as error:
        raise InputError(path=str(to), problem=f"cannot be written: {error.strerror}") from error
    with stream:
        yield stream
