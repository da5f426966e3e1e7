"""A compiled program -> functions: its source is executed with its constants, decoders, and what it may call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from integration.errors import ViewError
from integration.views import dates, equality, faults, values
from integration.views.compiler import Program
from integration.views.shapes import ANY_RESOURCE, decoder
from integration.views.steps import Inner

Function = Callable[..., Any]

TOO_DEEP = "the view is nested too deeply to be compiled"

_RUNTIME: Mapping[str, object] = {
    "__builtins__": {"len": len},
    **{name: getattr(module, name) for module in (values, dates, equality) for name in module.__all__},
}


class Functions:
    """The generated functions of one view; all but `rows` are defined when they are first needed."""

    def __init__(self, program: Program) -> None:
        self._program = program
        errors = (*faults.BROKEN, AttributeError, TypeError)
        self._namespace: dict[str, Any] = {**_RUNTIME, **program.constants, "errors": errors}
        for index, inner in enumerate(program.inner):
            self._namespace[f"decode_inner_{index}"] = _inner_decoder(program, inner)
        self._execute(program.source)
        self.rows: Function = self._namespace["rows"]

    def columns(self) -> Function:
        """Return `columns(resource, c_0, c_1, …)`."""
        return self._defined("columns", self._program.body.columns)

    def fill(self, *, is_once: bool, is_narrow: bool) -> Function:
        """Return `fill(texts, decode, limit, broken, check, counts, c_0, c_1, …)`, for the narrow decoder or not."""
        body = self._program.body
        is_narrow = is_narrow and bool(body.looked_up)
        name = f"fill{'_once' if is_once else ''}{'_narrow' if is_narrow else ''}"
        return self._defined(name, lambda: body.fill(name, is_once=is_once, is_narrow=is_narrow))

    def _defined(self, name: str, source: Callable[[], str]) -> Function:
        if name not in self._namespace:
            self._execute(source())
        function: Function = self._namespace[name]
        return function

    def _execute(self, source: str) -> None:
        try:
            exec(compile(source, "<view>", "exec"), self._namespace)  # noqa: S102  # our own text: see source.py
        except (SyntaxError, RecursionError, MemoryError) as error:
            raise ViewError(view=self._program.name, path="select", problem=TOO_DEEP) from error


def _inner_decoder(program: Program, inner: Inner) -> Callable[[msgspec.Raw | None], Any]:
    decode, wanted = decoder(inner.shape, program.schema).decode, inner.shape.type

    def decode_inner(raw: msgspec.Raw | None) -> Any:
        if raw is None or (wanted not in ANY_RESOURCE and faults.is_of_another_type(bytes(raw), wanted)):
            return None
        try:
            return decode(raw)
        except msgspec.ValidationError as error:
            path, problem = faults.explained(error)
            raise values.BrokenValueError(".".join(filter(None, (inner.path, path))), problem) from error

    return decode_inner
