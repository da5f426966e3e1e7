"""What our views are held against: DuckDB with a schema, and the engines that run a ViewDefinition, where they install.

Each maker takes a task and an NDJSON file and returns a function that reads the file once and returns the rows, or
None where the engine is not installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from views_data import ICD10, ITEMS, SNOMED, VIEWS, WANTED

Json = Any
Rows = Callable[[], Any]
"""Gives a list of rows as dicts, or an Arrow table."""


def module(name: str) -> Any:
    """Import a module that may be missing; None if it is."""
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


_CODING = "STRUCT(system VARCHAR, code VARCHAR, display VARCHAR)[]"
_REFERENCE = "STRUCT(reference VARCHAR)"
_ITEM = "STRUCT(linkId VARCHAR, answer STRUCT(valueInteger INTEGER)[])[]"
_SCHEMAS = {
    "a": {
        "id": "VARCHAR",
        "clinicalStatus": f"STRUCT(coding {_CODING})",
        "code": f"STRUCT(coding {_CODING})",
        "subject": _REFERENCE,
        "onsetDateTime": "VARCHAR",
        "recordedDate": "VARCHAR",
    },
    "b": {
        "id": "VARCHAR",
        "subject": _REFERENCE,
        "performedPeriod": 'STRUCT("start" VARCHAR)',
        "bodySite": f"STRUCT(coding {_CODING})[]",
    },
    "c": {"id": "VARCHAR", "subject": _REFERENCE, "authored": "VARCHAR", "status": "VARCHAR", "item": _ITEM},
    "c2": {"id": "VARCHAR", "subject": _REFERENCE, "authored": "VARCHAR", "item": _ITEM},
}
_PATIENT = "CASE WHEN starts_with(subject.reference, 'Patient/') THEN substr(subject.reference, 9) END AS patient"
_ANSWERS = "map_from_entries([(i.linkId, i.answer[1].valueInteger) FOR i IN item]) AS answers"
_QUERIES = {
    "a": f"""SELECT id, {_PATIENT}, onsetDateTime AS moment, recordedDate AS recorded,
        clinicalStatus.coding[1].code AS clinical,
        list_filter(code.coding, lambda c: c.system = '{ICD10}')[1].code AS icd
        FROM found WHERE len(list_filter(code.coding, lambda c: c.code = '{WANTED}' AND c.system = '{SNOMED}')) > 0""",
    "b": f"""SELECT id, patient, moment, coding.code AS site, coding.display AS display FROM (
        SELECT id, {_PATIENT}, performedPeriod."start" AS moment,
        unnest(flatten([site.coding FOR site IN bodySite])) AS coding FROM found)""",
    "c": f"""SELECT id, patient, moment, status, item.linkId AS link, item.answer[1].valueInteger AS answer FROM (
        SELECT id, {_PATIENT}, authored AS moment, status, unnest(item) AS item FROM found)""",
    "c2": f"""SELECT id, patient, moment, {", ".join(f"answers['item-{at}'] AS q{at}" for at in range(1, ITEMS + 1))}
        FROM (SELECT id, {_PATIENT}, authored AS moment, {_ANSWERS} FROM found)""",
}


def with_duckdb(task: str, file: Path) -> Rows | None:
    """DuckDB's `read_ndjson` with the types of what is read, one thread, hand-written SQL, an Arrow table out."""
    duckdb = module("duckdb")
    if duckdb is None:
        return None

    connection = duckdb.connect(config={"threads": 1})
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in _SCHEMAS[task].items())
    source = f"read_ndjson('{file}', columns = {{{columns}}})"
    query = f"WITH found AS (SELECT * FROM {source}) {_QUERIES[task]}"
    return lambda: connection.execute(query).to_arrow_table()


def with_fhir4ds(task: str, file: Path) -> Rows | None:
    """Run the view with fhir4ds-v2, which writes SQL for DuckDB with functions of its own."""
    fhir4ds = module("fhir4ds")
    if fhir4ds is None:
        return None

    connection = fhir4ds.create_connection()
    connection.execute("SET threads = 1")
    columns = "json->>'id' AS id, json->>'resourceType' AS resourceType, json->>'resourceType' AS resource_type, json"
    objects = f"SELECT {columns} AS resource FROM read_ndjson_objects('{file}')"
    connection.execute(f"CREATE VIEW resources AS {objects}")
    view = {key: _untyped(value) for key, value in VIEWS[task].items() if key != "resourceType"}
    query = fhir4ds.generate_view_sql(json.dumps(view))
    return lambda: connection.execute(query).to_arrow_table()


def _untyped(value: Json) -> Json:
    """Leave out the columns' types, which fhir4ds-v2 does not take for keys."""
    if isinstance(value, list):
        return [_untyped(each) for each in value]
    if isinstance(value, dict):
        return {key: _untyped(each) for key, each in value.items() if key != "type"}
    return value


def with_sqlonfhir(task: str, file: Path) -> Rows | None:
    """Run the view with sqlonfhir, FHIRPath over dicts."""
    sqlonfhir = module("sqlonfhir")
    if sqlonfhir is None:
        return None

    def run() -> list[dict[str, Any]]:
        with file.open("rb") as stream:
            return list(sqlonfhir.evaluate([json.loads(line) for line in stream], VIEWS[task]))

    return run


def with_pysof(task: str, file: Path) -> Rows | None:
    """Run the view with pysof, where its wheel's library loads (it wants a newer glibc than 2.36)."""
    pysof = module("pysof")
    if pysof is None:
        return None

    view, out = {**VIEWS[task], "status": "active"}, file.with_suffix(".out")

    def run() -> list[dict[str, Any]]:
        pysof.process_ndjson_to_file(view, str(file), str(out), "ndjson")
        return [json.loads(line) for line in out.read_bytes().splitlines()]

    try:
        run()
    except NotImplementedError:
        return None
    return run


ENGINES = {"fhir4ds-v2": with_fhir4ds, "sqlonfhir": with_sqlonfhir, "pysof": with_pysof}
