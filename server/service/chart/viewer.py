"""Who looks at a chart, at whose, and with which login the EHR is read for them."""

from __future__ import annotations

from dataclasses import dataclass

from server.service.chart.ehr import Connect


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewer:
    """Who looks.

    Attributes:
        patient_id: the one patient whose chart may be opened, as the EHR's login names it; empty: any.
        connect: makes connections to the EHR with the login at hand; None if there is none.
        granted: types that this login may read; None if nobody said.
        is_staff: whether the staff pages are open to them.
        needs_banner: whether the page must say who the patient is, because nothing around it does.
    """

    patient_id: str = ""
    connect: Connect | None = None
    granted: frozenset[str] | None = None
    is_staff: bool = False
    needs_banner: bool = True

    def may_see(self, resource_type: str) -> bool:
        """Whether the login lets this type be read; what is kept here of it is shown to nobody else."""
        return self.granted is None or bool({resource_type, "*"} & self.granted)
