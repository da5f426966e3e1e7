"""What is wrong with a key of a file is said in our words, whatever the library calls it."""

from pathlib import Path

import pytest

from integration import settings
from integration.errors import SettingsError


def fault(folder: Path, table: str) -> str:
    (folder / "sites").mkdir(exist_ok=True)
    file = folder / "sites" / "north.toml"
    file.write_text(f'base_url = "http://127.0.0.1/fhir"\n{table}\n', encoding="utf-8")
    (folder / "outcome-bridge.toml").touch()
    with pytest.raises(SettingsError) as caught:
        settings.load(folder / "outcome-bridge.toml", {}).site("north")
    return str(caught.value).removeprefix(f"{file}: ")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('[safeguards]\nrelease = "some"', "safeguards.release: should be 'all' or a whole number"),
        ("[safeguards]\nrelease = 1.5", "safeguards.release: should be 'all' or a whole number"),
        ("[safeguards]\nrelease = -1", "safeguards.release: should be 'all' or greater than or equal to 0"),
        ("[safeguards]\nopt_out_file = 3", "safeguards.opt_out_file: should be a path in quotes"),
        ('[safeguards]\nstop_labels = "R"', "safeguards.stop_labels: should be a list"),
        ("[safeguards]\nstop_labels = [3]", "safeguards.stop_labels.0: should be text in quotes"),
        ('[safeguards]\ncheck_patient = "yes"', "safeguards.check_patient: should be true or false"),
        ('[limits]\nwrites_per_run = "x"', "limits.writes_per_run: should be a whole number"),
        ("[profile]\ncodes = 3", "profile.codes: should be a table"),
        ("limits = 3", "limits: should be a table"),
    ],
)
def test_a_value_of_a_wrong_kind_is_said_in_plain_words(tmp_path: Path, table: str, words: str) -> None:
    assert fault(tmp_path, table) == words


def test_a_key_that_a_site_file_may_not_have_is_not_offered(tmp_path: Path) -> None:
    said = fault(tmp_path, 'nam = "x"')

    assert said.startswith("nam: unknown key; the keys are: authentication, base_url")
    assert "name" not in said.replace("nam:", "").split()


def test_the_labels_that_stop_a_write_can_be_written_in_a_site_file(tmp_path: Path) -> None:
    (tmp_path / "sites").mkdir()
    text = 'base_url = "http://127.0.0.1/fhir"\n[safeguards]\nstop_labels = ["R", "V"]\n'
    (tmp_path / "sites" / "north.toml").write_text(text, encoding="utf-8")
    (tmp_path / "outcome-bridge.toml").touch()

    site = settings.load(tmp_path / "outcome-bridge.toml", {}).site("north")

    assert site.safeguards.stop_labels == ("R", "V")
