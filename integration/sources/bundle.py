"""Take a Bundle apart into its resources, with the references inside it resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from integration.sources.resource import RawResource, Unreadable

_MARKS: Final = (b'"Bundle"', b"\\u00")
"""Bytes without which there is no Bundle: its name, unless that is written with escapes."""
_URN: Final = "urn:"
NOT_JSON: Final = "not JSON"


class _Entry(msgspec.Struct, rename="camel"):
    full_url: str | None = None
    resource: msgspec.Raw = msgspec.Raw()


class _Bundle(msgspec.Struct, rename="camel"):
    resource_type: str
    entry: list[_Entry] | None = None


class _Header(msgspec.Struct, rename="camel"):
    """Of any JSON type: what is wrong with a resource is said when it is read, with its place."""

    resource_type: Any = None
    id: Any = None


_bundle_decoder = msgspec.json.Decoder(_Bundle)
_header_decoder = msgspec.json.Decoder(_Header)
_exact_decoder = msgspec.json.Decoder(float_hook=Decimal)
_exact_encoder = msgspec.json.Encoder(decimal_format="number")


def unpacked(raw: RawResource, limit: int) -> Iterator[RawResource | Unreadable]:
    """Yield the resources of a Bundle, or the resource itself if it is no Bundle.

    An entry's `urn:uuid` becomes the resource's id where it has none, and references to it become `Type/id`.
    A resource over the limit in bytes is not read.
    """
    if not raw.body.strip():
        return
    if not any(mark in raw.body for mark in _MARKS) or not _is_bundle(raw.body):
        yield _limited(raw, limit)
        return
    try:
        entries = _bundle_decoder.decode(raw.body).entry or []
    except (msgspec.DecodeError, RecursionError) as error:
        yield Unreadable(raw.file, raw.line, raw.within, f"Bundle that cannot be taken apart: {problem_of(error)}")
        return
    yield from _entries(raw, entries, limit)


def _entries(raw: RawResource, entries: list[_Entry], limit: int) -> Iterator[RawResource | Unreadable]:
    names = _names_of_urns(entries)
    for number, entry in enumerate(entries):
        if not entry.resource:
            continue
        body = bytes(entry.resource)
        place = f"{raw.within}.entry[{number}].resource".lstrip(".")
        if (names and b'"urn:' in body) or (entry.full_url or "").startswith(_URN):
            body = _with_names(body, names, entry.full_url or "")
        yield from unpacked(RawResource(raw.file, raw.line, place, body), limit)


def _limited(raw: RawResource, limit: int) -> RawResource | Unreadable:
    if len(raw.body) > limit:
        return Unreadable(raw.file, raw.line, raw.within, f"resource longer than {limit} bytes, not read")
    return raw


def _is_bundle(body: bytes) -> bool:
    try:
        return bool(_header_decoder.decode(body).resource_type == "Bundle")
    except (msgspec.DecodeError, RecursionError):
        return False


def _names_of_urns(entries: list[_Entry]) -> dict[str, str]:
    """Return `urn:uuid:...` to `Type/id` for every entry that has such a fullUrl."""
    names = {}
    for entry in entries:
        if not entry.resource or not entry.full_url or not entry.full_url.startswith(_URN):
            continue
        try:
            header = _header_decoder.decode(entry.resource)
        except (msgspec.DecodeError, RecursionError):
            continue  # the entry itself is rejected when it is read
        names[entry.full_url] = f"{header.resource_type}/{header.id or _last_part(entry.full_url)}"
    return names


def _last_part(urn: str) -> str:
    return urn.rpartition(":")[2]


def _with_names(body: bytes, names: Mapping[str, str], full_url: str) -> bytes:
    try:
        resource = _exact_decoder.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return body  # rejected when it is read, with its place
    if not isinstance(resource, dict):
        return body
    if "id" not in resource and full_url.startswith(_URN):
        resource["id"] = _last_part(full_url)
    _rename(resource, names)
    return _exact_encoder.encode(resource)


def _rename(value: Any, names: Mapping[str, str]) -> None:
    """Replace `reference` values in place, without recursion so that depth is no limit."""
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            reference = part.get("reference")
            if isinstance(reference, str) and reference in names:
                part["reference"] = names[reference]
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)


def problem_of(error: Exception) -> str:
    """Say what is wrong with JSON without repeating any of it."""
    if isinstance(error, RecursionError):
        return "nested too deep"
    if isinstance(error, msgspec.ValidationError):
        return "not in the shape of a FHIR resource"
    return NOT_JSON
