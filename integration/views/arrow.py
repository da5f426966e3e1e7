"""Rows -> Arrow batches, column by column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

import pyarrow as pa

from integration.views.columns import ColumnType
from integration.views.schema import BOOLEAN, INTEGER, NUMBER
from integration.views.values import BrokenValueError

_DIGITS, _PLACES = 38, 18
_TYPES = {BOOLEAN: pa.bool_(), INTEGER: pa.int64(), NUMBER: pa.decimal128(_DIGITS, _PLACES)}


def schema(columns: Mapping[str, ColumnType]) -> pa.Schema:
    """Return the Arrow schema of a view's columns: strings, bool, int64, decimal128(38, 18), and lists of these."""
    return pa.schema([pa.field(name, _type(column)) for name, column in columns.items()])


class Builder:
    """Gathers the values of a view's columns; `adds` are the functions that the generated code calls, one a column."""

    def __init__(self, columns: Mapping[str, ColumnType]) -> None:
        self._schema = schema(columns)
        self._values: list[list[object]] = [[] for _ in columns]
        self._unbounded = [at for at, column in enumerate(columns.values()) if column.may_overflow]
        self._first = self._values[0]
        self.adds: list[Callable[[object], None]] = [values.append for values in self._values]

    def __len__(self) -> int:
        return len(self._first)

    def check(self, start: int) -> None:
        """Check the rows from a position on.

        Raises:
            BrokenValueError: a number does not fit its column.
        """
        for at in self._unbounded:
            for value in self._values[at][start:]:
                if not all(map(_fits, value if isinstance(value, list) else [value])):
                    raise BrokenValueError(self._schema.names[at], "the number does not fit an Arrow column")

    def cut(self, length: int) -> None:
        """Forget the rows after a position: those of a resource that broke midway."""
        for values in self._values:
            del values[length:]

    def take(self) -> pa.RecordBatch:
        """Return what was gathered and begin anew."""
        arrays = [pa.array(values, field.type) for values, field in zip(self._values, self._schema, strict=True)]
        self.cut(0)
        return pa.record_batch(arrays, self._schema)


def _type(column: ColumnType) -> pa.DataType:
    value = _TYPES.get(column.kind, pa.string())
    return pa.list_(value) if column.is_collection else value


def _fits(value: object) -> bool:
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        is_fine = isinstance(exponent, int) and exponent >= -_PLACES
        return is_fine and value.adjusted() < _DIGITS - _PLACES
    return not isinstance(value, int) or -(2**63) <= value < 2**63
