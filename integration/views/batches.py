"""The bulk path: resources in, Arrow batches out, through one generated loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
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


_MOST_NARROW_FAILURES = 100
"""Resources of a batch that the narrow decoder may refuse; with more it costs more than it saves."""

Decode = Callable[[bytes], Any]


class Batches:
    """One run of a view over resources.

    Args:
        program: the compiled view.
        functions: its generated functions.
        decoders: each makes the view's struct of bytes: the last one of everything, one before it, where there is one,
            faster of nearly everything.
        encode: any other form of a resource to bytes; raises ViewError.
        refuse: called with the text that broke the view and the error; raises, or notes it.
    """

    def __init__(
        self,
        program: Program,
        functions: Functions,
        *,
        decoders: Sequence[Decode],
        encode: Callable[[Any], bytes],
        refuse: Callable[[bytes, Exception], None],
    ) -> None:
        self._functions, self._encode, self._refuse = functions, encode, refuse
        self._decoders, self._narrow_failures = decoders, 0
        self._is_once = bool(program.body.once)
        self._builder = Builder(program.columns, program.body.once)

    def over(self, resources: Iterable[Any]) -> Iterator[pa.RecordBatch]:
        """Yield batches of at least `BATCH_ROWS` rows; the last may be smaller."""
        waiting = iter(resources)
        if self._is_once:
            self._run(waiting, _PROBED_ROWS)
            self._choose()
        is_done = False
        while not is_done:
            is_done = self._run(waiting, BATCH_ROWS)
            if len(self._builder) >= BATCH_ROWS or (is_done and len(self._builder)):
                yield self._builder.take()
                self._narrow_failures = 0

    def _choose(self) -> None:
        """Go on without repeating where the first resources have few rows each."""
        if len(self._builder) < WORTH_REPEATING * len(self._builder.counts):
            self._builder.repeat()
            self._is_once = False

    def _run(self, texts: Iterable[Any], limit: float) -> bool:
        to, decode = self._builder, self._decoders[0]
        fill = self._functions.fill(is_once=self._is_once, is_narrow=len(self._decoders) > 1)
        is_done: bool = fill(texts, decode, limit, self._broken, to.check, to.counts, *to.lists)
        return is_done

    def _broken(self, resource: Any, error: Exception) -> bool:
        """Hand over what cannot be read, or try it in another way; say whether to go on in that other way.

        What is no bytes is given once more as bytes, what the narrow decoder refuses once more to the other one.
        """
        if not isinstance(resource, bytes):
            self._encoded(resource)
        elif isinstance(error, AttributeError | TypeError):
            raise error
        elif isinstance(error, msgspec.ValidationError) and len(self._decoders) > 1:
            return self._widely(resource)
        else:
            self._refuse(resource, error)
        return False

    def _encoded(self, resource: Any) -> None:
        try:
            text = self._encode(resource)
        except ViewError as problem:
            self._refuse(b"", problem)
        else:
            self._run([text], float("inf"))

    def _widely(self, text: bytes) -> bool:
        decoders = self._decoders
        self._decoders = decoders[-1:]
        self._run([text], float("inf"))
        self._narrow_failures += 1
        if self._narrow_failures > _MOST_NARROW_FAILURES:
            return True
        self._decoders = decoders
        return False
