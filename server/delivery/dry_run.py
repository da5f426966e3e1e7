"""What a delivery would do to the chart as it is now: the live server is read, and nothing is written anywhere.

Nothing is sent but GET, no lease is taken, and of the ledger only what reads it is used. The rules are those of a
delivery: what the chart holds already is left alone, the safeguards judge, and a resource goes only where everything
that it refers to is in the chart or goes along.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from integration.errors import ServerRefusedError
from integration.outcomes import Resource
from integration.settings import Site
from integration.sources.client import Clock, FhirClient
from server import work
from server.delivery import comparison, former, references
from server.delivery.breaker import Breaker
from server.delivery.comparison import Difference
from server.delivery.lookup import Found, Lookup, NotSearchableError, by_type, is_looked_for
from server.delivery.safeguards import NOT_RELEASED, Judgement, Safeguards
from server.ledger import Entry, Ledger
from server.ledger.planning import NOT_AMENDED, NOT_RETRACTED, Kind
from server.ledger.states import DUE, State
from server.sites import profile_of
from server.sites.profile import WriteProfile

Action = Literal["create", "amend", "retract", "nothing", "release", "person", "wait", "read_first"]
"""What a delivery would do.

* create, amend, retract: it would be sent. nothing: the chart has it already, and it is equal.
* release: it waits for a person's release.
* person: this site permits no such change, or a safeguard or a problem is in the way; the reason says which.
* wait: the server asked to wait until later, or the former patient's chart still counts it.
* read_first: a request is on its way; a delivery reads the chart before anything else.
"""
ACTIONS: Final[tuple[Action, ...]] = (
    "create", "amend", "retract", "nothing", "release", "person", "wait", "read_first",
)  # fmt: skip

DUPLICATE: Final = "more than one in the chart"
GONE: Final = "gone from the chart"
CHANGED: Final = "changed in the chart since it was written"
THERE_BUT_DIFFERENT: Final = "in the chart already, with other content"
NOT_READABLE: Final = "the server does not let us read what it holds"
REFERS: Final = "waits for an outcome that it refers to"
_OPEN: Final[frozenset[State]] = frozenset(("sending", "unknown", "accepted"))
_BATCH: Final = 200
_FORBIDDEN: Final = frozenset((401, 403))


@dataclass(frozen=True, kw_only=True, slots=True)
class Prospect:
    """What would become of one resource. It holds values: it is for the person who asked, never for a log.

    Attributes:
        action: what a delivery would do.
        reason: why a person must see to it, or why it waits; else empty.
        key: of the resource.
        kind: what it says.
        resource_type: FHIR type, as the site takes it.
        response_id: whose outcome it is; empty for a Device.
        patient_id: whose it is; empty for a Device.
        ehr_id: the server's id, if the chart holds it.
        changes: what would differ in the chart, path by path; of a create everything that is sent.
        dropped: paths of the canonical form that this site does not get.
    """

    action: Action
    reason: str
    key: str
    kind: Kind
    resource_type: str
    response_id: str
    patient_id: str
    ehr_id: str
    changes: Sequence[Difference]
    dropped: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class DryRun:
    """What a delivery would do to one site's chart; the unit is one resource.

    Attributes:
        prospects: what is on its way, what is due in order of response, what is due later, what a person has already.
        left_out: what this site never gets: by kind, why.
        most_writes: how many resources one delivery writes at most; None is no limit.
        stopped: why a delivery would send nothing now; the chart was not read then.
        unplanned: why what is planned is not what the site file calls for: nothing was ever planned, or it was planned
            with another write profile; empty: it is.
    """

    prospects: Sequence[Prospect]
    left_out: Mapping[str, str]
    most_writes: int | None
    stopped: str = ""
    unplanned: str = ""

    @property
    def totals(self) -> Mapping[Action, int]:
        """Resources by action, those with none left out."""
        counts = Counter(one.action for one in self.prospects)
        return {action: counts[action] for action in ACTIONS if counts[action]}

    @property
    def dropped(self) -> Mapping[Kind, Mapping[str, int]]:
        """By kind and path, of how many resources that would be sent this site does not get it."""
        found: dict[Kind, Counter[str]] = defaultdict(Counter)
        for one in self.prospects:
            if one.action in ("create", "amend"):
                found[one.kind].update(one.dropped)
        return {kind: dict(paths) for kind, paths in sorted(found.items()) if paths}


def dry_run(
    ledger: Ledger,
    client: FhirClient,
    site: Site,
    *,
    safeguards: Safeguards,
    clock: Clock | None = None,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> DryRun:
    """Say what a delivery would do now.

    Args:
        ledger: what the chart shall hold; only read.
        client: the site's server; only asked.
        site: its settings.
        safeguards: what must hold before a write; they judge and record nothing.
        clock: whether the server is left alone at this moment.
        on_progress: called after each batch with resources looked at and resources in all.

    Raises:
        ServerUnreachableError, ServerRefusedError: the chart or a Patient cannot be read.
    """
    profile = profile_of(site)
    counts = ledger.counts(site.name)
    stopped = Breaker(ledger.decisions, site.name, clock or Clock()).is_open()
    looking = _Looking(ledger, client, site, profile, safeguards)
    prospects: list[Prospect] = []
    for batch in [] if stopped else looking.due():
        prospects += looking.prospects(batch)
        on_progress(len(prospects), sum(counts[state] for state in DUE))
    return DryRun(
        prospects=prospects if stopped else [*looking.open(), *prospects, *looking.others(prospects)],
        left_out=profile.left_out(),
        most_writes=site.limits.writes_per_run,
        stopped=stopped,
        unplanned=_unplanned(ledger, site),
    )


def _unplanned(ledger: Ledger, site: Site) -> str:
    origin = ledger.decisions.origin(site.name)
    if not ledger.counts(site.name) and not ledger.books(site.name).responses:
        return "nothing was ever planned for this site"
    before = origin.rpartition("write profile ")[2] if "write profile " in origin else site.write_profile
    return "" if before == site.write_profile else f"what is due was planned with the write profile {before}"


class _Looking:
    """Looks at what is due in batches; remembers what would go, for what refers to it."""

    def __init__(
        self, ledger: Ledger, client: FhirClient, site: Site, profile: WriteProfile, safeguards: Safeguards
    ) -> None:
        self._ledger, self._client, self._site = ledger, client, site
        self._profile, self._safeguards = profile, safeguards
        self._lookup = Lookup.of(ledger, client, site, profile)
        self._going: set[str] = set()
        self._not_searched: set[str] = set()

    def due(self) -> Iterator[Sequence[Entry]]:
        """Yield what could be sent now, whole responses, in order of their ids; the Devices first."""
        after: str | None = None
        while entries := self._ledger.due(self._site.name, after=after, limit=_BATCH):
            yield entries
            after = entries[-1].response_id

    def open(self) -> Iterator[Prospect]:
        """Yield what is on its way."""
        for entry in self._in_state(_OPEN):
            if entry.state != "accepted" or entry.is_taken_without_id:
                yield _prospect(entry, "read_first", reason=entry.reason)

    def others(self, looked_at: Sequence[Prospect]) -> Iterator[Prospect]:
        """Yield what is due later, and what a person must see to already, with what the chart shall hold."""
        known = {one.key for one in looked_at}
        for entry in self._in_state(frozenset(("waiting",))):
            if entry.key not in known:
                yield _prospect(entry, "wait", reason=entry.reason)
        for entry in self._in_state(frozenset(("manual", "refused"))):
            if not (work.goes_along(entry) or work.is_said_done(entry)):
                yield self._with_person(entry)

    def prospects(self, entries: Sequence[Entry]) -> list[Prospect]:
        """Return what would become of entries that are due, in their order."""
        new = self._found([one for one in entries if not one.ehr_id])
        candidates = [one for one in entries if one.ehr_id or not new[one.key]]
        judgement = self._safeguards.judge(candidates, self._client)
        waiting = former.waiting(self._ledger, self._site.name, entries)
        reachable = self._reachable([one for one in entries if one.key not in waiting], judgement)
        ids = self._ehr_ids(entries) | {key: found[0].ehr_id for key, found in new.items() if len(found) == 1}
        judged: list[Prospect] = []
        for entry in entries:
            if not entry.ehr_id and new[entry.key]:
                judged.append(self._already_there(entry, new[entry.key], ids))
            elif reason := judgement.withheld.get(entry.key) or judgement.problem(entry):
                action: Action = "release" if reason == NOT_RELEASED else "person"
                judged.append(self._held_back(entry, action, reason, ids))
            elif entry.key in waiting:
                judged.append(_prospect(entry, "wait", reason=former.FORMER_FIRST))
            elif not reachable.issuperset(references.own(entry.resource())):
                judged.append(_prospect(entry, "person", reason=REFERS))
            else:
                judged.append(self._of_update(entry, ids) if entry.ehr_id else self._create(entry, ids))
        self._going |= {one.key for one in judged if one.action in ("create", "nothing")}
        return judged

    def _in_state(self, wanted: frozenset[State]) -> Iterator[Entry]:
        after = ""
        while entries := self._ledger.in_state(self._site.name, wanted, after=after, limit=_BATCH):
            yield from entries
            after = entries[-1].key

    def _found(self, entries: Sequence[Entry]) -> dict[str, list[Found]]:
        """Return what the chart holds of what the ledger knows no id of; as a delivery looks for it."""
        found = self._found_by_type([one for one in entries if one.kind != "provenance"])
        absent = [one for one in entries if one.kind != "provenance" and not found.get(one.key)]
        provenances = [one for one in entries if one.kind == "provenance"]
        found |= self._found_by_type([one for one in provenances if is_looked_for(one, absent)])
        return {one.key: found.get(one.key, []) for one in entries}

    def _found_by_type(self, entries: Sequence[Entry]) -> dict[str, list[Found]]:
        found: dict[str, list[Found]] = {}
        for group in by_type(entries):
            if group[0].resource_type in self._not_searched:
                continue
            try:
                found |= self._lookup.find(group)
            except NotSearchableError:
                self._not_searched.add(group[0].resource_type)
            except ServerRefusedError as error:
                if error.status not in _FORBIDDEN:
                    raise
                self._not_searched.add(group[0].resource_type)
        return found

    def _reachable(self, entries: Sequence[Entry], judgement: Judgement) -> set[str]:
        """Return the keys of what is in the chart, or would go before or with these entries."""
        going = [one for one in entries if judgement.allows(one)]
        known = set(self._ehr_ids(entries)) | self._going
        while True:
            reachable = known | {one.key for one in going}
            kept = [one for one in going if reachable.issuperset(references.own(one.resource()))]
            if len(kept) == len(going):
                return reachable
            going = kept

    def _ehr_ids(self, entries: Sequence[Entry]) -> dict[str, str]:
        wanted = {key for entry in entries for key in references.own(entry.resource())}
        return self._ledger.ehr_ids(self._site.name, wanted)

    def _held_back(self, entry: Entry, action: Action, reason: str, ids: Mapping[str, str]) -> Prospect:
        """Return what is not sent, with what it would change: whoever releases it shall see that."""
        if action != "release":
            return _prospect(entry, action, reason=reason)
        found = self._read(entry) if entry.ehr_id else None
        there: Resource = found.resource if isinstance(found, Found) else {"resourceType": entry.resource_type}
        return _prospect(entry, action, reason=reason, changes=self._changes(entry.resource(), there, ids))

    def _create(self, entry: Entry, ids: Mapping[str, str]) -> Prospect:
        empty: Resource = {"resourceType": entry.resource_type}
        return _prospect(entry, "create", changes=self._changes(entry.resource(), empty, ids))

    def _already_there(self, entry: Entry, found: Sequence[Found], ids: Mapping[str, str]) -> Prospect:
        if len(found) > 1:
            return _prospect(entry, "person", reason=DUPLICATE)
        changes = self._changes(entry.resource(), found[0].resource, ids)
        action: Action = "person" if changes else "nothing"
        reason = THERE_BUT_DIFFERENT if changes else ""
        return _prospect(entry, action, reason=reason, changes=changes, ehr_id=found[0].ehr_id)

    def _with_person(self, entry: Entry) -> Prospect:
        found = self._read(entry) if entry.ehr_id else None
        if found == NOT_READABLE:
            return _prospect(entry, "person", reason=f"{entry.reason}; {NOT_READABLE}")
        there: Resource = found.resource if isinstance(found, Found) else {"resourceType": entry.resource_type}
        changes = self._changes(entry.resource(), there, self._ehr_ids([entry]))
        return _prospect(entry, "person" if changes else "nothing", reason=entry.reason, changes=changes)

    def _of_update(self, entry: Entry, ids: Mapping[str, str]) -> Prospect:
        found = self._read(entry)
        if not isinstance(found, Found):
            return _prospect(entry, "person", reason=found)
        changes = self._changes(entry.resource(), found.resource, ids)
        if not changes:
            return _prospect(entry, "nothing")
        reason = self._obstacle(entry, found, ids)
        action: Action = "person" if reason else "retract" if entry.is_withdrawn else "amend"
        return _prospect(entry, action, reason=reason, changes=changes)

    def _read(self, entry: Entry) -> Found | str:
        """Return what the chart holds under the id that is known, or why that cannot be said."""
        try:
            return self._lookup.read(entry) or GONE
        except ServerRefusedError as error:
            if error.status not in _FORBIDDEN:
                raise
            return NOT_READABLE

    def _obstacle(self, entry: Entry, found: Found, ids: Mapping[str, str]) -> str:
        """Return why a resource that differs is not written over; empty if it is."""
        if not self._profile.abilities.updates:
            return NOT_RETRACTED if entry.is_withdrawn else NOT_AMENDED
        known = entry.known_resource()
        if former.is_of_another(found.resource, (known, entry.unproven_resource(), entry.resource())):
            return former.OF_ANOTHER
        if not entry.ehr_version or found.ehr_version == entry.ehr_version:
            return ""
        return CHANGED if known is None or self._changes(known, found.resource, ids) else ""

    def _changes(self, resource: Resource, found: Resource, ids: Mapping[str, str]) -> list[Difference]:
        desired = references.rewritten(resource, references.places(ids, resource))
        keeps_all = self._profile.abilities.keeps_all
        return comparison.changes(desired, found, base_url=self._site.base_url, keeps_all=keeps_all)


def _prospect(
    entry: Entry, action: Action, *, reason: str = "", changes: Sequence[Difference] = (), ehr_id: str = ""
) -> Prospect:
    return Prospect(
        action=action,
        reason=reason,
        key=entry.key,
        kind=entry.kind,
        resource_type=entry.resource_type,
        response_id=entry.response_id,
        patient_id=entry.patient_id,
        ehr_id=ehr_id or entry.ehr_id,
        changes=changes,
        dropped=tuple(path for path in entry.dropped.split(",") if path),
    )
