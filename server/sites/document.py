"""The profile `document`: a document for each response, where a site takes no Observation of this kind (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from integration.outcomes import Outcome
from integration.write_profile import ProfileKeys
from server.ledger.planning import Shaped
from server.sites import documents
from server.sites.base import Base
from server.sites.profile import Abilities

_IN_WORDS: Final = "the document says it in words"


@dataclass(frozen=True, kw_only=True, slots=True)
class Document(Base):
    """One DocumentReference a response."""

    def shape(self, outcome: Outcome) -> tuple[Shaped, ...]:
        """Return one document for the three Observations."""
        return (self.documents.document((outcome.physical, outcome.psychological, outcome.panel)),)

    def left_out(self) -> Mapping[str, str]:
        """Return what is no resource of its own there."""
        return {
            "score": _IN_WORDS,
            "panel": _IN_WORDS,
            "provenance": "the document names its source",
            "device": "the document names the software",
        }


def profile(keys: ProfileKeys) -> Document:
    """Return the profile of a site; there are no Observations that a document could stand in for."""
    taken = documents.of(keys, is_wanted=False)
    return Document(abilities=Abilities(updates=taken.updates, keeps_all=False), documents=taken)
