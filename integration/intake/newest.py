"""Which version of each resource counts: one resource, one version, before every other rule."""

from __future__ import annotations

from typing import Any

import msgspec

from integration import versions
from integration.intake.rejection import RejectedError
from integration.sources.resource_types import RESOURCE_TYPES


class Header(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """The few elements that identify a resource's version; of any JSON type, since nothing was checked yet.

    An `id` that is not there is UNSET, for one that is null is another fault.
    """

    resource_type: Any = None
    id: Any = msgspec.UNSET
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
    """Tells, of each resource, which version counts.

    After the last one was seen, `forget` leaves only the positions of the older versions in memory.
    """

    def __init__(self) -> None:
        self._positions: dict[str, dict[str, int]] = {}
        self._versions: dict[str, dict[str, versions.Version]] = {}
        self._older: set[int] = set()

    @property
    def superseded(self) -> int:
        """How many older versions there were."""
        return len(self._older)

    def see(self, key: Key, found: Header, position: int, *, is_next: bool = False) -> None:
        """Take notice of one version, in order of reading.

        Args:
            key: of the resource.
            found: what the version says of itself.
            position: where it was read.
            is_next: whether it is known to follow the one that counts, whatever both say; never of a file.
        """
        resource_type, logical_id = key
        positions = self._positions.setdefault(resource_type, {})
        known = self._versions.setdefault(resource_type, {})
        version = versions.version(found.meta)
        kept = positions.get(logical_id)
        is_newer = is_next or versions.is_newer(version, known.get(logical_id, versions.UNKNOWN))
        if kept is not None and not is_newer:
            self._older.add(position)
            return
        if kept is not None:
            self._older.add(kept)
        positions[logical_id] = position
        if version != versions.UNKNOWN:  # else the last that is known stays: what is older than it must not come back
            known[logical_id] = version

    def counts(self, key: Key, position: int) -> bool:
        """Return whether the version at this position is the one that counts."""
        return self._positions.get(key[0], {}).get(key[1]) == position

    def is_older(self, position: int) -> bool:
        """Return whether a version that was seen at this position gave way to another."""
        return position in self._older

    def positions_of(self, resource_type: str) -> list[tuple[str, int]]:
        """Return the ids of a type with the position that counts, in order of first reading."""
        return list(self._positions.get(resource_type, {}).items())

    def forget(self) -> None:
        """Let go of ids and versions: no more are seen, and only `is_older` and `superseded` are asked."""
        self._positions.clear()
        self._versions.clear()
