"""Rows -> Arrow batches, column by column."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from decimal import Decimal

import numpy as np
import pyarrow as pa

from integration.views.columns import ColumnType
from integration.views.schema import BOOLEAN, INTEGER, NUMBER
from integration.views.values import BrokenValueError

_DIGITS, _PLACES = 38, 18
_TYPES = {BOOLEAN: pa.bool_(), INTEGER: pa.int64(), NUMBER: pa.decimal128(_DIGITS, _PLACES)}


def schema(columns: Mapping[str, ColumnType]) -> pa.Schema:
    """Return the Arrow schema of a view's columns: strings, bool, int64, decimal128(38, 18), and lists of these."""
    return _schema(tuple(columns.items()))


@functools.lru_cache(maxsize=64)
def _schema(columns: tuple[tuple[str, ColumnType], ...]) -> pa.Schema:
    return pa.schema([pa.field(name, _type(column)) for name, column in columns])


class Builder:
    """Gathers the values of a view's columns until they become a batch.

    Attributes:
        lists: of each column's values, which generated code appends to.
        counts: for generated code that appends some columns once a resource: how many rows each resource has.
    """

    def __init__(self, columns: Mapping[str, ColumnType], once: Collection[int] = ()) -> None:
        self.schema = schema(columns)
        self.lists: list[list[object]] = [[] for _ in columns]
        self.counts: list[int] = []
        self._once = frozenset(once)
        self._unbounded = [at for at, column in enumerate(columns.values()) if column.may_overflow]
        self._rows = self.lists[next(at for at in range(len(self.lists)) if at not in self._once)]

    def __len__(self) -> int:
        return len(self._rows)

    def check(self, start: int) -> None:
        """Check the rows from a position on.

        Raises:
            BrokenValueError: a number does not fit its column.
        """
        for at in self._unbounded:
            for value in self.lists[at][start:]:
                if value is not None and not all(map(_fits, value if isinstance(value, list) else [value])):
                    raise BrokenValueError(self.schema.names[at], "the number does not fit an Arrow column")

    def repeat(self) -> None:
        """Repeat what was appended once a resource; from now on every column is appended once a row."""
        for at in self._once:
            pairs = zip(self.lists[at], self.counts, strict=True)
            self.lists[at][:] = [value for value, count in pairs for _ in range(count)]
        self.counts.clear()
        self._once = frozenset()

    def cut(self, length: int) -> None:
        """Forget the rows after a position: those of a resource that broke midway."""
        for values in self.lists:
            del values[length:]

    def take(self) -> pa.RecordBatch:
        """Return what was gathered and begin anew."""
        arrays = [pa.array(values, field.type) for values, field in zip(self.lists, self.schema, strict=True)]
        if self._once:
            places = pa.array(np.repeat(np.arange(len(self.counts), dtype=np.int32), self.counts))
            arrays = [each.take(places) if at in self._once else each for at, each in enumerate(arrays)]
        self.cut(0)
        self.counts.clear()
        return pa.record_batch(arrays, self.schema)


def _type(column: ColumnType) -> pa.DataType:
    value = _TYPES.get(column.kind, pa.string())
    return pa.list_(value) if column.is_collection else value


def _fits(value: object) -> bool:
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        is_fine = isinstance(exponent, int) and exponent >= -_PLACES
        return is_fine and value.adjusted() < _DIGITS - _PLACES
    return not isinstance(value, int) or -(2**63) <= value < 2**63
