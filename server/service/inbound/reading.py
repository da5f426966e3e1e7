"""What the study makes of one resource by itself, and who its patient is."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from integration import intake
from integration.intake import Rejection, rejection
from integration.intake.reader import Reader
from integration.mapping import Mapping as Study
from integration.records import Response
from integration.sources.resource import RawResource
from server.service.inbound import elsewhere
from server.service.inbound.submission import RESPONSE

FetchPatient = Callable[[str], bytes | None]
"""Returns a Patient as JSON, None if nobody knows one of this id."""
_CACHED: Final = 20_000
_CACHE_SECONDS: Final = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Along:
    """What the resources of one Bundle come along with.

    Attributes:
        patients: Patients of the Bundle, by id.
        found: who was looked up for the Bundle so far, nobody included, so that each is looked up once.
    """

    patients: Mapping[str, bytes] = field(default_factory=dict)
    found: dict[str, str | None] = field(default_factory=dict)


class ReadResource(Protocol):
    """Reads one resource; decides what is refused."""

    def __call__(
        self, resource_type: str, resource_id: str, body: bytes, along: Along | None = None, full_url: str = "", /
    ) -> Response | Rejection | None:
        """Return a response as it is scored, why a resource cannot be used, or None for another one that can.

        Args:
            resource_type: FHIR type, one that a view reads.
            resource_id: logical id.
            body: the resource as JSON.
            along: what it comes along with; None if it comes alone.
            full_url: where its Bundle says that it is; empty if it does not.

        Raises:
            DeliveryError: the EHR's server cannot be asked about the patient.
        """


class ResourceReader:
    """Reads resources, and remembers for a minute whom it found, so that few are looked up.

    What is remembered may be a minute old: enough to say that a patient is known. What is computed from it is
    computed by the worker, which looks again.

    Args:
        study: the mapping.
        fetch: finds Patients.
        bases: base URLs under which the server that they are at is known.
        clock: seconds.
    """

    def __init__(
        self,
        study: Study,
        fetch: FetchPatient,
        *,
        bases: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._study, self._fetch, self._bases, self._clock = study, fetch, tuple(bases), clock
        self._found: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(
        self, resource_type: str, resource_id: str, body: bytes, along: Along | None = None, full_url: str = "", /
    ) -> Response | Rejection | None:
        """Read one resource; see ReadResource."""

        def find(patient_id: str) -> str | None:
            return self._find_along(patient_id, along) if along else self._remembered(patient_id)

        raw = RawResource("", 1, "", b"")
        try:
            elsewhere.require_own_address(full_url, self._bases)
            elsewhere.require_own_patient(body, self._bases)
            if resource_type == RESPONSE:
                return intake.read_response(self._study, body, find)
            reader = Reader(self._study, find)
            if resource_type == "Patient":
                reader.guard(body)
                reader.patient(body)
                return None
            problem = reader.read(resource_type, resource_id, body).problem
        except intake.RejectedError as error:
            problem = error
        return rejection.of(raw, f"{resource_type}/{resource_id}", problem) if problem else None

    def find(self, patient_id: str) -> str | None:
        """Return who a patient is after merging, as of now; None if nobody knows one of this id."""
        return self._find(patient_id, {})

    def _find_along(self, patient_id: str, along: Along) -> str | None:
        if patient_id not in along.found:
            along.found[patient_id] = (
                self._find(patient_id, along.patients) if along.patients else self._remembered(patient_id)
            )
        return along.found[patient_id]

    def _remembered(self, patient_id: str) -> str | None:
        with self._lock:
            found = self._found.get(patient_id)
        if found and found[1] > self._clock():
            return found[0]
        who = self._find(patient_id, {})
        if who is not None:  # who is unknown now may be sent in the next moment
            with self._lock:
                self._found[patient_id] = who, self._clock() + _CACHE_SECONDS
                self._found.move_to_end(patient_id)
                while len(self._found) > _CACHED:
                    self._found.popitem(last=False)
        return who

    def _find(self, patient_id: str, patients: Mapping[str, bytes]) -> str | None:
        def fetch(wanted: str) -> bytes | None:
            return patients[wanted] if wanted in patients else self._fetch(wanted)

        return intake.find_patient(self._study, patient_id, fetch)
