"""FHIR R4 resources to order, and the default study to read them with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from integration import intake, mapping
from integration.sources import bundle
from integration.sources.resource import RawResource, Unreadable

Resource = dict[str, Any]
Read = Callable[..., intake.Intake]

SNOMED = "http://snomed.info/sct"
V1 = "urn:outcome-bridge:questionnaire:msis-29-v1"
LIMIT_BYTES = 1 << 24


@dataclass(frozen=True)
class Lines:
    """A source of resources that were written by a test: dicts, or bytes as they stand."""

    lines: tuple[Any, ...]

    def __iter__(self) -> Iterator[RawResource | Unreadable]:
        for number, line in enumerate(self.lines, start=1):
            body = line if isinstance(line, bytes) else json.dumps(line).encode()
            yield from bundle.unpacked(RawResource("test.ndjson", number, "", body), LIMIT_BYTES)


class Fhir:
    """Resources of one synthetic patient called `p`, complete unless changed; None leaves an element out."""

    @staticmethod
    def code(code: str | None, system: str | None = SNOMED, **more: Any) -> Resource:
        coding = {"system": system, "code": code, **more}
        return {"coding": [{key: value for key, value in coding.items() if value is not None}]}

    def patient(self, patient_id: str = "p", **more: Any) -> Resource:
        return _merged(
            {"resourceType": "Patient", "id": patient_id, "gender": "female", "birthDate": "1970-05-01"}, more
        )

    def merged(self, patient_id: str, into: str) -> Resource:
        return self.patient(patient_id, link=[{"other": {"reference": f"Patient/{into}"}, "type": "replaced-by"}])

    def condition(self, condition_id: str = "c", **more: Any) -> Resource:
        default = {
            "resourceType": "Condition",
            "id": condition_id,
            "code": self.code("24700007"),
            "subject": {"reference": "Patient/p"},
            "onsetDateTime": "2005-03-01",
        }
        return _merged(default, more)

    def procedure(self, procedure_id: str = "x", **more: Any) -> Resource:
        default = {
            "resourceType": "Procedure",
            "id": procedure_id,
            "status": "completed",
            "code": self.code("68457009"),
            "subject": {"reference": "Patient/p"},
            "performedDateTime": "2011-05-10",
            "bodySite": [self.code("72107004")],
        }
        return _merged(default, more)

    def event(self, event_id: str = "e", **more: Any) -> Resource:
        default = {
            "resourceType": "AdverseEvent",
            "id": event_id,
            "actuality": "actual",
            "event": self.code("128053003"),
            "subject": {"reference": "Patient/p"},
            "date": "2011-05-13",
        }
        return _merged(default, more)

    def response(self, response_id: str = "r", **more: Any) -> Resource:
        default = {
            "resourceType": "QuestionnaireResponse",
            "id": response_id,
            "status": "completed",
            "questionnaire": V1,
            "subject": {"reference": "Patient/p"},
            "authored": "2011-05-01",
            "item": self.items(),
        }
        return _merged(default, more)

    def items(self, answers: Iterable[Any] | None = None, **others: Any) -> list[Resource]:
        """Items 1 to 29, all 3; `others` replaces some by `_7=...`, the `answer` list of item 7, None leaves it out."""
        values: dict[str, Any] = {str(number): [{"valueInteger": 3}] for number in range(1, 30)}
        if answers is not None:
            values = {str(number): [{"valueInteger": one}] for number, one in enumerate(answers, 1) if one is not None}
        values |= {name.removeprefix("_"): value for name, value in others.items()}
        return [{"linkId": link, "answer": value} for link, value in values.items() if value is not None]


def _merged(default: Resource, more: Resource) -> Resource:
    return {key: value for key, value in (default | more).items() if value is not None}


@pytest.fixture(scope="session")
def default_mapping() -> mapping.Mapping:
    return mapping.load()


@pytest.fixture(scope="session")
def fhir() -> Fhir:
    return Fhir()


@pytest.fixture(scope="session")
def read(default_mapping: mapping.Mapping) -> Read:
    """Read lines with the default study."""
    return lambda *lines: intake.read(Lines(lines), default_mapping)
