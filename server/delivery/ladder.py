"""Where a site refuses Observations: a document that says what they say, and where that is not wanted a person.

The ladder has three steps: Observation, document, person. What a person must see to is what the ledger has as
`refused` or `manual`. HL7 v2 ORU^R01 belongs between the first two, once it is built.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from typing import Final

from integration.settings import Site
from server.ledger import Entry, Ledger, Settlement
from server.ledger.planning import REFERS_TO_REFUSED, Desired
from server.ledger.states import DUE
from server.sites.profile import WriteProfile

logger = logging.getLogger(__name__)

_OUTCOMES: Final = frozenset(("physical", "psychological", "panel"))


class Ladder:
    """Steps down from what one site refused.

    Args:
        ledger: where refusals are found and documents planned.
        site: whose.
        profile: whether and how it takes documents.
    """

    def __init__(self, ledger: Ledger, site: Site, profile: WriteProfile) -> None:
        self._ledger, self._site, self._profile = ledger, site, profile

    def step_down(self, entries: Sequence[Entry]) -> int:
        """Look at what was just sent, and plan documents for what was refused; returns how many were planned.

        What refers to something refused is refused with it, for its reference would lead nowhere. A document whose
        Observations were taken after all is withdrawn.
        """
        response_ids = sorted({entry.response_id for entry in entries if entry.response_id})
        of_responses = self._ledger.of_responses(self._site.name, response_ids)
        groups = itertools.groupby(of_responses, key=lambda entry: entry.response_id)
        return sum(self._step_down(list(group)) for _, group in groups)

    def _step_down(self, group: Sequence[Entry]) -> int:
        refused = [one for one in group if one.state == "refused"]
        documents = [one for one in group if one.kind == "document" and not one.is_withdrawn]
        if not any(one.kind in _OUTCOMES for one in refused):
            wanted = [one for one in group if one.kind in _OUTCOMES and not one.is_withdrawn]
            if documents and wanted and all(one.ehr_id for one in wanted):
                self._ledger.step_up(self._site.name, self._profile, documents[0].key)
            return 0
        waiting = [one for one in group if one.state in DUE and not one.ehr_id and one.kind != "document"]
        settlements = [Settlement(key=one.key, state="refused", reason=REFERS_TO_REFUSED) for one in waiting]
        self._ledger.settle(self._site.name, settlements)
        return self._stand_in([one for one in (*refused, *waiting) if one.kind in _OUTCOMES and not one.is_withdrawn])

    def _stand_in(self, refused: Sequence[Entry]) -> int:
        shaped = self._profile.stand_in([entry.resource() for entry in refused]) if refused else None
        if shaped is None:
            return 0
        first = refused[0]
        document = Desired(
            response_id=first.response_id,
            patient_id=first.patient_id,
            response_version="",
            reason="",
            resources=[shaped],
        )
        is_new = self._ledger.stand_in(self._site.name, self._profile, [one.key for one in refused], document)
        if is_new:
            facts = {"action": "document_planned", "site": self._site.name, "response": first.response_id}
            logger.info("a document stands in for refused Observations", extra=facts)
        return int(is_new)
