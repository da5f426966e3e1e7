"""What persons see and decide about a site's deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from integration import origin
from integration.errors import ConfigurationError
from integration.mapping import Mapping
from integration.settings import Settings, Site
from server import work
from server.jobs import stores
from server.jobs.study import made_with_text
from server.ledger import Entry
from server.ledger.decisions import Decision
from server.ledger.history import Attempt
from server.sites import profile_of

_ALL = 1_000_000_000
_LATEST = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Who decides, and why: both are kept for good.

    Raises:
        ConfigurationError: one of them is empty.
    """

    who: str
    why: str

    def __post_init__(self) -> None:
        if not (self.who.strip() and self.why.strip()):
            raise ConfigurationError("a decision needs --who and --why: both are kept, and say who answers for it")


@dataclass(frozen=True, kw_only=True, slots=True)
class Released:
    """What a release did; the unit is one response.

    Attributes:
        released: let go by this decision.
        before: let go by an earlier one.
        unknown: ids that the ledger does not know at this site.
        waiting: that no person released yet, afterwards.
    """

    released: int
    before: int
    unknown: Sequence[str]
    waiting: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """What was accepted.

    Attributes:
        before: what the plan before was made with; empty: there was none.
        now: what the next plan is made with.
    """

    before: str
    now: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """What was tried and decided.

    Attributes:
        entries: the resources asked for, as they are now; empty where the whole site was asked for.
        attempts: in order; of the whole site the latest.
        decisions: in order.
    """

    entries: Sequence[Entry]
    attempts: Sequence[Attempt]
    decisions: Sequence[Decision]


def release(
    site: Site, person: Person, *, settings: Settings, response_ids: Sequence[str] = (), following: int | None = None
) -> Released:
    """Let responses be sent that wait for a person.

    Args:
        site: whose.
        person: who decides.
        settings: of the installation.
        response_ids: those; empty: the next ones.
        following: how many of the next; None: all of them.
    """
    with stores.open_ledger(settings) as ledger:
        decisions = ledger.decisions
        wanted = list(response_ids) or decisions.unreleased(site.name, limit=_ALL if following is None else following)
        count = decisions.release(site.name, wanted, who=person.who, why=person.why) if wanted else 0
        known = decisions.released(site.name, response_ids)
        return Released(
            released=count,
            before=len(known) - count if response_ids else 0,
            unknown=sorted(set(response_ids) - known),
            waiting=len(decisions.unreleased(site.name, limit=_ALL)),
        )


def accept(site: Site, person: Person, mapping: Mapping, *, settings: Settings) -> Accepted:
    """Accept that this software with this mapping and the site's write profile changes what was planned before."""
    now = made_with_text(origin.of(mapping, site.name, datetime.now(UTC)), site)
    with stores.open_ledger(settings) as ledger:
        before = ledger.decisions.origin(site.name)
        if before and before != now:
            ledger.decisions.accept(site.name, who=person.who, why=person.why, what=f"{now}, in place of {before}")
            ledger.decisions.set_origin(site.name, now)
        return Accepted(before=before, now=now)


def work_list(site: Site, *, settings: Settings) -> work.WorkList:
    """Return what is left to persons."""
    with stores.open_ledger(settings) as ledger:
        return work.work_list(ledger, site.name, profile_of(site))


def again(site: Site, person: Person, keys: Sequence[str], *, settings: Settings) -> int:
    """Make outcomes due again; returns how many that were.

    Raises:
        ConfigurationError: some are not left to a person.
    """
    with stores.open_ledger(settings) as ledger:
        whole = work.check_keys(ledger, site.name, keys)
        return ledger.decisions.again(site.name, whole, who=person.who, why=person.why)


def done(site: Site, person: Person, keys: Sequence[str], *, settings: Settings) -> None:
    """Record that a person brought outcomes into the chart by hand.

    Raises:
        ConfigurationError: some are not left to a person.
    """
    with stores.open_ledger(settings) as ledger:
        whole = work.check_keys(ledger, site.name, keys)
        ledger.decisions.done(site.name, whole, who=person.who, why=person.why)


def history(site: Site, *, settings: Settings, response_id: str = "", key: str = "") -> Past:
    """Return what was tried and decided for a response or a resource; of the whole site if neither is named.

    Args:
        site: whose.
        settings: of the installation.
        response_id: of the response.
        key: of the resource, or as much of its beginning as no other key has.

    Raises:
        ConfigurationError: the ledger has no such response or resource at this site.
    """
    with stores.open_ledger(settings) as ledger:
        if not (response_id or key):
            latest = ledger.history.latest_attempts(site.name, limit=_LATEST)
            return Past(entries=(), attempts=latest, decisions=ledger.decisions.all(site.name))
        if response_id:
            entries = ledger.of_responses(site.name, [response_id])
        else:
            entries = ledger.entries(site.name, [work.whole_key(ledger, site.name, key)])
        if not entries:
            raise ConfigurationError(f"the ledger has nothing of {response_id} at {site.name}; nothing to show")
        keys = [entry.key for entry in entries]
        return Past(
            entries=entries,
            attempts=ledger.history.attempts(site.name, keys),
            decisions=ledger.history.decisions(site.name, keys),
        )
