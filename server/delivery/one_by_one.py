"""One resource a request: plain create, and update with If-Match; for servers without transactions.

Within a response the order is Device, scores, panel, Provenance, and each request leaves after the answer to the one
before it, because what follows refers to the id that the server gave. The ledger is told of several together
(`ahead`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from integration.errors import ServerRefusedError
from integration.outcomes import Resource, encode
from integration.sources.client import Answer
from server.delivery import ahead, references
from server.delivery.resolution import Resolver
from server.delivery.transport import Group
from server.delivery.writer import CONFLICT, Writer
from server.ledger.entries import Entry, Settlement

_MOST_CONFLICTS = 3
_GONE = frozenset((404, 410))


class OneByOne:
    """One request a resource."""

    def deliver(self, groups: Sequence[Group], writer: Writer, resolver: Resolver) -> None:
        """Send each entry in a request of its own; one whose references are not known yet stays planned."""
        # Where our identifiers are not kept, little can be found again: there a crash shall leave one doubt, not many.
        most = ahead.MOST if writer.profile.abilities.keeps_all else 1
        waiting = [entry for group in groups for entry in group]
        while waiting:
            late = _send_some(waiting[:most], writer, resolver)
            waiting = late + waiting[most:]


def _send_some(entries: Sequence[Entry], writer: Writer, resolver: Resolver) -> list[Entry]:
    """Send entries one after the other; returns those that time did not suffice for, to be recorded anew."""
    try:
        claimed = writer.ahead.claim(writer.ready(entries, is_together=True))
        for number, entry in enumerate(claimed):
            if number and writer.ahead.is_late:  # the first one always leaves, or nothing ever would
                return claimed[number:]
            if writer.understands(entry):
                send(entry, writer, resolver)
    finally:
        writer.ahead.end()
    return []


def send(entry: Entry, writer: Writer, resolver: Resolver) -> None:
    """Create one resource, or update it where the chart holds it already."""

    def create(claimed: Sequence[Entry], request_id: str) -> list[Settlement]:
        body = encode(_shaped(claimed[0], writer))
        answer = writer.client.create(entry.resource_type, body, request_id=request_id, leaves=writer.leaves)
        return [created(claimed[0], answer)]

    def update(claimed: Sequence[Entry], request_id: str) -> list[Settlement]:
        with_older = replace(claimed[0], sent_content=entry.sent_content)  # what may be there of an earlier request
        return [_updated(with_older, writer, resolver, request_id)]

    writer.attempt([entry], *(("update", update) if entry.ehr_id else ("create", create)))
    if entry.key not in writer.ahead.plain:
        resolver.look_again([entry.key])
        writer.ahead.look_again()


def _updated(entry: Entry, writer: Writer, resolver: Resolver, request_id: str) -> Settlement:
    body = encode({**_shaped(entry, writer), "id": entry.ehr_id})
    version, conflicts = entry.ehr_version, 0
    if not version:  # the server did not say: nobody else's change may be written over
        read = resolver.of_conflict(entry, status=None)
        if isinstance(read, Settlement):
            return read
        version = read
    while True:
        try:
            answer = writer.client.update(
                entry.resource_type, entry.ehr_id, body, request_id=request_id, if_match=version, leaves=writer.leaves
            )
            break
        except ServerRefusedError as error:
            if error.status in _GONE and resolver.is_gone(entry):  # and not its patient, say
                reason = f"HTTP {error.status}: gone from the chart"
                return Settlement(key=entry.key, state="manual", reason=reason, http_status=error.status)
            if error.status not in CONFLICT:
                raise
            conflicts += 1
            writer.ahead.record()  # what the chart is compared with refers to them
            known = resolver.of_conflict(entry, status=error.status)
            if isinstance(known, Settlement) or conflicts >= _MOST_CONFLICTS:
                return known if isinstance(known, Settlement) else resolver.given_up(entry, error.status)
            version = known
    return Settlement(
        key=entry.key,
        state="held" if answer.status == 202 else "accepted",
        ehr_id=entry.ehr_id,
        ehr_version=answer.version or _version(answer.json()),
        http_status=answer.status,
    )


def _shaped(entry: Entry, writer: Writer) -> Resource:
    """Return the resource as it is sent: without our id, and with the server's ids in its references."""
    resource = entry.resource()
    places = references.places(writer.ehr_ids([entry]), resource)
    sent: Resource = references.rewritten({name: value for name, value in resource.items() if name != "id"}, places)
    return sent


def created(entry: Entry, answer: Answer) -> Settlement:
    """Say what a success of a create means; 201 with nothing in it is a success whose id must be looked for."""
    body = answer.json()
    resource = body if isinstance(body, dict) and body.get("resourceType") == entry.resource_type else {}
    location_id = answer.location.resource_id if answer.location else ""
    return Settlement(
        key=entry.key,
        state="held" if answer.status == 202 else "accepted",
        ehr_id=location_id or str(resource.get("id", "")),
        ehr_version=answer.version or _version(resource),
        http_status=answer.status,
    )


def _version(resource: object) -> str:
    meta = resource.get("meta") if isinstance(resource, dict) else None
    version = meta.get("versionId") if isinstance(meta, dict) else None
    return version if isinstance(version, str) else ""
