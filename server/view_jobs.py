"""Run one ViewDefinition over files in several processes: the same rows in the same order as in one.

Each process takes parts of the files, one after the other, and leaves their rows in a file of its own; the rows are put
together in the order of the parts. So a part's rows cost no memory, however many they are.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import multiprocessing
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import IO

import msgspec
import pyarrow.ipc
import pyarrow.parquet

from integration.errors import OutcomeBridgeError
from integration.sources.files import Files
from integration.sources.parts import Part, PartOfFile, parts
from integration.views import CompiledView
from server import view_rows
from server.view_rows import Form, OnRejection, Rejection

LARGEST_PART_BYTES, SMALLEST_PART_BYTES = 32 << 20, 1 << 20
_PARTS_PER_JOB = 8
_LARGEST_PARTS_AHEAD = 3
"""How much each process may be ahead of what is put together, in parts of the largest size."""
_LEAST_BYTES = 1 << 16
"""What a part counts for at least, so that only so many files of rows lie about."""

_Done = tuple[Path, int]
"""The file of a part's rows, and how many lines the part has. What was rejected stands in a file beside that of the
rows, its lines counted from the part's start."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Task:
    """What is the same for every part."""

    form: Form
    line_limit_bytes: int


_rejections = msgspec.json.Decoder(Rejection)
_state: dict[str, CompiledView] = {}
"""The view of a worker process, compiled once when the process starts."""


def write(view: CompiledView, source: Files, form: Form, to: Path | None, jobs: int, on_rejection: OnRejection) -> None:
    """Write the view's rows over files with several processes; `on_rejection` is told of what gave no row, in order.

    Raises:
        OutcomeBridgeError: a process came to its end before its work.
    """
    context = _context()
    task = _Task(form=form, line_limit_bytes=source.line_limit_bytes)
    size = min(max(source.total_bytes // (jobs * _PARTS_PER_JOB), SMALLEST_PART_BYTES), LARGEST_PART_BYTES)
    with (
        tempfile.TemporaryDirectory() as name,
        ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(view,)) as pool,
        view_rows.opened(to) as stream,
    ):
        files = (Path(name, str(number)) for number in itertools.count())
        ahead = jobs * _LARGEST_PARTS_AHEAD * LARGEST_PART_BYTES
        waiting = (
            (part, pool.submit(_work, task, part, file))
            for part, file in zip(parts(source, size, shares=jobs), files, strict=False)
        )
        try:
            done = _numbered(_in_order(waiting, ahead), on_rejection)
            _put_together(view, done, form, stream)
        except BrokenProcessPool as error:
            raise OutcomeBridgeError("a process of --jobs came to its end too soon; try --jobs 1") from error


def _context() -> multiprocessing.context.BaseContext:
    """Return how processes start: where the system has it, as copies of one that has imported everything."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "server.view_jobs"])
    return context


def _begin(view: CompiledView) -> None:
    _state["view"] = view


def _work(task: _Task, part: Part, to: Path) -> _Done:
    """Write the rows of one part to a file, in a worker process."""
    source = PartOfFile(part, task.line_limit_bytes)
    form = "arrow" if task.form == "parquet" else task.form
    with to.open("wb") as stream, _beside(to).open("wb") as rejected:

        def reject(rejection: Rejection) -> None:
            rejected.write(msgspec.json.encode(rejection) + b"\n")

        view_rows.write_to(stream, _state["view"], source, form, reject, has_header=False)
    return to, source.lines


def _beside(rows: Path) -> Path:
    return rows.with_name(f"{rows.name}.rejected")


def _in_order(waiting: Iterator[tuple[Part, Future[_Done]]], ahead: int) -> Iterator[tuple[Part, _Done]]:
    """Yield results in order, with parts of so many bytes under way that no process waits, and no more."""
    under_way: collections.deque[tuple[Part, Future[_Done]]] = collections.deque()
    is_more, size = True, 0
    while is_more or under_way:
        while is_more and size < ahead:
            submitted = next(waiting, None)
            is_more = submitted is not None
            if submitted is not None:
                under_way.append(submitted)
                size += submitted[0].bytes + _LEAST_BYTES
        if under_way:
            part, result = under_way.popleft()
            yield part, result.result()
            size -= part.bytes + _LEAST_BYTES


def _numbered(done: Iterator[tuple[Part, _Done]], on_rejection: OnRejection) -> Iterator[Path]:
    """Tell of the rejections of each part, their lines counted from the start of their file; yield its rows."""
    lines = 0
    for part, (file, count) in done:
        lines = 0 if part.start == 0 else lines
        beside = _beside(file)
        with beside.open("rb") as rejected:
            for line in rejected:
                rejection = _rejections.decode(line)
                on_rejection(dataclasses.replace(rejection, line=rejection.line + lines))
        beside.unlink()
        yield file
        lines += count


def _put_together(view: CompiledView, done: Iterator[Path], form: Form, stream: IO[bytes]) -> None:
    if form == "parquet":
        with pyarrow.parquet.ParquetWriter(stream, view.schema) as writer:
            for file in done:
                with pyarrow.ipc.open_stream(str(file)) as batches:
                    for batch in batches:
                        writer.write_batch(batch)
                file.unlink()
        return
    if form == "csv":
        view_rows.write_header(stream, view)
    for file in done:
        with file.open("rb") as rows:
            shutil.copyfileobj(rows, stream, 1 << 20)
        file.unlink()
