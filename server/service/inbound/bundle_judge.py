"""What becomes of each entry of a Bundle: stored, set aside, passed over, or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from integration.intake import Rejection
from integration.outcomes import Resource
from integration.records import Response
from server.service.inbound import answers, bundles, elsewhere, submission
from server.service.inbound.bundles import Bundle, Item
from server.service.inbound.deposits import Receipt
from server.service.inbound.reading import Along, ReadResource
from server.service.inbound.sent import Allow
from server.service.inbound.submission import Submission
from server.service.operation_outcome import Refusal, RefusedError


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What becomes of one entry.

    Attributes:
        position: of the entry, from 0.
        submission: what is stored; None if nothing is.
        expected_version: of `ifMatch`.
        problem: why it is set aside; empty: it is not.
        refusal: why it is refused; None if it is not.
        note: what else its sender should know.
    """

    position: int
    submission: Submission | None = None
    expected_version: int | None = None
    problem: str = ""
    refusal: Refusal | None = None
    note: str = ""

    def entry(self, receipt: Receipt | None, base_url: str) -> Resource:
        """Return its entry of the response Bundle."""
        if self.refusal:
            return answers.refused_entry(self.refusal)
        if receipt is None:
            return answers.passed_over_entry(bundles.NOT_READ)
        return answers.entry(receipt, base_url=base_url, note=self.note)


def judged(
    bundle: Bundle,
    read: ReadResource,
    withheld: Callable[[Response], str],
    allow: Allow,
    *,
    is_poison_kept: bool,
) -> list[Judged]:
    """Judge every entry; Patients of the same Bundle that can be taken are known to all of them, whatever the order.

    Raises:
        DeliveryError: the EHR's server cannot be asked about a patient now.
    """
    along = Along(patients=_patients(bundle, read, allow))
    seen: set[tuple[str, str]] = set()
    found = []
    for item in bundle.items:
        refusal = _not_allowed(item, allow) or (_repeated(item, seen) if bundle.kind == "transaction" else None)
        if refusal is not None:
            found.append(Judged(position=item.position, refusal=refusal))
        else:
            found.append(_judged(item, read, withheld, along, is_poison_kept=is_poison_kept))
    return found


def _patients(bundle: Bundle, read: ReadResource, allow: Allow) -> dict[str, bytes]:
    found = {}
    for item in bundle.items:
        one = item.submission
        if one is None or item.resource_type != "Patient" or _not_allowed(item, allow):
            continue
        if not isinstance(read("Patient", one.resource_id, one.body, None, item.full_url), Rejection):
            found[one.resource_id] = one.body
    return found


def _judged(
    item: Item,
    read: ReadResource,
    withheld: Callable[[Response], str],
    along: Along,
    *,
    is_poison_kept: bool,
) -> Judged:
    if item.is_passed_over:
        return Judged(position=item.position)
    one = item.submission
    if one is None:
        refusal = item.refusal or Refusal(status=422, problem="the entry cannot be read")
        return _poison(item, refusal, is_kept=is_poison_kept)
    result = read(one.resource_type, one.resource_id, one.body, along, item.full_url)
    if isinstance(result, Rejection):
        within = () if result.path == elsewhere.FULL_URL else ("resource",)
        path = ".".join(filter(None, (f"Bundle.entry[{item.position}]", *within, result.path)))
        refusal = Refusal(status=422, problem=result.problem, expression=path)
        return _poison(item, refusal, is_kept=is_poison_kept)
    note = withheld(result) if result is not None else ""
    return Judged(position=item.position, submission=one, expected_version=item.expected_version, note=note)


def _poison(item: Item, refusal: Refusal, *, is_kept: bool) -> Judged:
    if not is_kept:
        return Judged(position=item.position, refusal=refusal)
    problem = f"{refusal.expression}: {refusal.problem}"
    return Judged(
        position=item.position, submission=item.submission or submission.unreadable(item.body), problem=problem
    )


def _not_allowed(item: Item, allow: Allow) -> Refusal | None:
    if not item.resource_type:
        return None
    try:
        allow(item.interaction, item.resource_type)
    except RefusedError as error:
        refusal = error.refusal
        path = f"Bundle.entry[{item.position}]"
        return Refusal(status=refusal.status, problem=refusal.problem, expression=path, headers=refusal.headers)
    return None


def _repeated(item: Item, seen: set[tuple[str, str]]) -> Refusal | None:
    """Refuse a transaction that names one resource twice (https://hl7.org/fhir/R4/http.html#trules)."""
    if item.submission is None:
        return None
    identity = item.submission.resource_type, item.submission.resource_id
    if identity in seen:
        path = f"Bundle.entry[{item.position}]"
        return Refusal(status=400, problem="a transaction names a resource once only", expression=path)
    seen.add(identity)
    return None
