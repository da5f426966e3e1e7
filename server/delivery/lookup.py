"""Finding our resources in a chart by what identifies them, and never taking silence for absence.

An Observation and a Device carry an identifier; a Provenance, which has none in R4, a tag. That nothing was found
proves absence only if the server searched for what was asked: a server that does not know a parameter may ignore it
(https://hl7.org/fhir/R4/search.html#errors). So the search asks for strict handling, and its answer counts only if it
warns of nothing, holds nothing that was not asked for, and names the parameter in its self link; without a self link
the CapabilityStatement must list the parameter.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from integration.errors import ServerRefusedError
from integration.outcomes import Resource
from integration.sources import search
from integration.sources.client import FhirClient
from server.ledger.entries import Entry
from server.sites.profile import WriteProfile

_KEYS_PER_SEARCH: Final = 40  # 40 x 110 characters stay under the 8 kB that servers take in a request line
_PARAMETERS: Final = {
    "Observation": "identifier", "Device": "identifier", "DocumentReference": "identifier",
    "QuestionnaireResponse": "identifier", "Provenance": "_tag",
}  # fmt: skip
_NOT_SEARCHED: Final = frozenset((400, 404, 405, 414, 422, 501))


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One resource in the chart.

    Attributes:
        ehr_id: the server's id.
        ehr_version: `meta.versionId`, empty if the server keeps none.
        resource: as the server sent it.
    """

    ehr_id: str
    ehr_version: str
    resource: Resource


class NotSearchableError(Exception):
    """The server does not search for this, so nothing it says proves absence; a person must look, or it is read by id.

    Args:
        resource_type: `Observation`, ...
        parameter: `identifier` or `_tag`.
    """

    def __init__(self, resource_type: str, parameter: str) -> None:
        self.resource_type, self.parameter = resource_type, parameter
        super().__init__(f"the server does not search {resource_type} by {parameter}")


class Lookup:
    """Looks into one site's chart.

    Args:
        client: the site's server.
        profile: by what the site's resources are found.
        page_size: `_count` of a search.
    """

    def __init__(self, client: FhirClient, profile: WriteProfile, *, page_size: int) -> None:
        self._client, self._profile, self._page_size = client, profile, page_size
        self._declared: dict[tuple[str, str], bool] = {}

    def find(self, entries: Sequence[Entry]) -> dict[str, list[Found]]:
        """Return what the chart holds under each entry's key; an empty list is a proof of absence.

        All entries must be of one resource type.

        Raises:
            NotSearchableError: the server does not search for keys.
            ServerUnreachableError, ServerRefusedError: no answer, or one that is about something else.
        """
        found: dict[str, list[Found]] = {entry.key: [] for entry in entries}
        by_key = []
        for entry in entries:
            parameters = self._profile.search(entry.resource())
            if parameters is None:
                by_key.append(entry)
            else:
                found[entry.key] = self._found_by(entry, parameters)
        for some in _batches(by_key, _KEYS_PER_SEARCH):
            for resource in self._search(some):
                key = next((key for key in _keys(resource) if key in found), None)
                if key is None:
                    raise _not_searchable(some)
                found[key].append(_found(resource))
        return {key: _distinct(matches) for key, matches in found.items()}

    def read(self, entry: Entry) -> Found | None:
        """Read a resource by the server's id; None if it is gone."""
        try:
            resource = self._client.read(entry.resource_type, entry.ehr_id).json()
        except ServerRefusedError as error:
            if error.status in (404, 410):
                return None
            raise
        return _found(resource) if isinstance(resource, dict) and resource.get("id") else None

    def _found_by(self, entry: Entry, parameters: Mapping[str, str]) -> list[Found]:
        """Look for one resource at a server that does not keep our identifiers."""
        desired = entry.resource()
        pages = self._pages(entry.resource_type, parameters)
        return [_found(resource) for resource in pages if self._profile.is_it(desired, resource)]

    def _search(self, entries: Sequence[Entry]) -> Iterable[Resource]:
        resource_type, parameter = entries[0].resource_type, _PARAMETERS[entries[0].resource_type]
        return self._pages(resource_type, {parameter: ",".join(token(entry)[1] for entry in entries)}, len(entries))

    def _pages(self, resource_type: str, parameters: Mapping[str, str], least: int = 1) -> Iterable[Resource]:
        count = str(max(self._page_size, least))
        names = ", ".join(parameters)
        try:
            pages = search.pages(self._client, resource_type, {**parameters, "_count": count})
            for number, page in enumerate(pages):
                understood = number > 0 or all(self._is_understood(page, resource_type, name) for name in parameters)
                if _has_warnings(page) or not understood:
                    raise NotSearchableError(resource_type, names)
                yield from (msgspec.json.decode(body) for body in page.resources)
        except ServerRefusedError as error:
            if error.status in _NOT_SEARCHED:
                raise NotSearchableError(resource_type, names) from error
            raise

    def _is_understood(self, page: search.Page, resource_type: str, parameter: str) -> bool:
        if page.self_url:
            return parameter in parse_qs(urlsplit(page.self_url).query)
        if (resource_type, parameter) not in self._declared:
            declared = _declares(self._client.capabilities(), resource_type, parameter)
            self._declared[resource_type, parameter] = declared
        return self._declared[resource_type, parameter]


def by_type(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Split entries by resource type."""
    ordered = sorted(entries, key=lambda entry: entry.resource_type)
    return [list(some) for _, some in itertools.groupby(ordered, key=lambda entry: entry.resource_type)]


def token(entry: Entry) -> tuple[str, str]:
    """Return the parameter and the token that a resource is found by."""
    return _PARAMETERS[entry.resource_type], f"{_system(entry)}|{entry.key}"


def _system(entry: Entry) -> str:
    resource = entry.resource()
    if "identifier" in resource:
        identifier = resource["identifier"]  # one in a QuestionnaireResponse, a list in every other type
        return str((identifier if isinstance(identifier, dict) else identifier[0])["system"])
    return str(next(tag["system"] for tag in resource["meta"]["tag"] if tag["code"] == entry.key))


def _keys(resource: Resource) -> list[str]:
    """Return every value that may be one of our keys, of identifiers and of tags."""
    meta = resource.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    identifier = resource.get("identifier")
    codes = [_text(one, "value") for one in _elements([identifier] if isinstance(identifier, dict) else identifier)]
    return codes + [_text(element, "code") for element in _elements(tags)]


def _elements(value: Any) -> list[Mapping[str, Any]]:
    return [element for element in value if isinstance(element, dict)] if isinstance(value, list) else []


def _text(element: Mapping[str, Any], name: str) -> str:
    value = element.get(name)
    return value if isinstance(value, str) else ""


def _found(resource: Resource) -> Found:
    meta = resource.get("meta")
    version = meta.get("versionId") if isinstance(meta, dict) else None
    return Found(ehr_id=str(resource.get("id", "")), ehr_version=str(version or ""), resource=resource)


def _distinct(matches: list[Found]) -> list[Found]:
    """One resource may be on two pages while others write; that is no duplicate."""
    return list({found.ehr_id: found for found in matches}.values())


def _has_warnings(page: search.Page) -> bool:
    return any(not warning.startswith("information ") for warning in page.warnings)


def _declares(capabilities: Any, resource_type: str, parameter: str) -> bool:
    rest = _elements(capabilities.get("rest")) if isinstance(capabilities, dict) else []
    resources = [one for part in rest for one in _elements(part.get("resource")) if one.get("type") == resource_type]
    return any(_text(one, "name") == parameter for part in resources for one in _elements(part.get("searchParam")))


def _not_searchable(entries: Sequence[Entry]) -> NotSearchableError:
    resource_type = entries[0].resource_type
    return NotSearchableError(resource_type, _PARAMETERS[resource_type])


def _batches(entries: Sequence[Entry], size: int) -> Iterable[Sequence[Entry]]:
    return (entries[start : start + size] for start in range(0, len(entries), size))
