"""What the benchmark of the views reads: seeded, synthetic resources of the size that EHRs write them, and the views.

Four tasks: `a` Condition, filter on one SNOMED CT code, 6 columns; `b` Procedure, one row a coding of a body site, 5
columns; `c` QuestionnaireResponse, one row an item (29 a resource), 6 columns; `c2` the same, one row of 32 columns.
"""

from __future__ import annotations

import json
import random
from typing import Any

Json = dict[str, Any]

SNOMED = "http://snomed.info/sct"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
CONDITION_TYPES = "http://terminology.hl7.org/CodeSystem"
CODES = [str(24700007 + at) for at in range(10)]
WANTED = CODES[0]
WANTED_SHARE = 0.3
ITEMS = 29

_WORDS = "synthetic note about nothing in particular written only so that the resource has the usual length".split()


def _text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(_WORDS, k=words))


def _identity(chance: random.Random, kind: str, number: int) -> Json:
    return {
        "resourceType": kind,
        "id": f"{kind[:4].lower()}-{number}-{chance.getrandbits(48):012x}",
        "meta": {
            "versionId": str(chance.randint(1, 9)),
            "lastUpdated": _moment(chance),
            "profile": [f"http://hl7.org/fhir/us/core/StructureDefinition/us-core-{kind.lower()}"],
        },
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{_text(chance, 20)}</div>',
        },
        "identifier": [{"system": "urn:example:source", "value": f"{chance.getrandbits(64):016x}"}],
    }


def _moment(chance: random.Random) -> str:
    day = f"20{chance.randint(10, 24)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
    return f"{day}T{chance.randint(0, 23):02}:{chance.randint(0, 59):02}:00+01:00"


def _concept(system: str, code: str, display: str) -> Json:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _reference(chance: random.Random, kind: str) -> Json:
    return {"reference": f"{kind}/{kind.lower()}-{chance.randint(1, 5000)}", "display": _text(chance, 3)}


def condition(chance: random.Random, number: int) -> Json:
    """Return a Condition of about 1.6 kB."""
    code = WANTED if chance.random() < WANTED_SHARE else chance.choice(CODES[1:])
    codings = [
        {"system": SNOMED, "version": f"{SNOMED}/731000124108", "code": code, "display": _text(chance, 3)},
        {"system": ICD10, "code": f"G{chance.randint(10, 99)}", "display": _text(chance, 4)},
    ]
    return {
        **_identity(chance, "Condition", number),
        "clinicalStatus": _concept(f"{CONDITION_TYPES}/condition-clinical", "active", "Active"),
        "verificationStatus": _concept(f"{CONDITION_TYPES}/condition-ver-status", "confirmed", "Confirmed"),
        "category": [_concept(f"{CONDITION_TYPES}/condition-category", "problem-list-item", "Problem List Item")],
        "code": {"coding": codings, "text": _text(chance, 4)},
        "subject": _reference(chance, "Patient"),
        "encounter": _reference(chance, "Encounter"),
        "onsetDateTime": _moment(chance)[:10],
        "recordedDate": _moment(chance),
        "recorder": _reference(chance, "Practitioner"),
        "note": [{"text": _text(chance, 20)}],
    }


def procedure(chance: random.Random, number: int) -> Json:
    """Return a Procedure of about 1.6 kB with one to three body sites."""
    sites = [
        {
            "coding": [
                {"system": SNOMED, "code": str(chance.randint(10**6, 10**8)), "display": _text(chance, 3)}
                for _ in range(chance.choice([1, 1, 2]))
            ]
        }
        for _ in range(chance.randint(1, 3))
    ]
    begin = _moment(chance)
    return {
        **_identity(chance, "Procedure", number),
        "status": "completed",
        "category": _concept(SNOMED, "387713003", "Surgical procedure"),
        "code": {**_concept(SNOMED, chance.choice(CODES), _text(chance, 4)), "text": _text(chance, 4)},
        "subject": _reference(chance, "Patient"),
        "encounter": _reference(chance, "Encounter"),
        "performedPeriod": {"start": begin, "end": begin[:11] + "23:59:00+01:00"},
        "performer": [{"actor": _reference(chance, "Practitioner")}],
        "bodySite": sites,
        "note": [{"text": _text(chance, 20)}],
    }


def response(chance: random.Random, number: int) -> Json:
    """Return a QuestionnaireResponse of about 5.9 kB: 29 items with one answer each, now and then with none."""
    items = [_item(chance, at) for at in range(1, ITEMS + 1)]
    return {
        **_identity(chance, "QuestionnaireResponse", number),
        "identifier": {"system": "urn:example:source", "value": f"{chance.getrandbits(64):016x}"},
        "questionnaire": "urn:example:questionnaire|2.0",
        "status": "completed",
        "subject": _reference(chance, "Patient"),
        "authored": _moment(chance),
        "author": _reference(chance, "Practitioner"),
        "item": items,
    }


def _item(chance: random.Random, number: int) -> Json:
    answer = [{"valueInteger": chance.randint(1, 5)}] if chance.random() < 0.98 else []
    item: Json = {
        "linkId": f"item-{number}",
        "definition": f"urn:example:questionnaire#item-{number}",
        "text": f"{number}. {_text(chance, 14)}",
    }
    return {**item, "answer": answer} if answer else item


_MAKERS = {"a": condition, "b": procedure, "c": response, "c2": response}


def lines(task: str, count: int, seed: int = 29) -> list[bytes]:
    """Return the resources of a task, one JSON text each, the same for the same seed."""
    chance = random.Random(f"{seed} {task[0]}")
    return [json.dumps(_MAKERS[task](chance, at), separators=(",", ":")).encode() for at in range(count)]


def _column(name: str, path: str, fhir_type: str = "string") -> Json:
    return {"name": name, "path": path, "type": fhir_type}


def _patient(date: str) -> list[Json]:
    key = [_column("id", "getResourceKey()", "id"), _column("patient", "subject.getReferenceKey(Patient)", "id")]
    return [*key, _column("moment", date, "dateTime")]


def condition_view(code: str = WANTED) -> Json:
    """Return the view of task `a` for one SNOMED CT code."""
    clinical, icd = "clinicalStatus.coding.first().code", f"code.coding.where(system = '{ICD10}').code.first()"
    columns = [_column("recorded", "recordedDate", "dateTime"), _column("clinical", clinical, "code")]
    wanted = f"code.coding.where(system = '{SNOMED}' and code = '{code}').exists()"
    return {
        "resourceType": "ViewDefinition",
        "name": f"condition_{code}",
        "resource": "Condition",
        "where": [{"path": wanted}],
        "select": [{"column": [*_patient("onset.ofType(dateTime)"), *columns, _column("icd", icd, "code")]}],
    }


_ANSWER = "answer.value.ofType(integer).first()"
_SITE = {"forEach": "bodySite.coding", "column": [_column("site", "code", "code"), _column("display", "display")]}
_ITEM = {"forEach": "item", "column": [_column("link", "linkId"), _column("answer", _ANSWER, "integer")]}
_WIDE = [_column(f"q{at}", f"item.where(linkId = 'item-{at}').{_ANSWER}", "integer") for at in range(1, ITEMS + 1)]


def _view(name: str, resource: str, *selects: Json) -> Json:
    return {"resourceType": "ViewDefinition", "name": name, "resource": resource, "select": list(selects)}


VIEWS: dict[str, Json] = {
    "a": condition_view(),
    "b": _view("procedure_sites", "Procedure", {"column": _patient("performed.ofType(Period).start")}, _SITE),
    "c": _view(
        "answers",
        "QuestionnaireResponse",
        {"column": [*_patient("authored"), _column("status", "status", "code")]},
        _ITEM,
    ),
    "c2": _view("responses", "QuestionnaireResponse", {"column": [*_patient("authored"), *_WIDE]}),
}
"""The ViewDefinition of each task."""
