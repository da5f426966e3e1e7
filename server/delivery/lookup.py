"""Finding our resources in a chart by what identifies them, and never taking silence for absence.

An Observation and a Device carry an identifier; a Provenance, which has none in R4, a tag. That nothing was found
proves absence only if the server searched for what was asked: a server that does not know a parameter may ignore it
(https://hl7.org/fhir/R4/search.html#errors). So the search asks for strict handling, and its answer counts only if it
warns of nothing, holds nothing that was not asked for, and names the parameter in its self link; without a self link
the CapabilityStatement must list the parameter.
"""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

import msgspec

from integration.errors import ServerRefusedError
from integration.outcomes import Resource
from integration.settings import Site
from integration.sources import search
from integration.sources.client import FhirClient
from server.ledger import Ledger
from server.ledger.entries import Entry
from server.sites import documents
from server.sites.profile import WriteProfile

_KEYS_PER_SEARCH: Final = 40  # 40 x 110 characters stay under the 8 kB that servers take in a request line
_PARAMETERS: Final = {
    "Observation": "identifier", "Device": "identifier", "DocumentReference": "identifier",
    "QuestionnaireResponse": "identifier", "Provenance": "_tag",
}  # fmt: skip
_DEAD: Final = frozenset((200, 400, 404, 410, 422))  # 200: another host, which is not asked, or no content
_ABOUT_US: Final = frozenset((401, 429, 503))
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


class UnreadError(NotSearchableError):
    """One resource may be in a document that cannot be read; nothing is said of any other."""


FindIds = Callable[[Iterable[str]], Mapping[str, str]]
"""From keys of resources of ours to the server's ids."""
Holders = Callable[[str, Sequence[str]], Mapping[str, str]]
"""From a FHIR type and the server's ids to the keys of the resources of ours that are known to be there."""
LateIds = Callable[[Sequence[str]], Mapping[str, Sequence[str]]]
"""From keys of resources of ours to ids out of answers that came too late to be theirs; most have none."""


class Lookup:
    """Looks into one site's chart.

    Args:
        client: the site's server.
        profile: by what the site's resources are found.
        page_size: `_count` of a search.
        ehr_ids: gives the server's ids of resources of ours by key, as far as they are known; then a Provenance is
            found by its target where tags are not searched.
        holders: gives what of ours holds a row of the chart; where no key is kept, another one's row is not looked at.
        late_ids: gives ids out of late answers; what is under one is in the chart whether or not a search finds it.
    """

    def __init__(
        self,
        client: FhirClient,
        profile: WriteProfile,
        *,
        page_size: int,
        ehr_ids: FindIds = lambda _: {},
        holders: Holders = lambda *_: {},
        late_ids: LateIds = lambda _: {},
    ) -> None:
        self._client, self._profile, self._page_size, self._ehr_ids = client, profile, page_size, ehr_ids
        self._holders, self._late_ids = holders, late_ids
        self._declared: dict[tuple[str, str], bool] = {}

    @classmethod
    def of(cls, ledger: Ledger, client: FhirClient, site: Site, profile: WriteProfile) -> Self:
        """Look into a site's chart, with the ids that the ledger knows."""
        return cls(
            client,
            profile,
            page_size=site.limits.page_size,
            ehr_ids=lambda keys: ledger.ehr_ids(site.name, keys),
            holders=lambda resource_type, ids: ledger.holders(site.name, resource_type, ids),
            late_ids=lambda keys: ledger.history.late_ids(site.name, keys),
        )

    def find(self, entries: Sequence[Entry]) -> dict[str, list[Found]]:
        """Return what the chart holds under each entry's key; an empty list is a proof of absence.

        All entries must be of one resource type. Where no key is kept, an entry is looked for by what was sent, as long
        as that may be in the chart, and by what the chart shall hold only after that.

        Raises:
            UnreadError: an entry may be in a document that cannot be read.
            NotSearchableError: the server does not search for keys.
            ServerUnreachableError, ServerRefusedError: no answer, or one that is about something else.
        """
        found: dict[str, list[Found]] = {entry.key: [] for entry in entries}
        by_key = []
        for entry in entries:
            if self._profile.search(entry.resource()) is None:
                by_key.append(entry)
            else:
                found[entry.key] = self._found_by(entry)
        for some in _batches(by_key, _KEYS_PER_SEARCH):
            for key, resource in self._found_by_key(some):
                found[key].append(_found(resource))
        for key, late in self.late(entries).items():
            found[key] += late
        return {key: _distinct(matches) for key, matches in found.items()}

    def late(self, entries: Sequence[Entry]) -> dict[str, list[Found]]:
        """Return, by key, what the chart holds under ids out of late answers; what has none, or is gone, is left out.

        Raises:
            ServerUnreachableError, ServerRefusedError: it cannot be read.
        """
        sent = {one.key: one for one in entries if one.sent_hash or one.ehr_id or one.is_taken_without_id}
        late = self._late_ids(list(sent)) if sent else {}
        places = {key: [replace(sent[key], ehr_id=ehr_id) for ehr_id in ids] for key, ids in late.items()}
        found = {key: [one for place in some if (one := self.read(place))] for key, some in places.items()}
        return {key: some for key, some in found.items() if some}

    def read(self, entry: Entry) -> Found | None:
        """Read a resource by the server's id; None if it is gone."""
        try:
            resource = self._client.read(entry.resource_type, entry.ehr_id).json()
        except ServerRefusedError as error:
            if error.status in (404, 410):
                return None
            raise
        return _found(self._ours(resource)) if isinstance(resource, dict) and resource.get("id") else None

    def _found_by(self, entry: Entry) -> list[Found]:
        """Look for one resource at a server that does not keep our identifiers."""
        for content in _contents(entry):
            if matches := self._not_of_others(entry, self._matches(entry, content)):
                return matches
        return []

    def _not_of_others(self, entry: Entry, matches: list[Found]) -> list[Found]:
        """Leave out what another resource of ours is known to be: two that look alike have a row each."""
        holders = self._holders(entry.resource_type, [one.ehr_id for one in matches]) if matches else {}
        return [one for one in matches if holders.get(one.ehr_id, entry.key) == entry.key]

    def _matches(self, entry: Entry, content: Resource) -> list[Found]:
        matches, is_unread = [], False
        for resource in self._pages(entry.resource_type, self._profile.search(content) or {}):
            if self._profile.is_it(content, resource):
                matches.append(_found(self._ours(resource)))
            elif documents.may_be(content, resource):
                whole = self._read_through(resource)
                is_unread |= whole is None
                if whole is not None and self._profile.is_it(content, whole):
                    matches.append(_found(whole))
        if is_unread and not matches and (entry.sent_hash or entry.is_taken_without_id):
            raise UnreadError(entry.resource_type, ", ".join(self._profile.search(content) or {}))
        return matches

    def _found_by_key(self, entries: Sequence[Entry]) -> list[tuple[str, Resource]]:
        """Look for resources by our identifiers or tags; what was not asked for shows that the search was ignored."""
        keys = {entry.key for entry in entries}
        found = []
        try:
            for resource in self._search(entries):
                key = next((key for key in _keys(resource) if key in keys), None)
                if key is None:
                    raise _not_searchable(entries)
                found.append((key, self._ours(resource)))
        except NotSearchableError:
            if entries[0].resource_type != "Provenance":
                raise
            return self._found_by_target(entries)
        return found

    def _found_by_target(self, entries: Sequence[Entry]) -> list[tuple[str, Resource]]:
        """Look for Provenances by what they are about, as US Core asks of servers, and tell them apart by their tag.

        One whose targets have no id yet cannot be in the chart, for it would have to refer to them.
        """
        targets = {entry.key: [one["reference"] for one in entry.sent_resource()["target"]] for entry in entries}
        ids = self._ehr_ids(own for places in targets.values() for own in (one.partition("/")[2] for one in places))
        known = [f"Observation/{ids[own]}" for own in sorted(ids) if f"Observation/{own}" in _flat(targets.values())]
        if not known:
            return []
        pages = self._pages("Provenance", {"target": ",".join(known)}, len(known))
        return [(key, resource) for resource in pages for key in _keys(resource) if key in targets]

    def _whole(self, resource: Resource) -> Resource:
        """Return a document with what its attachments link to in place of the links; all else as it is."""
        is_document = resource.get("resourceType") == "DocumentReference"
        return documents.with_data(resource, self._fetch) if is_document else resource

    def _ours(self, resource: Resource) -> Resource:
        """Return a document of ours as `_whole`; with its links if they are dead, which is a difference."""
        try:
            return self._whole(resource)
        except ServerRefusedError as error:
            if error.status not in _DEAD:
                raise
            return resource

    def _read_through(self, resource: Resource) -> Resource | None:
        """Return a document that may be ours as `_whole`; None if what it links to cannot be read."""
        try:
            return self._whole(resource)
        except ServerRefusedError as error:
            if error.status in _ABOUT_US:
                raise
            return None

    def _fetch(self, url: str) -> bytes:
        """Read an attachment: as it is, or as a Binary resource (https://hl7.org/fhir/R4/binary.html#rest)."""
        place = url if urlsplit(url).scheme else f"{self._client.base_url}/{url.lstrip('/')}"
        answer = self._client.get(place, headers={"Accept": "text/plain, application/pdf, */*;q=0.1"})
        binary = answer.json()
        if isinstance(binary, dict) and binary.get("resourceType") == "Binary":
            return _decoded(str(binary.get("data", "")), place)
        return answer.body

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


def is_looked_for(provenance: Entry, new: Iterable[Entry]) -> bool:
    """Whether a Provenance that the ledger knows no id of may be in the chart: something that it is about is there.

    Args:
        provenance: due, and without an id.
        new: what is due with it, and proven absent.
    """
    absent = {one.key for one in new}
    targets = (one["reference"].partition("/")[2] for one in provenance.resource()["target"])
    return not absent.issuperset(targets)


def by_type(entries: Iterable[Entry]) -> list[list[Entry]]:
    """Split entries by resource type."""
    ordered = sorted(entries, key=lambda entry: entry.resource_type)
    return [list(some) for _, some in itertools.groupby(ordered, key=lambda entry: entry.resource_type)]


def _decoded(data: str, url: str) -> bytes:
    try:
        return base64.b64decode(data)
    except binascii.Error as error:
        raise ServerRefusedError(url=url, status=200, problem="a Binary whose data is not base64") from error


def _contents(entry: Entry) -> list[Resource]:
    """Return what was sent, if it may be in the chart, and what the chart shall hold, if that is another."""
    is_another = entry.sent_content is not None and entry.sent_content != entry.content
    return [entry.sent_resource(), *([entry.resource()] if is_another else [])]


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
    codes = [_text(one, "value") for one in elements([identifier] if isinstance(identifier, dict) else identifier)]
    return codes + [_text(element, "code") for element in elements(tags)]


def elements(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a list that a server sent, which may be anything."""
    return [element for element in value if isinstance(element, dict)] if isinstance(value, list) else []


def _text(element: Mapping[str, Any], name: str) -> str:
    value = element.get(name)
    return value if isinstance(value, str) else ""


def _flat(lists: Iterable[Iterable[str]]) -> set[str]:
    return {one for some in lists for one in some}


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
    rest = elements(capabilities.get("rest")) if isinstance(capabilities, dict) else []
    resources = [one for part in rest for one in elements(part.get("resource")) if one.get("type") == resource_type]
    return any(_text(one, "name") == parameter for part in resources for one in elements(part.get("searchParam")))


def _not_searchable(entries: Sequence[Entry]) -> NotSearchableError:
    resource_type = entries[0].resource_type
    return NotSearchableError(resource_type, _PARAMETERS[resource_type])


def _batches(entries: Sequence[Entry], size: int) -> Iterable[Sequence[Entry]]:
    return (entries[start : start + size] for start in range(0, len(entries), size))
