"""Settings by environment variables."""

from pathlib import Path

import pytest

from integration import settings
from integration.errors import SettingsError


def load(file: Path, **variables: str) -> settings.Settings:
    return settings.load(file, {f"OUTCOME_BRIDGE_{name}": value for name, value in variables.items()})


def test_a_variable_goes_before_the_file_and_leaves_the_rest_of_its_table(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text('[service]\nport = 1\nsite = "north"\n', encoding="utf-8")

    loaded = load(file, SERVICE__PORT="9000")

    assert (loaded.service.port, loaded.service.site) == (9000, "north")


def test_a_text_is_written_as_it_is_and_everything_else_as_in_toml(tmp_path: Path) -> None:
    loaded = settings.load(
        None,
        {
            "OUTCOME_BRIDGE_STATE_FOLDER": str(tmp_path / "my state"),
            "OUTCOME_BRIDGE_LINE_LIMIT_BYTES": "1_000",
            "OUTCOME_BRIDGE_SERVICE__SITE": "42",
            "OUTCOME_BRIDGE_SERVICE__PUBLIC_URL": "https://bridge.example/",
            "OUTCOME_BRIDGE_SERVICE__TRUSTED_PROXIES": '["10.0.0.5", "10.0.1.0/24"]',
            "OUTCOME_BRIDGE_SERVICE__TOKENS__ISSUER": "https://issuer.example",
            "OUTCOME_BRIDGE_SERVICE__TOKENS__AUDIENCE": '["https://bridge.example"]',
            "OUTCOME_BRIDGE_SERVICE__TOKENS__IS_SINGLE_USE": "true",
            "OUTCOME_BRIDGE_SERVICE__SOURCES": '[{name = "engine", client_id = "e1"}]',
            "PATH": "/bin",
        },
    )

    assert loaded.state_folder == tmp_path / "my state"
    assert loaded.line_limit_bytes == 1000
    assert (loaded.service.site, loaded.service.public_url) == ("42", "https://bridge.example")
    assert loaded.service.trusted_proxies == ("10.0.0.5", "10.0.1.0/24")
    assert (loaded.service.tokens.is_single_use, loaded.service.sources[0].client_id) == (True, "e1")


def test_a_file_is_named_by_a_variable_relative_to_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("", encoding="utf-8")

    loaded = load(file, SERVICE__CHART__SECRET_FILE="secret", STATE_FOLDER="elsewhere")

    assert (loaded.service.chart.secret_file, loaded.state_folder) == (tmp_path / "secret", tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SERVICE__PRT", "1", ["OUTCOME_BRIDGE_SERVICE__PRT", "service.prt", "did you mean 'port'?"]),
        ("SERVICE_PORT", "1", ["OUTCOME_BRIDGE_SERVICE_PORT", "unknown key"]),
        ("SERVICE__PORT__X", "1", ["OUTCOME_BRIDGE_SERVICE__PORT__X", "unknown key"]),
        ("SERVICE", "{port = 1}", ["OUTCOME_BRIDGE_SERVICE:", "is a table"]),
        ("", "1", ["OUTCOME_BRIDGE_:", "unknown key"]),
        ("FOLDER", "x", ["OUTCOME_BRIDGE_FOLDER", "unknown key"]),
        ("SERVICE__PORT", "eighty", ["OUTCOME_BRIDGE_SERVICE__PORT", "as in TOML"]),
        ("SERVICE__PORT", "70000", ["OUTCOME_BRIDGE_SERVICE__PORT", "65535"]),
        ("SERVICE__PORT", "1\nhost = 'x'", ["OUTCOME_BRIDGE_SERVICE__PORT", "as in TOML"]),
        ("SERVICE__HOST", "0.0.0.0", ["OUTCOME_BRIDGE_SERVICE__HOST", "loopback"]),
        ("SERVICE__TOKENS__ISSUER", "http://issuer.example", ["OUTCOME_BRIDGE_SERVICE__TOKENS__ISSUER", "https://"]),
        ("SERVICE__TRUSTED_PROXIES", "10.0.0.5", ["OUTCOME_BRIDGE_SERVICE__TRUSTED_PROXIES", "as in TOML"]),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, name: str, value: str, words: list[str]) -> None:
    file = tmp_path / "x.toml"
    file.write_text("", encoding="utf-8")

    with pytest.raises(SettingsError) as caught:
        load(file, **{name: value})

    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert caught.value.exit_status == 2


def test_variables_without_our_prefix_mean_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert settings.load(None, {"SERVICE__PORT": "1", "BRIDGE_SERVICE__PORT": "2"}).service.port == 8080
