"""The ledger: what each site's chart shall hold, and what it is known to hold. The state that must not be lost."""

from __future__ import annotations

from server.ledger.entries import Entry, Settlement
from server.ledger.planning import PlanCounts
from server.ledger.store import Ledger

__all__ = ["Entry", "Ledger", "PlanCounts", "Settlement"]
