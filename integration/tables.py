"""The tables of a run, as the contract names their columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import pandas as pd

from integration import msis29
from integration.cohort import Assessment, member
from integration.intake import Intake
from integration.records import Response
from integration.study import StudyFile

PATIENT_COLUMNS: Final = ("patient_id", "included", "criterion", "detail", "resource")
FLOW_COLUMNS: Final = ("step", "criterion", "patients_in", "excluded", "patients_out")
EVENT_COLUMNS: Final = (
    "patient_id", "resource", "code", "code_system", "display", "date", "days_from_procedure", "seriousness",
    "severity", "outcome", "linked_by", "session_date",
)  # fmt: skip
RESPONSE_COLUMNS: Final = (
    "response_id", "patient_id", "authored", "status", "visit", "questionnaire", "instrument_version",
    "physical_answered", "physical_raw", "physical_score", "psychological_answered", "psychological_raw",
    "psychological_score", "reason",
)  # fmt: skip
REJECTED_COLUMNS: Final = ("file", "line", "resource", "path", "problem")
_WHOLE: Final = ("age_at_procedure", "retreatment_days")


def cohort(assessments: Sequence[Assessment], study: StudyFile) -> pd.DataFrame:
    """Return one row a patient in the cohort, sorted by id; columns in `cohort.member.row`."""
    rows = [one.row for one in assessments if one.row is not None]
    frame = pd.DataFrame(rows, columns=member.columns(study))
    return _sorted(frame.astype(_cohort_types(study)), "patient_id")


def patients(assessments: Iterable[Assessment]) -> pd.DataFrame:
    """Return one row a Patient in the data, merged ones aside: `patient_id, included, criterion, detail, resource`."""
    rows = [
        (one.patient_id, False, one.failure.criterion, one.failure.detail, one.failure.resource)
        if one.failure
        else (one.patient_id, True, None, None, one.index_resource)
        for one in assessments
    ]
    return _sorted(pd.DataFrame(rows, columns=list(PATIENT_COLUMNS)), "patient_id")


def flow(assessments: Sequence[Assessment], study: StudyFile) -> pd.DataFrame:
    """Return one row a step: `step, criterion, patients_in, excluded, patients_out`."""
    left, rows = len(assessments), []
    for step, criterion in enumerate(study.flow.criteria, start=1):
        excluded = sum(1 for one in assessments if one.failure and one.failure.criterion == criterion)
        rows.append((step, criterion, left, excluded, left - excluded))
        left -= excluded
    return pd.DataFrame(rows, columns=list(FLOW_COLUMNS))


def responses(found: Iterable[Response], assessments: Iterable[Assessment]) -> pd.DataFrame:
    """Return one row a QuestionnaireResponse after de-duplication, usable or not."""
    visits = {response_id: visit for one in assessments for response_id, visit in one.visits.items()}
    frame = pd.DataFrame([_response_row(one, visits) for one in found], columns=list(RESPONSE_COLUMNS))
    for name in ("physical_answered", "physical_raw", "psychological_answered", "psychological_raw"):
        frame[name] = frame[name].astype("Int64")
    return _sorted(frame, "response_id")


def adverse_events(assessments: Iterable[Assessment]) -> pd.DataFrame:
    """Return one row a counted adverse event of any patient with a session."""
    frame = pd.DataFrame(list(_event_rows(assessments)), columns=list(EVENT_COLUMNS))
    frame["days_from_procedure"] = frame["days_from_procedure"].astype("Int64")
    return _sorted(frame, "resource")


def rejected(intake: Intake) -> pd.DataFrame:
    """Return one row a rejected resource or line, in order of reading: `file, line, resource, path, problem`."""
    rows = [(one.file, one.line, one.resource, one.path, one.problem) for one in intake.rejections]
    return pd.DataFrame(rows, columns=list(REJECTED_COLUMNS))


def response_reasons(found: Iterable[Response]) -> dict[str, int]:
    """Count responses by reason; the empty reason is `scored`. The counts add up to the responses."""
    counts = pd.Series([one.reason or "scored" for one in found], dtype=object).value_counts()
    return {str(reason): int(count) for reason, count in sorted(counts.items())}


def _cohort_types(study: StudyFile) -> dict[str, str]:
    """The dtypes of the columns that may hold missing values: whole numbers stay whole."""
    types = dict.fromkeys(_WHOLE, "Int64")
    for scale in (subscale.name for subscale in msis29.SUBSCALES):
        for visit in study.visits:
            types |= {
                f"{scale}_{visit}": "float",
                f"{scale}_sum_{visit}": "float",
                f"{scale}_answered_{visit}": "Int64",
            }
        for visit in study.follow_ups:
            types |= {f"{scale}_change_{visit}": "float", f"{scale}_sum_change_{visit}": "float"}
            types[f"{scale}_improved_{visit}"] = "object"
    return types


def _response_row(response: Response, visits: Mapping[str, str]) -> tuple[Any, ...]:
    score = response.score
    return (
        response.response_id,
        response.patient_id or None,
        response.authored or None,
        response.status or None,
        visits.get(response.response_id),
        response.questionnaire or None,
        response.instrument_version or None,
        *_subscale_cells(score.physical if score else None),
        *_subscale_cells(score.psychological if score else None),
        response.reason or None,
    )


def _subscale_cells(score: msis29.SubscaleScore | None) -> tuple[int | None, int | None, float | None]:
    if score is None:
        return None, None, None
    return score.answered, score.raw, None if score.score is None else float(score.score)


def _event_rows(assessments: Iterable[Assessment]) -> Iterator[tuple[Any, ...]]:
    for one in assessments:
        for counted in one.events:
            event = counted.event
            yield (
                one.patient_id,
                f"AdverseEvent/{event.event_id}",
                event.code or None,
                event.code_system or None,
                event.display or None,
                event.moment.day.isoformat() if event.moment else None,
                counted.days,
                event.seriousness or None,
                event.severity or None,
                event.outcome or None,
                counted.linked_by,
                counted.session.day.isoformat(),
            )


def _sorted(frame: pd.DataFrame, by: str) -> pd.DataFrame:
    return frame.sort_values(by, kind="stable", ignore_index=True)
