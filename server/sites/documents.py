"""The document that says a response's scores, at sites that take it in place of Observations (pure).

A DocumentReference as US Core's guidance on writing clinical notes has it (https://build.fhir.org/ig/HL7/US-Core/):
text, PDF or both inside the resource. It holds the scores, how much was answered, how they were computed and where
they come from; never an answer, never wording of the instrument.

No LOINC code is put in by default: none was found for the scores of this instrument, so the site names the note type
that it wants them under.

A document's title and its last line hold a reference, the first 16 digits of its identity. That is how it is found
again at sites that keep no identifier, some of which give back a link in place of the text.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from integration.outcomes import IDENTIFIER_SYSTEM, Resource
from integration.write_profile import Coding, DocumentFormat, EncounterRule, ProfileKeys
from server.ledger.planning import Shaped
from server.sites import flowsheets, pages, wording
from server.sites.losses import dropped

TYPE_TEXT: Final = "MSIS-29 scores"
_CATEGORY: Final = {
    "system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
    "code": "clinical-note",
    "display": "Clinical Note",
}
_MEDIA_TYPES: Final[Mapping[DocumentFormat, str]] = {"text": "text/plain", "pdf": "application/pdf"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Documents:
    """How one site takes documents.

    Attributes:
        is_wanted: whether a document takes the place of refused Observations.
        formats: of the content, in order.
        type: the site's note type, if it names one.
        status: DocumentReference.docStatus.
        updates: whether a document may be written over.
        encounter: see `integration.write_profile.ProfileKeys`.
        is_bare: only what Epic and Oracle Health document for a create is sent: no identifier, category, date,
            related resource or label; they would not come back.
        needs_time: whether the time of day must be known.
        titles: what to call a score whose Observation has the site's code alone.
    """

    is_wanted: bool = False
    formats: tuple[DocumentFormat, ...] = ("text",)
    type: Coding | None = None
    status: str = "final"
    updates: bool = False
    encounter: EncounterRule = "known"
    is_bare: bool = False
    needs_time: bool = False
    titles: wording.Titles = field(default_factory=dict)

    def stand_in(self, observations: Sequence[Resource], *, of: str = "") -> Shaped | None:
        """Return the document in place of refused Observations; None if it is not wanted or there are none.

        Args:
            observations: of one response.
            of: what the identity is of, so that a response has one document whatever was refused of it.
        """
        return self.document(observations, of=of) if self.is_wanted and observations else None

    def document(self, observations: Sequence[Resource], *, of: str = "") -> Shaped:
        """Return the document that says what these Observations of one response say; `dropped` is of all of them."""
        carried = [wording.carried(observation) for observation in observations]
        lost = (path for pair in zip(observations, carried, strict=True) for path in dropped(*pair))
        return Shaped(
            kind="document",
            resource=self._resource(carried, _identity(carried, of)),
            observations=len(observations),
            dropped=tuple(dict.fromkeys(lost)),
            problem=self._problem(carried[0]),
        )

    def amended(self, resource: Resource) -> Resource | None:
        """Return a changed document as it is written over the older one; None if the site takes no update."""
        return resource if self.updates else None

    def retracted(self, resource: Resource) -> Resource | None:
        """Return a document as it is taken back; None if the site takes no update."""
        return {**resource, "status": "entered-in-error"} if self.updates else None

    def search(self, resource: Resource) -> dict[str, str] | None:
        """Return what finds a document where no identifier is kept: the patient, to be told apart by `is_it`."""
        return {"patient": flowsheets.subject_id(resource)} if self.is_bare else None

    def _resource(self, carried: Sequence[Resource], identity: str) -> Resource:
        first = carried[0]
        resource: Resource = {"resourceType": "DocumentReference", "id": identity}
        if not self.is_bare:
            labels = wording.labels(carried)
            resource |= {"meta": {"security": labels}} if labels else {}
            resource["identifier"] = [{"system": IDENTIFIER_SYSTEM, "value": identity}]
        resource |= {"status": "current", "docStatus": self.status, "type": self._type()}
        resource |= {} if self.is_bare else {"category": [{"coding": [_CATEGORY]}]}
        resource["subject"] = first["subject"]
        if not self.is_bare and flowsheets.has_time(first):
            resource["date"] = first["effectiveDateTime"]
        return {**resource, "content": list(self._content(carried, identity)), "context": self._context(first)}

    def _content(self, carried: Sequence[Resource], identity: str) -> Iterator[Resource]:
        reference = _reference(identity)
        text = "\n".join((*wording.lines(carried, self.titles), f"Reference: {reference}", ""))
        for one in self.formats:
            data = text.encode() if one == "text" else pages.pdf(text)
            encoded = base64.b64encode(data).decode("ascii")
            title = f"{TYPE_TEXT} {reference}"
            yield {"attachment": {"contentType": _MEDIA_TYPES[one], "data": encoded, "title": title}}

    def _type(self) -> Resource:
        coding = {"coding": [flowsheets.coding_of(self.type)]} if self.type else {}
        return coding if self.is_bare and coding else {**coding, "text": TYPE_TEXT}

    def _context(self, first: Resource) -> Resource:
        moment = first["effectiveDateTime"]
        encounter = {"encounter": [first["encounter"]]} if "encounter" in first and self.encounter != "none" else {}
        source = {"related": first["derivedFrom"]} if "derivedFrom" in first and not self.is_bare else {}
        return {**encounter, "period": {"start": moment, "end": moment}, **source}

    def _problem(self, first: Resource) -> str:
        problems = (
            flowsheets.NO_ENCOUNTER if self.encounter == "response" and "encounter" not in first else "",
            flowsheets.NO_TIME if self.needs_time and not flowsheets.has_time(first) else "",
        )
        return "; ".join(problem for problem in problems if problem)


def of(keys: ProfileKeys, **changes: Any) -> Documents:
    """Return how a site takes documents, as its file says; `changes` are attributes that its kind of EHR fixes."""
    said = Documents(
        is_wanted=keys.fallback == "document",
        formats=keys.document_formats or ("text",),
        type=keys.document_type,
        status=keys.document_status,
        updates=keys.document_updates,
        encounter=keys.encounter or "known",
        titles=wording.titles(keys),
    )
    return dataclasses.replace(said, **changes)


def replacement(resource: Resource, replaced_reference: str) -> Resource:
    """Return a document as it replaces an older one, which stays as it was written.

    Args:
        resource: the new content.
        replaced_reference: `DocumentReference/<id>` of the older one, with the server's id.
    """
    return {**resource, "relatesTo": [{"code": "replaces", "target": {"reference": replaced_reference}}]}


def is_it(resource: Resource, found: Resource) -> bool:
    """Whether a document of the chart is about the same patient and has our reference in a title or in its text.

    The reference cannot be seen in a PDF, which is compressed; one that is ours byte by byte holds it.
    """
    reference = _reference(resource["id"])
    ours = [attachment["data"] for attachment in _attachments(resource) if "data" in attachment]
    return flowsheets.is_same_subject(resource, found) and any(
        attachment.get("data") in ours or any(reference in text for text in _texts(attachment))
        for attachment in _attachments(found)
    )


def may_be(resource: Resource, found: Resource) -> bool:
    """Whether only what a document of the chart links to can tell whether it is the one that was sent.

    It is about the same patient, links to a type of content that we write, and does not name both another title and
    another moment.
    """
    if resource["resourceType"] != "DocumentReference" or not flowsheets.is_same_subject(resource, found):
        return False
    links = [one for one in _attachments(found) if _is_link(one)]
    is_our_type = any(_media_type(one) in ("", *_MEDIA_TYPES.values()) for one in links)
    return is_our_type and (not any("title" in one for one in links) or _is_same_period(resource, found))


def with_data(found: Resource, fetch: Callable[[str], bytes]) -> Resource:
    """Return a document as read, with the bytes that its attachments link to in place of the links.

    Args:
        found: as the server sent it; one without links is returned as it is.
        fetch: is given Attachment.url as written, relative or absolute; what it raises goes through.
    """
    content = found.get("content")
    if not any(_is_link(attachment) for attachment in _attachments(found)) or not isinstance(content, list):
        return found
    return {**found, "content": [_fetched(one, fetch) for one in content]}


def _fetched(one: Any, fetch: Callable[[str], bytes]) -> Any:
    attachment = one.get("attachment") if isinstance(one, dict) else None
    if not isinstance(attachment, dict) or not _is_link(attachment):
        return one
    rest = {name: value for name, value in attachment.items() if name != "url"}
    data = base64.b64encode(fetch(attachment["url"])).decode("ascii")
    return {**one, "attachment": {**rest, "data": data}}


def _media_type(attachment: Mapping[str, Any]) -> str:
    return str(attachment.get("contentType", "")).partition(";")[0].strip().lower()


def _is_same_period(resource: Resource, found: Resource) -> bool:
    """Whether a document names our moment, or none."""
    context = found.get("context")
    period = context.get("period") if isinstance(context, dict) else None
    start = period.get("start") if isinstance(period, dict) else None
    return start is None or flowsheets.is_same_moment(resource["context"]["period"]["start"], start)


def _is_link(attachment: Mapping[str, Any]) -> bool:
    return "data" not in attachment and isinstance(attachment.get("url"), str)


def _identity(observations: Iterable[Resource], of: str) -> str:
    """Return the SHA-256 (hex) of what it is of, or else of which Observations; what they say may change."""
    keys = [of] if of else sorted(observation["id"] for observation in observations)
    return hashlib.sha256(msgspec.json.encode(["outcome-bridge", "msis-29", "document", *keys])).hexdigest()


def _reference(identity: str) -> str:
    return identity[:16]


def _attachments(found: Resource) -> Iterator[Mapping[str, Any]]:
    content = found.get("content")
    for one in content if isinstance(content, list) else []:
        if isinstance(one, dict) and isinstance(one.get("attachment"), dict):
            yield one["attachment"]


def _texts(attachment: Mapping[str, Any]) -> Iterator[str]:
    title, data = attachment.get("title"), attachment.get("data")
    if isinstance(title, str):
        yield title
    if isinstance(data, str):
        try:
            yield base64.b64decode(data).decode("utf-8", errors="replace")
        except binascii.Error:
            return
