"""What the staff pages know and do, without any web framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

from server import work
from server.delivery.safeguards import NOT_RELEASED
from server.ledger import Ledger
from server.ledger.decisions import Decision
from server.ledger.history import Attempt
from server.ledger.overview import Overview, Row
from server.ledger.states import Books
from server.service.inbound.inbox import Inbox, Quarantined
from server.service.operations.figures import Figures, Stores
from server.service.staff import arrivals
from server.service.staff.arrivals import Late
from server.sites.profile import WriteProfile
from server.work import Item

PAGE: Final = 50
"""Lines of a list."""
_MOST_WAITING: Final = 1_000_000
Settling = Literal["again", "done"]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Overall:
    """How the site stands.

    Attributes:
        figures: of the stores.
        books: what became of every outcome.
        left: resources that a person must see to.
        said_done: resources that a person said to have done by hand.
        unreleased: responses that a delivery withheld until a person releases them.
        late: versions that came last and do not count.
    """

    figures: Figures
    books: Books
    left: int
    said_done: int
    unreleased: int
    late: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[T]):
    """Some lines of a list.

    Attributes:
        lines: of this page.
        total: lines of the whole list; -1 where they are not counted.
        number: of this page, from 1.
        has_next: whether there are more.
    """

    lines: Sequence[T]
    total: int
    number: int
    has_next: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreleased:
    """A response that waits for a person's release.

    Attributes:
        response_id: of the QuestionnaireResponse.
        planned: what is planned of it, as a hash that is another whenever that is.
    """

    response_id: str
    planned: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ResponsePast:
    """What became of one response.

    Attributes:
        response_id: of the QuestionnaireResponse.
        reason: why it has no score; empty: it has one; None: the ledger does not know it.
        received: by version that came to the service, when.
        rows: its outcomes.
        attempts: by outcome's key, in order.
        decisions: of persons, in order.
    """

    response_id: str
    reason: str | None
    received: Mapping[int, str]
    rows: Sequence[Row]
    attempts: Mapping[str, Sequence[Attempt]]
    decisions: Sequence[Decision]

    @property
    def is_known(self) -> bool:
        """Whether anything is known of it."""
        return bool(self.rows or self.received) or self.reason is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class StaffDesk:
    """One site, for its staff.

    Attributes:
        site: its name.
        ledger: what is planned and delivered.
        overview: the same, for figures and trails.
        inbox: what was sent.
        stores: figures.
        profile: of the site, which decides what advice fits.
    """

    site: str
    ledger: Ledger
    overview: Overview
    inbox: Inbox
    stores: Stores
    profile: WriteProfile

    def overall(self) -> Overall:
        """Read how the site stands."""
        found = self._work()
        return Overall(
            figures=self.stores.figures(),
            books=self.ledger.books(self.site),
            left=len(found.items),
            said_done=found.said_done,
            unreleased=self.overview.withheld(self.site, NOT_RELEASED),
            late=arrivals.count_late(self.inbox),
        )

    def review(self, *, state: str, text: str, number: int) -> Page[Item]:
        """Return what a person must see to.

        Args:
            state: only of this state; empty: of all.
            text: only where an id or the reason holds this; empty: all.
            number: of the page, from 1.
        """
        found = [one for one in self._work().items if (not state or one.state == state) and _holds(one, text)]
        return _page(found, number)

    def settle(self, keys: Sequence[str], settling: Settling, *, who: str, why: str) -> int:
        """Do what a person decided about outcomes on the list; returns how many that concerned.

        Raises:
            ConfigurationError: some are not on the list.
        """
        work.check_keys(self.ledger, self.site, keys)
        if settling == "done":
            self.ledger.decisions.done(self.site, keys, who=who, why=why)
            return len(set(keys))
        return self.ledger.decisions.again(self.site, keys, who=who, why=why)

    def unreleased(self, number: int) -> Page[Unreleased]:
        """Return the responses that wait for a person's release, in order of id."""
        decisions = self.ledger.decisions
        page = _page(decisions.unreleased(self.site, limit=_MOST_WAITING), number)
        planned = decisions.planned(self.site, page.lines)
        lines = [Unreleased(response_id=one, planned=planned.get(one, "")) for one in page.lines]
        return Page(lines=lines, total=page.total, number=page.number, has_next=page.has_next)

    def release(self, seen: Sequence[Unreleased], *, who: str, why: str) -> int:
        """Let responses be sent as they were shown; returns how many were not released before.

        Raises:
            ConfigurationError: something else is planned of one by now; nothing was released.
        """
        planned = {one.response_id: one.planned for one in seen}
        return self.ledger.decisions.release(self.site, planned, who=who, why=why, seen=planned)

    def quarantined(self, after: int, *, caller: str = "") -> Page[Quarantined]:
        """Return what was set aside, from a position on; only of one sender if it is named."""
        return _part(self.inbox.quarantined(after, PAGE + 1, caller=caller), after)

    def late(self, after: int) -> Page[Late]:
        """Return the versions that came last and do not count, from a position on."""
        return _part(arrivals.late(self.inbox, after=after, limit=PAGE + 1), after)

    def take_again(self, sequences: Sequence[int], *, who: str, why: str) -> int:
        """Have what was set aside read again; returns how many."""
        places = ", ".join(map(str, sequences))
        self.ledger.decisions.accept(self.site, who=who, why=why, what=f"quarantine, taken again: {places}")
        return self.inbox.take_again(sequences)

    def response(self, response_id: str) -> ResponsePast:
        """Return what became of a response."""
        return self._past(response_id, self.overview.of_response(self.site, response_id))

    def patient(self, patient_id: str) -> list[ResponsePast]:
        """Return what became of each of a patient's responses; empty if none is known."""
        rows = self.overview.of_patient(self.site, patient_id)
        ids = sorted({row.response_id for row in rows})
        return [self._past(one, [row for row in rows if row.response_id == one]) for one in ids]

    def _past(self, response_id: str, rows: Sequence[Row]) -> ResponsePast:
        keys = [row.key for row in rows]
        attempts: dict[str, list[Attempt]] = {key: [] for key in keys}
        for one in self.ledger.history.attempts(self.site, keys):
            attempts[one.key].append(one)
        return ResponsePast(
            response_id=response_id,
            reason=self.overview.reason(self.site, response_id),
            received={one.version: one.received for one in self.inbox.versions("QuestionnaireResponse", [response_id])},
            rows=rows,
            attempts=attempts,
            decisions=self.ledger.history.decisions(self.site, keys),
        )

    def _work(self) -> work.WorkList:
        return work.work_list(self.ledger, self.site, self.profile)


def _holds(item: Item, text: str) -> bool:
    wanted = text.strip().lower()
    return any(wanted in one.lower() for one in (item.response_id, item.patient_id, item.reason, item.key, item.ehr_id))


def _part(found: Sequence[T], after: int) -> Page[T]:
    return Page(lines=found[:PAGE], total=-1, number=1 if after == 0 else 2, has_next=len(found) > PAGE)


def _page(found: Sequence[T], number: int) -> Page[T]:
    last = max(1, -(-len(found) // PAGE))
    number = min(max(number, 1), last)
    lines = found[(number - 1) * PAGE : number * PAGE]
    return Page(lines=lines, total=len(found), number=number, has_next=number < last)
