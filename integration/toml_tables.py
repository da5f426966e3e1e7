"""Tables of a TOML file as checked values, and what is wrong with one in words: settings and studies share them."""

from __future__ import annotations

import difflib
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError, ValidationInfo

_NOT_IN_FILES: Final = frozenset(("folder", "file"))
"""Fields that a reader fills in itself."""


class Table(BaseModel):
    """A table: unknown keys are errors, values keep their type, nothing changes once it is read."""

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
