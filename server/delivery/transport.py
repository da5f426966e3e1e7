"""What sends entries: in transactions, or one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from server.delivery.resolution import Resolver
from server.delivery.writer import Writer
from server.ledger.entries import Entry

Group = Sequence[Entry]
"""The due entries of one response, in order of sending; or the due Devices."""


class Transport(Protocol):
    """Sends outcomes in the requests that a kind of server takes."""

    def deliver(self, groups: Sequence[Group], writer: Writer, resolver: Resolver) -> None:
        """Send what can be sent of these groups, each request through `writer.attempt`."""
