"""Whether the service can take what is sent to it: its stores can be written, its disk has room, and somebody works.

That the EHR's server is away does not make it unready: what is sent meanwhile is stored, and delivered later. What no
process works at is delivered by nobody, and whoever sent it was told that it is; so that does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from integration.errors import OutcomeBridgeError
from server.service.operations.figures import Stores

NEGLECTED_SECONDS: Final = 600.0
"""So long may something wait that no process works at; a silent worker keeps its lease for as long."""
_FAULTS: Final = (OutcomeBridgeError, SQLAlchemyError, OSError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that must hold.

    Attributes:
        name: of it.
        problem: what is wrong, in a few words without a secret; empty: nothing.
    """

    name: str
    problem: str


class Readiness:
    """Looks at everything that an answer needs.

    Args:
        stores: of the site.
        check_inbox: raises if the inbox cannot be written.
        least_free_bytes: room that must be left on the disk.
    """

    def __init__(self, stores: Stores, check_inbox: Callable[[], object], least_free_bytes: int) -> None:
        self._stores, self._check_inbox, self._least_free_bytes = stores, check_inbox, least_free_bytes

    def checks(self) -> list[Check]:
        """Return what was looked at."""
        return [
            Check(name="ledger", problem=_problem(self._stores.overview.check_writable)),
            Check(name="inbox", problem=_problem(self._check_inbox)),
            Check(name="disk", problem=self._room()),
            Check(name="work", problem=self._neglect()),
        ]

    def ehr(self) -> Mapping[str, Any]:
        """Return how the site's server is, which decides nothing; empty if the ledger cannot tell."""
        try:
            breaker = self._stores.breaker()
            return {
                "site": self._stores.site,
                "last_contact": self._stores.overview.last_contact(self._stores.site) or None,
                "failed_contact": self._stores.failed_contact() or None,
                "breaker": "open" if self._stores.is_open(breaker) else "closed",
                "breaker_open_until": breaker.open_until or None,
            }
        except _FAULTS:
            return {"site": self._stores.site}

    def _neglect(self) -> str:
        try:
            seconds = self._stores.neglected_seconds()
        except _FAULTS as error:
            return f"cannot be looked at ({type(error).__name__})"
        is_long = seconds > NEGLECTED_SECONDS
        return f"something has waited for {seconds:.0f} s, and no process works at it" if is_long else ""

    def _room(self) -> str:
        try:
            free = self._stores.free_bytes()
        except OSError as error:
            return f"cannot be looked at ({type(error).__name__})"
        least = self._least_free_bytes
        return f"{free // 10**6} MB are left, less than {least // 10**6} MB" if free < least else ""


def _problem(check: Callable[[], object]) -> str:
    """Return what a check says; of the error its kind only, for its words may name an account."""
    try:
        check()
    except _FAULTS as error:
        return f"cannot be written ({type(error).__name__})"
    return ""
