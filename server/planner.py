"""From outcomes to what a site's chart shall hold: shaped by the site's write profile, recorded in the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from integration.outcomes import Outcome, Resource
from server.ledger import Ledger, PlanCounts
from server.ledger.planning import Desired
from server.sites.profile import WriteProfile


class Planner:
    """Plans one site's outcomes; nothing is sent here.

    Args:
        ledger: where the desired contents are recorded.
        site: name of the site.
        profile: the shape that the site takes.
    """

    def __init__(self, ledger: Ledger, site: str, profile: WriteProfile) -> None:
        self._ledger, self._site, self._profile = ledger, site, profile

    def plan(self, device: Resource, outcomes: Iterable[Outcome]) -> PlanCounts:
        """Make these the desired outcomes of their responses; reads lazily, and to repeat it has no effect."""
        return self._ledger.plan(self._site, self._profile, self._desired(device, outcomes))

    def preview(self, device: Resource, outcomes: Iterable[Outcome]) -> PlanCounts:
        """Return what `plan` would do, and do nothing."""
        return self._ledger.preview(self._site, self._profile, self._desired(device, outcomes))

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
            )


def _reason(outcome: Outcome) -> str:
    """Return why a response has no score, empty if it has one; the panel says it."""
    absent = outcome.panel.get("dataAbsentReason")
    return str(absent["text"]) if absent else ""
