"""What a request leaves in the inbox, and what it gets for it: values that know neither storage nor web framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

State = Literal["received", "planned", "without_outcome", "kept", "superseded", "rejected", "quarantined"]

SOME_VERSION: Final = -1
"""As an expected version: there must be one, whichever it is (`If-Match: *`)."""
NO_VERSION: Final = -2
"""As an expected version: what none is."""
ANOTHERS: Final = (
    "its latest version is about another patient, which only the source that sent that version may change; "
    "send it under an id of its own, or with the system of its identifier"
)
"""Why a resource is not stored, or set aside, that says of another source's resource whose it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deposit:
    """One resource to store.

    Attributes:
        resource_type: FHIR type; empty for what is no resource.
        resource_id: logical id, from the sender or given by the service.
        content_hash: of the resource; the same hash is the same content.
        body: the resource as JSON, with its id.
        expected_version: the version that must be the latest one (If-Match), or SOME_VERSION; None if any may be;
            0 if there must be none.
        problem: why it is set aside; empty: it is worked on.
        subject: id of the Patient whom it is about; empty where that is not to be compared.
        is_subject_fixed: whether not even its sender may say later that it is about another patient.
    """

    resource_type: str
    resource_id: str
    content_hash: str
    body: bytes
    expected_version: int | None = None
    problem: str = ""
    subject: str = ""
    is_subject_fixed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """That a resource is stored.

    Attributes:
        resource_type: FHIR type.
        resource_id: logical id.
        version: counted by the service for this type and id, from 1; 0 for a conflict.
        is_replay: whether this content had been stored before.
        is_conflict: nothing was stored: another version than the expected one is the latest, or `is_anothers`.
        is_anothers: nothing was stored: the latest version is another source's, and about another patient.
        problem: why it is set aside; empty: it is not.
        is_superseded: whether another version counts, though this one came last.
    """

    resource_type: str
    resource_id: str
    version: int
    is_replay: bool = False
    is_conflict: bool = False
    is_anothers: bool = False
    problem: str = ""
    is_superseded: bool = False

    @property
    def location(self) -> str:
        """`Type/id/_history/version`."""
        return f"{self.resource_type}/{self.resource_id}/_history/{self.version}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer, as it is given and kept.

    Attributes:
        status: HTTP status.
        headers: beside Content-Type.
        body: JSON; may be empty.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """By what a repetition is known besides its content.

    Attributes:
        digest: of kind, sender and value.
        is_promise: with other content it is refused (an Idempotency-Key), not taken for something new.
        content_hash: of what it promises; empty: the unit's.
    """

    digest: str
    is_promise: bool = False
    content_hash: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Later:
    """A request that is answered now and worked on later.

    Attributes:
        id: part of its status URL.
        request: what is needed of it besides the body, JSON.
        body: as sent, unpacked.
    """

    id: str
    request: str
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """What one request stores, in one transaction.

    Attributes:
        caller: who sent it.
        request_id: of the HTTP request.
        content_hash: of all that was sent; empty: no repetition is known by it.
        answer: makes the answer of the receipts, one a deposit; runs inside the transaction, so it does nothing else.
        deposits: the resources.
        keys: by what else a repetition is known.
        is_atomic: whether one conflict undoes all.
        later: what is worked on later.
        is_poison_kept: whether what its sender may not change is set aside; else it is a conflict.
    """

    caller: str
    request_id: str
    content_hash: str
    answer: Callable[[Sequence[Receipt]], Answer]
    deposits: Sequence[Deposit] = ()
    keys: Sequence[Key] = ()
    is_atomic: bool = True
    later: Later | None = None
    is_poison_kept: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What became of a unit.

    Attributes:
        answer: to be given; of a repetition the first one.
        receipts: one a deposit; none for a repetition.
        is_replay: whether it is a repetition.
    """

    answer: Answer
    receipts: Sequence[Receipt] = ()
    is_replay: bool = False


class VersionConflictError(Exception):
    """The latest version of a resource is not the one that the sender expected, or is another source's."""

    def __init__(self, position: int, *, is_anothers: bool = False) -> None:
        self.position, self.is_anothers = position, is_anothers
        super().__init__(f"deposit {position}")


class KeyReusedError(Exception):
    """A key that promises the same content came with other content."""
