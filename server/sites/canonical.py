"""The profiles `generic` and `single`: servers that take the canonical resources as they are (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from integration import outcomes
from integration.outcomes import Outcome, Resource
from integration.write_profile import ProfileKeys
from server.ledger.planning import Shaped
from server.sites import documents
from server.sites.base import Base
from server.sites.profile import Abilities


@dataclass(frozen=True, kw_only=True, slots=True)
class Canonical(Base):
    """Everything, unchanged."""

    def shape(self, outcome: Outcome) -> tuple[Shaped, ...]:
        """Return the two scores, the panel, and the Provenance."""
        return (
            Shaped(kind="physical", resource=outcome.physical, observations=1),
            Shaped(kind="psychological", resource=outcome.psychological, observations=1),
            Shaped(kind="panel", resource=outcome.panel, observations=1),
            Shaped(kind="provenance", resource=outcome.provenance),
        )

    def shape_device(self, device: Resource) -> tuple[Shaped, ...]:
        """Return the Device."""
        return (Shaped(kind="device", resource=device),)

    def left_out(self) -> Mapping[str, str]:
        """Return nothing: the site gets everything."""
        return {}

    def amended_outcome(self, resource: Resource) -> Resource:
        """Return an Observation that was `final` as `amended`, everything else as it is.

        Args:
            resource: the new content; one that is `amended` or taken back keeps its status.
        """
        is_final = resource["resourceType"] == "Observation" and resource["status"] == "final"
        return {**resource, "status": "amended"} if is_final else resource

    def retracted_outcome(self, resource: Resource) -> Resource:
        """Return an Observation as `entered-in-error`; R4 has no such status for a Provenance or a Device."""
        return outcomes.withdrawn(resource)


def generic(keys: ProfileKeys) -> Canonical:
    """Return the profile of a server with transactions."""
    abilities = Abilities(transactions=True, conditional_creates=True)
    return Canonical(abilities=abilities, documents=documents.of(keys))


def single(keys: ProfileKeys) -> Canonical:
    """Return the profile of a server that takes one resource a request."""
    return Canonical(abilities=Abilities(), documents=documents.of(keys))
