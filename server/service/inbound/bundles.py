"""Bundles taken apart: what each entry asks for, with the references inside the Bundle resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from integration.intake import logical_id
from integration.outcomes import Resource
from server.service.inbound import strict_json, submission
from server.service.inbound.etags import expected_version
from server.service.inbound.submission import Submission
from server.service.operation_outcome import Refusal, RefusedError

Kind = Literal["transaction", "batch", "collection", "message"]
_KINDS: Final[tuple[Kind, ...]] = ("transaction", "batch", "collection", "message")
_METHODS: Final = ("POST", "PUT")
_URN: Final = "urn:uuid:"
_ANY_URN: Final = "urn:"
NOT_READ: Final = "no view of this study reads this type; nothing of it is kept"


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """What one entry asks for.

    Attributes:
        position: of the entry, from 0.
        interaction: `create` or `update`.
        resource_type: as it says; empty if it does not.
        submission: the resource; None if it is refused or passed over.
        expected_version: of `ifMatch`.
        refusal: why it is refused; None if it is not.
        is_passed_over: whether it goes along with what is meant for us, and is of a type that no view reads.
        body: what came, for a quarantine.
        full_url: where it is, as its Bundle says; empty if it does not.
    """

    position: int
    interaction: Literal["create", "update"] = "create"
    resource_type: str = ""
    submission: Submission | None = None
    expected_version: int | None = None
    refusal: Refusal | None = None
    is_passed_over: bool = False
    body: bytes = b""
    full_url: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A Bundle taken apart.

    Attributes:
        kind: its type.
        resource: as JSON values.
        items: one an entry; of a message the entries behind the MessageHeader.
        header: of a message.
    """

    kind: Kind
    resource: Resource
    items: list[Item]
    header: Resource | None = None


def read(resource: Resource, *, most_entries: int, caller: str) -> Bundle:
    """Take a Bundle apart.

    Args:
        resource: as JSON values.
        most_entries: how many are taken at once.
        caller: who sent it.

    Raises:
        RefusedError: 400, 413 or 422: it cannot be taken as a whole. What concerns an entry is said there.
    """
    if resource.get("resourceType") != "Bundle":
        raise RefusedError(
            422, "a Bundle is taken here; single resources have addresses of their own", expression="resourceType"
        )
    kind = next((one for one in _KINDS if one == resource.get("type")), None)
    if kind is None:
        raise RefusedError(422, f"of Bundles, {', '.join(_KINDS)} are taken here", expression="Bundle.type")
    entries = _entries(resource, most_entries)
    header = _header(entries) if kind == "message" else None
    names = _names(entries, caller)
    items = [
        _item(position, entry, kind, names, caller)
        for position, entry in enumerate(entries)
        if header is None or position > 0
    ]
    return Bundle(kind=kind, resource=resource, items=items, header=header)


def key_of(bundle: Bundle) -> str:
    """Return by what a repetition of a Bundle is known, beside its content; empty if it has nothing.

    That is Bundle.identifier, or the MessageHeader's id, with what its entries say: a sender that writes the same
    identifier on everything must not lose what it sends.
    """
    own: Any = bundle.header.get("id") if bundle.header else None
    if not isinstance(own, str):
        identifier = bundle.resource.get("identifier")
        value = identifier.get("value") if isinstance(identifier, dict) else None
        if not isinstance(value, str):
            return ""
        own = f"{identifier.get('system') or ''}|{value}" if isinstance(identifier, dict) else value
    says = [item.submission.content_hash if item.submission else item.body.decode() for item in bundle.items]
    return submission.digest_of("bundle", own, *says)


def _entries(resource: Resource, most_entries: int) -> list[Resource]:
    entries = resource.get("entry", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise RefusedError(400, "the entries of a Bundle are a list of objects", expression="Bundle.entry")
    if len(entries) > most_entries:
        problem = f"the Bundle has {len(entries)} entries, and {most_entries} are taken at once; send it in parts"
        raise RefusedError(413, problem, expression="Bundle.entry")
    return entries


def _header(entries: list[Resource]) -> Resource:
    first = entries[0].get("resource") if entries else None
    if not isinstance(first, dict) or first.get("resourceType") != "MessageHeader":
        raise RefusedError(422, "a message begins with its MessageHeader", expression="Bundle.entry[0].resource")
    return first


def _names(entries: list[Resource], caller: str) -> dict[str, str]:
    """Return what a resource is called inside the Bundle, by `fullUrl`, to `Type/id`.

    Only a urn is a name that means nothing elsewhere; a URL says itself where it leads.
    """
    names = {}
    for entry in entries:
        full_url, resource = entry.get("fullUrl"), entry.get("resource")
        if not isinstance(full_url, str) or not full_url.startswith(_ANY_URN) or not isinstance(resource, dict):
            continue
        kind = resource.get("resourceType")
        if isinstance(kind, str) and kind in submission.INPUT_TYPES and (own := _id_of(resource, full_url, caller)):
            names[full_url] = f"{kind}/{own}"
    return names


def _id_of(resource: Resource, full_url: str, caller: str) -> str:
    """Return the id that a resource has or gets: a response's own identifier goes before the `urn:uuid`."""
    if "id" in resource:
        return resource["id"] if logical_id.is_valid(resource["id"]) else ""
    if resource.get("resourceType") == submission.RESPONSE and "identifier" in resource:
        return submission.given_id(resource, submission.digest_of("unidentified", full_url), caller)
    last = full_url.removeprefix(_URN) if full_url.startswith(_URN) else ""
    return last if logical_id.is_valid(last) else ""


def _item(position: int, entry: Resource, kind: Kind, names: Mapping[str, str], caller: str) -> Item:
    resource, full_url = entry.get("resource"), entry.get("fullUrl")
    body = strict_json.encode(resource) if isinstance(resource, dict) else b""
    wanted: Any = entry.get("request") if kind in ("transaction", "batch") else None
    try:
        return _read_item(
            position, resource, full_url if isinstance(full_url, str) else "", wanted, kind, names, caller
        )
    except RefusedError as error:
        refusal = error.refusal
        path = f"Bundle.entry[{position}]" + (f".{refusal.expression}" if refusal.expression else "")
        placed = Refusal(status=refusal.status, problem=refusal.problem, expression=path, headers=refusal.headers)
        named = resource.get("resourceType") if isinstance(resource, dict) else ""
        kind_of = named if named in submission.INPUT_TYPES else ""
        return Item(position=position, resource_type=kind_of, refusal=placed, body=body)


def _read_item(
    position: int, resource: Any, full_url: str, wanted: Any, kind: Kind, names: Mapping[str, str], caller: str
) -> Item:
    interaction, url_type, url_id, if_match = _request(wanted, kind)
    if not isinstance(resource, dict):
        raise RefusedError(400, "the entry has no resource", expression="resource")
    named = resource.get("resourceType")
    if kind in ("collection", "message") and isinstance(named, str) and named not in submission.INPUT_TYPES:
        return Item(position=position, is_passed_over=True, body=strict_json.encode(resource))
    resource_type = submission.require_input(named)
    if url_type is not None and url_type != resource_type:
        raise RefusedError(400, "the type in request.url is not the resource's", expression="request.url")
    given = {} if "id" in resource or not (own := _id_of(resource, full_url, caller)) else {"id": own}
    resolved = _resolved({**given, **resource}, names)
    sent = submission.of(resolved, strict_json.encode(resolved), resource_type, url_id=url_id, caller=caller)
    return Item(
        position=position,
        interaction=interaction,
        resource_type=resource_type,
        submission=sent,
        expected_version=expected_version(if_match),
        body=sent.body,
        full_url=full_url,
    )


def _request(wanted: Any, kind: Kind) -> tuple[Literal["create", "update"], str | None, str | None, str]:
    """Return the interaction, the type and the id of `request.url`, and `ifMatch`."""
    if kind in ("collection", "message"):
        return "create", None, None, ""
    if not isinstance(wanted, dict) or not isinstance(wanted.get("url"), str):
        raise RefusedError(400, "the entry needs a request with method and url", expression="request")
    if wanted.get("method") not in _METHODS:
        raise RefusedError(405, f"of methods, {' and '.join(_METHODS)} are taken here", expression="request.method")
    if "ifNoneExist" in wanted:
        problem = "conditional create is not supported: a repetition is known by its content"
        raise RefusedError(400, problem, expression="request.ifNoneExist")
    url_type, _, url_id = wanted["url"].partition("/")
    if wanted["method"] == "POST":
        if url_id:
            raise RefusedError(400, "a create names a type and no id", expression="request.url")
        return "create", url_type, None, _text(wanted.get("ifMatch"))
    if not logical_id.is_valid(url_id):
        raise RefusedError(400, "an update names a type and an id, without a query", expression="request.url")
    return "update", url_type, url_id, _text(wanted.get("ifMatch"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _resolved(resource: Resource, names: Mapping[str, str]) -> Resource:
    """Write `Type/id` for each reference to something in the Bundle, in place and without recursion.

    A `urn:uuid` that names nothing in the Bundle names nothing at all.
    """
    pending: list[Any] = [resource]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending += part
        elif isinstance(part, dict):
            reference = part.get("reference")
            if isinstance(reference, str) and reference in names:
                part["reference"] = names[reference]
            pending += part.values()
    return resource
