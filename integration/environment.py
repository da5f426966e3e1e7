"""Settings by environment variables: `OUTCOME_BRIDGE_SERVICE__PORT=9000` is `port` in the table `[service]`.

Two underscores lead into a table. A text is written as it is; everything else as in TOML: `9000`, `true`, `["a", "b"]`,
`[{name = "engine", client_id = "engine"}]`.
"""

from __future__ import annotations

import tomllib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from integration.errors import SettingsError
from integration.toml_tables import Table, key_problem

PREFIX: Final = "OUTCOME_BRIDGE_"
_PLACE: Final = "environment"


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """A variable that is a setting.

    Attributes:
        name: of the variable.
        keys: from the outermost table to the key.
        value: as TOML would have given it.
    """

    name: str
    keys: tuple[str, ...]
    value: Any


def variables(model: type[Table], environ: Mapping[str, str], *, apart: Iterable[str]) -> list[Variable]:
    """Return the settings of an environment, sorted by name.

    Args:
        model: the settings that there are.
        environ: the environment.
        apart: variables with our prefix that are no settings.

    Raises:
        SettingsError: a variable with our prefix names no setting, or its value is not written as it must be.
    """
    names = sorted(name for name in environ if name.startswith(PREFIX) and name not in apart)
    return [_variable(model, name, environ[name]) for name in names]


def merged(table: Mapping[str, Any], found: Iterable[Variable]) -> dict[str, Any]:
    """Return a file's table with the variables' values in place of its own."""
    result = dict(table)
    for variable in found:
        inner = result
        for key in variable.keys[:-1]:
            held = inner.get(key)
            inner[key] = dict(held) if isinstance(held, dict) else {}
            inner = inner[key]
        inner[variable.keys[-1]] = variable.value
    return result


def _variable(model: type[Table], name: str, text: str) -> Variable:
    keys = tuple(name.removeprefix(PREFIX).lower().split("__"))
    table: Any = model
    for position, key in enumerate(keys):
        problem = key_problem(table, key)
        if problem:
            raise SettingsError(file=_PLACE, problem=f"{name}: {'.'.join(keys[: position + 1])}: {problem}")
        table = table.model_fields[key].annotation
    if isinstance(table, type) and issubclass(table, Table):
        raise SettingsError(file=_PLACE, problem=f"{name}: is a table; name a key in it, {name}__KEY")
    return Variable(name=name, keys=keys, value=_value(name, table, text))


def _value(name: str, kind: Any, text: str) -> Any:
    if _is_text(kind):
        return text
    try:
        written = tomllib.loads(f"value = {text}\n")
    except tomllib.TOMLDecodeError:
        written = {}
    if written.keys() != {"value"}:
        raise SettingsError(file=_PLACE, problem=f'{name}: must be written as in TOML: 9000, true, ["a", "b"]')
    return written["value"]


def _is_text(kind: Any) -> bool:
    if kind in (str, Path):
        return True
    if typing.get_origin(kind) is typing.Literal:
        return all(isinstance(one, str) for one in typing.get_args(kind))
    if typing.get_origin(kind) is typing.Annotated:
        return _is_text(typing.get_args(kind)[0])
    options = [one for one in typing.get_args(kind) if one is not type(None)]
    return typing.get_origin(kind) is not tuple and bool(options) and all(_is_text(one) for one in options)
