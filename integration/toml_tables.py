"""Tables of a TOML file as checked values, and what is wrong with one in words: settings and studies share them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

_NOT_IN_FILES: Final = frozenset(("folder", "file"))
"""Fields that a reader fills in itself."""


class Table(BaseModel):
    """A table: unknown keys are errors, values keep their type, nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def faults(model: type[Table], error: ValidationError) -> list[tuple[str, str]]:
    """Return every fault: its path in the file, and what is wrong; the nearest known key where one is unknown."""
    return [
        (".".join(str(step) for step in fault["loc"]), _problem(model, fault["loc"], fault["type"], fault["msg"]))
        for fault in error.errors(include_url=False)
    ]


def _problem(model: type[Table], location: tuple[int | str, ...], kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return f"unknown key; {_nearest(str(location[-1]), _keys(model, location[:-1]))}"
    if kind == "missing":
        return "is missing; add it"
    text = message.removeprefix("Value error, ").removeprefix("Input ")
    return f"{text[:1].lower()}{text[1:]}"


def _keys(model: Any, location: Iterable[int | str]) -> list[str]:
    """Return the keys that the table at this place may have."""
    for step in location:
        field = model.model_fields.get(str(step)) if _is_table(model) else None
        annotation = field.annotation if field is not None else model
        model = next((one for one in (annotation, *getattr(annotation, "__args__", ())) if _is_table(one)), annotation)
    return sorted(set(model.model_fields) - _NOT_IN_FILES) if _is_table(model) else []


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Table)


def _nearest(key: str, keys: list[str]) -> str:
    near = difflib.get_close_matches(key, keys, n=1)
    return f"did you mean '{near[0]}'?" if near else f"the keys are: {', '.join(keys)}"
