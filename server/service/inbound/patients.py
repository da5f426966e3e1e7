"""Who a response's patient is: from the warehouse, else from the EHR's server, which is asked while a client waits.

A server that is slow or silent must hold up no request but those that need it, so requests ask few questions at a time,
once each and not for long, and none for a while after one that was not answered. The worker asks with the site's own
patience: nobody waits for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

from integration.errors import ServerNotReachedError, ServerRefusedError, ServerUnreachableError
from integration.settings import Site
from integration.sources.client import FhirClient
from integration.warehouse import Warehouse
from server.jobs import chart

ANSWER_SECONDS: Final = 3.0
"""So long a request waits for a byte of the EHR's server, or for a connection."""
QUEUE_SECONDS: Final = 0.25
"""So long it waits until it may ask."""
REST_SECONDS: Final = 5.0
"""So long nobody asks a server that did not answer."""
_GONE: Final = (404, 410)
_BUSY: Final = (429, 502, 503, 504)


@dataclass(frozen=True, kw_only=True, slots=True)
class PatientFetcher:
    """Finds Patients in the warehouse, else on the site's server, which it then keeps in the warehouse.

    Attributes:
        site: whose Patients.
        warehouse: where they are kept.
        connect: makes a connection.
        asking: held while the server is asked.
    """

    site: Site
    warehouse: Warehouse
    connect: Callable[[], FhirClient]
    asking: Callable[[], AbstractContextManager[None]] = nullcontext

    def __call__(self, patient_id: str) -> bytes | None:
        """Return a Patient as JSON; None if neither knows one of this id.

        Raises:
            DeliveryError: the server cannot be asked now.
        """
        held = self.warehouse.read(self.site.name, "Patient", patient_id)
        if held is not None:
            return held
        try:
            with self.asking(), self.connect() as client:  # one a look-up: a connection serves one thread
                body = client.read("Patient", patient_id).body
        except ServerRefusedError as error:
            if error.status in _GONE:
                return None
            raise
        self.warehouse.store(self.site.name, [body])
        return body


class FewAtOnce:
    """Lets few ask one server at a time, and nobody for a while after it did not answer.

    Args:
        url: of the server, for errors.
        at_once: how many.
        queue_seconds: so long one waits until another has its answer.
        clock: seconds.
    """

    def __init__(
        self,
        url: str,
        at_once: int,
        *,
        queue_seconds: float = QUEUE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._slots = url, threading.BoundedSemaphore(at_once)
        self._queue_seconds, self._clock, self._rests_until = queue_seconds, clock, float("-inf")

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Wait shortly for a turn to ask, and have it.

        Raises:
            ServerNotReachedError: the server did not answer a moment ago, or too many ask it.
        """
        self._require_no_rest()
        if not self._slots.acquire(timeout=self._queue_seconds):
            raise ServerNotReachedError(url=self._url, problem="too many questions wait for an answer")
        try:
            self._require_no_rest()
            yield
        except ServerUnreachableError:
            self._rest()
            raise
        except ServerRefusedError as error:
            if error.status in _BUSY:
                self._rest()
            raise
        finally:
            self._slots.release()

    def _require_no_rest(self) -> None:
        if self._clock() < self._rests_until:
            raise ServerNotReachedError(url=self._url, problem="it did not answer a moment ago")

    def _rest(self) -> None:
        self._rests_until = self._clock() + REST_SECONDS


def of_requests(site: Site, warehouse: Warehouse, *, threads: int) -> PatientFetcher:
    """Return what asks for a client that waits; at most a quarter of a process's requests ask at a time.

    Args:
        site: whose Patients.
        warehouse: where they are kept.
        threads: requests that are worked on at a time.

    Raises:
        SettingsError: a file with a key, secret or token is missing, or does not hold one.
    """
    asking = FewAtOnce(f"{site.base_url.rstrip('/')}/Patient", max(1, threads // 4))
    return PatientFetcher(
        site=site, warehouse=warehouse, connect=chart.asking_once(site, ANSWER_SECONDS), asking=asking
    )
