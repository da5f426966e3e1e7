"""Several views over the same resources in one pass: each resource is decoded once, whatever reads it.

What all views of one resource type read is decoded by one struct. A resource that this struct cannot read is given to
each view by itself, because it may break one view and not another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from integration.views import faults
from integration.views.arrow import Builder
from integration.views.batches import BATCH_ROWS
from integration.views.runner import CompiledView, OnError, Resource, Row, compile_view, each
from integration.views.shapes import Shape, decoder_of_several


def compile_views(definitions: Iterable[Any], fhir_version: str = "4.0.1") -> CompiledViews:
    """Compile several ViewDefinitions to be run in one pass; as `compile_view` otherwise."""
    return CompiledViews([compile_view(definition, fhir_version) for definition in definitions])


class _Part:
    """One view of a run, with the rows that it has gathered."""

    __slots__ = ("at", "builder", "columns", "first", "lists", "size", "view")

    def __init__(self, at: int, view: CompiledView) -> None:
        self.at, self.view, self.columns = at, view, view.functions.columns()
        self.builder = Builder(view.program.columns)
        self.lists, self.first, self.size = self.builder.lists, self.builder.lists[0], 0

    def add(self, text: bytes, resource: Any, on_error: OnError | None) -> None:
        """Add the rows of a resource; none, if it breaks the view."""
        try:
            self.columns(resource, *self.lists)
            if len(self.first) != self.size:
                self.builder.check(self.size)
        except faults.BROKEN as error:
            self.builder.cut(self.size)
            self.view.refuse(text, error, on_error)
        self.size = len(self.first)

    def alone(self, text: Resource, on_error: OnError | None) -> None:
        """Add the rows of a resource that the shared struct cannot read."""
        for batch in self.view.batches([text], on_error):
            for values, column in zip(self.lists, batch.columns, strict=True):
                values.extend(column.to_pylist())
        self.size = len(self.first)

    def take(self) -> pa.RecordBatch:
        """Return what was gathered and begin anew."""
        self.size = 0
        return self.builder.take()


class CompiledViews:
    """Several compiled views that read the same resources in one pass.

    Attributes:
        views: the views, in the order of their definitions; each may be run by itself, too.
    """

    def __init__(self, views: Sequence[CompiledView]) -> None:
        self.views = list(views)
        by_type: dict[str, list[CompiledView]] = {}
        for view in self.views:
            by_type.setdefault(view.resource, []).append(view)
        self._types = frozenset(by_type)
        self._decode, structs = _decoder(by_type)
        self._readers = {structs[name]: frozenset(map(id, some)) for name, some in by_type.items()}

    def __reduce__(self) -> tuple[object, ...]:
        return CompiledViews, (self.views,)

    def read(self, resource: Resource) -> list[list[Row]]:
        """Return the rows of one resource for each view; none for views of another resource type.

        Raises:
            ViewError: the resource breaks one of the views.
        """
        text = self._text(resource)
        found: list[list[Row]] = [[] for _ in self.views]
        decoded = self._decoded(text)
        if decoded is None:
            return found if self._is_skipped(text) else [view.read(text) for view in self.views]
        readers = self._readers[type(decoded)]
        for view, rows in zip(self.views, found, strict=True):
            if id(view) in readers:
                view.read_decoded(text, decoded, rows.append)
        return found

    def rows(
        self, resources: Iterable[Resource], on_error: OnError | None = None
    ) -> Iterator[tuple[int, dict[str, object]]]:
        """Yield the rows of many resources, each behind the place of its view in `views`; as `CompiledView.rows`.

        A resource that breaks some of the views gives no row of any.
        """
        for found in each(resources, self.read, on_error):
            for at, (view, rows) in enumerate(zip(self.views, found, strict=True)):
                yield from ((at, dict(zip(view.columns, row, strict=True))) for row in rows)

    def batches(
        self, resources: Iterable[Resource], on_error: OnError | None = None
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield Arrow batches, each behind the place of its view in `views`; as `CompiledView.batches`.

        A resource that breaks some of the views gives the rows of the others.
        """
        parts = [_Part(at, view) for at, view in enumerate(self.views)]
        of_type = {
            struct: [part for part in parts if id(part.view) in readers] for struct, readers in self._readers.items()
        }
        for resource in resources:
            decoded = self._decoded(resource) if type(resource) is bytes else None
            if decoded is None:
                self._apart(parts, resource, on_error)
                continue
            some = of_type[type(decoded)]
            for part in some:
                part.add(resource, decoded, on_error)
            for part in some:
                if part.size >= BATCH_ROWS:
                    yield part.at, part.take()
        yield from ((part.at, part.take()) for part in parts if len(part.first))

    def _apart(self, parts: Iterable[_Part], resource: Resource, on_error: OnError | None) -> None:
        """Give each view what the shared struct cannot read, and what is no bytes."""
        if not isinstance(resource, bytes) or not self._is_skipped(resource):
            for part in parts:
                part.alone(resource, on_error)

    def _is_skipped(self, text: bytes) -> bool:
        return all(faults.is_skipped(text, wanted) for wanted in self._types)

    def _text(self, resource: Resource) -> bytes:
        return resource if isinstance(resource, bytes) else self.views[0].encoded(resource)

    def _decoded(self, text: bytes) -> Any:
        try:
            if not text.isascii():
                text.decode()
            return self._decode(text)
        except faults.BROKEN:
            return None


def _decoder(by_type: dict[str, list[CompiledView]]) -> tuple[Callable[[bytes], Any], dict[str, type]]:
    """Build the decoder of everything that is read of each resource type, and name the struct of each."""
    shapes: dict[str, Shape] = {}
    for name, views in by_type.items():
        first, *others = [view.program.root.copied() for view in views]
        for other in others:
            first.merge(other)
        shapes[name] = first.itself()
    schema = next(iter(by_type.values()))[0].program.schema
    decoder, structs = decoder_of_several(list(shapes.values()), schema)
    return decoder.decode, dict(zip(shapes, structs, strict=True))
