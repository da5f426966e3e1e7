"""What the web application works with; put together by the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from server.service.access import building
from server.service.access.gate import Gate
from server.service.chart.building import Clinical
from server.service.inbound.inbound import Inbound
from server.service.operations.routes import Operations
from server.service.staff.desk import StaffDesk


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """Everything that the application needs and does not make itself.

    Attributes:
        inbound: takes what engines send.
        wake: tells the worker that something was stored.
        is_working: whether the worker does its work.
        now: the clock; aware, UTC.
        new_id: makes a logical id, or a request id.
        software_version: of Outcome Bridge.
        staff: what the staff pages know and do; None: there are none.
        gate: who may; without another, this machine alone.
        operations: health, readiness and figures.
        clinical: the chart's pages, launches and CDS Hooks; None: there are none.
        fhir_version: of the mapping (`4.0.1`).
        body_limit_bytes: a longer request body is refused.
        public_url: as others reach the service, without a slash at its end; empty: as asked.
    """

    inbound: Inbound
    wake: Callable[[], None]
    is_working: Callable[[], bool]
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    software_version: str
    operations: Operations
    staff: StaffDesk | None = None
    gate: Gate = field(default_factory=building.of_this_machine)
    clinical: Clinical | None = None
    fhir_version: str = "4.0.1"
    body_limit_bytes: int = 16 * 1024 * 1024
    public_url: str = ""

    @property
    def fhir_release(self) -> str:
        """Major and minor version, as the `fhirVersion` parameter of a content type has it (`4.0`)."""
        return ".".join(self.fhir_version.split(".")[:2])
