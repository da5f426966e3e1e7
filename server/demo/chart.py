"""Fill the demo's FHIR server as an EHR would hold the synthetic export: the newest version of each resource."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from integration.errors import ServerRefusedError
from integration.intake import newest
from integration.intake.rejection import RejectedError
from integration.sources.client import FhirClient
from integration.sources.files import Files
from integration.sources.resource import RawResource, Unreadable

_PER_BATCH: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What became of the export.

    Attributes:
        stored: resources that the server took.
        refused: resources that the server would not take: the export holds broken ones on purpose.
        unreadable: lines that are no resource; nothing to load.
        older: older versions of a resource that the server holds in its newest.
    """

    stored: int
    refused: int
    unreadable: int
    older: int


def load(client: FhirClient, export: Path) -> Loaded:
    """Put every resource of an export on the server, under its own id."""
    source = Files([export])
    versions, unreadable = newest.Newest(), 0
    for position, found in enumerate(source):
        header = _header(found)
        if header is None:
            unreadable += 1
        else:
            versions.see((header.resource_type, header.id), header, position)
    stored = refused = 0
    for batch in _batches(_newest(source, versions), _PER_BATCH):
        taken = _send(client, batch)
        stored, refused = stored + taken, refused + len(batch) - taken
    return Loaded(stored=stored, refused=refused, unreadable=unreadable, older=versions.superseded)


def _newest(source: Files, versions: newest.Newest) -> Iterator[tuple[str, bytes]]:
    for position, found in enumerate(source):
        header = _header(found)
        if isinstance(found, RawResource) and header:
            key = header.resource_type, header.id
            if versions.counts(key, position):
                yield "/".join(key), found.body


def _header(found: RawResource | Unreadable) -> newest.Header | None:
    """Return the header of a resource that a server could take, None for anything else."""
    if isinstance(found, Unreadable):
        return None
    try:
        header = newest.header(found.body)
        newest.require_known_type(header)
    except RejectedError:
        return None
    return header if isinstance(header.id, str) and header.id else None


def _batches(resources: Iterable[tuple[str, bytes]], size: int) -> Iterator[list[tuple[str, bytes]]]:
    batch: list[tuple[str, bytes]] = []
    for one in resources:
        batch.append(one)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _send(client: FhirClient, batch: list[tuple[str, bytes]]) -> int:
    """Send resources together; returns how many were taken.

    A transaction is many times faster; where the server refuses it for one bad resource, each entry stands for itself.
    """
    try:
        answer = client.transaction(_bundle("transaction", batch))
    except ServerRefusedError:
        answer = client.transaction(_bundle("batch", batch))
    return sum(str(entry.get("response", {}).get("status", ""))[:1] == "2" for entry in answer.json().get("entry", ()))


def _bundle(kind: str, batch: list[tuple[str, bytes]]) -> bytes:
    entries: list[dict[str, Any]] = [
        {"resource": msgspec.Raw(body), "request": {"method": "PUT", "url": reference}} for reference, body in batch
    ]
    return msgspec.json.encode({"resourceType": "Bundle", "type": kind, "entry": entries})
