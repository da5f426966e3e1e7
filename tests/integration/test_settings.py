from pathlib import Path

import certifi
import pytest

from integration import settings
from integration.errors import SettingsError


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_every_setting_has_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    loaded = settings.load(None, {})

    assert loaded.folder == tmp_path
    assert loaded.state_folder == tmp_path / "state"
    assert (loaded.service.host, loaded.service.port) == ("127.0.0.1", 8080)
    assert loaded.line_limit_bytes == 16 * 1024 * 1024


def test_the_named_file_comes_before_the_variable_and_the_variable_before_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "outcome-bridge.toml", "[service]\nport = 1\n")
    by_variable = write(tmp_path / "b" / "x.toml", "[service]\nport = 2\n")
    by_name = write(tmp_path / "c" / "x.toml", "[service]\nport = 3\n")

    assert settings.load(None, {}).service.port == 1
    assert settings.load(None, {settings.VARIABLE: str(by_variable)}).service.port == 2
    assert settings.load(by_name, {settings.VARIABLE: str(by_variable)}).service.port == 3


def test_a_site_may_be_known_under_other_urls_too(tmp_path: Path) -> None:
    urls = '["https://proxy.example/fhir/", "http://ehr.internal/fhir"]'
    write(tmp_path / "sites" / "north.toml", f'base_url = "https://ehr.example/fhir"\nother_base_urls = {urls}\n')
    write(tmp_path / "sites" / "south.toml", 'base_url = "https://ehr.example/fhir"\nother_base_urls = ["ehr/fhir"]\n')
    loaded = settings.load(write(tmp_path / "x.toml", ""), {})

    assert loaded.site("north").other_base_urls == ("https://proxy.example/fhir", "http://ehr.internal/fhir")
    with pytest.raises(SettingsError, match="other_base_urls"):
        loaded.site("south")


def test_the_state_folder_lies_beside_the_settings_file(tmp_path: Path) -> None:
    relative = settings.load(write(tmp_path / "a" / "x.toml", 'state_folder = "var"\n'), {})
    absolute = settings.load(write(tmp_path / "b" / "x.toml", 'state_folder = "/srv/state"\n'), {})

    assert relative.state_folder == tmp_path / "a" / "var"
    assert absolute.state_folder == Path("/srv/state")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("line_limit_byte = 1\n", ["line_limit_byte", "did you mean 'line_limit_bytes'?"]),
        ("[service]\nprt = 1\n", ["service.prt", "did you mean 'port'?"]),
        ("[service]\nzzz = 1\n", ["service.zzz", "the keys are: audit, body_limit_bytes, ", ", site, "]),
        ("[service]\nport = 70000\n", ["service.port", "65535"]),
        ('[service]\nhost = "0.0.0.0"\n', ["service.host", "loopback"]),
        ('[service]\nhost = "example.invalid"\n', ["service.host", "loopback"]),
        ("state_folder = 3\n", ["state_folder", "path in quotes"]),
        ('folder = "x"\n', ["unknown key 'folder'"]),
        ("[service\n", ["is not TOML"]),
    ],
)
def test_a_wrong_settings_file_is_named_with_its_key_and_what_to_do(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    path = write(tmp_path / "outcome-bridge.toml", text)

    with pytest.raises(SettingsError) as caught:
        settings.load(path, {})

    assert all(word in str(caught.value) for word in [*words, str(path)])
    assert caught.value.exit_status == 2


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        settings.load(tmp_path / "missing.toml", {})


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"site = '\xff'\n")

    with pytest.raises(SettingsError, match="UTF-8"):
        settings.load(tmp_path / "x.toml", {})


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_in_utf_16_is_refused(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "x.toml").write_text("line_limit_bytes = 7\n", encoding=encoding)

    with pytest.raises(SettingsError, match=r"x\.toml: is not UTF-8; save it as UTF-8$"):
        settings.load(tmp_path / "x.toml", {})


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xef\xbb\xbfline_limit_bytes = 7\n")

    assert settings.load(tmp_path / "x.toml", {}).line_limit_bytes == 7


def test_a_site_has_defaults_for_everything_but_its_address(tmp_path: Path) -> None:
    write(tmp_path / "sites" / "north.toml", 'base_url = "http://127.0.0.1:9/fhir/"\n')
    loaded = settings.load(write(tmp_path / "outcome-bridge.toml", ""), {})

    site = loaded.site("north")

    assert (site.name, site.base_url, site.write_profile) == ("north", "http://127.0.0.1:9/fhir", "generic")
    assert site.authentication.type == "none"
    assert (site.limits.page_size, site.limits.entries_per_transaction, site.limits.writes_per_run) == (200, 200, None)


def test_a_whole_number_of_seconds_is_a_timeout(tmp_path: Path) -> None:
    write(tmp_path / "sites" / "north.toml", 'base_url = "http://h"\n[limits]\ntimeout_seconds = 5\n')

    assert settings.load(write(tmp_path / "x.toml", ""), {}).site("north").limits.timeout_seconds == 5.0


def test_an_unknown_site_lists_the_sites_there_are(tmp_path: Path) -> None:
    for name in ("south", "north"):
        write(tmp_path / "sites" / f"{name}.toml", 'base_url = "http://h"\n')

    with pytest.raises(SettingsError, match="there are: north, south"):
        settings.load(write(tmp_path / "x.toml", ""), {}).site("west")


@pytest.mark.parametrize("name", ["", "../north", "a/b", "a\\b", ".hidden", "a b"])
def test_a_site_name_never_leaves_the_folder_of_sites(tmp_path: Path, name: str) -> None:
    write(tmp_path / "north.toml", 'base_url = "http://h"\n')

    with pytest.raises(SettingsError, match="letters, digits"):
        settings.load(write(tmp_path / "x.toml", ""), {}).site(name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["base_url: is missing"]),
        ('base_url = "h:80"\n', ["base_url", "http://"]),
        ('base_url = "http://me:secret@h"\n', ["base_url", "no password"]),
        ('base_url = "http://h"\nwrite_profil = "single"\n', ["did you mean 'write_profile'?"]),
        ('base_url = "http://h"\nwrite_profile = "cerner"\n', ["write_profile", "'generic', 'single', 'epic'"]),
        ('base_url = "http://h"\nwrite_profile = "epic"\n', ["profile", "'epic' needs codes"]),
        ('base_url = "http://h"\n[authentication]\ntype = "basic"\n', ["authentication.type", "'none'"]),
        ('base_url = "http://h"\n[limits]\npage_size = 0\n', ["limits.page_size"]),
        ('base_url = "http://h"\nca_file = "missing.pem"\n', ["ca_file", "sites/missing.pem cannot be read (no such"]),
        ('base_url = "http://h"\nca_file = "north.toml"\n', ["ca_file", "sites/north.toml holds no certificates"]),
        ('base_url = "http://h"\nca_file = 3\n', ["ca_file"]),
        ('base_url = "http://h"\nname = "x"\n', ["name: remove it"]),
    ],
)
def test_a_wrong_site_file_is_named_with_its_key_and_what_to_do(tmp_path: Path, text: str, words: list[str]) -> None:
    path = write(tmp_path / "sites" / "north.toml", text)

    with pytest.raises(SettingsError) as caught:
        settings.load(write(tmp_path / "x.toml", ""), {}).site("north")

    assert all(word in str(caught.value) for word in [*words, str(path)])
    assert "me:secret" not in str(caught.value)


SECURE = 'base_url = "https://h"\n[authentication]\n'
BACKEND = SECURE + 'type = "smart-backend"\nclient_id = "c"\nkey_file = "k"\nscope = ["system/*.rs"]\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SECURE + 'type = "smart-backend"\n', ["type 'smart-backend' needs client_id and key_file and scope"]),
        (SECURE + 'type = "smart-backend"\nclient_id = "c"\nkey_file = "k"\nscope = []\n', ["needs scope"]),
        (SECURE + 'type = "client-secret"\nclient_id = "c"\n', ["type 'client-secret' needs secret_file"]),
        (SECURE + 'type = "bearer"\n', ["type 'bearer' needs token_file"]),
        (
            SECURE + 'type = "bearer"\ntoken_file = "t"\nkey_id = "k"\n',
            ["type 'bearer' does not use key_id; remove it"],
        ),
        (SECURE + 'token_file = "t"\n', ["type 'none' does not use token_file"]),
        (BACKEND + 'token_file = "t"\n', ["does not use token_file"]),
        (BACKEND + 'token = "hush"\n', ["authentication.token: unknown key; did you mean 'token_"]),
        (BACKEND + 'client_secret = "hush"\n', ["authentication.client_secret: unknown key"]),
        (BACKEND + "key_id = 7\n", ["authentication.key_id"]),
        (BACKEND + 'token_url = "http://h/token"\n', ["authentication.token_url", "https://"]),
        (BACKEND + 'token_url = "h/token"\n', ["authentication.token_url", "https://"]),
        (BACKEND.replace('["system/*.rs"]', '"system/*.rs"'), ["authentication.scope"]),
        (BACKEND.replace("system/*.rs", "system/*.rs openid"), ["authentication.scope", "without blanks"]),
        (BACKEND.replace("https:", "http:"), ["authentication: ", "base_url must start with https://"]),
        (BACKEND.replace("https://h", "http://127.0.0.1.example.invalid"), ["base_url must start with https://"]),
        (BACKEND.replace("https://h", "ftp://h"), ["base_url: must start with http:// or https://"]),
    ],
)
def test_a_login_that_cannot_work_is_named_with_its_key(tmp_path: Path, text: str, words: list[str]) -> None:
    path = write(tmp_path / "sites" / "north.toml", text)

    with pytest.raises(SettingsError) as caught:
        settings.load(write(tmp_path / "x.toml", ""), {}).site("north")

    assert all(word in str(caught.value) for word in [*words, str(path)])
    assert "hush" not in str(caught.value)
    assert caught.value.exit_status == 2


def test_files_of_a_login_lie_beside_the_site_file_unless_they_say_otherwise(tmp_path: Path) -> None:
    write(tmp_path / "sites" / "a.toml", BACKEND)
    write(tmp_path / "sites" / "b.toml", BACKEND.replace('"k"', '"/etc/k"'))
    loaded = settings.load(write(tmp_path / "x.toml", ""), {})

    assert loaded.site("a").authentication.key_file == tmp_path / "sites" / "k"
    assert loaded.site("b").authentication.key_file == Path("/etc/k")
    assert loaded.site("a").authentication.scope == ("system/*.rs",)


@pytest.mark.parametrize("host", ["127.0.0.1:8090", "[::1]:8090", "localhost"])
def test_a_login_needs_no_https_on_this_machine(tmp_path: Path, host: str) -> None:
    write(tmp_path / "sites" / "north.toml", BACKEND.replace("https://h", f"http://{host}/fhir"))

    site = settings.load(write(tmp_path / "x.toml", ""), {}).site("north")

    assert (site.base_url, site.authentication.type) == (f"http://{host}/fhir", "smart-backend")


def test_the_authorities_of_a_site_are_a_file_of_certificates(tmp_path: Path) -> None:
    write(tmp_path / "sites" / "ca.pem", Path(certifi.where()).read_text(encoding="utf-8"))
    write(tmp_path / "sites" / "north.toml", 'base_url = "https://h"\nca_file = "ca.pem"\n')

    assert settings.load(write(tmp_path / "x.toml", ""), {}).site("north").ca_file == tmp_path / "sites" / "ca.pem"
