"""FHIR search as the simulated EHRs do it: parameters, matching, order (https://hl7.org/fhir/R4/search.html)."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from ehr_chart import Resource

CONTROL: Final = frozenset(("_count", "_offset", "_sort", "_format", "_pretty", "_revinclude"))
"""Parameters that say how to answer, not what to find."""
PREFIXES: Final = ("eq", "ge", "gt", "le", "lt")
_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d:\d\d)(?::(\d\d)(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?")


class BadParameterError(ValueError):
    """A parameter's value cannot be read.

    Args:
        name: of the parameter.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"the value of the search parameter {name} cannot be read")


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """One parameter: any of its values must match.

    Attributes:
        name: without modifier.
        values: split at the commas.
    """

    name: str
    values: tuple[str, ...]


Interval = tuple[datetime, datetime]


def terms(parameters: Iterable[tuple[str, str]], known: frozenset[str]) -> tuple[list[Term], list[str]]:
    """Split parameters into terms and the names that this server does not know."""
    found: list[Term] = []
    unknown: list[str] = []
    for name, text in parameters:
        plain = name.removesuffix(":Patient")
        if name in CONTROL:
            continue
        if plain in known and plain in PARAMETERS:
            values = tuple(value.replace("\\,", ",") for value in re.split(r"(?<!\\),", text) if value)
            found.append(Term(name=plain, values=values))
        else:
            unknown.append(name)
    return found, unknown


def matches(resource: Resource, wanted: Iterable[Term]) -> bool:
    """Tell whether a resource meets every term.

    Raises:
        BadParameterError: a value cannot be read.
    """
    return all(any(PARAMETERS[term.name](resource, value) for value in term.values) for term in wanted)


def interval(text: str) -> Interval | None:
    """Return the first moment of a FHIR date and the first after it; without a zone in UTC; None if it is none."""
    read = _DATE.fullmatch(text)
    if read is None:
        return None
    year, month, day, clock, seconds, fraction, zone = read.groups()
    start_text = f"{year}-{month or '01'}-{day or '01'}T{clock or '00:00'}:{seconds or '00'}"
    try:
        start = datetime.fromisoformat(f"{start_text}{(fraction or '.0')[:7]}{zone or '+00:00'}").astimezone(UTC)
    except ValueError:
        return None
    if fraction:
        return start, start + timedelta(milliseconds=1)
    if clock:
        return start, start + (timedelta(seconds=1) if seconds else timedelta(minutes=1))
    return start, _next_date(start, has_month=bool(month), has_day=bool(day))


def _next_date(start: datetime, *, has_month: bool, has_day: bool) -> datetime:
    if has_day:
        return start + timedelta(days=1)
    if has_month:
        return (start.replace(day=1) + timedelta(days=32)).replace(day=1)
    return start.replace(year=start.year + 1)


def ordered(resources: list[Resource], sort: str) -> list[Resource]:
    """Return resources in the order that `_sort` asks; without it as given."""
    for key in reversed([name for name in sort.split(",") if name]):
        name = key.removeprefix("-")
        resources = sorted(resources, key=lambda one: _sort_key(one, name), reverse=key.startswith("-"))
    return resources


def _sort_key(resource: Resource, name: str) -> str:
    if name == "_lastUpdated":
        return str(resource["meta"]["lastUpdated"])
    if name == "_id":
        return str(resource["id"])
    return next(_dates(resource, _DATES.get(name, ())), "")


def _at(resource: Resource, path: str) -> Iterator[object]:
    """Yield what is at a path such as `meta.tag`, looking into lists."""
    found: list[object] = [resource]
    for step in path.split("."):
        inner = [one[step] for one in found if isinstance(one, dict) and step in one]
        found = [one for value in inner for one in (value if isinstance(value, list) else [value])]
    yield from found


def _token(*paths: str) -> Callable[[Resource, str], bool]:
    def match(resource: Resource, value: str) -> bool:
        system, bar, code = value.rpartition("|")
        for path in paths:
            for held in _at(resource, path):
                token = held if isinstance(held, dict) else {"code": str(held)}
                own_system, own_code = token.get("system"), token.get("code", token.get("value"))
                if code in ("", own_code) and (not bar or (own_system or "") == system):
                    return True
        return False

    return match


def _reference(*paths: str) -> Callable[[Resource, str], bool]:
    def match(resource: Resource, value: str) -> bool:
        wanted = "/".join(value.split("/")[-2:])
        held = {str(one) for path in paths for one in _at(resource, f"{path}.reference")}
        if "/" in wanted:
            return any("/".join(one.split("/")[:2]) == wanted for one in held)
        return any(one.split("/")[1:2] == [wanted] for one in held)

    return match


def _text(*paths: str) -> Callable[[Resource, str], bool]:
    def match(resource: Resource, value: str) -> bool:
        return any(str(one).casefold().startswith(value.casefold()) for path in paths for one in _at(resource, path))

    return match


def _date(name: str) -> Callable[[Resource, str], bool]:
    def match(resource: Resource, value: str) -> bool:
        prefix, text = (value[:2], value[2:]) if value[:2] in PREFIXES else ("eq", value)
        asked = interval(text)
        if asked is None:
            raise BadParameterError(name)
        held = _held_interval(resource, name)
        return held is not None and _compare(prefix, held, asked)

    return match


def _compare(prefix: str, held: Interval, asked: Interval) -> bool:
    outcomes = {
        "eq": asked[0] <= held[0] and held[1] <= asked[1],
        "ge": held[1] > asked[0],
        "gt": held[1] > asked[1],
        "le": held[0] < asked[1],
        "lt": held[0] < asked[0],
    }
    return outcomes[prefix]


def _held_interval(resource: Resource, name: str) -> Interval | None:
    found = [one for one in map(interval, _dates(resource, _DATES[name])) if one is not None]
    return (min(one[0] for one in found), max(one[1] for one in found)) if found else None


def _dates(resource: Resource, paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        yield from (str(one) for one in _at(resource, path))


_DATES: Final[Mapping[str, tuple[str, ...]]] = {
    "date": ("effectiveDateTime", "effectivePeriod.start", "effectivePeriod.end", "date", "period.start", "period.end"),
    "authored": ("authored",),
    "recorded": ("recorded",),
    "_lastUpdated": ("meta.lastUpdated",),
    "birthdate": ("birthDate",),
}

PARAMETERS: Final[Mapping[str, Callable[[Resource, str], bool]]] = {
    "_id": _token("id"),
    "_tag": _token("meta.tag"),
    "_security": _token("meta.security"),
    "identifier": _token("identifier"),
    "code": _token("code.coding"),
    "category": _token("category.coding"),
    "type": _token("type.coding"),
    "status": _token("status"),
    "gender": _token("gender"),
    "questionnaire": _token("questionnaire"),
    "patient": _reference("subject", "patient"),
    "subject": _reference("subject"),
    "encounter": _reference("encounter", "context.encounter"),
    "target": _reference("target"),
    "derived-from": _reference("derivedFrom"),
    "family": _text("name.family"),
    "given": _text("name.given"),
    **{name: _date(name) for name in _DATES},
}
"""Name of each search parameter, and how a resource and one value are compared."""
