"""From outcomes to what a site's chart shall hold: shaped by the site's write profile, recorded in the ledger."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Final

import msgspec

from integration.outcomes import Outcome, Resource, content_hash, encode
from server.delivery import comparison
from server.delivery.comparison import Difference
from server.ledger import Entry, Ledger, PlanCounts
from server.ledger.planning import REPLACED, Desired, Kind, Shaped
from server.sites.profile import WriteProfile

_BATCH: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """What a plan would change of one resource. It holds values: it is for the person who asked, never for a log.

    Attributes:
        kind: what the resource says.
        response_id: whose outcome it is; empty for a Device.
        key: of the resource.
        changes: `old` what was planned before, `new` what would be.
    """

    kind: Kind
    response_id: str
    key: str
    changes: Sequence[Difference]


class Planner:
    """Plans one site's outcomes; nothing is sent here.

    Args:
        ledger: where the desired contents are recorded.
        site: name of the site.
        profile: the shape that the site takes.
        find_patient: gives the id of the patient that an id stands for after merging, None if that cannot be told. It
            is asked only of the former patient of a response that is another's now.
    """

    def __init__(
        self, ledger: Ledger, site: str, profile: WriteProfile, find_patient: Callable[[str], str | None] = str
    ) -> None:
        self._ledger, self._site, self._profile, self._find_patient = ledger, site, profile, find_patient

    def plan(self, device: Resource, outcomes: Iterable[Outcome]) -> PlanCounts:
        """Make these the desired outcomes of their responses; reads lazily, and to repeat it has no effect."""
        return self._ledger.plan(self._site, self._profile, self._desired(device, outcomes))

    def preview(self, device: Resource, outcomes: Iterable[Outcome]) -> PlanCounts:
        """Return what `plan` would do, and do nothing."""
        return self._ledger.preview(self._site, self._profile, self._desired(device, outcomes))

    def changes(self, device: Resource, outcomes: Iterable[Outcome]) -> Iterator[Changed]:
        """Yield what `plan` would give another content than it has, or take back, and do nothing.

        What is new is not among it. With another write profile what the one before wrote is taken back.
        """
        planned = iter(self._desired(device, outcomes))
        while batch := self._ledger.of_their_patients(self._site, list(itertools.islice(planned, _BATCH))):
            held = self._held([shaped.resource["id"] for one in batch for shaped in one.resources])
            for response_id, shaped in ((one.response_id, shaped) for one in batch for shaped in one.resources):
                entry = held.get(shaped.resource["id"])
                if entry and (entry.is_withdrawn or entry.content_hash != content_hash(shaped.resource)):
                    changes = self._differences(shaped, entry)
                    yield Changed(kind=shaped.kind, response_id=response_id, key=entry.key, changes=changes)
            yield from self._taken_back(batch, {entry.key for entry in held.values()})

    def _taken_back(self, batch: Sequence[Desired], wanted: Set[str]) -> Iterator[Changed]:
        """Yield what the responses of a batch do not call for any more."""
        response_ids = [one.response_id for one in batch if one.response_id]
        for entry in self._ledger.of_responses(self._site, response_ids):
            is_counted = entry.observations > 0 and not entry.is_withdrawn and entry.state != "retracted"
            stands_in = entry.kind == "document" and self._profile.left_out().get("score") is None
            if is_counted and entry.key not in wanted and not stands_in:
                before = entry.resource()
                changes = comparison.changes({**before, "status": "entered-in-error"}, before, base_url="")
                yield Changed(kind=entry.kind, response_id=entry.response_id, key=entry.key, changes=changes)

    def withdraw(self, response_id: str, *, reason: str) -> int:
        """Take one response's outcome back: `withdraw_all` of one."""
        return self.withdraw_all([(response_id, reason)])

    def withdraw_all(self, reasons: Iterable[tuple[str, str]]) -> int:
        """Take outcomes back; returns how many resources that concerns.

        Args:
            reasons: id of a QuestionnaireResponse without an outcome, and why, as in `responses.csv`.
        """
        return self._ledger.withdraw_all(self._site, self._profile, reasons)

    def would_withdraw(self, reasons: Iterable[tuple[str, str]]) -> int:
        """Return how many resources `withdraw_all` would concern, and do nothing."""
        return self._ledger.would_withdraw(self._site, self._profile, reasons)

    def _held(self, keys: Sequence[str]) -> dict[str, Entry]:
        """Return what is held under each key, or what replaced that."""
        return {entry.key: self._current(entry) for entry in self._ledger.entries(self._site, keys)}

    def _current(self, entry: Entry) -> Entry:
        while entry.reason.startswith(REPLACED):
            [entry] = self._ledger.entries(self._site, [entry.reason.removeprefix(REPLACED)])
        return entry

    def _differences(self, shaped: Shaped, entry: Entry) -> list[Difference]:
        amended = self._profile.amended(shaped.resource) if entry.ehr_id else None
        planned: Resource = msgspec.json.decode(encode(amended or shaped.resource))  # as the ledger would hold it
        return comparison.changes(planned, entry.resource(), base_url="")

    def _desired(self, device: Resource, outcomes: Iterable[Outcome]) -> Iterator[Desired]:
        devices = self._profile.shape_device(device)
        if devices:
            yield Desired(response_id="", patient_id="", response_version="", reason="", resources=devices)
        for outcome in outcomes:
            yield Desired(
                response_id=outcome.response_id,
                patient_id=outcome.patient_id,
                response_version=outcome.response_version,
                reason=_reason(outcome),
                resources=self._profile.shape(outcome),
                labels=_labels(outcome),
                was_merged=self._merged_into(outcome.patient_id),
            )

    def _merged_into(self, patient_id: str) -> Callable[[str], bool]:
        return lambda former: self._find_patient(former) == patient_id


def _labels(outcome: Outcome) -> frozenset[str]:
    """Return the codes of the security labels on any of an outcome's resources, before they are shaped."""
    metas = (resource.get("meta", {}) for resource in (*outcome.observations, outcome.provenance))
    return frozenset(str(label["code"]) for meta in metas for label in meta.get("security", ()) if label.get("code"))


def _reason(outcome: Outcome) -> str:
    """Return why a response has no score, empty if it has one; the panel says it."""
    absent = outcome.panel.get("dataAbsentReason")
    return str(absent["text"]) if absent else ""
