"""Tables of a TOML file as checked values, and what is wrong with one in words: settings and studies share them."""

from __future__ import annotations

import difflib
import re
import ssl
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo

_BRANCH: Final = re.compile(r"(literal|function-\w+|tuple|list|constrained|is-instance)[\[-].*|int|str|float|bool|none")
"""What pydantic calls the kinds that a value may be of, where there are several: no step of a path in a file."""
_WORDS: Final[Mapping[str, str]] = {
    "string_type": "text in quotes", "int_type": "a whole number", "int_from_float": "a whole number",
    "float_type": "a number", "bool_type": "true or false", "tuple_type": "a list", "list_type": "a list",
    "is_instance_of": "a path in quotes", "model_type": "a table", "dict_type": "a table",
}  # fmt: skip
"""By pydantic's type of error, what the value should be."""


class Table(BaseModel):
    """A table: unknown keys are errors, values keep their type, nothing changes once it is read.

    Attributes:
        not_in_files: fields that a reader fills in itself.
    """

    not_in_files: ClassVar[frozenset[str]] = frozenset(("folder", "file"))
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _beside_the_file(path: object, info: ValidationInfo) -> object:
    """Read a path as relative to the file that names it."""
    if isinstance(path, str):
        return (info.context or {}).get("folder", Path()) / Path(path).expanduser()
    return path


def _holding_certificates(file: Path | None) -> Path | None:
    if file is None:
        return None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
    except ssl.SSLError as error:
        raise ValueError(f"{file} holds no certificates in PEM") from error
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({(error.strerror or '').lower()})") from error
    return file


BesideTheFile = Annotated[Path | None, BeforeValidator(_beside_the_file)]
"""A path in quotes, relative to the file that names it."""
CertificatesBesideTheFile = Annotated[BesideTheFile, AfterValidator(_holding_certificates)]
"""The same of a file with certificates in PEM."""


def faults(model: type[Table], error: ValidationError) -> list[tuple[str, str]]:
    """Return every fault: its path in the file, and what is wrong; the nearest known key where one is unknown."""
    found: dict[str, list[str]] = {}
    for fault in error.errors(include_url=False):
        location = tuple(step for step in fault["loc"] if not _BRANCH.fullmatch(str(step)))
        said = found.setdefault(".".join(map(str, location)), [])
        said.append(_problem(model, location, fault["type"], fault["msg"]))
    return [(path, _one_of(problems)) for path, problems in found.items()]


def _one_of(problems: Sequence[str]) -> str:
    """Return one sentence of why a value is of none of several kinds."""
    first, *others = dict.fromkeys(problems)
    return " or ".join((first, *(one.removeprefix("should be ") for one in others)))


def key_problem(model: Any, key: str) -> str:
    """Return what is wrong with a key that a table is said to have; empty if nothing is."""
    keys = _keys(model, ())
    return "" if key in keys else f"unknown key; {_nearest(key, keys)}" if keys else "unknown key; it is in no table"


def _problem(model: type[Table], location: tuple[int | str, ...], kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return f"unknown key; {_nearest(str(location[-1]), _keys(model, location[:-1]))}"
    if kind == "missing":
        return "is missing; add it"
    if kind in _WORDS:
        return f"should be {_WORDS[kind]}"
    text = message.removeprefix("Value error, ").removeprefix("Input ")
    return f"{text[:1].lower()}{text[1:]}"


def _keys(model: Any, location: Iterable[int | str]) -> list[str]:
    """Return the keys that the table at this place may have."""
    for step in location:
        field = model.model_fields.get(str(step)) if _is_table(model) else None
        annotation = field.annotation if field is not None else model
        model = next((one for one in (annotation, *getattr(annotation, "__args__", ())) if _is_table(one)), annotation)
    return sorted(set(model.model_fields) - model.not_in_files) if _is_table(model) else []


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Table)


def _nearest(key: str, keys: list[str]) -> str:
    near = difflib.get_close_matches(key, keys, n=1)
    return f"did you mean '{near[0]}'?" if near else f"the keys are: {', '.join(keys)}"
