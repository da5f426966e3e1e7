"""What one worker of a delivery works with."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from integration.settings import Site
from integration.sources import transport
from integration.sources.client import Clock
from server.delivery.breaker import Breaker
from server.ledger import Ledger
from server.sites.profile import WriteProfile


def _new_worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4()}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """What one worker of a delivery works with.

    Attributes:
        ledger: where intents and answers are recorded.
        site: whose outcomes are delivered.
        profile: the site's shape of outcomes.
        clock: for times of waiting.
        breaker: opened when the server does not answer any more.
        new_request_id: gives each request its X-Request-Id.
        worker: who holds the leases; no other worker has this name.
    """

    ledger: Ledger
    site: Site
    profile: WriteProfile
    clock: Clock
    breaker: Breaker
    new_request_id: Callable[[], str] = lambda: str(uuid.uuid4())
    worker: str = field(default_factory=_new_worker)

    @property
    def lease_seconds(self) -> float:
        """How long a lease lasts: longer than to connect and the longest request, until its effect is certain."""
        limits = self.site.limits
        return sum(transport.timeouts(limits.timeout_seconds)) + limits.settle_seconds + SPARE_SECONDS


SPARE_SECONDS: Final = 5.0
"""So long after its claim a request may still leave: its effect is certain then before the lease ends."""
