"""Write `schema_r4b.json` and `schema_r5.json` from the models of `fhir.resources`.

Importing every model takes seconds, reading the two files takes milliseconds, so a view never imports a model. Run
`python -m integration.views.generate_schema` after `fhir.resources` was updated; a test compares the files with the
installed models.

A file maps each type to its elements in FHIR's order: `"name": "HumanName*"` is a list, `"deceased":
"boolean|dateTime"` a choice whose JSON keys are `deceasedBoolean` and `deceasedDateTime`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import pathlib
import pkgutil
import types
import typing
from collections.abc import Iterable, Iterator

import msgspec
from pydantic.fields import FieldInfo

Elements = dict[str, str]

RELEASES = {"r4b": ("fhir.resources.R4B", "4.3.0"), "r5": ("fhir.resources", "5.0.0")}


class _Model(typing.Protocol):
    """What is read of a model class of `fhir.resources`."""

    __name__: str
    __module__: str
    model_fields: dict[str, FieldInfo]

    def elements_sequence(self) -> list[str]:
        """Name the elements in FHIR's order."""


def elements(model: _Model) -> Elements:
    """Describe the elements of one model class in FHIR's order, choices gathered under their common name."""
    by_key = {field.alias or name: field for name, field in model.model_fields.items()}
    found: Elements = {}
    for key in model.elements_sequence():
        extra = by_key[key].json_schema_extra
        choice = str(extra.get("one_of_many") or "") if isinstance(extra, dict) else ""
        name = choice or key
        described = _described(by_key[key].annotation)
        found[name] = f"{found[name]}|{described}" if name in found else described
        if choice and choice + _capitalised(described) != key:
            raise ValueError(f"{model.__name__}.{key} does not follow FHIR's naming of choices")
    return found


def models(release: str, modules: Iterable[str] | None = None) -> Iterator[_Model]:
    """Yield the model classes of one release (`r4b` or `r5`), of all modules or of the named ones."""
    package = importlib.import_module(RELEASES[release][0])
    names = modules or [found.name for found in pkgutil.iter_modules(package.__path__) if not found.ispkg]
    for name in names:
        module = importlib.import_module(f"{package.__name__}.{name}")
        for value in vars(module).values():
            if hasattr(value, "elements_sequence") and value.__module__ == module.__name__:
                yield value


def is_resource(model: _Model) -> bool:
    """Say whether a model class is a resource and not a data type."""
    return any(base.__name__ == "Resource" for base in typing.cast("type", model).__mro__)


def schema(release: str) -> dict[str, object]:
    """Describe every type of one release, as the JSON files hold it."""
    found = sorted(models(release), key=lambda model: model.__name__)
    return {
        "fhir.resources": importlib.metadata.version("fhir.resources"),
        "fhirVersion": RELEASES[release][1],
        "resources": [model.__name__ for model in found if is_resource(model)],
        "types": {model.__name__: elements(model) for model in found},
    }


def _described(annotation: object) -> str:
    inner, is_list = _unwrapped(annotation)
    return f"{_type_name(inner)}*" if is_list else _type_name(inner)


def _unwrapped(annotation: object) -> tuple[object, bool]:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _unwrapped(next(argument for argument in arguments if argument is not type(None)))
    if origin is list:
        return _unwrapped(arguments[0])[0], True
    return annotation, False


def _type_name(annotation: object) -> str:
    if annotation is bool:
        return "boolean"
    if typing.get_origin(annotation) is typing.Annotated:
        name = type(typing.get_args(annotation)[-1]).__name__.removesuffix("Version")
        return name[0].lower() + name[1:]
    return str(getattr(annotation, "__name__", annotation)).removesuffix("Type")


def _capitalised(name: str) -> str:
    return name[0].upper() + name[1:]


def main() -> None:
    """Write both files beside this module."""
    for release in RELEASES:
        path = pathlib.Path(__file__).with_name(f"schema_{release}.json")
        path.write_bytes(msgspec.json.format(msgspec.json.encode(schema(release)), indent=1) + b"\n")


if __name__ == "__main__":
    main()
