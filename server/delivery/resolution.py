"""What was on its way when an answer was lost: read first, and sent again only when it is proven absent."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from integration.errors import ServerRefusedError
from integration.outcomes import Resource
from server.delivery import comparison, former, references
from server.delivery.assignment import Assignment
from server.delivery.lookup import Found, Lookup, NotSearchableError, UnreadError, by_type, is_looked_for
from server.ledger.anew import REFERS_ANEW
from server.ledger.decisions import WRITE_OVER, kept
from server.ledger.entries import Entry, Settlement
from server.ledger.states import State

logger = logging.getLogger(__name__)

_BATCH = 200
_FORBIDDEN = frozenset((401, 403))
_MAY_NOT_SEARCH = frozenset((403,))


class Resolver:
    """Settles what is on its way to one site.

    Args:
        assignment: whose outcomes, and where everything is recorded.
        lookup: into the site's chart.
    """

    def __init__(self, assignment: Assignment, lookup: Lookup) -> None:
        self._ledger, self._site, self._clock = assignment.ledger, assignment.site, assignment.clock
        self._profile, self._assignment, self._lookup = assignment.profile, assignment, lookup
        self._not_searched: dict[str, str] = {}  # by resource type, why
        self._unread: dict[str, str] = {}  # by key, likewise
        self._found_ids: dict[str, str] = {}

    def resolve_all(self) -> Counter[State]:
        """Settle everything on its way; returns how many resources came to which state.

        A server may still be working on a request whose client is gone. So nothing is read before
        `settle_seconds` have passed since it left.

        Raises:
            ServerUnreachableError, ServerRefusedError: the chart cannot be read; what is on its way stays so.
        """
        results: Counter[State] = Counter()
        after = ""
        while batch := self._ledger.lease_open(
            self._site.name,
            self._assignment.worker,
            after=after,
            responses=_BATCH,
            seconds=self._assignment.lease_seconds,
        ):
            self._wait_for(batch)
            results += self.resolve(batch)
            after = batch[-1].response_id
        self._ledger.unlease(self._site.name, self._assignment.worker)
        if results:
            logger.info("what was on its way is settled", extra={"action": "resolved", "results": dict(results)})
        return results

    def resolve(self, entries: Sequence[Entry]) -> Counter[State]:
        """Settle these entries, whenever they left."""
        results: Counter[State] = Counter()
        for group in by_type(entry for entry in entries if not entry.ehr_id):
            results += self._settle(group, self._of_creates(group))
        updates = [entry for entry in entries if entry.ehr_id]
        return results + self._settle(updates, [self._of_update(entry) for entry in updates])

    def not_in_chart(self, entries: Sequence[Entry]) -> list[Entry]:
        """Leave out what would be created although the chart holds it: after a lost ledger, or an answer that lied.

        A Provenance is looked for only where something that it is about is in the chart, or where it may have been
        sent, for a server may ask to wait after it did the work. A server that cannot be searched is trusted to hold
        nothing that the ledger does not know of; what may have been sent there is left to a person.
        """
        new = [entry for entry in entries if not entry.ehr_id]
        first = [entry for entry in new if entry.kind != "provenance" or entry.sent_hash]
        settlements = self._of_found(first)
        settled = {one.key for one in settlements}
        absent = [entry for entry in first if entry.key not in settled]
        settlements += self._of_found([one for one in new if one not in first and is_looked_for(one, absent)])
        settled = {one.key for one in settlements}
        settlements += [one for entry in new if entry.key not in settled and (one := self._of_not_found(entry))]
        if settlements:  # in one piece: what refers to what was found is looked for only once
            self._ledger.settle(self._site.name, settlements)
        settled = {one.key for one in settlements}
        return [entry for entry in entries if entry.key not in settled]

    def _of_found(self, entries: Sequence[Entry]) -> list[Settlement]:
        settlements: list[Settlement] = []
        for group in by_type(entries):
            found = self._found(group, _FORBIDDEN)
            settlements += [
                one for entry in group if found.get(entry.key) and (one := self._of_create(entry, found[entry.key]))
            ]
        return settlements

    def _of_not_found(self, entry: Entry) -> Settlement | None:
        """Settle what may have been sent and cannot be looked for, and what was withdrawn and is proven absent."""
        if entry.sent_hash and self._why_not_said(entry):
            if late := self._late(entry):
                return self._of_create(entry, late)
            return _manual(entry, "the server does not say whether it has it", maybe_sent=True)
        return Settlement(key=entry.key, state="planned", reason="proven absent") if entry.is_withdrawn else None

    def _found(self, entries: Sequence[Entry], forbidden: frozenset[int]) -> dict[str, list[Found]]:
        """Look for entries of one type; what the server says nothing of is left out, and noted with why.

        Args:
            entries: what to look for.
            forbidden: statuses that say that we may not look, and stop nothing but that.
        """
        together = [one for one in entries if self._profile.search(one.resource()) is None]
        alone = [[one] for one in entries if one not in together]
        found: dict[str, list[Found]] = {}
        for some in [*([together] if together else []), *alone]:
            if some[0].resource_type not in self._not_searched:
                found |= self._found_of(some, forbidden)
        found |= self._shared_out([one for one in entries if one not in together and found.get(one.key)], found)
        self._found_ids |= {key: matches[0].ehr_id for key, matches in found.items() if len(matches) == 1}
        return found

    def _shared_out(self, entries: Sequence[Entry], found: Mapping[str, list[Found]]) -> dict[str, list[Found]]:
        """Give rows that several entries may be to one each, to one that it says the same as before any other."""
        wanted = Counter(match.ehr_id for entry in entries for match in found[entry.key])
        alike = [one for one in entries if any(wanted[match.ehr_id] > 1 for match in found[one.key])]
        given: dict[str, Found] = {}
        for is_equal in (True, False):
            for entry in (one for one in alike if one.key not in given):
                taken = {match.ehr_id for match in given.values()}
                free = (match for match in found[entry.key] if match.ehr_id not in taken)
                match = next((one for one in free if not is_equal or self._is_ours(entry, one)), None)
                given |= {entry.key: match} if match else {}
        return {entry.key: [given[entry.key]] if entry.key in given else [] for entry in alike}

    def _found_of(self, entries: Sequence[Entry], forbidden: frozenset[int]) -> dict[str, list[Found]]:
        resource_type = entries[0].resource_type
        try:
            return self._lookup.find(entries)
        except UnreadError as error:
            self._unread |= {entry.key: str(error) for entry in entries}
        except NotSearchableError as error:
            self._not_searched[resource_type] = str(error)
        except ServerRefusedError as error:
            if error.status not in forbidden:
                raise
            self._not_searched[resource_type] = f"HTTP {error.status}: the chart may not be searched"
        return {}

    def _why_not_said(self, entry: Entry) -> str:
        return self._unread.get(entry.key, "") or self._not_searched.get(entry.resource_type, "")

    def _late(self, entry: Entry) -> list[Found]:
        """Return what is in the chart under the ids out of late answers, as far as it may be read."""
        try:
            return self._lookup.late([entry]).get(entry.key, [])
        except ServerRefusedError as error:
            if error.status not in _FORBIDDEN:
                raise
            return []

    def look_again(self, keys: Sequence[str]) -> None:
        """Look for what the server took without saying under which id, or said it has already; for nothing else."""
        entries = self._ledger.entries(self._site.name, keys)
        if wanted := [one for one in entries if one.is_taken_without_id or _is_said_to_be_there(one)]:
            self.resolve(wanted)

    def of_conflict(self, entry: Entry, *, status: int | None) -> Settlement | str:
        """Say what a refused If-Match means, or, with no status, what is there before its version is known.

        Fine if the chart holds what it shall hold. What is of another patient is never written over. If it still
        holds what it was last known to hold, or what was sent and not proven, only its version went on: then the
        answer is that version, to be tried with. Anything else is a person's decision; who decided to write over it
        saw what is there.
        """
        answer = f"HTTP {status}: " if status else ""
        found = self._lookup.read(entry)
        if found is None:
            return _manual(entry, f"{answer}gone from the chart")
        if not self._differences(entry.resource(), found):
            return _already_there(entry, found)
        ours = [one for one in (entry.known_resource(), entry.unproven_resource()) if one is not None]
        if former.is_of_another(found.resource, [*ours, entry.resource()]):
            return _manual(entry, f"{answer}{former.OF_ANOTHER}")
        if status is None and entry.reason == WRITE_OVER:
            return found.ehr_version
        is_another = found.ehr_version != entry.ehr_version or not entry.ehr_version
        may_refer_elsewhere = entry.reason == REFERS_ANEW  # to what was there under another id: our own doing
        if is_another and any(self._is_still(one, found, may_refer_elsewhere=may_refer_elsewhere) for one in ours):
            return found.ehr_version
        return _manual(entry, f"{answer}changed in the chart since it was written")

    def is_gone(self, entry: Entry) -> bool:
        """Whether the chart holds nothing under the id of an entry, and lets it be read."""
        try:
            return self._lookup.read(entry) is None
        except ServerRefusedError:
            return False

    def given_up(self, entry: Entry, status: int) -> Settlement:
        """Leave an entry whose version in the chart goes on and on to a person."""
        return _manual(entry, f"HTTP {status}: its version in the chart changed again and again")

    def _settle(self, entries: Sequence[Entry], settlements: list[Settlement | None]) -> Counter[State]:
        """Write what was settled; an entry that changed in the meantime is left for the next run."""
        known = [(entry, one) for entry, one in zip(entries, settlements, strict=True) if one is not None]
        if known:
            self._ledger.settle(self._site.name, [one for _, one in known])
        return Counter(one.state for _, one in known)

    def _wait_for(self, entries: Sequence[Entry]) -> None:
        sent = max((entry.sent_at for entry in entries if entry.sent_at), default="")
        if sent:
            age = (datetime.fromisoformat(self._ledger.now()) - datetime.fromisoformat(sent)).total_seconds()
            remaining = self._site.limits.settle_seconds - age
            if remaining > 0:
                self._clock.sleep(min(remaining, self._site.limits.settle_seconds))

    def _of_creates(self, entries: Sequence[Entry]) -> list[Settlement | None]:
        found = self._found(entries, _MAY_NOT_SEARCH)
        return [
            self._of_create(entry, found[entry.key]) if entry.key in found else self._of_not_said(entry)
            for entry in entries
        ]

    def _of_not_said(self, entry: Entry) -> Settlement | None:
        if late := self._late(entry):
            return self._of_create(entry, late)
        return _manual(entry, self._why_not_said(entry), maybe_sent=True) if entry.state != "accepted" else None

    def _of_create(self, entry: Entry, found: list[Found]) -> Settlement | None:
        if len(found) > 1:
            return Settlement(key=entry.key, state="duplicate", reason=f"{len(found)} in the chart")
        if found:
            return self._of_one(entry, found[0])
        if entry.state == "accepted":
            return None  # the server said it took it; that it cannot be found is for `reconcile` to say
        if _is_said_to_be_there(entry):
            return _manual(entry, f"{entry.reason}: the server says it has it, and it is not found")
        return Settlement(key=entry.key, state="planned", reason="proven absent")

    def _of_one(self, entry: Entry, found: Found) -> Settlement:
        """Adopt what was found: with its version only if it is as we wrote it, or as it shall be.

        Without a version nothing is written over it before `of_conflict` has read it. What merely is in the place of
        ours, and was never sent by us, is another's.
        """
        if self._is_ours(entry, found):
            return _already_there(entry, found)
        if former.is_of_another(found.resource, (entry.unproven_resource(), entry.known_resource(), entry.resource())):
            return _manual(entry, former.OF_ANOTHER)
        is_sent = (entry.sent_hash or entry.is_taken_without_id) and not _is_said_to_be_there(entry)
        if not is_sent and not self._has_our_name(entry):
            return _manual(entry, "another value is in its place in the chart")
        return _already_there(entry, replace(found, ehr_version=""))

    def _is_ours(self, entry: Entry, found: Found) -> bool:
        """Whether a resource of the chart is as we sent it, or as it shall be."""
        ours = (entry.unproven_resource(), entry.known_resource(), entry.resource())
        return any(one is not None and not self._differences(one, found) for one in ours)

    def _has_our_name(self, entry: Entry) -> bool:
        """Whether an entry is found by what names it, not by patient, time and code."""
        return entry.resource_type == "DocumentReference" or self._profile.search(entry.resource()) is None

    def _of_update(self, entry: Entry) -> Settlement:
        found = self._lookup.read(entry)
        if found is None:
            return _manual(entry, "gone from the chart")
        if not self._differences(entry.sent_resource(), found):
            return _already_there(entry, found)
        if entry.ehr_version and found.ehr_version != entry.ehr_version:
            return _manual(entry, "changed in the chart since it was written")
        return Settlement(key=entry.key, state="planned", reason=kept(entry.reason, "proven not applied"))

    def _is_still(self, resource: Resource, found: Found, *, may_refer_elsewhere: bool) -> bool:
        paths = self._differences(resource, found)
        return all(may_refer_elsewhere and path.endswith(".reference") for path in paths)

    def _differences(self, resource: Resource, found: Found) -> list[str]:
        """Return the paths at which the chart differs from a resource in canonical form."""
        ids = self._found_ids | self._ledger.ehr_ids(self._site.name, references.own(resource))
        desired = references.rewritten(resource, references.places(ids, resource))
        keeps_all = self._profile.abilities.keeps_all
        return comparison.differences(desired, found.resource, base_url=self._site.base_url, keeps_all=keeps_all)


def _is_said_to_be_there(entry: Entry) -> bool:
    """Whether an answer said no because the chart has it already."""
    return entry.state == "unknown" and entry.reason.startswith("HTTP 4") and not entry.reason.startswith("HTTP 408")


def _already_there(entry: Entry, found: Found) -> Settlement:
    return Settlement(key=entry.key, state="already_there", ehr_id=found.ehr_id, ehr_version=found.ehr_version)


def _manual(entry: Entry, reason: str, *, maybe_sent: bool = False) -> Settlement:
    return Settlement(key=entry.key, state="manual", reason=reason, maybe_sent=maybe_sent)
