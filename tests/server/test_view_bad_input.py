"""What is broken in a file is listed by its line, reference and path; the rest is read, in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from integration.sources.files import Files
from integration.views import compile_view
from server import view_jobs, view_rows
from server.view_rows import Form

COLUMNS = {"id": "id", "number": "item.answer.value.ofType(integer)", "decimal": "item.answer.value.ofType(decimal)"}
VIEW = compile_view(
    {
        "name": "responses",
        "resource": "QuestionnaireResponse",
        "select": [{"column": [{"name": name, "path": path} for name, path in COLUMNS.items()]}],
    }
)
LIMIT = 200_000


def response(key: str, **answer: object) -> bytes:
    item = [{"linkId": "1", "answer": [answer]}]
    return json.dumps({"resourceType": "QuestionnaireResponse", "id": key, "item": item}).encode()


BAD = [
    (response("truncated")[:-10], "", "", "broken JSON"),
    (response("b1").replace(b"[", b"").replace(b"]", b""), "b1", "item", "Expected `array`, got `object`"),
    (response("b2", valueInteger=[1]), "b2", "item[0].answer[0].valueInteger", "Expected `int | null`, got `array`"),
    (response("b3", valueInteger=2**31), "b3", "item[0].answer[0].valueInteger", "Expected `int` <= 2147483647"),
    (response("b4", valueInteger=10**400), "b4", "item[0].answer[0].valueInteger", ""),
    (response("b5", valueDecimal=7).replace(b"7", b"1e99999999999999999999"), "b5", "", "the number is too large"),
    (response("b6", valueString="\u00e9").replace(b"\\u00e9", b"\xe9"), "b6", "", "the text is not UTF-8"),
    (b" " * LIMIT + response("long"), "", "", "longer than 200000 bytes"),
    (
        b'{"resourceType":"QuestionnaireResponse","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        "",
        "",
        "nested too deeply",
    ),
    (
        b'{"resourceType":"QuestionnaireResponse","item":' + b'[{"item":' * 10_000 + b"[]" + b"}]" * 10_000 + b"}",
        "",
        "",
        "nested too deeply",
    ),
    (response("Anna Meier", valueInteger="Anna"), "?", "item[0].answer[0].valueInteger", "Expected `int | null`"),
    (b"\x00", "", "", ""),
    (b"[]", "", "", ""),
]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """What is bad, each between two good lines."""
    monkeypatch.setattr(view_jobs, "SMALLEST_PART_BYTES", 100_000)
    lines = [response("g0", valueInteger=0)]
    for at, (bad, *_) in enumerate(BAD, 1):
        lines += [bad, response(f"g{at}", valueInteger=at)]
    (tmp_path / "responses.ndjson").write_bytes(b"\n".join(lines))
    return Files([tmp_path / "responses.ndjson"], LIMIT)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_the_rest_is_read_and_what_is_bad_is_listed(source: Files, tmp_path: Path, jobs: int, form: Form) -> None:
    to = tmp_path / "rows"

    rejected: list[view_rows.Rejection] = []
    if jobs == 1:
        view_rows.write(VIEW, source, form, to, rejected.append)
    else:
        view_jobs.write(VIEW, source, form, to, jobs, rejected.append)

    assert [each.line for each in rejected] == [2 * at for at in range(1, len(BAD) + 1)]
    for found, (_, key, path, problem) in zip(rejected, BAD, strict=True):
        start = [part for part in (key and f"QuestionnaireResponse/{key}", path) if part]
        assert found.said.startswith(": ".join(start)), found
        assert problem in found.said
    assert "Anna" not in "".join(map(str, rejected))
    expected = [{"id": f"g{at}", "number": at, "decimal": None} for at in range(len(BAD) + 1)]
    assert _rows(to, form) == expected


def _rows(path: Path, form: Form) -> list[dict[str, object]]:
    if form == "ndjson":
        return [json.loads(line) for line in path.read_bytes().splitlines()]
    if form == "parquet":
        return list(pyarrow.parquet.read_table(path).to_pylist())
    header, *lines = path.read_text().splitlines()
    rows = [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]
    return [{"id": row["id"], "number": int(row["number"]), "decimal": row["decimal"] or None} for row in rows]


_RUN = """
import itertools, pathlib, sys
from integration.sources.files import Files
from integration.sources.resource import Unreadable
from integration.views import compile_view, compile_views

def peak():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024

select = [{"forEach": "item", "column": [{"name": "link", "path": "linkId"}, {"name": "id", "path": "%resource.id"}]}]
definition = {"resource": "QuestionnaireResponse", "select": select}
view, together = compile_view(definition), compile_views([definition] * 2)
start = b'{"resourceType":"QuestionnaireResponse","id":"r","item":'
good = start + b'[{"linkId":"1"}]}'
bad = [
    start + b'[{"item":' * 10_000 + b"[]" + b"}]" * 10_000 + b"}",
    start + b"[" * 10_000,
    start + b'"' + b"x" * 200_000,
    start + b'"' + b"x" * 200_000 + b'"}',
    start + b'[{"linkId":["' + b"x" * 200_000 + b'"]}]}',
    start + b'[{"linkId":"' + b"\\xff" * 200_000 + b'"}]}',
    start + b'[{"linkId":' + b"9" * 200_000 + b"}]}",
]

def lines(times):
    for bytes_ in itertools.chain.from_iterable(itertools.repeat(bad, times)):
        yield bytes(bytearray(bytes_))
        yield good

def run(times):
    errors = 0
    def count(error):
        nonlocal errors
        errors += 1
    rows = sum(1 for _ in view.rows(lines(times), on_error=count))
    rows += sum(batch.num_rows for batch in view.batches(lines(times), on_error=count))
    rows += sum(batch.num_rows for _, batch in together.batches(lines(times), on_error=count))
    assert (rows, errors) == (4 * times * len(bad), 4 * times * len(bad)), (rows, errors)

run(2)
before = peak()
run(60)
unreadable = [found for found in Files([pathlib.Path(sys.argv[1])]) if isinstance(found, Unreadable)]
assert len(unreadable) == 1, unreadable
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the peak of memory is read from Linux's /proc")
def test_memory_stays_bounded_whatever_is_bad(tmp_path: Path) -> None:
    """200 MB of bad lines, and one line of 300 MB, cost far less than that: nothing of them is kept."""
    file = tmp_path / "long.ndjson"
    with file.open("wb") as stream:
        stream.write(b'{"resourceType":"Patient","id":"')
        stream.truncate(300 << 20)

    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(file)], capture_output=True, text=True, check=False, timeout=120
    )

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 40
