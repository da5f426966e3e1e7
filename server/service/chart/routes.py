"""The pages below /chart: one patient's scores over time, and the responses that they come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import flask
from flask import Blueprint, Response

from integration.evidence import EvidenceFile, Link
from integration.study import StudyFile
from server.service import pages
from server.service.chart import assembly, drawing, ehr, wording
from server.service.chart.assembly import Sources
from server.service.chart.found import EhrReading
from server.service.chart.gathering import Gathering, Person
from server.service.chart.model import LABELS, SCALES, Chart
from server.service.chart.response_page import sent
from server.service.chart.viewer import Viewer
from server.service.pages import PageError

PREFIX: Final = "/chart"
_CITED: Final = ("sham-controlled trial", "review")


def _url_of(patient_id: str, response_id: str = "") -> str:
    if response_id:
        return flask.url_for("chart.response", patient_id=patient_id, response_id=response_id)
    return flask.url_for("chart.chart", patient_id=patient_id)


_HELPERS: Final[dict[str, Any]] = {
    "url_of": _url_of,
    "number": wording.number,
    "signed": wording.signed,
    "answered_of": wording.answered_of,
    "short_day": wording.short_day,
    "moment": wording.shown,
    "labels": LABELS,
    "scales": SCALES,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ChartPages:
    """What the chart's pages work with.

    Attributes:
        gathering: what the service knows of patients.
        viewer: says who looks, or raises PageError.
        now: the clock; aware, UTC.
        made_by: software and mapping with their versions.
    """

    gathering: Gathering
    viewer: Callable[[], Viewer]
    now: Callable[[], datetime]
    made_by: str

    @property
    def study(self) -> StudyFile:
        """The study whose visits and baseline the chart shows."""
        return self.gathering.mapping.study


def blueprint(chart_pages: ChartPages) -> Blueprint:
    """Build the routes below /chart."""
    place = Blueprint("chart", __name__, url_prefix=PREFIX)
    pages.answer_with_pages(place)

    @place.get("/<patient_id>")
    def chart(patient_id: str) -> Any:
        viewer, person = _seen(chart_pages, patient_id)
        _require_granted(viewer, "Observation", "scores")
        if person.patient_id != patient_id:
            return flask.redirect(flask.url_for("chart.chart", patient_id=person.patient_id), 303)
        made = made_chart(chart_pages, viewer, person)
        return pages.render("chart.html", **_HELPERS, **_context(chart_pages, made), **_staff(viewer, person))

    @place.get("/<patient_id>/response/<response_id>")
    def response(patient_id: str, response_id: str) -> Response:
        viewer, person = _seen(chart_pages, patient_id)
        _require_granted(viewer, "QuestionnaireResponse", "answers")
        gathering = chart_pages.gathering
        body = gathering.response(person, response_id, EhrReading())
        if body is None:
            body = gathering.response(person, response_id, _read(chart_pages, viewer, person))
        if body is None:
            raise PageError(404, "This patient has no response of this id here.")
        is_synthetic = gathering.rows(person, (), EhrReading()).patient.is_synthetic
        shown: dict[str, Any] = {"sent": sent(body), "patient_id": person.patient_id, "response_id": response_id}
        values = {**shown, **_staff(viewer, person), "is_synthetic": is_synthetic}
        return pages.render("response.html", **_HELPERS, **values)

    return place


def made_chart(chart_pages: ChartPages, viewer: Viewer, person: Person) -> Chart:
    """Read everything that a chart is made of, and put it together."""
    gathering = chart_pages.gathering
    held = gathering.held(person)
    reading = _read(chart_pages, viewer, person)
    sources = Sources(
        rows=gathering.rows(person, held, reading),
        aliases=person.aliases,
        held=held,
        ehr=reading,
        identity=gathering.identity(person) if viewer.needs_banner else None,
        today=chart_pages.now().date(),
    )
    return assembly.chart(sources, chart_pages.study)


def cited(evidence: EvidenceFile) -> tuple[tuple[str, Link], ...]:
    """Return the later trials and reviews that every chart names, each with its first link."""
    return tuple((one.name, one.links[0]) for one in evidence.evidence if one.kind in _CITED and one.links)


def _seen(chart_pages: ChartPages, patient_id: str) -> tuple[Viewer, Person]:
    """Return who looks and at whom; whom one may not see is refused before it is said whether there is such a one."""
    viewer = chart_pages.viewer()
    if viewer.patient_id and viewer.patient_id != patient_id:
        own = chart_pages.gathering.person(viewer.patient_id, viewer.connect)
        if own is None or patient_id not in own.aliases:
            raise PageError(
                403,
                "This login is for another patient’s chart.",
                advice="Open the chart from the EHR once more, with this patient selected.",
            )
    person = chart_pages.gathering.person(patient_id, viewer.connect)
    if person is None:
        raise PageError(404, "No patient is known by this id.", heading="This patient is not known here")
    return viewer, person


def _require_granted(viewer: Viewer, resource_type: str, what: str) -> None:
    """See that the login may see what a page shows, wherever it is kept."""
    if not viewer.may_see(resource_type):
        raise PageError(
            403,
            f"The EHR’s login does not let {what} be read ({resource_type}).",
            advice="Whoever runs the EHR can grant that to this app; then open the chart from the EHR once more.",
        )


def _read(chart_pages: ChartPages, viewer: Viewer, person: Person) -> EhrReading:
    if viewer.connect is None:
        return EhrReading(problem="this service has no login to read it")
    held = chart_pages.gathering.held(person)
    known = {one.entry.ehr_id for one in held if one.entry.resource_type == "Observation" and one.entry.ehr_id}
    question = ehr.Question(
        patient_id=viewer.patient_id or person.patient_id,
        ehr_ids=tuple(sorted(known)),
        response_ids=tuple(sorted({one.entry.response_id for one in held} - {""})),
        granted=viewer.granted,
    )
    return ehr.read(viewer.connect, question, now=chart_pages.now)


def _staff(viewer: Viewer, person: Person) -> dict[str, Any]:
    """Return where the staff pages show the patient; an empty address for whom they are not open to."""
    address = f"{flask.request.root_path}/staff/patients/{quote(person.patient_id, safe='')}"
    return {"staff_url": address if viewer.is_staff else ""}


def _context(chart_pages: ChartPages, chart: Chart) -> dict[str, Any]:
    return {
        "chart": chart,
        "wide": drawing.draw(chart),
        "narrow": drawing.draw(chart, width=drawing.NARROW, name="narrow"),
        "cited": cited(chart_pages.gathering.mapping.evidence),
        "made_by": chart_pages.made_by,
        "made_at": chart_pages.now(),
    }
