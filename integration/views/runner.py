"""A compiled view at work: resources in, rows or Arrow batches out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec
import pyarrow as pa

from integration.errors import ViewError
from integration.views import arrow, faults, values
from integration.views.batches import Batches, Decode
from integration.views.binding import TOO_DEEP, Functions
from integration.views.compiler import Program, compile_program
from integration.views.shapes import decoder, has_narrow

Resource = Any
"""Raw FHIR JSON: a dict, or the text of one resource, as bytes or str."""

Row = tuple[object, ...]
OnError = Callable[[ViewError], object]
_Found = TypeVar("_Found")

_ENCODE = msgspec.json.Encoder(decimal_format="number").encode


def compile_view(definition: Any, fhir_version: str = "4.0.1") -> CompiledView:
    """Compile a ViewDefinition.

    Args:
        definition: the ViewDefinition as a dict, in its 2.0 or its 3.0-ballot form.
        fhir_version: `4.0.1`, `4.3.0` or `5.0.0`.

    Raises:
        ViewError: the view is wrong or uses what is not supported; names the JSON path in the view.
    """
    return CompiledView(definition, fhir_version)


def each(
    resources: Iterable[Resource], read: Callable[[Resource], _Found], on_error: OnError | None
) -> Iterator[_Found]:
    """Read resources one by one; one that breaks the view is handed to `on_error`, or raised without it."""
    for resource in resources:
        try:
            found = read(resource)
        except ViewError as error:
            if on_error is None:
                raise
            on_error(error)
        else:
            yield found


class CompiledView:
    """One ViewDefinition, ready to run.

    Attributes:
        name: the view's name.
        resource: the resource type that it reads; other types give no row.
        columns: the names of its columns, in order.
        warnings: what looks wrong in the view but is allowed, each with its path in the view.
        source: the generated Python.
        program: what the view was compiled to.
        functions: its generated functions.
    """

    def __init__(self, definition: Any, fhir_version: str) -> None:
        program = _compiled(definition, fhir_version)
        self._definition, self._fhir_version, self.program = definition, fhir_version, program
        self.name, self.resource, self.source = program.name, program.resource, program.source
        self.columns, self.warnings = list(program.columns), list(program.warnings)
        self._decode = decoder(program.root, program.schema).decode
        self._all_decoders: list[Decode] = []
        self.functions = Functions(program)
        self._rows = self.functions.rows

    def __reduce__(self) -> tuple[object, ...]:
        return compile_view, (self._definition, self._fhir_version)

    def read(self, resource: Resource) -> list[Row]:
        """Return the rows of one resource, each a tuple in the order of `columns`; none for another resource type.

        Raises:
            ViewError: the resource breaks the view.
        """
        found: list[Row] = []
        text = resource if isinstance(resource, bytes) else self.encoded(resource)
        try:
            if not text.isascii():
                text.decode()
            self._rows(self._decode(text), found.append)
        except faults.BROKEN as error:
            if not faults.is_skipped(text, self.resource):
                raise self._error(text, error) from error
        return found

    def rows(self, resources: Iterable[Resource], on_error: OnError | None = None) -> Iterator[dict[str, object]]:
        """Yield the rows of many resources, as dicts with the columns in order, while they are read.

        Args:
            resources: dicts or texts, one resource each; blank lines and other resource types are skipped.
            on_error: called with the ViewError of each resource that breaks the view; without it, the error is raised.
        """
        for found in each(resources, self.read, on_error):
            yield from (dict(zip(self.columns, row, strict=True)) for row in found)

    def batches(self, resources: Iterable[Resource], on_error: OnError | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the same rows as Arrow batches of at least `batches.BATCH_ROWS` rows (the last may be smaller).

        Text and dates are strings, integers int64, decimals decimal128(38, 18), collections lists of these.
        """

        def refuse(resource: Resource, error: Exception) -> None:
            self.refuse(resource, error, on_error)

        run = Batches(self.program, self.functions, decoders=self._decoders(), encode=self.encoded, refuse=refuse)
        return run.over(resources)

    def over_arrow(self, texts: Iterable[pa.RecordBatch], on_error: OnError | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the batches of resources that stand, one JSON text a row, in the first column of other batches.

        This is what PySpark's `mapInArrow` calls: a compiled view pickles, so it may be given there as it is.
        """
        return self.batches(
            (text for some in texts for text in some.column(0).to_pylist() if text is not None), on_error
        )

    @property
    def schema(self) -> pa.Schema:
        """Return the Arrow schema of `batches`."""
        return arrow.schema(self.program.columns)

    def _decoders(self) -> list[Decode]:
        """Return the decoders for many resources; the narrow one is built when it is first needed."""
        program = self.program
        if not self._all_decoders:
            is_narrow = has_narrow(program.root)
            narrow = [decoder(program.root, program.schema, is_narrow=True).decode] if is_narrow else []
            self._all_decoders = [*narrow, self._decode]
        return self._all_decoders

    def read_decoded(self, text: bytes, decoded: Any, add: Callable[[Row], None]) -> None:
        """Add the rows of a resource that was decoded by a struct which holds all that this view reads.

        Raises:
            ViewError: the resource breaks the view.
        """
        try:
            self._rows(decoded, add)
        except faults.BROKEN as error:
            raise self._error(text, error) from error

    def encoded(self, resource: Resource) -> bytes:
        """Write a resource as JSON, if it is no text yet.

        Raises:
            ViewError: it cannot be written.
        """
        try:
            return resource.encode() if isinstance(resource, str) else _ENCODE(resource)
        except (TypeError, ValueError, RecursionError) as error:
            raise ViewError(view=self.name, path="", problem="the resource cannot be written as JSON") from error

    def refuse(self, text: bytes, error: Exception, on_error: OnError | None) -> None:
        """Hand a resource's error over, or raise it; no error is one for a blank line or another resource type."""
        if not isinstance(error, ViewError):
            if faults.is_skipped(text, self.resource):
                return
            error = self._error(text, error)
        if on_error is None:
            raise error
        on_error(error)

    def _error(self, text: bytes, error: Exception) -> ViewError:
        path, problem = faults.explained(faults.whole(text) or error)
        if isinstance(error, values.BrokenValueError) and not path:
            path = self._strict_path(text)
        return ViewError(view=self.name, path=path, problem=problem, reference=faults.reference(text))

    def _strict_path(self, text: bytes) -> str:
        """Find where a decimal is no number: decimals are decoded as raw text, and only checked when used."""
        try:
            decoder(self.program.root, self.program.schema, is_strict=True).decode(text)
        except faults.BROKEN as error:
            return faults.explained(error)[0]
        return ""


def _compiled(definition: Any, fhir_version: str) -> Program:
    try:
        return compile_program(definition, fhir_version)
    except RecursionError as error:
        raise ViewError(view="unnamed", path="", problem=TOO_DEEP) from error
