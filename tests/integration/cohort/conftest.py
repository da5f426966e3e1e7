"""Records of one patient to order: what the cohort's functions take."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from integration import msis29
from integration.cohort import Assessment, member
from integration.cohort.sessions import Session
from integration.mapping import Mapping
from integration.records import AdverseEvent, Condition, Moment, Patient, PatientRows, Procedure, Response
from integration.study import StudyFile

INDEX_DAY = date(2011, 5, 10)


class Records:
    """Records of the patient `p`, whose index procedure is on 10 May 2011 unless said otherwise.

    A date is given as days from that day, or as a text as FHIR writes it.
    """

    index_day = INDEX_DAY

    def moment(self, when: int | str) -> Moment:
        if isinstance(when, int):
            day = INDEX_DAY + timedelta(days=when)
            return Moment(day=day, instant=None, text=day.isoformat())
        written = datetime.fromisoformat(when)
        return Moment(day=written.date(), instant=written if written.tzinfo else None, text=when)

    def patient(self, **more: Any) -> Patient:
        return Patient(
            **({"patient_id": "p", "sex": "female", "birth_date": "1970-05-10", "is_synthetic": True} | more)
        )

    def procedure(self, when: int | str = 0, procedure_id: str = "x", **more: Any) -> Procedure:
        default = {
            "procedure_id": procedure_id,
            "patient_id": "p",
            "status": "completed",
            "moment": self.moment(when),
            "is_venoplasty": True,
            "is_stent": False,
            "is_imaging": False,
            "sites": frozenset([("azygos", "")]),
        }
        return Procedure(**(default | more))

    def imaging(self, when: int | str, procedure_id: str = "i", **more: Any) -> Procedure:
        return self.procedure(
            when, procedure_id, **({"is_venoplasty": False, "is_imaging": True, "sites": frozenset()} | more)
        )

    def condition(self, when: int | str | None = -1000, condition_id: str = "c", **more: Any) -> Condition:
        default = {
            "condition_id": condition_id,
            "patient_id": "p",
            "ms_type": "RRMS",
            "moment": None if when is None else self.moment(when),
            "is_usable": True,
        }
        return Condition(**(default | more))

    def event(self, when: int | str | None = 3, event_id: str = "e", **more: Any) -> AdverseEvent:
        default = {
            "event_id": event_id,
            "patient_id": "p",
            "code": "128053003",
            "code_system": "http://snomed.info/sct",
            "display": "",
            "moment": None if when is None else self.moment(when),
            "seriousness": "",
            "severity": "",
            "outcome": "",
            "suspects": frozenset(),
        }
        return AdverseEvent(**(default | more))

    def response(
        self,
        when: int | str | None,
        response_id: str = "r",
        *,
        physical: int | None = 3,
        psychological: int | None = 3,
        version: msis29.Version = "1",
        reason: str = "",
        **more: Any,
    ) -> Response:
        """A response that answers each subscale's items alike; None leaves a subscale out."""
        answers: dict[int, list[int | None]] = {}
        for subscale, answer in ((msis29.PHYSICAL, physical), (msis29.PSYCHOLOGICAL, psychological)):
            answers |= {item: [answer] for item in subscale.items} if answer is not None else {}
        score = msis29.score(answers, version)
        default = {
            "response_id": response_id,
            "patient_id": "p",
            "status": "completed",
            "moment": None if when is None else self.moment(when),
            "instrument_version": version,
            "score": score if not reason else None,
            "reason": reason or score.reason,
        }
        return Response(**(default | more))

    def session(self, when: int | str = 0, **more: Any) -> Session:
        moment = self.moment(when)
        default = {
            "day": moment.day,
            "start": moment.instant,
            "procedure_ids": ("x",),
            "sites": frozenset([("azygos", "")]),
            "has_stent": False,
        }
        return Session(**(default | more))

    def rows(self, *records: Any, **patient: Any) -> PatientRows:
        rows = PatientRows(patient=self.patient(**patient))
        lists = {
            Procedure: rows.procedures,
            Condition: rows.conditions,
            AdverseEvent: rows.adverse_events,
            Response: rows.responses,
        }
        for record in records:
            lists[type(record)].append(record)  # type: ignore[attr-defined]  # each list holds its own kind
        return rows

    def row(self, assessment: Assessment, study: StudyFile) -> dict[str, Any] | None:
        """The cells of cohort.csv by column."""
        if assessment.row is None:
            return None
        return dict(zip(member.columns(study), assessment.row, strict=True))

    def instant(self, text: str) -> datetime:
        return datetime.fromisoformat(text).astimezone(UTC)


@pytest.fixture(scope="session")
def records() -> Records:
    return Records()


@pytest.fixture(scope="session")
def study(default_mapping: Mapping) -> StudyFile:
    return default_mapping.study
