"""What the runbook says of figures, log fields and the unit, held against the program."""

import logging
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[4]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
UNIT = ROOT / "docs" / "outcome-bridge.service"


def table(header: str) -> list[list[str]]:
    lines = RUNBOOK.splitlines()
    [start] = [number for number, line in enumerate(lines) if line.startswith(f"| {header} |")]
    found = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found


def test_the_metrics_are_those_that_are_told(service: Any) -> None:
    service.client.get("/healthz")
    text = service.client.get("/metrics").get_data(as_text=True)

    told = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert {row[0]: row[1] for row in table("metric")} == told


def test_the_labels_are_those_that_are_told(service: Any) -> None:
    service.client.get("/healthz")
    text = service.client.get("/metrics").get_data(as_text=True)

    for name, _, labels, _ in table("metric"):
        said = set(re.findall(r"[a-z]+", labels))
        for found in re.findall(rf"^{name}(?:_bucket|_sum|_count)?\{{(.*?)\}} ", text, re.MULTILINE):
            assert set(re.findall(r'(\w+)="', found)) - {"le"} == said, name


def test_the_fields_of_a_request_are_those_that_are_logged(service: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "server.service.operations.requests")
    service.client.get("/nosuch")

    [record] = [one for one in caplog.records if one.name == "server.service.operations.requests"]
    standard = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
    logged = set(vars(record)) - standard
    said = {row[0] for row in table("field")}
    assert logged <= said
    assert said - logged == {"time", "level", "logger", "message", "error", "frames", "problem"}


def test_every_link_leads_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in re.findall(r"^#+ (.+)$", RUNBOOK, re.M)
    }

    for target in re.findall(r"\]\(([^)]+)\)", RUNBOOK):
        if target.startswith("#"):
            assert target[1:] in headings
        elif not target.startswith("https://"):
            assert (ROOT / "docs" / target).is_file()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_systemd_finds_no_fault_with_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/outcome-bridge/bin/outcome-bridge", "/bin/true"), encoding="utf-8")

    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
