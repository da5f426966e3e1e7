"""What an issuer published, kept while it is fresh and through an outage of the issuer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from server.service.access.fetching import FetchError

logger = logging.getLogger(__name__)

FRESH: Final = timedelta(hours=1)
"""After which it is read again."""
PAUSE: Final = timedelta(seconds=30)
"""Between two requests to the issuer, whatever is asked of us."""
OUTAGE: Final = timedelta(hours=24)
"""For which what cannot be read again is still believed."""

_PATIENCE_SECONDS: Final = 1.0
"""From when an issuer is asked, how long others who know nothing wait for the answer: who hangs holds up nobody."""
_Value = TypeVar("_Value")


class UnavailableError(Exception):
    """It is not known, and the issuer cannot be asked now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Held(Generic[_Value]):
    value: _Value
    read: datetime


class Kept(Generic[_Value]):
    """One thing that an issuer published; threads share the object, each process has its own.

    Args:
        read: asks the issuer; raises FetchError.
        what: for the log.
        now: the clock; aware.
    """

    def __init__(self, read: Callable[[], _Value], what: str, now: Callable[[], datetime]) -> None:
        self._read, self._what, self._now = read, what, now
        self._held: _Held[_Value] | None = None
        self._asked: datetime | None = None
        self._reading = threading.Lock()
        self._began: float | None = None

    def get(self) -> _Value:
        """Return it, read again if it is no longer fresh.

        Raises:
            UnavailableError: nobody can tell.
        """
        held = self._held
        if held is None or self._age(held) >= FRESH:
            is_believed = held is not None and self._age(held) < OUTAGE
            held = self._newest(held, 0.0 if is_believed else self._patience())
        if self._age(held) >= OUTAGE:
            raise UnavailableError
        return held.value

    def again(self) -> _Value:
        """Return it read again, unless the issuer was asked just now: then as it is known.

        Raises:
            UnavailableError: nobody can tell.
        """
        return self._newest(self._held, self._patience()).value

    def _age(self, held: _Held[_Value]) -> timedelta:
        return self._now() - held.read

    def _patience(self) -> float:
        """Return for how many seconds another's answer may be waited for."""
        began = self._began
        return _PATIENCE_SECONDS if began is None else max(0.0, began + _PATIENCE_SECONDS - time.monotonic())

    def _newest(self, known: _Held[_Value] | None, patience: float) -> _Held[_Value]:
        if self._reading.acquire(timeout=patience):  # whoever waits for another's answer does not ask again
            try:
                self._began = time.monotonic()
                if self._held is known and (self._asked is None or self._now() - self._asked >= PAUSE):
                    self._ask()
            finally:
                self._began = None
                self._reading.release()
        if self._held is None:
            raise UnavailableError
        return self._held

    def _ask(self) -> None:
        before, self._asked = self._asked, self._now()
        try:
            value = self._read()
        except UnavailableError:  # what says where it is cannot be told: of this nobody was asked
            self._asked = before
            return
        except FetchError as error:
            logger.warning("%s cannot be read: %s", self._what, error, extra={"action": "issuer_not_read"})
            return
        self._held = _Held(value=value, read=self._now())
        logger.info("%s read", self._what, extra={"action": "issuer_read"})
