"""Which version of each resource counts: one resource, one version, before every other rule."""

from __future__ import annotations

from typing import Any

import msgspec

from integration import versions
from integration.intake.rejection import RejectedError
from integration.sources.resource_types import RESOURCE_TYPES


class Header(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """The few elements that identify a resource's version; of any JSON type, since nothing was checked yet."""

    resource_type: Any = None
    id: Any = None
    meta: Any = None


Key = tuple[str, str]
"""Resource type and logical id."""

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
        self._versions: dict[Key, versions.Version] = {}
        self.superseded = 0

    def see(self, key: Key, found: Header, position: int) -> None:
        """Take notice of one version, in order of reading."""
        version = versions.version(found.meta)
        if key not in self._positions:
            self._keep(key, version, position)
            return
        self.superseded += 1
        if versions.is_newer(version, self._versions.get(key, versions.UNKNOWN)):
            self._keep(key, version, position)

    def counts(self, key: Key, position: int) -> bool:
        """Return whether the version at this position is the one that counts."""
        return self._positions.get(key) == position

    def positions_of(self, resource_type: str) -> list[tuple[str, int]]:
        """Return the ids of a type with the position that counts, in order of first reading."""
        return [(key[1], position) for key, position in self._positions.items() if key[0] == resource_type]

    def _keep(self, key: Key, version: versions.Version, position: int) -> None:
        self._positions[key] = position
        if version != versions.UNKNOWN:  # else the last that is known stays: what is older than it must not come back
            self._versions[key] = version
