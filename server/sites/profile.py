"""What a kind of EHR takes: how canonical outcomes are shaped down for it, written over, taken back and found again.

A profile is pure: it is made from a site's settings, and each method answers from its arguments alone. What it shapes
is what the ledger holds as the desired content, so whatever a site does not get is known before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from integration.outcomes import Outcome, Resource
from server.ledger.planning import Rules, Shaped


@dataclass(frozen=True, kw_only=True, slots=True)
class Abilities:
    """What a kind of server does.

    Attributes:
        transactions: takes transaction Bundles.
        conditional_creates: heeds `If-None-Exist`; an extra, nothing relies on it.
        updates: takes a PUT.
        keeps_all: gives back what it was given. Otherwise only the elements that were sent are compared, and lists
            may hold more than was sent.
    """

    transactions: bool = False
    conditional_creates: bool = False
    updates: bool = True
    keeps_all: bool = True


class WriteProfile(Rules, Protocol):
    """One kind of EHR, as one site has it."""

    @property
    def abilities(self) -> Abilities:
        """What the server does."""

    def shape(self, outcome: Outcome) -> Sequence[Shaped]:
        """Return what this site gets of one response's outcome, in order of sending."""

    def shape_device(self, device: Resource) -> Sequence[Shaped]:
        """Return what this site gets of a Device: one resource, or none."""

    def left_out(self) -> Mapping[str, str]:
        """Return what this site never gets: by kind (`panel`, `device`, ...), why."""

    def stand_in(self, shaped: Sequence[Resource], *, of: str = "") -> Shaped | None:
        """Return a DocumentReference that says what refused Observations of one response say; None: not wanted here.

        Args:
            shaped: the Observations of one response as this site should have got them.
            of: what the document's identity is of; empty: those Observations.
        """

    def search(self, resource: Resource) -> Mapping[str, str] | None:
        """Return the search parameters that find a resource; None if it is found by our identifier or tag."""

    def is_it(self, resource: Resource, found: Resource) -> bool:
        """Whether a resource that such a search found is the one that was sent, whatever its value."""
