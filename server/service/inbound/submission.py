"""One resource as it was sent, with an identity; knows no storage and no web framework."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from integration.intake import READ_TYPES, logical_id
from integration.outcomes import Resource
from integration.views.values import reference_key_of
from server.service.inbound import strict_json
from server.service.inbound.deposits import Deposit
from server.service.operation_outcome import RefusedError

INPUT_TYPES: Final = READ_TYPES
"""What the mapping's views read, and so what is taken."""
RESPONSE: Final = "QuestionnaireResponse"


class _About(msgspec.Struct):
    """Whom a resource is about."""

    subject: Any = None


_read_about: Final = msgspec.json.Decoder(_About).decode


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """A resource as it was sent.

    Attributes:
        resource_type: one of INPUT_TYPES.
        resource_id: its logical id; given by the service if it was sent without one.
        content_hash: SHA-256 (hex) of all its content, whatever the order of keys and the white space; two requests
            with one hash are one request and its repetition. Its `meta` belongs to it, so that a source that goes
            back to an earlier content in a new version says something new.
        body: as sent, with the id.
        version_key: of its identifier and `meta.versionId` with what it says, whatever its `meta.lastUpdated`; empty
            if it lacks either.
        subject: id of the Patient whom it is about; empty if that cannot be told, and of a Patient.
        is_subject_fixed: whether its id was made of an identifier without a system, which may well be another
            patient's too.
    """

    resource_type: str
    resource_id: str
    content_hash: str
    body: bytes
    version_key: str = ""
    subject: str = ""
    is_subject_fixed: bool = False

    def deposit(self, *, expected_version: int | None = None, problem: str = "") -> Deposit:
        """Return what is stored of it.

        Args:
            expected_version: the version that must be the latest one (`Deposit`).
            problem: why it is set aside; empty: it is worked on.
        """
        return Deposit(
            resource_type=self.resource_type,
            resource_id=self.resource_id,
            content_hash=self.content_hash,
            body=self.body,
            expected_version=expected_version,
            problem=problem,
            subject="" if problem else self.subject,
            is_subject_fixed=self.is_subject_fixed,
        )


def read(body: bytes, resource_type: str, *, url_id: str | None = None, caller: str = "") -> Submission:
    """Read the body of a create (no id in the URL) or of an update.

    Raises:
        RefusedError: 400 if it is no JSON object or its id does not fit; 422 if it is of another type.
    """
    if problem := strict_json.problem_at_start(body):
        raise RefusedError(400, problem)
    resource, canonical = strict_json.read(body)
    return of(resource, canonical, resource_type, url_id=url_id, body=body, caller=caller)


def of(
    resource: Resource,
    canonical: bytes,
    resource_type: str,
    *,
    url_id: str | None = None,
    body: bytes = b"",
    caller: str = "",
) -> Submission:
    """Return a resource that was read already as a submission.

    Args:
        resource: as JSON values.
        canonical: the same in the one way to write it.
        resource_type: what it must be.
        url_id: the id that it must have; None if it may have any or none.
        body: as sent; empty where only the canonical form is there.
        caller: who sent it.

    Raises:
        RefusedError: 400 if its id does not fit; 422 if it is of another type.
    """
    if resource.get("resourceType") != resource_type:
        raise RefusedError(422, f"only {resource_type} is taken here", expression="resourceType")
    own = _own_id(resource, resource_type)
    if url_id is not None and url_id != own:
        raise RefusedError(400, "the id in the body must be the one in the URL", expression=f"{resource_type}.id")
    content_hash = hashlib.sha256(canonical).hexdigest()
    given = own or given_id(resource, content_hash, caller)
    is_loose = _identifier(resource).startswith("|") and given == given_id(resource, content_hash, caller)
    return Submission(
        resource_type=resource_type,
        resource_id=given,
        content_hash=content_hash,
        body=(body or canonical) if own else strict_json.encode({**resource, "id": given}),
        version_key=_version_key(resource),
        subject=_subject(resource.get("subject")),
        is_subject_fixed=is_loose and resource_type == RESPONSE,
    )


def given_id(resource: Resource, content_hash: str, caller: str) -> str:
    """Return the id of a resource that was sent without one: always the same for the same.

    A response's identifier is that of one filled-in form, so what comes with the same one is a version of the same
    response; without a system, if the same caller sends it. Everything else is known by its content.
    """
    identifier = _identifier(resource) if resource.get("resourceType") == RESPONSE else ""
    whose = (caller,) if identifier.startswith("|") else ()
    digest = digest_of("identifier", *whose, identifier) if identifier else content_hash
    return str(uuid.UUID(digest[:32]))


def subject_of(body: bytes) -> str:
    """Return the id of the Patient whom a resource is about, given as JSON; empty if that cannot be told."""
    try:
        return _subject(_read_about(body).subject)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def digest_of(*parts: str) -> str:
    """Return the SHA-256 (hex) of the parts, no two lists of which are one."""
    return hashlib.sha256(b"".join(b"%d:%b" % (len(part.encode()), part.encode()) for part in parts)).hexdigest()


def require_input(resource_type: object) -> str:
    """Return a resource's type if a view reads it.

    Raises:
        RefusedError: 422.
    """
    if isinstance(resource_type, str) and resource_type in INPUT_TYPES:
        return resource_type
    raise RefusedError(
        422,
        f"no view of this study reads this type; what is read is {', '.join(INPUT_TYPES)}",
        expression="resourceType",
    )


def unreadable(body: bytes) -> Submission:
    """Return what is no resource, or none that is read, as something that can be set aside."""
    content_hash = hashlib.sha256(body).hexdigest()
    return Submission(resource_type="", resource_id=content_hash, content_hash=content_hash, body=body)


def _own_id(resource: Resource, resource_type: str) -> str:
    if "id" not in resource:
        return ""
    own = resource["id"]
    if not logical_id.is_valid(own):
        raise RefusedError(400, "an id has 1 to 64 of A-Z, a-z, 0-9, '-' and '.'", expression=f"{resource_type}.id")
    return own


def _identifier(resource: Resource) -> str:
    """Return the first identifier that has a value, as text; empty if there is none."""
    found = resource.get("identifier")
    for one in found if isinstance(found, list) else [found]:
        if isinstance(one, dict) and isinstance(one.get("value"), str) and one["value"]:
            return f"{one.get('system') or ''}|{one['value']}"
    return ""


def _subject(subject: object) -> str:
    reference = subject.get("reference") if isinstance(subject, dict) else None
    return (reference_key_of(reference, "Patient") if isinstance(reference, str) else None) or ""


def _version_key(resource: Resource) -> str:
    meta: Any = resource.get("meta")
    version = meta.get("versionId") if isinstance(meta, dict) else None
    if not isinstance(version, str) or not (identifier := _identifier(resource)):
        return ""
    plain = {**resource, "meta": {name: value for name, value in meta.items() if name != "lastUpdated"}}
    says = hashlib.sha256(strict_json.encode(plain)).hexdigest()
    return digest_of("version", str(resource.get("resourceType")), identifier, version, says)
