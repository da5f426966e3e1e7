"""The profile `epic`: a score as a value in a flowsheet row, by Epic's Observation.Create for vital signs (pure).

The rules are those of specification 963 at https://fhir.epic.com as others read and tried them
(https://github.com/Pegasus-One-USA/Segue, docs/backend/20-epic-r4-write-back.md); docs/sites/epic.md says which is
which. Epic changes and takes back nothing over FHIR, so an amended score is a person's work.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from integration.outcomes import Outcome, Resource
from integration.write_profile import EncounterRule, ProfileKeys, ScoreCodes
from server.ledger.planning import Shaped
from server.sites import documents, flowsheets
from server.sites.base import Base
from server.sites.losses import dropped
from server.sites.profile import Abilities

LONGEST_NOTE: Final = 254


@dataclass(frozen=True, kw_only=True, slots=True)
class Epic(Base):
    """One vital sign a score.

    Attributes:
        codes: the flowsheet row of each score.
        unit: of the row; empty: its default, and the unit is not sent.
        encounter: see `integration.write_profile.ProfileKeys`.
    """

    codes: ScoreCodes
    unit: str
    encounter: EncounterRule

    def shape(self, outcome: Outcome) -> tuple[Shaped, ...]:
        """Return the scores that have a value."""
        return tuple(self._vital_sign(subscale, score) for subscale, score in flowsheets.scores(outcome))

    def left_out(self) -> Mapping[str, str]:
        """Return what does not fit into a flowsheet row."""
        return {
            "score without a value": flowsheets.WITHOUT_VALUE,
            "panel": "a row has no members",
            "provenance": "Epic takes none",
            "device": "Epic takes none from a client",
        }

    def search_outcome(self, resource: Resource) -> dict[str, str]:
        """Return the parameters that find a row."""
        return flowsheets.search(resource)

    def is_outcome(self, resource: Resource, found: Resource) -> bool:
        """Whether a row of the chart is the one that was sent."""
        return flowsheets.is_it(resource, found)

    def _vital_sign(self, subscale: flowsheets.Subscale, score: Resource) -> Shaped:
        resource = {
            "resourceType": "Observation",
            "id": score["id"],
            "status": "final",
            "category": flowsheets.category("vital-signs"),
            "code": flowsheets.code(getattr(self.codes, subscale)),
            "subject": score["subject"],
        }
        if "encounter" in score and self.encounter != "none":
            resource["encounter"] = score["encounter"]
        resource["effectiveDateTime"] = score["effectiveDateTime"]
        unit = {"unit": self.unit} if self.unit else {}
        resource["valueQuantity"] = {"value": score["valueQuantity"]["value"], **unit}
        if note := _fitting(flowsheets.notes(score)):
            resource["note"] = [{"text": note}]
        lost = dropped(score, resource)
        return Shaped(kind=subscale, resource=resource, observations=1, dropped=lost, problem=self._problem(resource))

    def _problem(self, resource: Resource) -> str:
        problems = (
            flowsheets.NO_ENCOUNTER if self.encounter == "response" and "encounter" not in resource else "",
            flowsheets.NO_TIME if not flowsheets.has_time(resource) else "",
        )
        return "; ".join(problem for problem in problems if problem)


def profile(keys: ProfileKeys) -> Epic:
    """Return the profile of a site. A note is text only, and needs an encounter as a vital sign does.

    Raises:
        ValueError: there are no codes, which reading a site file rules out.
    """
    if keys.codes is None:
        raise ValueError("codes are missing")
    rule = keys.encounter or "response"
    return Epic(
        abilities=Abilities(updates=False, keeps_all=False),
        documents=documents.of(keys, formats=("text",), updates=False, encounter=rule, is_bare=True),
        codes=keys.codes,
        unit=keys.unit,
        encounter=rule,
    )


def _fitting(notes: Iterable[str]) -> str:
    """Return as many whole sentences from the start as a note may hold; empty if not even the first fits."""
    fitting = ""
    for sentence in re.split(r"(?<=[.!?])\s+", " ".join(notes)):
        longer = f"{fitting} {sentence}".strip()
        if len(longer) > LONGEST_NOTE:
            break
        fitting = longer
    return fitting
