"""The four tasks written by hand: `msgspec` structs of what is read, one loop, one Arrow batch per 2,000 resources.

This is what a careful programmer writes for one task and one set of files: it knows the types, takes every list as
short, and checks nothing that the decoder does not check anyway. Each function takes lines and yields Arrow batches;
with `is_checked` it refuses, as our views do, what is not UTF-8, also where nothing is read.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
import pyarrow as pa
from views_data import ICD10, ITEMS, SNOMED, WANTED

BATCH = 2_000
TEXT, INTEGER = pa.string(), pa.int64()


class CodeOnly(msgspec.Struct, gc=False):
    code: str | None = None


class SystemAndCode(msgspec.Struct, gc=False):
    system: str | None = None
    code: str | None = None


class CodeAndDisplay(msgspec.Struct, gc=False):
    code: str | None = None
    display: str | None = None


class Clinical(msgspec.Struct, gc=False):
    coding: list[CodeOnly] = []


class Concept(msgspec.Struct, gc=False):
    coding: list[SystemAndCode] = []


class Site(msgspec.Struct, gc=False):
    coding: list[CodeAndDisplay] = []


class Reference(msgspec.Struct, gc=False):
    reference: str | None = None


class Period(msgspec.Struct, gc=False):
    start: str | None = None


class Condition(msgspec.Struct, gc=False, tag_field="resourceType", tag="Condition"):
    id: str | None = None
    clinicalStatus: Clinical | None = None  # noqa: N815
    code: Concept | None = None
    subject: Reference | None = None
    onsetDateTime: str | None = None  # noqa: N815
    recordedDate: str | None = None  # noqa: N815


class Procedure(msgspec.Struct, gc=False, tag_field="resourceType", tag="Procedure"):
    id: str | None = None
    subject: Reference | None = None
    performedPeriod: Period | None = None  # noqa: N815
    bodySite: list[Site] = []  # noqa: N815


class Answer(msgspec.Struct, gc=False):
    valueInteger: int | None = None  # noqa: N815


class Item(msgspec.Struct, gc=False):
    linkId: str | None = None  # noqa: N815
    answer: list[Answer] = []


class Response(msgspec.Struct, gc=False, tag_field="resourceType", tag="QuestionnaireResponse"):
    id: str | None = None
    status: str | None = None
    subject: Reference | None = None
    authored: str | None = None
    item: list[Item] = []


DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    "a": msgspec.json.Decoder(Condition),
    "b": msgspec.json.Decoder(Procedure),
    "c": msgspec.json.Decoder(Response),
    "c2": msgspec.json.Decoder(Response),
}


def _patient(reference: Reference | None) -> str | None:
    if reference is None or reference.reference is None or not reference.reference.startswith("Patient/"):
        return None
    return reference.reference[8:]


def conditions(lines: Iterable[bytes], *, is_checked: bool = False) -> Iterator[pa.RecordBatch]:
    """Task a."""
    decode = DECODERS["a"].decode
    for some in _chunks(lines):
        ids, patients, onsets, recorded, clinical, icd = columns = _lists(6)
        for line in some:
            if is_checked and not line.isascii():
                line.decode()
            found = decode(line)
            if found.code is None:
                continue
            codings = found.code.coding
            for coding in codings:
                if coding.code == WANTED and coding.system == SNOMED:
                    break
            else:
                continue
            ids.append(found.id)
            patients.append(_patient(found.subject))
            onsets.append(found.onsetDateTime)
            recorded.append(found.recordedDate)
            clinical.append(
                found.clinicalStatus.coding[0].code if found.clinicalStatus and found.clinicalStatus.coding else None
            )
            for coding in codings:
                if coding.system == ICD10:
                    icd.append(coding.code)
                    break
            else:
                icd.append(None)
        yield _batch(["id", "patient", "moment", "recorded", "clinical", "icd"], columns, [TEXT] * 6)


def procedures(lines: Iterable[bytes], *, is_checked: bool = False) -> Iterator[pa.RecordBatch]:
    """Task b."""
    decode = DECODERS["b"].decode
    for some in _chunks(lines):
        ids, patients, starts, sites, displays = columns = _lists(5)
        for line in some:
            if is_checked and not line.isascii():
                line.decode()
            found = decode(line)
            key, patient = found.id, _patient(found.subject)
            start = found.performedPeriod.start if found.performedPeriod else None
            for site in found.bodySite:
                for coding in site.coding:
                    ids.append(key)
                    patients.append(patient)
                    starts.append(start)
                    sites.append(coding.code)
                    displays.append(coding.display)
        yield _batch(["id", "patient", "moment", "site", "display"], columns, [TEXT] * 5)


def answers(lines: Iterable[bytes], *, is_checked: bool = False) -> Iterator[pa.RecordBatch]:
    """Task c."""
    decode = DECODERS["c"].decode
    for some in _chunks(lines):
        ids, patients, moments, statuses, links, values = columns = _lists(6)
        for line in some:
            if is_checked and not line.isascii():
                line.decode()
            found = decode(line)
            key, patient, authored, status = found.id, _patient(found.subject), found.authored, found.status
            for item in found.item:
                ids.append(key)
                patients.append(patient)
                moments.append(authored)
                statuses.append(status)
                links.append(item.linkId)
                values.append(item.answer[0].valueInteger if item.answer else None)
        names = ["id", "patient", "moment", "status", "link", "answer"]
        yield _batch(names, columns, [*[TEXT] * 5, INTEGER])


LINKS = [f"item-{at}" for at in range(1, ITEMS + 1)]


def responses(lines: Iterable[bytes], *, is_checked: bool = False) -> Iterator[pa.RecordBatch]:
    """Task c2."""
    decode = DECODERS["c2"].decode
    for some in _chunks(lines):
        ids, patients, moments, *values = columns = _lists(3 + ITEMS)
        places = list(zip(LINKS, values, strict=True))
        for line in some:
            if is_checked and not line.isascii():
                line.decode()
            found = decode(line)
            ids.append(found.id)
            patients.append(_patient(found.subject))
            moments.append(found.authored)
            given = {item.linkId: item.answer[0].valueInteger for item in found.item if item.answer}
            for link, column in places:
                column.append(given.get(link))
        names = ["id", "patient", "moment", *(f"q{at}" for at in range(1, ITEMS + 1))]
        yield _batch(names, columns, [*[TEXT] * 3, *[INTEGER] * ITEMS])


def _chunks(lines: Iterable[bytes]) -> Iterator[Iterable[bytes]]:
    lines = iter(lines)
    for first in lines:
        yield itertools.chain([first], itertools.islice(lines, BATCH - 1))


def _lists(count: int) -> list[list[Any]]:
    return [[] for _ in range(count)]


def _batch(names: list[str], columns: list[list[Any]], types: list[pa.DataType]) -> pa.RecordBatch:
    arrays = [pa.array(values, kind) for values, kind in zip(columns, types, strict=True)]
    return pa.record_batch(arrays, names=names)


TASKS: dict[str, Callable[..., Iterator[pa.RecordBatch]]] = {
    "a": conditions,
    "b": procedures,
    "c": answers,
    "c2": responses,
}
