"""The profile `athena`: a score as a screener score of a QuestionnaireResponse at athenahealth (pure).

The extension is that of https://fhir.athena.io/athenacoreext/StructureDefinition-ah-questionnaireresponse-definitions
.html (version 4.2.0). It holds one string, so each score is a response of its own, told apart by the canonical of its
questionnaire. No item is sent: the score is all that leaves. Nothing can be changed or taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from integration.outcomes import Outcome, Resource
from integration.write_profile import ProfileKeys, Questionnaires
from server.ledger.planning import Shaped
from server.sites import documents, flowsheets
from server.sites.base import Base
from server.sites.losses import dropped
from server.sites.profile import Abilities

SCREENER_SCORE: Final = "https://fhir.athena.io/StructureDefinition/ah-questionnaire-response-screener"
PRACTICE: Final = "https://fhir.athena.io/StructureDefinition/ah-practice"
_CARRIED: Final = ("resourceType", "id", "identifier", "subject", "effectiveDateTime")


@dataclass(frozen=True, kw_only=True, slots=True)
class Athena(Base):
    """One QuestionnaireResponse a score.

    Attributes:
        questionnaire: the canonical that stands for each score.
        practice: `Organization/id`; empty: not sent.
    """

    questionnaire: Questionnaires
    practice: str

    def shape(self, outcome: Outcome) -> tuple[Shaped, ...]:
        """Return the scores that have a value."""
        return tuple(self._response(subscale, score) for subscale, score in flowsheets.scores(outcome))

    def left_out(self) -> Mapping[str, str]:
        """Return what athenahealth takes from nobody."""
        return {
            "score without a value": "a screener score is a value; why there is none stays in the response",
            "panel": "no Observation can be created",
            "provenance": "it cannot be created",
            "device": "it cannot be created",
        }

    def _response(self, subscale: flowsheets.Subscale, score: Resource) -> Shaped:
        """Return one score; what is read of it, and nothing else, is in `carried`."""
        carried: Resource = {name: score[name] for name in _CARRIED}
        carried |= {"status": "final", "valueQuantity": {"value": score["valueQuantity"]["value"]}}
        resource = {
            "resourceType": "QuestionnaireResponse",
            "id": carried["id"],
            "extension": [{"url": SCREENER_SCORE, "valueString": str(carried["valueQuantity"]["value"])}],
            "identifier": carried["identifier"][0],
            "questionnaire": getattr(self.questionnaire, subscale),
            "status": "completed",
            "subject": carried["subject"],
            "authored": carried["effectiveDateTime"],
        }
        if self.practice:
            resource["extension"].append({"url": PRACTICE, "valueReference": {"reference": self.practice}})
        return Shaped(kind=subscale, resource=resource, observations=1, dropped=dropped(score, carried))


def profile(keys: ProfileKeys) -> Athena:
    """Return the profile of a site.

    Raises:
        ValueError: there are no questionnaires, which reading a site file rules out.
    """
    if keys.questionnaire is None:
        raise ValueError("questionnaires are missing")
    return Athena(
        abilities=Abilities(updates=False, keeps_all=False),
        documents=documents.of(keys),
        questionnaire=keys.questionnaire,
        practice=keys.practice,
    )
