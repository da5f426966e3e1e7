"""The commands: what they print, and the exit statuses of the contract."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pytest_httpserver import HTTPServer

from integration import settings
from server import cli

ROOT = Path(__file__).resolve().parents[2]
EXPORT = ROOT / "fixtures" / "export"
PATIENTS = EXPORT / "Patient.ndjson"
PATIENT_VIEW = ROOT / "mappings" / "msis29_venoplasty" / "views" / "patient.json"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run the command line in an empty folder; gives exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def run_it(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["outcome-bridge", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfdbinary.readouterr()
        return int(ended.value.code or 0), out.decode(), err.decode()

    return run_it


def _sentences(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("Error:")]


def test_a_run_with_rejected_input_ends_with_3(run: Run, tmp_path: Path) -> None:
    status, out, _ = run("run", "--data", EXPORT, "--out", "results", "--format", "json")

    document = json.loads(out)
    assert status == 3
    assert document["cohort"] == 259
    assert document["rejected"] > 0
    assert (tmp_path / "results" / "run.json").is_file()


def test_a_run_without_rejected_input_ends_with_0(run: Run) -> None:
    status, out, _ = run("run", "--data", PATIENTS, "--out", "results")

    assert status == 0
    assert "venoplasty" in out
    assert "results/report.html" in out


def test_a_run_shows_the_published_figures_beside_its_own(run: Run) -> None:
    _, out, _ = run("run", "--data", EXPORT, "--out", "results")

    assert "67.9 %" in out
    assert "159/234" in out
    assert "synthetic" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--data", "nowhere", "--out", "results"),
        ("run", "--data", ".", "--out", "results"),
        ("run", "--data", PATIENTS, "--out", "results", "--mapping", "nosuch"),
        ("run", "--data", PATIENTS, "--out", "results", "--settings", "nosuch.toml"),
        ("run", "--site", "nosuch", "--out", "results"),
        ("deliver", "--site", "nosuch"),
        ("reconcile", "--site", "nosuch"),
        ("check", "--mapping", "nosuch"),
        ("serve", "--site", "nosuch"),
        ("demo", "--sekmet", "nosuch"),
    ],
)
def test_wrong_arguments_end_with_2_and_one_sentence(run: Run, tmp_path: Path, arguments: tuple[object, ...]) -> None:
    status, out, err = run(*arguments)

    assert status == 2
    assert out == ""
    assert len(_sentences(err)) == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--out", "results"),
        ("run", "--out", "results", "--data", PATIENTS, "--site", "north"),
        ("serve",),
        ("check", "--site", "north"),
        ("view", PATIENT_VIEW),
        ("view", PATIENT_VIEW, "--data", PATIENTS, "--output", "parquet"),
        ("nosuch",),
    ],
)
def test_a_wrong_use_ends_with_2_and_says_what_to_give(run: Run, arguments: tuple[object, ...]) -> None:
    status, _, err = run(*arguments)

    assert status == 2
    assert "Error:" in err


@pytest.mark.parametrize(
    "text",
    [
        '[service]\nhost = "0.0.0.0"\n',
        '[service]\nhost = "::"\npublic_url = "https://bridge.example"\n',
        '[service]\nhost = "bridge.example"\n[service.chart]\nclient_id = "b"\nissuers = ["https://ehr.example"]\n',
    ],
)
def test_a_service_that_anybody_could_send_to_does_not_start(run: Run, tmp_path: Path, text: str) -> None:
    (tmp_path / "outcome-bridge.toml").write_text(text, encoding="utf-8")

    status, out, err = run("serve", "--site", "north")

    assert (status, out) == (2, "")
    assert len(_sentences(err)) == 1
    assert "service.host: must be a loopback address" in err
    assert "because anybody could send" in err
    assert not (tmp_path / "state").exists()


def test_a_folder_that_no_run_wrote_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "thesis.txt").write_text("mine")

    status, _, err = run("run", "--data", PATIENTS, "--out", "results")

    assert status == 2
    assert "no run wrote it" in err
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["thesis.txt"]


def test_a_server_that_is_not_there_ends_with_1(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "north.toml").write_text(
        'base_url = "http://127.0.0.1:9/fhir"\n[limits]\ntimeout_seconds = 1\n'
    )

    status, _, err = run("run", "--site", "north", "--out", "results")

    assert status == 1
    assert len(_sentences(err)) == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("command", [("deliver",), ("deliver", "--dry-run"), ("serve", "--port", "0")])
def test_an_opt_out_list_that_is_not_there_is_said_before_anything_is_asked(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "north.toml").write_text(
        'base_url = "http://127.0.0.1:9/fhir"\n[safeguards]\nopt_out_file = "gone.txt"\n'
    )

    status, _, err = run(*command, "--site", "north")

    assert status == 2
    [sentence] = _sentences(err)
    assert "gone.txt: the opt-out list cannot be read" in sentence


def test_the_shipped_mapping_has_no_fault(run: Run) -> None:
    status, out, _ = run("check", "--format", "json")

    assert status == 0
    assert json.loads(out)["faults"] == []


@pytest.fixture
def service_settings(tmp_path: Path) -> Path:
    """The settings file of a service that could start."""
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "north.toml").write_text('base_url = "http://127.0.0.1:9/fhir"\n')
    file = tmp_path / "bridge.toml"
    file.write_text('[service]\nsite = "north"\nport = 1\n')
    return file


def test_settings_that_a_service_could_start_with_have_no_fault_and_nothing_is_made(
    run: Run, tmp_path: Path, service_settings: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))

    status, out, _ = run("check", "--settings", service_settings, "--format", "json")

    assert (status, json.loads(out)["faults"]) == (0, [])
    assert json.loads(out)["settings"] == str(service_settings)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("bridge.toml", '[service]\nhost = "0.0.0.0"\n', "service.host: must be a loopback address"),
        ("bridge.toml", "[service]\nprt = 1\n", "prt"),
        (
            "bridge.toml",
            '[service.chart]\nissuers = ["https://other.example"]\nclient_id = "b"\n',
            "is not the base_url",
        ),
        (
            "bridge.toml",
            '[service.staff]\nissuer = "https://i"\nclient_id = "b"\nsubjects = ["x"]\nsecret_file = "gone"\n',
            "secret cannot be read",
        ),
        ("sites/north.toml", 'base_url = "http://h"\n[safeguards]\nopt_out_file = "gone"\n', "opt-out list"),
        ("sites/north.toml", 'base_url = "ftp://h"\n', "must start with http"),
        ("bridge.toml", '[ledger]\nurl = "postgresql+psycopg://u@127.0.0.1:none/x"\n', "is no database URL"),
        (
            "bridge.toml",
            '[ledger]\nurl = "postgresql+psycopg://u@127.0.0.1/x?nonsense=1"\n',
            "ledger.url: has an option",
        ),
        ("bridge.toml", 'state_folder = "bridge.toml/state"\n', "state_folder: the folder"),
        ("bridge.toml", '[service.audit]\nfile = "bridge.toml/a"\n', "service.audit.file: the folder"),
        ("bridge.toml", '[service.audit]\nfile = "sites"\n', "is no file that may be written"),
        ("bridge.toml", '[service.audit]\nurl = "https://a"\ntoken_file = "gone"\n', "service.audit.token_file"),
    ],
)
def test_what_serve_would_refuse_is_a_fault_of_the_settings(
    run: Run, tmp_path: Path, service_settings: Path, file: str, text: str, problem: str
) -> None:
    (tmp_path / file).write_text(text)

    status, out, _ = run("check", "--settings", service_settings, "--site", "north", "--format", "json")
    refused, _, sentence = run("serve", "--settings", service_settings, "--site", "north", "--port", "0")

    [fault] = json.loads(out)["faults"]
    assert (status, refused) == (2, 2)
    assert problem in fault
    assert fault in sentence


def test_a_view_is_written_as_csv(run: Run) -> None:
    status, out, _ = run("view", PATIENT_VIEW, "--data", PATIENTS)

    header, *rows = out.splitlines()
    assert status == 0
    assert header.split(",")[:3] == ["id", "gender", "birth_date"]
    assert len(rows) == sum('"resourceType":"Patient"' in line for line in PATIENTS.read_text().splitlines())


def test_a_view_is_written_as_ndjson(run: Run) -> None:
    _, out, _ = run("view", PATIENT_VIEW, "--data", PATIENTS, "--output", "ndjson")

    row = json.loads(out.splitlines()[0])
    assert row["is_synthetic"] is True


def test_a_view_is_written_as_parquet(run: Run, tmp_path: Path) -> None:
    import pandas as pd  # noqa: PLC0415  # only here

    status, _, _ = run("view", PATIENT_VIEW, "--data", PATIENTS, "--output", "parquet", "--to", "patients.parquet")

    frame = pd.read_parquet(tmp_path / "patients.parquet")
    assert status == 0
    assert frame["is_synthetic"].all()


def test_a_view_lists_what_it_rejected_and_ends_with_3(run: Run, tmp_path: Path) -> None:
    good = '{"resourceType": "Patient", "id": "good"}'
    bad = '{"resourceType": "Patient", "id": "bad", "birthDate": ["1970-01-01"]}'
    (tmp_path / "patients.ndjson").write_text(f"{good}\n{bad}\n{{broken\n")

    status, out, err = run("view", PATIENT_VIEW, "--data", "patients.ndjson", "--output", "ndjson")

    assert status == 3
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["good"]
    assert "patients.ndjson:2: Patient/bad: birthDate" in err
    assert "patients.ndjson:3" in err
    assert "1970" not in err


def test_the_source_of_a_view_is_printed(run: Run) -> None:
    status, out, _ = run("view", PATIENT_VIEW, "--source")

    assert status == 0
    compile(out, "view", "exec")


def test_a_broken_view_is_named_with_its_path(run: Run, tmp_path: Path) -> None:
    broken = {
        "resourceType": "ViewDefinition",
        "name": "v",
        "resource": "Patient",
        "select": [{"column": [{"name": "a", "path": "frob()"}]}],
    }
    (tmp_path / "view.json").write_text(json.dumps(broken))

    status, _, err = run("view", "view.json", "--data", PATIENTS)

    assert status == 2
    assert "view.json: select[0].column[0].path" in err
    assert "frob" in err


def test_every_command_explains_itself() -> None:
    for name, command in cli.cli.commands.items():
        result: Result = CliRunner().invoke(cli.cli, [name, "--help"])

        assert result.exit_code == 0
        assert command.help
        assert all(
            getattr(option, "help", "no option") is not None
            for option in command.params
            if option.param_type_name == "option"
        ), name


def test_a_wrong_path_in_the_address_does_not_pass_for_an_empty_chart(
    tmp_path: Path, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/wrong/metadata").respond_with_data("not here", status=404)
    (tmp_path / "sites").mkdir()
    (tmp_path / "outcome-bridge.toml").write_text("", encoding="utf-8")
    (tmp_path / "sites" / "north.toml").write_text(f'base_url = "{httpserver.url_for("/wrong")}"', encoding="utf-8")
    for command in (["deliver"], ["deliver", "--dry-run"], ["reconcile"], ["reconcile", "--repair"]):
        arguments = ["outcome-bridge", *command, "--site", "north", "--settings", str(tmp_path / "outcome-bridge.toml")]
        monkeypatch.setattr("sys.argv", arguments)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 1
        assert "no FHIR server at this address; check the site's base_url" in capsys.readouterr().err


def test_an_error_ends_with_one_mark(run: Run, tmp_path: Path) -> None:
    (tmp_path / "outcome-bridge.toml").write_text("[service]\nprt = 1\n", encoding="utf-8")
    _, _, asking = run("run", "--data", PATIENTS, "--out", "o", "--settings", "outcome-bridge.toml")
    (tmp_path / "outcome-bridge.toml").write_text("state_folder = 1\n", encoding="utf-8")
    _, _, telling = run("run", "--data", PATIENTS, "--out", "o", "--settings", "outcome-bridge.toml")

    assert [one.partition("; ")[2] for one in _sentences(asking)] == ["did you mean 'port'?"]
    assert [one[-2:] for one in _sentences(telling)] == ["s."]


def test_a_key_is_printed_once_with_the_lines_for_the_settings(run: Run, tmp_path: Path) -> None:
    status, out, _ = run("key", "lab-engine")
    as_json = json.loads(run("key", "lab-engine", "--format", "json")[1])

    key = re.search(r"^obk_[A-Za-z0-9_-]{43}$", out, re.MULTILINE)
    assert status == 0
    assert key is not None
    lines = out[out.index("[[service.sources]]") :]
    (tmp_path / "by-key.toml").write_text(lines, encoding="utf-8")
    source = settings.load(tmp_path / "by-key.toml", {}).service.sources[0]
    assert source.name == "lab-engine"
    assert source.api_key_sha256 == hashlib.sha256(key[0].encode()).hexdigest()
    assert as_json["key"] != key[0]
    assert as_json["api_key_sha256"] == hashlib.sha256(as_json["key"].encode()).hexdigest()


def test_a_key_is_made_for_a_name_that_the_settings_take(run: Run) -> None:
    status, out, err = run("key", "lab engine")

    assert (status, out) == (2, "")
    assert "a source's name holds" in err
