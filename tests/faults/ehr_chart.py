"""What a simulated EHR holds: every version of every resource, who wrote it, and what the client had sent.

A test reads the final chart here, past the server's rules: it also sees what searching and reading would hide.
"""

import copy
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

Resource = dict[str, Any]
"""A FHIR resource as JSON values."""

CLIENT: Final = "client"
FOREIGN: Final = "foreign"
SETUP: Final = "setup"


class UnknownReferenceError(LookupError):
    """The chart never held a resource with this reference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """One version of one resource.

    Attributes:
        reference: `Observation/<id>`.
        number: from 1.
        resource: as held, with id and meta; None if this version is a deletion.
        by: `client` over HTTP, `foreign` somebody else in the EHR, `setup` the test.
        sent: the body of the client's request before the server dropped what it does not keep; None if not by `client`.
        method: POST, PUT or DELETE.
    """

    reference: str
    number: int
    resource: Resource | None
    by: str
    sent: Resource | None
    method: str

    @property
    def resource_type(self) -> str:
        """The part of the reference before the slash."""
        return self.reference.partition("/")[0]


def utc_now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


class Chart:
    """Resources in memory, with history. Every method may be called from any thread; what is returned is a copy.

    Args:
        seed: of the ids, so that a run can be repeated.
        now: the server's clock.
    """

    def __init__(self, seed: int = 0, now: Callable[[], datetime] = utc_now) -> None:
        self._lock = threading.RLock()
        self._random = random.Random(f"ids {seed}")
        self._now = now
        self._held: dict[str, dict[str, list[Version]]] = {}
        self._log: list[Version] = []

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Hold the chart's lock; on any exception put everything back as it was."""
        with self._lock:
            held = {name: {key: list(versions) for key, versions in ids.items()} for name, ids in self._held.items()}
            length = len(self._log)
            try:
                yield
            except BaseException:
                self._held = held
                del self._log[length:]
                raise

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the chart's lock, so that nothing comes between a search and a write."""
        with self._lock:
            yield

    def new_id(self, prefix: str = "") -> str:
        """Return an id that was never given before."""
        with self._lock:
            return f"{prefix}{self._random.getrandbits(64):016x}"

    def create(self, resource: Resource, *, by: str = SETUP, sent: Resource | None = None, new_id: str = "") -> Version:
        """Store a resource under a new id, whatever id it names; with `by=setup` under its own id if it has one."""
        with self._lock:
            given = new_id or (resource.get("id", "") if by == SETUP else "") or self.new_id()
            return self._append(f"{resource['resourceType']}/{given}", resource, by=by, sent=sent, method="POST")

    def update(self, reference: str, resource: Resource, *, by: str, sent: Resource | None = None) -> Version:
        """Store the next version; of an unknown reference the first."""
        with self._lock:
            return self._append(reference, resource, by=by, sent=sent, method="PUT")

    def delete(self, reference: str, *, by: str = FOREIGN) -> Version:
        """Delete; the history stays."""
        with self._lock:
            return self._append(reference, None, by=by, sent=None, method="DELETE")

    def last(self, reference: str) -> Version | None:
        """Return the newest version, which may be a deletion; None if the reference was never held."""
        with self._lock:
            resource_type, _, resource_id = reference.partition("/")
            versions = self._held.get(resource_type, {}).get(resource_id)
            return versions[-1] if versions else None

    def get(self, reference: str) -> Resource | None:
        """Return a copy of what is held now; None if it is not there or deleted."""
        last = self.last(reference)
        return copy.deepcopy(last.resource) if last is not None else None

    def history(self, reference: str) -> list[Version]:
        """Return all versions, the oldest first.

        Raises:
            UnknownReferenceError: it was never held.
        """
        with self._lock:
            resource_type, _, resource_id = reference.partition("/")
            if resource_id not in self._held.get(resource_type, {}):
                raise UnknownReferenceError(reference)
            return list(self._held[resource_type][resource_id])

    def current(self, resource_type: str = "") -> list[Resource]:
        """Return copies of what is held now, in the order of creation; without a type of all types."""
        return [copy.deepcopy(version.resource) for version in self.versions(resource_type) if version.resource]

    def versions(self, resource_type: str = "") -> list[Version]:
        """Return the newest version of each resource that is not deleted, in the order of creation; no copies."""
        with self._lock:
            types = [resource_type] if resource_type else list(self._held)
            newest = (versions[-1] for name in types for versions in self._held.get(name, {}).values())
            return [version for version in newest if version.resource is not None]

    def log(self) -> list[Version]:
        """Return every version that was ever written, in the order of writing."""
        with self._lock:
            return list(self._log)

    def writes(self, by: str = CLIENT) -> list[Version]:
        """Return every version written by the client (or whom `by` names), in the order of writing."""
        return [version for version in self.log() if version.by == by]

    def ids_of(self, identifier: str) -> list[str]:
        """Return the references of what is held now and carries or was sent with this identifier or tag.

        Args:
            identifier: `system|value`, or a value in any system.
        """
        with self._lock:
            return [
                version.reference
                for version in self.versions()
                if any(_carries(body, identifier) for body in (version.resource, self._first_sent(version.reference)))
            ]

    def at(self, patient: str, code: str, instant: str) -> list[str]:
        """Return the references of the Observations of this patient, code and time that are held now.

        Args:
            patient: `Patient/<id>`.
            code: any coding's code.
            instant: a FHIR dateTime with time and zone; compared as a moment.
        """
        return [
            version.reference
            for version in self.versions("Observation")
            if version.resource is not None
            and version.resource.get("subject", {}).get("reference") == patient
            and code in {coding.get("code") for coding in version.resource.get("code", {}).get("coding", [])}
            and same_moment(version.resource.get("effectiveDateTime", ""), instant)
        ]

    def _first_sent(self, reference: str) -> Resource | None:
        sent = (version.sent for version in self.history(reference) if version.sent is not None)
        return next(sent, None)

    def _append(
        self, reference: str, resource: Resource | None, *, by: str, sent: Resource | None, method: str
    ) -> Version:
        resource_type, _, resource_id = reference.partition("/")
        versions = self._held.setdefault(resource_type, {}).setdefault(resource_id, [])
        number = len(versions) + 1
        version = Version(
            reference=reference,
            number=number,
            resource=None if resource is None else self._stamped(resource, resource_id, number),
            by=by,
            sent=copy.deepcopy(sent),
            method=method,
        )
        versions.append(version)
        self._log.append(version)
        return version

    def _stamped(self, resource: Resource, resource_id: str, number: int) -> Resource:
        updated = self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        meta = {**resource.get("meta", {}), "versionId": str(number), "lastUpdated": updated}
        return {**copy.deepcopy(resource), "id": resource_id, "meta": copy.deepcopy(meta)}


def same_moment(one: str, other: str) -> bool:
    """Tell whether two FHIR dateTimes with time and zone are the same moment; else whether they are the same text."""
    try:
        return datetime.fromisoformat(one) == datetime.fromisoformat(other)
    except (ValueError, TypeError):  # not dates, or one with a zone and one without
        return one == other


def _carries(resource: Resource | None, identifier: str) -> bool:
    if resource is None:
        return False
    listed = resource.get("identifier", [])
    identifiers = [(one.get("system"), one.get("value")) for one in (listed if isinstance(listed, list) else [listed])]
    tags = [(one.get("system"), one.get("code")) for one in resource.get("meta", {}).get("tag", [])]
    system, bar, value = identifier.rpartition("|")
    return any((not bar or own_system == system) and own == value for own_system, own in identifiers + tags)
