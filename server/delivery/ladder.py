"""Where a site refuses Observations: a document that says what they say, and where that is not wanted a person.

The ladder has three steps: Observation, document, person. What a person must see to is what the ledger has as
`refused` or `manual`. HL7 v2 ORU^R01 belongs between the first two, once it is built.

A document stands for what was never in the chart. Where a change of what is there was refused, a document beside it
would leave the old value standing, so that is a person's work at once.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Sequence

from integration.settings import Site
from server.delivery import references
from server.ledger import Entry, Ledger, Settlement
from server.ledger.planning import (
    BY_HAND,
    NOT_AMENDED,
    NOT_RETRACTED,
    OUTCOMES,
    RANKS,
    REFERS_TO_HAND_MADE,
    REFERS_TO_REFUSED,
    REPLACED,
    Desired,
)
from server.ledger.states import DUE, ON_THEIR_WAY
from server.sites.profile import WriteProfile

logger = logging.getLogger(__name__)


class Ladder:
    """Steps down from what one site refused.

    Args:
        ledger: where refusals are found and documents planned.
        site: whose.
        profile: whether and how it takes documents.
    """

    def __init__(self, ledger: Ledger, site: Site, profile: WriteProfile) -> None:
        self._ledger, self._site, self._profile = ledger, site, profile

    def step_down_all(self) -> int:
        """Step down from what an earlier run was refused and ended before it did; returns how many were planned."""
        planned, after = 0, ""
        while entries := self._ledger.in_state(self._site.name, ["refused"], after=after):
            planned += self.step_down([entry for entry in entries if _is_without_place(entry)])
            after = entries[-1].key
        return planned

    def step_down(self, entries: Sequence[Entry]) -> int:
        """Look at what was just sent, and plan documents for what was refused; returns how many were planned.

        What refers to something refused, or to what a person entered by hand, is refused with it, for its reference
        would lead nowhere. A response's
        document waits until nothing of the response is due or on its way. A document whose Observations were taken
        after all is withdrawn.
        """
        response_ids = sorted({entry.response_id for entry in entries if entry.response_id})
        devices = self._ledger.of_responses(self._site.name, [""]) if response_ids else []
        of_responses = self._ledger.of_responses(self._site.name, response_ids)
        groups = itertools.groupby(of_responses, key=lambda entry: entry.response_id)
        return sum(self._step_down(list(group), devices) for _, group in groups)

    def _step_down(self, group: Sequence[Entry], devices: Sequence[Entry]) -> int:
        self._leave_to_person([one for one in group if one.state == "refused" and one.ehr_id])
        hand_made = self._refuse_with(
            group, REFERS_TO_HAND_MADE, [one for one in (*devices, *group) if _is_by_hand(one)]
        )
        group = [one for one in group if one not in hand_made]
        refused = [one for one in group if one.state == "refused" and not one.ehr_id]
        following = self._refuse_with(
            group, REFERS_TO_REFUSED, [*(one for one in devices if _is_refused(one)), *refused]
        )
        if not any(one.kind in OUTCOMES for one in (*refused, *following)):
            self._step_up(group)
            return 0
        others = {one.key for one in group} - {one.key for one in following}
        if any(one.key in others and one.kind in OUTCOMES and one.state in DUE | ON_THEIR_WAY for one in group):
            return 0
        followed = [dataclasses.replace(one, state="refused", reason=REFERS_TO_REFUSED) for one in following]
        return self._stand_in(sorted((*refused, *followed), key=lambda one: RANKS[one.kind]))

    def _refuse_with(self, group: Sequence[Entry], reason: str, without_id: Sequence[Entry]) -> list[Entry]:
        """Refuse what refers to what will have no id in the chart that we know; returns it as it was."""
        following = _following(group, {one.key for one in without_id}) if without_id else []
        if following:
            settlements = [Settlement(key=one.key, state="refused", reason=reason) for one in following]
            self._ledger.note_read(self._site.name, list(zip(following, settlements, strict=True)))
        return following

    def _leave_to_person(self, refused: Sequence[Entry]) -> None:
        """Have a person bring into the chart what was refused as a change of what is there."""
        reasons = [f"{NOT_RETRACTED if one.is_withdrawn else NOT_AMENDED}; {one.reason}" for one in refused]
        settlements = [
            Settlement(key=one.key, state="manual", reason=why) for one, why in zip(refused, reasons, strict=True)
        ]
        self._ledger.note_read(self._site.name, list(zip(refused, settlements, strict=True)))

    def _step_up(self, group: Sequence[Entry]) -> None:
        wanted = [one for one in group if one.kind in OUTCOMES and not one.is_withdrawn]
        documents = [one for one in group if one.kind == "document" and not one.is_withdrawn]
        standing = [one for one in documents if one.observations and not one.reason.startswith(REPLACED)]
        if standing and wanted and all(one.ehr_id for one in wanted):
            self._ledger.step_up(self._site.name, self._profile, standing[0].key)

    def _stand_in(self, without_place: Sequence[Entry]) -> int:
        refused = [
            one
            for one in without_place
            if one.kind in OUTCOMES and not one.is_withdrawn and one.reason != REFERS_TO_HAND_MADE
        ]
        first = refused[0] if refused else None
        resources = [entry.resource() for entry in refused]
        identity = f"{self._site.name}/{first.response_id}" if first else ""
        shaped = self._profile.stand_in(resources, of=identity) if first else None
        if first is None or shaped is None:
            return 0
        document = Desired(
            response_id=first.response_id,
            patient_id=first.patient_id,
            response_version="",
            reason="",
            resources=[shaped],
        )
        is_new = self._ledger.stand_in(self._site.name, self._profile, refused, document)
        if is_new:
            facts = {"action": "document_planned", "site": self._site.name, "response": first.response_id}
            logger.info("a document stands in for refused Observations", extra=facts)
        return int(is_new)


def _following(group: Sequence[Entry], refused: set[str]) -> list[Entry]:
    """Return what is due, was never sent, and refers to something refused, or to what does; in order of sending."""
    following: list[Entry] = []
    for one in group:
        may_follow = one.state in DUE and not one.ehr_id and not one.sent_hash and one.kind != "document"
        if may_follow and references.own_of(one.content) & refused:
            following.append(one)
            refused = refused | {one.key}
    return following


def _is_refused(entry: Entry) -> bool:
    return entry.state == "refused" and not entry.ehr_id


def _is_by_hand(entry: Entry) -> bool:
    """Whether a person entered it, under an id that we do not know: nothing of ours can refer to it."""
    return BY_HAND in entry.reason and not entry.ehr_id and entry.state == "manual"


def _is_without_place(refused: Entry) -> bool:
    """Whether nothing came of a refusal yet: neither a document counts for it nor a person was asked."""
    return bool(refused.ehr_id) or (refused.kind in OUTCOMES and refused.observations > 0)
