"""Transactions: all resources of a response stand or fall together; for servers that take Bundles.

The entries refer to each other by `urn:uuid`, and to what the chart holds already by the server's ids
(https://hl7.org/fhir/R4/http.html#trules). `ifNoneExist` goes with each create as an extra: the ledger decides what
is sent, and a server that ignores it, or answers a race wrongly, does no harm.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from integration.errors import ServerRefusedError
from integration.outcomes import Resource, encode
from integration.sources.client import Answer, parse_etag, parse_location
from server.delivery import lookup, references
from server.delivery.one_by_one import OneByOne
from server.delivery.resolution import Resolver
from server.delivery.transport import Group
from server.delivery.writer import Writer
from server.ledger.entries import Entry, Settlement

_NOT_ABOUT_AN_ENTRY = frozenset((401, 403, 408, 429))
_ABOUT_AN_UPDATE = frozenset((404, 405, 409, 410, 412))


class Transactions:
    """As few requests as the site's limit allows."""

    def deliver(self, groups: Sequence[Group], writer: Writer, resolver: Resolver) -> None:
        """Send the groups in as few transactions as the site's limit allows; Devices, which all refer to, first.

        A group with an update for which no version is known goes one by one, for that is read first.
        """
        devices = [group for group in groups if not group[0].response_id]
        unversioned = [group for group in groups if any(one.ehr_id and not one.ehr_version for one in group)]
        others = [group for group in groups if group not in unversioned]
        for batch in [*([group] for group in devices), *_packed(others, writer.site.limits.entries_per_transaction)]:
            _send(batch, writer, resolver)
        OneByOne().deliver([group for group in unversioned if group not in devices], writer, resolver)


def _packed(groups: Sequence[Group], limit: int) -> Iterator[list[Group]]:
    batch: list[Group] = []
    for group in groups:
        if not group[0].response_id:
            continue
        if batch and sum(map(len, batch)) + len(group) > limit:
            yield batch
            batch = []
        batch.append(group)
    if batch:
        yield batch


def _send(groups: Sequence[Group], writer: Writer, resolver: Resolver) -> None:
    """Send one transaction; if it is refused, look for the response at fault by halves."""
    entries = writer.ready([entry for group in groups for entry in group], is_together=True)

    def send(claimed: Sequence[Entry], request_id: str) -> list[Settlement]:
        is_conditional = writer.profile.abilities.conditional_creates
        body = encode(bundle(claimed, writer.ehr_ids(claimed), is_conditional=is_conditional))
        return _settlements(claimed, writer.client.transaction(body, request_id=request_id, leaves=writer.leaves))

    def is_undone(error: ServerRefusedError) -> bool:
        if not 400 <= error.status < 500 or error.status in _NOT_ABOUT_AN_ENTRY:
            return False
        return len(groups) > 1 or (error.status in _ABOUT_AN_UPDATE and any(entry.ehr_id for entry in entries))

    if not entries:
        return
    if not writer.attempt(entries, "transaction", send, is_undone=is_undone):
        resolver.look_again([entry.key for entry in entries])
    elif len(groups) > 1:
        _send(groups[: len(groups) // 2], writer, resolver)
        _send(groups[len(groups) // 2 :], writer, resolver)
    else:
        OneByOne().deliver(groups, writer, resolver)


def bundle(entries: Sequence[Entry], ehr_ids: dict[str, str], *, is_conditional: bool = True) -> Resource:
    """Return the transaction that writes these entries.

    Args:
        entries: creates and updates; each may refer to the others.
        ehr_ids: the server's ids of what they refer to and the chart holds, by key.
        is_conditional: whether creates carry `ifNoneExist`.
    """
    temporary = {entry.key: _full_url(entry) for entry in entries if not entry.ehr_id}
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [_bundle_entry(entry, temporary, ehr_ids, is_conditional=is_conditional) for entry in entries],
    }


def _bundle_entry(
    entry: Entry, temporary: dict[str, str], ehr_ids: dict[str, str], *, is_conditional: bool
) -> dict[str, Any]:
    resource = entry.resource()
    places = {**references.places(ehr_ids, resource), **temporary}
    sent: Resource = references.rewritten({name: value for name, value in resource.items() if name != "id"}, places)
    if entry.ehr_id:
        url = f"{entry.resource_type}/{entry.ehr_id}"
        request = {"method": "PUT", "url": url}
        if entry.ehr_version:
            request["ifMatch"] = f'W/"{entry.ehr_version}"'
        return {"resource": {**sent, "id": entry.ehr_id}, "request": request}
    request = {"method": "POST", "url": entry.resource_type}
    if is_conditional:
        parameter, token = lookup.token(entry)
        request["ifNoneExist"] = f"{parameter}={quote(token, safe=':')}"
    return {"fullUrl": _full_url(entry), "resource": sent, "request": request}


def _full_url(entry: Entry) -> str:
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, entry.key)}"


def _settlements(entries: Sequence[Entry], answer: Answer) -> list[Settlement]:
    """Say what a success means for each entry; the answer is in the order of the request."""
    body = answer.json()
    answers = body.get("entry") if isinstance(body, dict) else None
    if not isinstance(answers, list) or len(answers) != len(entries):
        return [_unread(entry, answer.status) for entry in entries]
    return [_settlement(entry, one, answer.status) for entry, one in zip(entries, answers, strict=True)]


def _settlement(entry: Entry, answered: Any, status: int) -> Settlement:
    response = answered.get("response") if isinstance(answered, dict) else None
    if not isinstance(response, dict) or not str(response.get("status", "")).startswith("20"):
        return _unread(entry, status)
    location = parse_location(str(response.get("location", "")))
    resource = answered.get("resource")
    body_id = resource.get("id", "") if isinstance(resource, dict) else ""
    ehr_id = entry.ehr_id or (location.resource_id if location else str(body_id))
    if not entry.ehr_id and str(response["status"]).startswith("200"):
        # `ifNoneExist` met something that nobody compared yet: without a version it is read before it is written over.
        return Settlement(key=entry.key, state="already_there", ehr_id=ehr_id, http_status=status)
    version = parse_etag(str(response.get("etag", ""))) or (location.version if location else "")
    return Settlement(key=entry.key, state="accepted", ehr_id=ehr_id, ehr_version=version, http_status=status)


def _unread(entry: Entry, status: int) -> Settlement:
    reason = "the answer does not say what became of the entry"
    return Settlement(key=entry.key, state="unknown", reason=reason, http_status=status, maybe_sent=True)
