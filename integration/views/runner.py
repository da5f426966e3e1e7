"""A compiled view at work: resources in, rows or Arrow batches out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
import pyarrow as pa

from integration.errors import ViewError
from integration.views import arrow, dates, values
from integration.views.compiler import Program, compile_program
from integration.views.shapes import ANY_RESOURCE, decoder
from integration.views.steps import Inner

Resource = Any
"""Raw FHIR JSON: a dict, or the bytes of one resource."""

Row = tuple[object, ...]
OnError = Callable[[ViewError], object]

BATCH_ROWS = 10_000
"""Rows after which an Arrow batch is full; the rows of one resource stay together."""

_ENCODE = msgspec.json.Encoder(decimal_format="number").encode


class _Header(msgspec.Struct, rename={"resource_type": "resourceType"}):
    resource_type: Any = None
    id: Any = None


_HEADER: msgspec.json.Decoder[_Header] = msgspec.json.Decoder(_Header)


def compile_view(definition: Any, fhir_version: str = "4.0.1") -> CompiledView:
    """Compile a ViewDefinition.

    Args:
        definition: the ViewDefinition as a dict, in its 2.0 or its 3.0-ballot form.
        fhir_version: `4.0.1`, `4.3.0` or `5.0.0`.

    Raises:
        ViewError: the view is wrong or uses what is not supported; names the JSON path in the view.
    """
    return CompiledView(definition, fhir_version)


class CompiledView:
    """One ViewDefinition, ready to run.

    Attributes:
        name: the view's name.
        resource: the resource type that it reads; other types give no row.
        columns: the names of its columns, in order.
        warnings: what looks wrong in the view but is allowed, each with its path in the view.
        source: the generated Python.
    """

    def __init__(self, definition: Any, fhir_version: str) -> None:
        program = _compiled(definition, fhir_version)
        self._definition, self._fhir_version, self._program = definition, fhir_version, program
        self.name, self.resource, self.source = program.name, program.resource, program.source
        self.columns, self.warnings = list(program.columns), list(program.warnings)
        self._decode = decoder(program.root, program.schema).decode
        self._rows, self._columns = _functions(program)

    def __reduce__(self) -> tuple[object, ...]:
        return compile_view, (self._definition, self._fhir_version)

    def read(self, resource: Resource) -> list[Row]:
        """Return the rows of one resource, each a tuple in the order of `columns`; none for another resource type.

        Raises:
            ViewError: the resource breaks the view.
        """
        found: list[Row] = []
        self._run(resource, self._rows, found.append)
        return found

    def _run(self, resource: Resource, function: Callable[..., None], *adds: Callable[..., None]) -> None:
        text = resource if isinstance(resource, bytes) else self._encoded(resource)
        try:
            if not text.isascii():
                text.decode()
            function(self._decode(text), *adds)
        except _BROKEN as error:
            if not self._is_skipped(text):
                raise self._error(text, error) from error

    def _is_skipped(self, text: bytes) -> bool:
        """Say whether what could not be read is a blank line or a resource of another type."""
        return not text or text.isspace() or _is_of_another_type(text, self.resource)

    def _encoded(self, resource: Resource) -> bytes:
        try:
            return _ENCODE(resource)
        except (TypeError, ValueError, RecursionError) as error:
            raise ViewError(view=self.name, path="", problem="the resource cannot be written as JSON") from error

    def rows(self, resources: Iterable[Resource], on_error: OnError | None = None) -> Iterator[dict[str, object]]:
        """Yield the rows of many resources, as dicts with the columns in order, while they are read.

        Args:
            resources: dicts or bytes, one resource each; blank lines and other resource types are skipped.
            on_error: called with the ViewError of each resource that breaks the view; without it, the error is raised.
        """
        for resource in resources:
            try:
                found = self.read(resource)
            except ViewError as error:
                if on_error is None:
                    raise
                on_error(error)
            else:
                yield from (dict(zip(self.columns, row, strict=True)) for row in found)

    def batches(self, resources: Iterable[Resource], on_error: OnError | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the same rows as Arrow batches of at least `BATCH_ROWS` rows (the last may be smaller).

        Text and dates are strings, integers int64, decimals decimal128(38, 18), collections lists of these.
        """
        builder = arrow.Builder(self._program.columns)
        columns, decode, adds, size = self._columns, self._decode, builder.adds, 0
        for resource in resources:
            try:
                if type(resource) is bytes and resource.isascii():  # one call less for nearly every resource
                    columns(decode(resource), *adds)
                else:
                    self._run(resource, columns, *adds)
                builder.check(size)
            except _BROKEN_OR_REFUSED as error:
                builder.cut(size)
                self._refused(resource, error, on_error)
            size = len(builder)
            if size >= BATCH_ROWS:
                yield builder.take()
                size = 0
        if size:
            yield builder.take()

    def _refused(self, resource: Resource, error: Exception, on_error: OnError | None) -> None:
        """Hand a resource's error over, or raise it; no error is one for a blank line or another resource type."""
        if not isinstance(error, ViewError):
            text = resource if isinstance(resource, bytes) else self._encoded(resource)
            if self._is_skipped(text):
                return
            error = self._error(text, error)
        if on_error is None:
            raise error
        on_error(error)

    @property
    def schema(self) -> pa.Schema:
        """Return the Arrow schema of `batches`."""
        return arrow.schema(self._program.columns)

    def _error(self, text: bytes, error: Exception) -> ViewError:
        path, problem = _explained(_fault(text) or error)
        if isinstance(error, values.BrokenValueError) and not path:
            path = self._strict_path(text)
        return ViewError(view=self.name, path=path, problem=problem, reference=_reference(text))

    def _strict_path(self, text: bytes) -> str:
        """Find where a decimal is no number: decimals are decoded as raw text, and only checked when used."""
        try:
            decoder(self._program.root, self._program.schema, is_strict=True).decode(text)
        except _BROKEN as error:
            return _explained(error)[0]
        return ""


_BROKEN = (msgspec.MsgspecError, UnicodeError, RecursionError, values.BrokenValueError, ArithmeticError)
_BROKEN_OR_REFUSED = (*_BROKEN, ViewError)


def _compiled(definition: Any, fhir_version: str) -> Program:
    try:
        return compile_program(definition, fhir_version)
    except RecursionError as error:
        raise ViewError(view="unnamed", path="", problem=_TOO_DEEP) from error


def _functions(program: Program) -> tuple[Callable[..., None], Callable[..., None]]:
    namespace: dict[str, Any] = {**_RUNTIME, **program.constants}
    for index, inner in enumerate(program.inner):
        namespace[f"decode_inner_{index}"] = _inner_decoder(program, inner)
    try:
        for source in (program.source, program.source_of_columns):
            exec(compile(source, "<view>", "exec"), namespace)  # noqa: S102  # our own text: see source.py
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ViewError(view=program.name, path="select", problem=_TOO_DEEP) from error
    return namespace["rows"], namespace["columns"]


_TOO_DEEP = "the view is nested too deeply to be compiled"


def _inner_decoder(program: Program, inner: Inner) -> Callable[[msgspec.Raw | None], Any]:
    decode, wanted = decoder(inner.shape, program.schema).decode, inner.shape.type

    def decode_inner(raw: msgspec.Raw | None) -> Any:
        if raw is None or (wanted not in ANY_RESOURCE and _is_of_another_type(bytes(raw), wanted)):
            return None
        try:
            return decode(raw)
        except msgspec.ValidationError as error:
            path, problem = _explained(error)
            raise values.BrokenValueError(f"{inner.path}.{path}", problem) from error

    return decode_inner


def _fault(text: bytes) -> Exception | None:
    """Return what is wrong with the text as a whole: a decoder that stops early reports its own trouble first."""
    try:
        text.decode()
        _HEADER.decode(text)
    except _BROKEN as error:
        return error
    return None


def _is_of_another_type(text: bytes, wanted: str) -> bool:
    try:
        text.decode()
        found = _HEADER.decode(text).resource_type
    except _BROKEN:
        return False
    return isinstance(found, str) and found != wanted


_RUNTIME: Mapping[str, object] = {
    "__builtins__": {"len": len},
    **{name: getattr(module, name) for module in (values, dates) for name in module.__all__},
}


def _explained(error: Exception) -> tuple[str, str]:
    """Return where a resource is broken and how, without any value out of it."""
    if isinstance(error, values.BrokenValueError):
        return error.path, error.problem
    if isinstance(error, msgspec.ValidationError):
        problem, _, path = str(error).partition(" - at `$")
        return path.rstrip("`").lstrip("."), _without_value(problem)
    if isinstance(error, msgspec.MsgspecError):
        return "", f"broken JSON: {error}"
    if isinstance(error, UnicodeError):
        return "", "the text is not UTF-8"
    if isinstance(error, RecursionError):
        return "", "nested too deeply"
    return "", "a value cannot be computed with"


def _without_value(problem: str) -> str:
    return "is not the resource type that belongs here" if problem.startswith("Invalid enum") else problem


def _reference(text: bytes) -> str:
    try:
        header = _HEADER.decode(text)
    except _BROKEN:
        return ""
    is_known = isinstance(header.resource_type, str) and isinstance(header.id, str)
    return f"{header.resource_type}/{header.id}" if is_known else ""
