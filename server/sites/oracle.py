"""The profile `oracle`: a score as a vital sign or a laboratory result in Oracle Health Millennium (pure).

The rules are those of https://github.com/cerner/fhir.cerner.com: content/millennium/r4/clinical/diagnostics/
observation.md and documents/document-reference.md, and lib/resources/r4/observation.yaml. A value is corrected by an
update with If-Match; `entered-in-error` is not among the statuses of an update, so taking one back is a person's work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from integration.outcomes import Outcome, Resource
from integration.write_profile import ProfileKeys, ScoreCodes
from server.ledger.planning import Shaped
from server.sites import documents, flowsheets
from server.sites.base import Base
from server.sites.losses import dropped
from server.sites.profile import Abilities

PERFORMER_FUNCTION: Final = "http://hl7.org/fhir/StructureDefinition/event-performerFunction"
PARTICIPATION_TYPE: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_STATUSES: Final = ("final", "amended")
_AS_THEY_ARE: Final = ("subject", "encounter", "effectiveDateTime", "issued")


@dataclass(frozen=True, kw_only=True, slots=True)
class Oracle(Base):
    """One Observation a score.

    Attributes:
        codes: the event code of each score.
        category: `vital-signs` or `laboratory`.
        performer: under whose name it is filed, as Observation.performer; empty for none.
        unit: as the site words it; empty: UCUM `{score}`.
    """

    codes: ScoreCodes
    category: str
    performer: tuple[Resource, ...]
    unit: str

    def shape(self, outcome: Outcome) -> tuple[Shaped, ...]:
        """Return the scores that have a value."""
        return tuple(self._result(subscale, score) for subscale, score in flowsheets.scores(outcome))

    def left_out(self) -> Mapping[str, str]:
        """Return what Millennium takes from nobody."""
        return {
            "score without a value": flowsheets.WITHOUT_VALUE,
            "panel": "hasMember is no field of a create",
            "provenance": "it can be read only",
            "device": "it can be read only",
        }

    def amended_outcome(self, resource: Resource) -> Resource:
        """Return the value as it corrects an older one: the statuses of an update are amended and corrected."""
        return {**resource, "status": "amended"}

    def search_outcome(self, resource: Resource) -> dict[str, str]:
        """Return the parameters that find a result."""
        return flowsheets.search(resource)

    def is_outcome(self, resource: Resource, found: Resource) -> bool:
        """Whether a result of the chart is the one that was sent."""
        return flowsheets.is_it(resource, found)

    def _result(self, subscale: flowsheets.Subscale, score: Resource) -> Shaped:
        resource: Resource = {
            "resourceType": "Observation",
            "id": score["id"],
            "status": score["status"] if score["status"] in _STATUSES else "final",
            "category": flowsheets.category(self.category),
            "code": flowsheets.code(getattr(self.codes, subscale)),
            **{name: score[name] for name in _AS_THEY_ARE if name in score},
        }
        if self.performer:
            resource["performer"] = list(self.performer)
        quantity = score["valueQuantity"]
        resource["valueQuantity"] = {"value": quantity["value"], "unit": self.unit} if self.unit else quantity
        if notes := flowsheets.notes(score):
            resource["note"] = [{"text": text} for text in notes]
        problem = "" if flowsheets.has_time(score) else flowsheets.NO_TIME
        lost = dropped(score, resource)
        return Shaped(kind=subscale, resource=resource, observations=1, dropped=lost, problem=problem)


def profile(keys: ProfileKeys) -> Oracle:
    """Return the profile of a site.

    Raises:
        ValueError: there are no codes or no category, which reading a site file rules out.
    """
    if keys.codes is None or keys.category is None:
        raise ValueError("codes or the category are missing")
    formats = keys.document_formats or ("pdf",)
    return Oracle(
        abilities=Abilities(keeps_all=False),
        documents=documents.of(keys, formats=formats, updates=False, is_bare=True, needs_time=True),
        codes=keys.codes,
        category=keys.category,
        performer=_performer(keys),
        unit=keys.unit,
    )


def _performer(keys: ProfileKeys) -> tuple[Resource, ...]:
    """Return Observation.performer; what the person did is said of vital signs only."""
    if not keys.performer:
        return ()
    reference = {"reference": keys.performer}
    if keys.category == "laboratory":
        return (reference,)
    concept = {"coding": [{"system": PARTICIPATION_TYPE, "code": keys.performer_function}]}
    return ({"extension": [{"url": PERFORMER_FUNCTION, "valueCodeableConcept": concept}], **reference},)
