"""The bulk path: resources in, Arrow batches out, through one generated loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

from integration.errors import ViewError
from integration.views.arrow import Builder
from integration.views.binding import Functions
from integration.views.compiler import Program

BATCH_ROWS = 10_000
"""Rows after which an Arrow batch is full; the rows of one resource stay together."""

WORTH_REPEATING = 4
"""Rows a resource from which it pays to append once a resource what all its rows share, and to repeat it by Arrow."""

_PROBED_ROWS = 200
"""Rows by which that is decided."""


class Batches:
    """One run of a view over resources.

    Args:
        program: the compiled view.
        functions: its generated functions.
        decode: bytes to the view's struct.
        encode: any other form of a resource to bytes; raises ViewError.
        refuse: called with the text that broke the view and the error; raises, or notes it.
    """

    def __init__(
        self,
        program: Program,
        functions: Functions,
        *,
        decode: Callable[[bytes], Any],
        encode: Callable[[Any], bytes],
        refuse: Callable[[bytes, Exception], None],
    ) -> None:
        self._functions, self._decode, self._encode, self._refuse = functions, decode, encode, refuse
        self._is_once = bool(program.body.once)
        self._fill = functions.fill(is_once=self._is_once)
        self._builder = Builder(program.columns, program.body.once)

    def over(self, resources: Iterable[Any]) -> Iterator[pa.RecordBatch]:
        """Yield batches of at least `BATCH_ROWS` rows; the last may be smaller."""
        waiting = iter(resources)
        if self._is_once:
            self._run(waiting, _PROBED_ROWS)
            self._choose()
        while True:
            self._run(waiting, BATCH_ROWS)
            size = len(self._builder)
            if size:
                yield self._builder.take()
            if size < BATCH_ROWS:
                return

    def _choose(self) -> None:
        """Go on without repeating where the first resources have few rows each."""
        if len(self._builder) < WORTH_REPEATING * len(self._builder.counts):
            self._builder.repeat()
            self._fill = self._functions.fill(is_once=False)

    def _run(self, texts: Iterable[Any], limit: float) -> None:
        builder = self._builder
        self._fill(texts, self._decode, limit, self._broken, builder.check, builder.counts, *builder.lists)

    def _broken(self, resource: Any, error: Exception) -> None:
        """Hand over what cannot be read; but what is no bytes is given once more, as bytes."""
        if isinstance(resource, bytes):
            if isinstance(error, AttributeError):
                raise error
            self._refuse(resource, error)
            return
        try:
            text = self._encode(resource)
        except ViewError as problem:
            self._refuse(b"", problem)
        else:
            self._run([text], float("inf"))
