"""What write profiles share: a document is treated as its site takes documents, whatever the profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from integration.outcomes import Resource
from server.ledger.planning import Shaped
from server.sites import documents
from server.sites.profile import Abilities


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """A profile without outcomes of its own; those with some say what becomes of them in the methods with `outcome`.

    Attributes:
        abilities: of the server.
        documents: how the site takes documents.
    """

    abilities: Abilities
    documents: documents.Documents

    def shape_device(self, device: Resource) -> Sequence[Shaped]:  # noqa: ARG002 - for those that take one
        """Return nothing."""
        return ()

    def stand_in(self, shaped: Sequence[Resource], *, of: str = "") -> Shaped | None:
        """See `Documents.stand_in`."""
        return self.documents.stand_in(shaped, of=of)

    def replacement(self, resource: Resource, replaced_reference: str) -> Resource | None:
        """Return a changed content as a new resource that replaces an older one; None if the site has no such thing.

        Only a document can say what it replaces, and only where more than the bare minimum of it is kept.

        Args:
            resource: the new content.
            replaced_reference: of the older one, with the server's id.
        """
        may_say_so = _is_document(resource) and not self.documents.is_bare
        return documents.replacement(resource, replaced_reference) if may_say_so else None

    def amended(self, resource: Resource) -> Resource | None:
        """Return a changed content as it is written over an older one; None if the site permits no such thing."""
        return self.documents.amended(resource) if _is_document(resource) else self.amended_outcome(resource)

    def retracted(self, resource: Resource) -> Resource | None:
        """Return a content as it is taken back; None if the site permits no such thing."""
        return self.documents.retracted(resource) if _is_document(resource) else self.retracted_outcome(resource)

    def search(self, resource: Resource) -> Mapping[str, str] | None:
        """Return the search parameters that find a resource; None if it is found by our identifier or tag."""
        return self.documents.search(resource) if _is_document(resource) else self.search_outcome(resource)

    def is_it(self, resource: Resource, found: Resource) -> bool:
        """Whether a resource that such a search found is the one that was sent, whatever its value."""
        return documents.is_it(resource, found) if _is_document(resource) else self.is_outcome(resource, found)

    def amended_outcome(self, resource: Resource) -> Resource | None:  # noqa: ARG002 - for those that permit it
        """As `amended`, of what is no document."""
        return None

    def retracted_outcome(self, resource: Resource) -> Resource | None:  # noqa: ARG002 - for those that permit it
        """As `retracted`, of what is no document."""
        return None

    def search_outcome(self, resource: Resource) -> Mapping[str, str] | None:  # noqa: ARG002 - for those without keys
        """As `search`, of what is no document."""
        return None

    def is_outcome(self, resource: Resource, found: Resource) -> bool:
        """As `is_it`, of what is no document: by our identifier or tag."""
        return any(key in _keys(found) for key in _keys(resource) if key[1] == resource["id"])


def _is_document(resource: Resource) -> bool:
    return bool(resource["resourceType"] == "DocumentReference")


def _keys(resource: Resource) -> list[tuple[str, str]]:
    """Return the systems and values of identifiers (one or a list, as the type has it) and of tags."""
    identifiers, meta = resource.get("identifier", []), resource.get("meta")
    listed = identifiers if isinstance(identifiers, list) else [identifiers]
    tags = meta.get("tag", []) if isinstance(meta, dict) else []
    pairs = [(one, "value") for one in listed] + [(one, "code") for one in (tags if isinstance(tags, list) else [])]
    return [(str(one.get("system")), str(one[name])) for one, name in pairs if isinstance(one, dict) and name in one]
