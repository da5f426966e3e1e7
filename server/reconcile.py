"""Chart proof: read every outcome back, compare it field by field with what it shall be, and say what is so.

"201" is not "in the chart": only what was read back and is equal is `verified`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from integration.errors import ServerRefusedError
from integration.outcomes import Resource
from integration.settings import Site
from integration.sources.client import FhirClient
from server.delivery import comparison, references
from server.delivery.lookup import Found, Lookup, NotSearchableError, by_type
from server.ledger import Ledger
from server.ledger.entries import Entry, Settlement
from server.ledger.planning import BY_HAND, GOES_ALONG
from server.ledger.repairs import Repair
from server.ledger.states import IN_CHART, Books, State
from server.sites import profile_of
from server.sites.profile import WriteProfile

logger = logging.getLogger(__name__)

_BATCH: Final = 200
_FORBIDDEN: Final = frozenset((401, 403))


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One resource that the chart does not hold as it shall.

    Attributes:
        key: of the resource.
        resource_type: FHIR type.
        response_id: whose outcome it is; empty for a Device.
        ehr_id: the server's id, as far as it is known.
        state: `missing`, `altered`, `duplicate`, `unreadable` or `held`.
        reason: of `altered` the paths that differ; never a value.
    """

    key: str
    resource_type: str
    response_id: str
    ehr_id: str
    state: State
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconciliation:
    """What reading back showed.

    Attributes:
        read: resources by the state that reading left them in; all types.
        findings: everything that is not verified or retracted, in order of key.
        repaired: of the findings, how many were planned to be written again.
        books: of all Observations, after reading and planning.
    """

    read: Mapping[State, int]
    findings: Sequence[Finding]
    repaired: int
    books: Books


def reconcile(
    ledger: Ledger,
    client: FhirClient,
    site: Site,
    *,
    repair: bool = False,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> Reconciliation:
    """Read back everything that the chart is said to hold, and record in the ledger what was found.

    What is missing, and what somebody altered, can be written again, if that is wanted and the site takes it. Left to
    a person is what was done in the chart on purpose (taken back, moved to another patient), and what is there more
    than once.

    Args:
        ledger: what the chart shall hold.
        client: the site's server.
        site: its settings.
        repair: whether to plan what can be mended; the next delivery sends it.
        on_progress: called after each batch with resources read and resources in all.

    Raises:
        ServerUnreachableError, ServerRefusedError: the chart cannot be read now; what was read before is recorded.
    """
    profile = profile_of(site)
    reader = _Reader(ledger, Lookup.of(ledger, client, site, profile), site, profile)
    counts = ledger.counts(site.name)
    total, done, after = sum(counts[state] for state in IN_CHART), 0, ""
    read: Counter[State] = Counter()
    findings: list[Finding] = []
    repaired, anew = 0, list[str]()
    while entries := ledger.in_chart(site.name, after=after, limit=_BATCH):
        pairs = reader.read(entries)
        repairs = _repairs(profile, reader, pairs) if repair else {}
        repaired += ledger.note_read(site.name, pairs, repairs).repaired
        anew += [key for key, how in repairs.items() if how.content is None]
        read.update(settlement.state for _, settlement in pairs)
        findings += [_finding(*pair) for pair in pairs if pair[1].state not in ("verified", "retracted")]
        done, after = done + len(entries), entries[-1].key
        on_progress(done, total)
    repaired += ledger.follow(site.name, anew) if profile.abilities.updates else 0  # once all was read as it is
    logger.info("reconciled", extra={"action": "reconciled", "site": site.name, "results": dict(read)})
    return Reconciliation(read=dict(read), findings=findings, repaired=repaired, books=ledger.books(site.name))


def read_back(
    ledger: Ledger,
    client: FhirClient,
    site: Site,
    entries: Sequence[Entry],
    *,
    counts: Callable[[Entry, Settlement], bool],
) -> list[tuple[Entry, Settlement]]:
    """Read a few entries back, as `reconcile` does with all; returns what was found of each.

    Args:
        ledger: what the chart shall hold.
        client: the site's server.
        site: its settings.
        entries: which.
        counts: whether what was found is recorded; what does not count leaves the ledger as it is.

    Raises:
        ServerUnreachableError, ServerRefusedError: the chart cannot be read now; nothing was recorded.
    """
    profile = profile_of(site)
    pairs = _Reader(ledger, Lookup.of(ledger, client, site, profile), site, profile).read(entries)
    ledger.note_read(site.name, [pair for pair in pairs if counts(*pair)])
    return pairs


class _Reader:
    """Reads batches of entries back from one site."""

    def __init__(self, ledger: Ledger, lookup: Lookup, site: Site, profile: WriteProfile) -> None:
        self._ledger, self._lookup, self._site, self._profile = ledger, lookup, site, profile
        self.versions: dict[str, str] = {}
        self.on_purpose: set[str] = set()
        self._given: set[tuple[str, str]] = set()  # types and ids
        self._forbidden: dict[str, str] = {}  # by resource type, why it may not be read

    def read(self, entries: Sequence[Entry]) -> list[tuple[Entry, Settlement]]:
        """Return what was found of each entry."""
        wanted = {key for entry in entries for key in references.own(entry.resource())}
        ids = self._ledger.ehr_ids(self._site.name, wanted)
        return [
            (entry, self._settlement(entry, self._not_given(entry, found), ids))
            for group in by_type(entries)
            for entry, found in zip(group, self._found(group), strict=True)
        ]

    def _not_given(self, entry: Entry, found: list[Found] | str) -> list[Found] | str:
        """Leave out a row that another entry of this reading, which looks alike, was found to be."""
        if entry.ehr_id or isinstance(found, str):
            return found
        left = [one for one in found if (entry.resource_type, one.ehr_id) not in self._given]
        if len(left) == 1:
            self._given.add((entry.resource_type, left[0].ehr_id))
        return left

    def _found(self, entries: Sequence[Entry]) -> list[list[Found] | str]:
        """Return what the chart holds of each entry, or why it cannot be read."""
        try:
            found = self._lookup.find(entries)
        except NotSearchableError as error:
            return [self._found_by_id(entry, str(error)) for entry in entries]
        except ServerRefusedError as error:
            if error.status not in _FORBIDDEN:
                raise
            return [self._found_by_id(entry, f"HTTP {error.status}") for entry in entries]
        # A search may lag behind, and does not find what somebody moved to another patient.
        return [found[entry.key] or (self._found_by_id(entry, "") if entry.ehr_id else []) for entry in entries]

    def _found_by_id(self, entry: Entry, reason: str) -> list[Found] | str:
        """Read one by one from a server that searches for no keys; only a late answer shows a duplicate that way."""
        if entry.resource_type in self._forbidden:
            return self._forbidden[entry.resource_type]
        try:
            late = self._lookup.late([entry]).get(entry.key, [])
            found = self._lookup.read(entry) if entry.ehr_id else None
        except ServerRefusedError as error:
            if error.status not in _FORBIDDEN:
                raise
            self._forbidden[entry.resource_type] = f"HTTP {error.status}"
            return self._forbidden[entry.resource_type]
        both = [*([found] if found else []), *(one for one in late if one.ehr_id != entry.ehr_id)]
        return both if both or entry.ehr_id else reason

    def _settlement(self, entry: Entry, found: list[Found] | str, ids: Mapping[str, str]) -> Settlement:
        if len(found) > 1 and not isinstance(found, str):
            return Settlement(key=entry.key, state="duplicate", reason=f"{len(found)} in the chart")
        if found and not isinstance(found, str):
            settlement = self._compared(entry, found[0], ids)
        elif isinstance(found, str):
            settlement = Settlement(key=entry.key, state="unreadable", reason=found)
        elif _is_gone_for_good(entry):
            settlement = Settlement(key=entry.key, state="retracted", reason="gone from the chart")
        else:
            settlement = Settlement(key=entry.key, state="held" if entry.state == "held" else "missing")
        is_still_to_do = entry.state == "manual" and settlement.state not in ("verified", "retracted")
        return _left_to_person(entry, settlement) if is_still_to_do else settlement

    def _compared(self, entry: Entry, found: Found, ids: Mapping[str, str]) -> Settlement:
        resource = entry.resource()
        desired = references.rewritten(resource, references.places(ids, resource))
        keeps_all = self._profile.abilities.keeps_all
        paths = comparison.differences(desired, found.resource, base_url=self._site.base_url, keeps_all=keeps_all)
        if entry.ehr_id and found.ehr_id != entry.ehr_id:
            paths.insert(0, "id")
        self.versions[entry.key] = found.ehr_version
        was_taken_back = found.resource.get("status") == "entered-in-error" and not entry.is_withdrawn
        if was_taken_back or any(path.startswith("subject") for path in paths):
            self.on_purpose.add(entry.key)
        if paths:
            # The version that we know stays, so that a later update does not overwrite what somebody else wrote.
            return Settlement(
                key=entry.key, state="altered", ehr_id=entry.ehr_id or found.ehr_id, reason=", ".join(paths)
            )
        goes_along = entry.kind in GOES_ALONG
        state: State = "retracted" if entry.is_withdrawn and not goes_along else "verified"
        return Settlement(key=entry.key, state=state, ehr_id=found.ehr_id, ehr_version=found.ehr_version)


def _is_gone_for_good(entry: Entry) -> bool:
    """Whether it was withdrawn, so that it is right that it is not found; `held` may come into the chart yet."""
    is_known = bool(entry.ehr_id) or entry.state == "manual"
    return entry.is_withdrawn and entry.state != "held" and is_known and not _is_out_of_reach(entry)


def _is_out_of_reach(entry: Entry) -> bool:
    """Whether a person made it under an id that is not known to us: that it is not found says nothing."""
    return BY_HAND in entry.reason and not entry.ehr_id


def _left_to_person(entry: Entry, settlement: Settlement) -> Settlement:
    """Keep why a person must see to it; where one said it was done, and it differs in more than our note, say so."""
    reason = entry.reason.partition(";")[0]
    is_note_alone = all(path.startswith("note") for path in settlement.reason.split(", "))
    if BY_HAND in reason and settlement.state == "altered" and not is_note_alone:
        reason = f"{reason}; the chart differs: {settlement.reason}"
    return Settlement(key=entry.key, state="manual", reason=reason if BY_HAND in reason else entry.reason)


def _repairs(profile: WriteProfile, reader: _Reader, pairs: Sequence[tuple[Entry, Settlement]]) -> dict[str, Repair]:
    """Return how what is missing, or altered and may be written, is written again."""
    repairs: dict[str, Repair] = {}
    for entry, settlement in pairs:
        if settlement.state == "missing" and not entry.is_withdrawn:
            repairs[entry.key] = Repair()
        elif settlement.state == "altered" and profile.abilities.updates and entry.key not in reader.on_purpose:
            repairs[entry.key] = Repair(content=_over(entry, profile), ehr_version=reader.versions[entry.key])
    return repairs


def _over(entry: Entry, profile: WriteProfile) -> Resource:
    """Return the content as it is written over what the chart holds, for a site may take `final` only once."""
    content = entry.resource()
    amended = None if entry.is_withdrawn else profile.amended(content)
    return content if amended is None else amended


def _finding(entry: Entry, settlement: Settlement) -> Finding:
    return Finding(
        key=entry.key,
        resource_type=entry.resource_type,
        response_id=entry.response_id,
        ehr_id=settlement.ehr_id or entry.ehr_id,
        state=settlement.state,
        reason=settlement.reason,
    )
