"""Which version of a resource counts among those that were sent.

The rule is that of files (`integration.intake.newest`), but a service knows more than a file: who sent a version, when
it came, and whether its sender had seen the one before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from integration import versions
from integration.intake.newest import Header, Newest, header
from server.service.inbound.submission import RESPONSE

_AHEAD: Final = timedelta(minutes=5)
"""So far a sender's clock may be ahead of ours; a `meta.lastUpdated` beyond that says nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """A version of a resource, as far as it matters which one counts.

    Attributes:
        sequence: position among all that was sent.
        resource_type: FHIR type.
        resource_id: logical id.
        body: the resource as JSON.
        received: when it was stored; ISO 8601, UTC.
        caller: who sent it.
        is_next: whether it named the latest version by If-Match.
    """

    sequence: int
    resource_type: str
    resource_id: str
    body: bytes
    received: str
    caller: str
    is_next: bool


class _Status(msgspec.Struct, gc=False):
    status: Any = None


_status = msgspec.json.Decoder(_Status).decode


def newest_of(sent: Iterable[Sent]) -> Newest:
    """Return which versions count.

    It is the highest `meta.versionId` if both are numbers, else the latest `meta.lastUpdated`, else the one that came
    last. Three things are the service's own: a response that named the latest version by
    If-Match follows it, whatever their `meta` say; so does one that is entered-in-error and comes from the sender of
    the version that counted; and a `meta.lastUpdated` later than the receipt is no order.

    Args:
        sent: all versions of each resource, in order of arrival.

    Raises:
        RejectedError: one is no JSON object.
    """
    newest = Newest()
    senders: dict[tuple[str, str], str] = {}
    for one in sent:
        key = one.resource_type, one.resource_id
        follows = one.resource_type == RESPONSE and (one.is_next or _is_withdrawn_by(senders.get(key), one))
        newest.see(key, _ordered(header(one.body), one.received), one.sequence, is_next=follows)
        if newest.counts(key, one.sequence):
            senders[key] = one.caller
    return newest


def counting(sent: Sequence[Sent]) -> list[Sent]:
    """Return those versions that count."""
    newest = newest_of(sent)
    return [one for one in sent if newest.counts((one.resource_type, one.resource_id), one.sequence)]


def _is_withdrawn_by(sender: str | None, one: Sent) -> bool:
    return sender == one.caller and _status(one.body).status == "entered-in-error"


def _ordered(found: Header, received: str) -> Header:
    """Return the header without a `meta.lastUpdated` that lies in the future of its receipt."""
    updated = versions.version(found.meta).updated
    if updated is None or updated <= datetime.fromisoformat(received) + _AHEAD:
        return found
    meta = {name: value for name, value in found.meta.items() if name != "lastUpdated"}
    return Header(resource_type=found.resource_type, id=found.id, meta=meta)
