"""Run one ViewDefinition over files and write its rows: the `view` command."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import IO, Literal

import msgspec
import pyarrow.parquet

from integration.errors import InputError, MappingError, ViewError
from integration.sources.resource import RawResource, Source, Unreadable
from integration.views import CompiledView, compile_view

Form = Literal["csv", "ndjson", "parquet"]
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


def write(view: CompiledView, source: Source, form: Form, to: Path | None) -> list[str]:
    """Write the view's rows over a source, lazily.

    Returns:
        One sentence for each rejected resource or line: where it stood, and why; no value out of it.
    """
    rejections: list[str] = []
    at: list[RawResource | Unreadable] = []

    def bodies() -> Iterator[bytes]:
        for found in source:
            at[:] = [found]
            if isinstance(found, Unreadable):
                rejections.append(f"{_place(found)}: {found.problem}")
            else:
                yield found.body

    def reject(error: ViewError) -> None:
        # A view reads one resource at a time, so the resource at hand is the one that broke it.
        said = (_place(at[0]), error.reference, error.path, error.problem)
        rejections.append(": ".join(part for part in said if part))

    _write_rows(view, bodies(), reject, form, to)
    return rejections


def _write_rows(
    view: CompiledView, bodies: Iterable[bytes], reject: Callable[[ViewError], None], form: Form, to: Path | None
) -> None:
    if form == "parquet":
        batches = view.batches(bodies, on_error=reject)
        with _opened(to) as stream, pyarrow.parquet.ParquetWriter(stream, view.schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        return
    rows = view.rows(bodies, on_error=reject)
    with _opened(to) as stream:
        if form == "ndjson":
            stream.writelines(_encoder.encode(row) + b"\n" for row in rows)
        else:
            _write_csv(view, (list(row.values()) for row in rows), stream)


def _write_csv(view: CompiledView, rows: Iterable[list[object]], stream: IO[bytes]) -> None:
    class _Text:
        def write(self, text: str) -> int:
            return stream.write(text.encode())

    writer = csv.writer(_Text(), lineterminator="\n")
    writer.writerow(view.columns)
    writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return _encoder.encode(value).decode() if isinstance(value, list) else value


@contextmanager
def _opened(to: Path | None) -> Iterator[IO[bytes]]:
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


def _place(found: RawResource | Unreadable) -> str:
    return f"{found.file}:{found.line}{f' {found.within}' if found.within else ''}"
