"""What changed at the site since the last time, read into the inbox; a hint asks for it, and is believed no further.

The watermark is the highest `meta.lastUpdated` that was read, by the server's own clock, and never by ours, which may
go ahead of it: where nothing was found it stays. What is later than the pull itself counts for nothing: one time in the
far future would hide every later change. Each pull begins somewhat before the watermark: a server may show a change
later than its time says.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from integration import versions
from integration.intake import RejectedError, Rejection, newest
from integration.outcomes import Resource
from integration.settings import Site
from integration.sources import search
from integration.sources.client import FhirClient
from server.service.inbound import elsewhere, submission
from server.service.inbound.deposits import Answer, Deposit, Unit
from server.service.inbound.group_commit import GroupCommit
from server.service.inbound.inbox import Inbox
from server.service.inbound.reading import ReadResource
from server.service.inbound.submission import RESPONSE
from server.service.operation_outcome import RefusedError

logger = logging.getLogger(__name__)

CALLER: Final = "pull"
OVERLAP: Final = timedelta(minutes=2)
FIRST: Final = timedelta(days=1)
"""How far the first pull goes back; what is older is read by a run of the study."""
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNIT: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Puller:
    """Reads a site's changed responses.

    Attributes:
        inbox: where they go.
        commit: stores them.
        read: decides what is set aside: here is nobody who could be told.
        site: settings of the server.
        now: the clock; aware, UTC.
        is_planned: whether a run of the study planned a response, by its id. A run takes whatever the site's export
            calls its patients, so such a response is not set aside for how it names its patient.
    """

    inbox: Inbox
    commit: GroupCommit
    read: ReadResource
    site: Site
    now: Callable[[], datetime]
    is_planned: Callable[[str], bool] = lambda _: False

    def pull(self, client: FhirClient) -> int:
        """Read what is asked for; returns how many responses came, known ones included.

        Raises:
            DeliveryError: the server cannot be read; it stays asked for.
        """
        wanted = self.inbox.pulls.wanted()
        if wanted is None:
            return 0
        began = self.now()
        read_to = _believable(datetime.fromisoformat(wanted.watermark), began) if wanted.watermark else None
        since, latest, count = read_to - OVERLAP if read_to else began - FIRST, read_to, 0
        parameters = {"_lastUpdated": f"ge{since.isoformat(timespec='milliseconds')}"}
        found = search.resources(client, RESPONSE, page_size=self.site.limits.page_size, parameters=parameters)
        for batch in _batches(found):
            self.commit.take(self._unit(batch))
            count += len(batch)
            updated = (_believable(one, began) for one in _updated(batch))
            latest = max((one for one in (latest, *updated) if one), default=None)
        self.inbox.pulls.served(wanted, (latest or since).isoformat(timespec="microseconds"))
        logger.info(
            "responses pulled", extra={"action": "responses_pulled", "site": self.site.name, "responses": count}
        )
        return count

    def _unit(self, bodies: Sequence[bytes]) -> Unit:
        deposits = [one for body in bodies if not self._is_of_a_run(one := self._deposit(body))]
        return Unit(
            caller=CALLER, request_id="", content_hash="", deposits=deposits,
            answer=lambda _: Answer(status=200), is_poison_kept=True,
        )  # fmt: skip

    def _deposit(self, body: bytes) -> Deposit:
        try:
            one = submission.read(body, RESPONSE)
        except RefusedError as error:
            one, problem = submission.unreadable(body), error.refusal.problem
        else:
            read = self.read(one.resource_type, one.resource_id, one.body)
            problem = read.reason if isinstance(read, Rejection) else ""
        return one.deposit(problem=problem)

    def _is_of_a_run(self, one: Deposit) -> bool:
        if not one.problem.endswith(elsewhere.PROBLEM) or not self.is_planned(one.resource_id):
            return False
        facts = {"action": "pull_passed_over", "site": self.site.name, "response": one.resource_id}
        logger.warning("a response of a run names its patient by another server; runs alone read it", extra=facts)
        return True


def _batches(bodies: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for body in bodies:
        batch.append(body)
        if len(batch) == _UNIT:
            yield batch
            batch = []
    if batch:
        yield batch


def _believable(updated: datetime, began: datetime) -> datetime | None:
    """Return when something was updated, None if that cannot be: a server's clock was wrong, or its data came so."""
    return updated if _EARLIEST <= updated <= began else None


def _updated(bodies: Sequence[bytes]) -> list[datetime]:
    """Return the `meta.lastUpdated` of those that have one."""
    found = []
    for body in bodies:
        try:
            meta: Resource | None = newest.header(body).meta
        except RejectedError:
            continue
        updated = versions.version(meta).updated
        if updated is not None:
            found.append(updated)
    return found
