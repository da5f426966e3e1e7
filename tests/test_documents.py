"""What the documents say of commands, files, columns, keys and states, held against the program."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import typing
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from integration import mapping, origin, pipeline, records, settings, statistics, tables
from integration.sources.files import Files
from integration.study import StudyFile
from integration.toml_tables import Table
from server import cli
from server.ledger import states

ROOT = Path(__file__).resolve().parents[1]
README, CONTRIBUTING, CHANGELOG = (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))
STUDY = ROOT / "mappings" / "msis29_venoplasty" / "README.md"
DOCUMENTS = (README, CONTRIBUTING, CHANGELOG, STUDY)
VALUE_OF_A_NAME = {"visits": "NAME"}
"""Tables of study.toml whose keys a site chooses."""


def commands(document: Path) -> Iterator[list[str]]:
    """Yield the arguments of each `outcome-bridge` in the shell blocks."""
    for block in re.findall(r"```sh\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.splitlines():
            program, *arguments = shlex.split(line, comments=True) if "outcome-bridge " in line else [""]
            if program.endswith("outcome-bridge"):
                yield arguments


def table(document: Path, header: str) -> list[list[str]]:
    """Return the cells of the one table whose first heading cell is `header`, its heading row left out."""
    lines = iter(document.read_text(encoding="utf-8").splitlines())
    found = [list(rows(lines)) for line in lines if line.startswith(f"| {header} |")]
    assert len(found) == 1, f"{document.name} has {len(found)} tables with the heading {header}"
    return found[0][1:]


def rows(lines: Iterator[str]) -> Iterator[list[str]]:
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def code(cell: str) -> list[str]:
    """Return what stands between backticks, lists split at commas."""
    return [name.strip() for part in re.findall(r"`([^`]+)`", cell) for name in part.split(",")]


def keys(model: type[BaseModel], before: str = "") -> Iterator[str]:
    """Yield the dotted keys of a settings table; a name that a site chooses reads NAME."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        arguments = typing.get_args(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from keys(kind, f"{before}{name}.")
        elif typing.get_origin(kind) is dict and name in VALUE_OF_A_NAME:
            yield f"{before}{name}.{VALUE_OF_A_NAME[name]}"
            yield from keys(arguments[1], f"{before}{name}.{VALUE_OF_A_NAME[name]}.")
        elif typing.get_origin(kind) is tuple and isinstance(arguments[0], type) and issubclass(arguments[0], Table):
            yield from keys(arguments[0], f"{before}{name}.")
        else:
            yield f"{before}{name}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_of_the_documents_parses(document: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    for arguments in commands(document):
        name, *rest = arguments
        command = cli.cli.commands.get(name, cli.cli)
        with contextlib.suppress(click.exceptions.Exit):  # of --help and --version
            command.make_context(name, rest if command is not cli.cli else arguments)


def test_the_readme_shows_every_command() -> None:
    shown = {arguments[0] for arguments in commands(README)}
    offered = set(cli.cli.commands)

    assert offered - shown == {"demo"}  # which `make demo` runs


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_option_in_the_text_is_one_of_ours(document: Path) -> None:
    known = {name for command in cli.cli.commands.values() for option in command.params for name in option.opts}

    named = set(re.findall(r"`(--[a-z-]+)", document.read_text(encoding="utf-8")))

    assert named <= known | {"--strict"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_in_the_text_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))

    named = set(re.findall(r"(?:^|`)make ([a-z]+)", document.read_text(encoding="utf-8"), re.MULTILINE))

    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file_or_a_heading(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    headings = {re.sub(r"[^\w -]", "", line).lower().replace(" ", "-") for line in re.findall(r"^#+ (.+)$", text, re.M)}

    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings
        elif not target.startswith("https://"):
            assert (document.parent / target).is_file()


def test_the_exit_statuses_are_those_of_the_command_line() -> None:
    assert [int(row[0]) for row in table(README, "status")] == [cli.DONE, cli.FAILED, cli.WRONG, cli.SOME_REJECTED]


def test_the_columns_are_those_that_a_run_writes() -> None:
    said = {name: code(columns) for file, _, columns in table(README, "file") for name in code(file)}

    columns = {
        "patients.csv": tables.PATIENT_COLUMNS,
        "flow.csv": tables.FLOW_COLUMNS,
        "responses.csv": tables.RESPONSE_COLUMNS,
        "adverse_events.csv": tables.EVENT_COLUMNS,
        "statistics.csv": statistics.COLUMNS,
        "rejected.csv": tables.REJECTED_COLUMNS,
    }
    assert {name: said[name] for name in columns} == {name: list(names) for name, names in columns.items()}


def test_the_files_are_those_that_a_run_writes(tmp_path: Path) -> None:
    (tmp_path / "one.ndjson").write_text('{"resourceType": "Patient", "id": "p"}\n', encoding="utf-8")
    now = datetime(2012, 5, 10, tzinfo=UTC)
    source = Files([tmp_path / "one.ndjson"])
    job = pipeline.Job(source=source, files=[], mapping=mapping.load(), site=pipeline.SITE_OF_FILES, now=now)

    pipeline.run(job, tmp_path / "out")

    written = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    assert {name for row in table(README, "file") for name in code(row[0])} == written


def test_the_reasons_and_what_becomes_of_each_are_those_of_the_intake() -> None:
    said = {code(reason)[0]: outcome for reason, _, outcome in table(README, "reason")}

    assert set(said) | {""} == set(typing.get_args(records.ResponseReason))
    assert {reason for reason, outcome in said.items() if outcome == "none"} == records.WITHOUT_OUTCOME


def test_the_lines_of_the_books_are_those_of_the_ledger() -> None:
    assert tuple(code(row[0])[0] for row in table(README, "line")) == states.LINES


def test_the_keys_of_a_site_are_those_that_are_read() -> None:
    said = {key for row in table(README, "key of `sites/NAME.toml`") for key in code(row[0])}

    assert said == set(keys(settings.Site)) - {"name"}


def test_the_keys_of_the_settings_are_those_that_are_read() -> None:
    said = {key for row in table(README, "key of `outcome-bridge.toml`") for key in code(row[0])}

    assert said == set(keys(settings.Settings)) - {"folder", "file"}


def test_the_keys_of_a_study_are_those_that_are_read() -> None:
    said = {name for row in table(STUDY, "key") for name in code(row[0])}

    assert said == set(keys(StudyFile))


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("view", set(mapping.REQUIRED_VIEWS)),
        ("value set", set(mapping.REQUIRED_VALUE_SETS)),
        ("concept map", set(mapping.REQUIRED_CONCEPT_MAPS)),
    ],
    ids=["views", "value sets", "concept maps"],
)
def test_the_parts_of_the_mapping_are_those_that_a_study_needs(header: str, names: set[str]) -> None:
    assert {code(row[0])[0] for row in table(STUDY, header)} == names


def test_the_code_systems_and_their_codes_are_those_that_are_shipped() -> None:
    said = {code(name)[0]: code(codes) for name, codes, _ in table(STUDY, "code system")}

    shipped = [json.loads(path.read_text(encoding="utf-8")) for path in (STUDY.parent / "codesystems").glob("*.json")]
    assert said == {one["id"]: [concept["code"] for concept in one.get("concept", [])] for one in shipped}


def test_the_changelog_has_the_version_that_is_installed() -> None:
    heading = re.search(r"^## (\S+)", CHANGELOG.read_text(encoding="utf-8"), re.MULTILINE)

    assert heading is not None
    assert heading[1] == origin.software_version()
