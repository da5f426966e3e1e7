"""Which version of each resource counts: one resource, one version, before every other rule."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from integration.intake.rejection import RejectedError
from integration.sources.resource_types import RESOURCE_TYPES


class Header(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """The few elements that identify a resource's version; of any JSON type, since nothing was checked yet."""

    resource_type: Any = None
    id: Any = None
    meta: Any = None


Key = tuple[str, str]
"""Resource type and logical id."""
Version = tuple[int | None, datetime | None]
"""`meta.versionId` if it is a number, `meta.lastUpdated` if it is an instant."""

_decode = msgspec.json.Decoder(Header).decode


def header(body: bytes) -> Header:
    """Read a resource's header.

    Raises:
        RejectedError: the body is not JSON or not a JSON object.
    """
    try:
        return _decode(body)
    except msgspec.ValidationError as error:
        raise RejectedError("", "not a FHIR resource: not a JSON object") from error
    except RecursionError as error:
        raise RejectedError("", "not read: nested too deep") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RejectedError("", "not JSON") from error


def require_known_type(found: Header) -> None:
    """Raise RejectedError if the header is not that of a resource of any FHIR release."""
    if not isinstance(found.resource_type, str):
        raise RejectedError("resourceType", "not a FHIR resource: no resourceType")
    if found.resource_type not in RESOURCE_TYPES:
        raise RejectedError("resourceType", "resource type that no FHIR release knows")


class Newest:
    """Keeps, for each resource, the position of the version that counts."""

    def __init__(self) -> None:
        self._positions: dict[Key, int] = {}
        self._versions: dict[Key, Version] = {}
        self.superseded = 0

    def see(self, key: Key, found: Header, position: int) -> None:
        """Take notice of one version, in order of reading."""
        version = _version(found.meta)
        if key not in self._positions:
            self._keep(key, version, position)
            return
        self.superseded += 1
        if _is_newer(version, self._versions.get(key, (None, None))):
            self._keep(key, version, position)

    def counts(self, key: Key, position: int) -> bool:
        """Return whether the version at this position is the one that counts."""
        return self._positions.get(key) == position

    def positions_of(self, resource_type: str) -> list[tuple[str, int]]:
        """Return the ids of a type with the position that counts, in order of first reading."""
        return [(key[1], position) for key, position in self._positions.items() if key[0] == resource_type]

    def _keep(self, key: Key, version: Version, position: int) -> None:
        self._positions[key] = position
        if version != (None, None):  # else the last that is known stays: what is older than it must not come back
            self._versions[key] = version


def _version(meta: Any) -> Version:
    if not isinstance(meta, dict):
        return None, None
    return _number(meta.get("versionId")), _instant(meta.get("lastUpdated"))


def _number(text: Any) -> int | None:
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 64 else None


def _instant(text: Any) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return instant if instant is not None and instant.tzinfo else None


def _is_newer(version: Version, than: Version) -> bool:
    """The highest versionId if both are numbers, else the latest lastUpdated, else the one read last."""
    number, other_number = version[0], than[0]
    if number is not None and other_number is not None and number != other_number:
        return number > other_number
    instant, other_instant = version[1], than[1]
    if instant is not None and other_instant is not None and instant != other_instant:
        return instant > other_instant
    return True
