"""What the `[service]` table takes, and the sentence for what it does not."""

from pathlib import Path

import pytest

from integration import settings
from integration.errors import SettingsError

HASH = "ab" * 32
SOURCE = f'[[service.sources]]\nname = "north"\napi_key_sha256 = "{HASH}"\n'
TOKENS = '[service.tokens]\nissuer = "https://issuer.example"\naudience = ["https://bridge.example"]\n'


def load(tmp_path: Path, text: str) -> settings.Service:
    file = tmp_path / "outcome-bridge.toml"
    file.write_text(text, encoding="utf-8")
    return settings.load(file, {}).service


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_a_loopback_address_needs_no_authentication(tmp_path: Path, host: str) -> None:
    assert load(tmp_path, f'[service]\nhost = "{host}"\n').host == host.strip("[]")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "", "localhost.example.org"])
def test_no_other_address_is_listened_on_without_authentication(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingsError, match=r"service\.host: must be a loopback address .* because anybody could send"):
        load(tmp_path, f'[service]\nhost = "{host}"\npublic_url = "https://bridge.example"\n')


def test_another_address_needs_a_source_and_a_public_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"service\.host: needs service\.public_url"):
        load(tmp_path, f'[service]\nhost = "0.0.0.0"\n{SOURCE}')

    loaded = load(tmp_path, f'[service]\nhost = "0.0.0.0"\npublic_url = "https://bridge.example/"\n{SOURCE}')

    assert (loaded.host, loaded.public_url) == ("0.0.0.0", "https://bridge.example")


def test_tokens_alone_are_no_authentication_for_nobody_has_one_of_a_source(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="anybody could send"):
        load(tmp_path, f'[service]\nhost = "0.0.0.0"\npublic_url = "https://bridge.example"\n{TOKENS}')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[service.tokens]\nissuer = "https://issuer.example"\n', ["service.tokens", "needs audience"]),
        ('[service.tokens]\naudience = ["x"]\n', ["service.tokens", "needs issuer"]),
        (
            '[service.tokens]\nissuer = "http://issuer.example"\naudience = ["x"]\n',
            ["service.tokens.issuer", "https://"],
        ),
        (f'{TOKENS}algorithms = ["HS256"]\n', ["service.tokens.algorithms.0", "'RS256'"]),
        (f'{TOKENS}algorithms = ["none"]\n', ["service.tokens.algorithms.0", "'RS256'"]),
        (f"{TOKENS}algorithms = []\n", ["service.tokens.algorithms"]),
        (f"{TOKENS}leeway_seconds = 301\n", ["service.tokens.leeway_seconds", "300"]),
        (f'{TOKENS}jwks_url = "https://u:p@issuer.example/jwks"\n', ["service.tokens.jwks_url", "no password"]),
        (f'{TOKENS}ca_file = "nothing.pem"\n', ["service.tokens.ca_file", "cannot be read"]),
        (f'{TOKENS}secret = "x"\n', ["service.tokens.secret", "unknown key"]),
        ('[[service.sources]]\nname = "a"\n', ["service.sources.0", "needs one of api_key_sha256, certificate"]),
        (f'{SOURCE}client_id = "x"\n', ["service.sources.0", "needs one of"]),
        ('[[service.sources]]\nname = "a"\nclient_id = "x"\n', ["service.sources", "needs service.tokens"]),
        ('[[service.sources]]\nname = "a"\ncertificate = "CN=x"\n', ["service.sources", "client_certificate_header"]),
        ('[[service.sources]]\nname = "a b"\nclient_id = "x"\n', ["service.sources.0.name"]),
        (SOURCE.replace("north", "pull"), ["service.sources.0.name", "calls itself"]),
        (SOURCE.replace("north", "loopback"), ["service.sources.0.name", "calls itself"]),
        ('[[service.sources]]\nname = "a"\napi_key_sha256 = "obk_x"\n', ["api_key_sha256", "never the key itself"]),
        (f'[[service.sources]]\nname = "a"\ncertificate = "{"AB:" * 19}CD"\n', ["certificate", "SHA-1"]),
        (f'{SOURCE}types = ["questionnaire response"]\n', ["service.sources.0.types", "resource types"]),
        (f"{SOURCE}types = []\n", ["service.sources.0.types"]),
        (f'{SOURCE}interactions = ["write"]\n', ["service.sources.0.interactions.0", "'create'"]),
        (f'{SOURCE}poison = "ignore"\n', ["service.sources.0.poison", "'reject'"]),
        (f"{SOURCE}nmae = 1\n", ["service.sources.0.nmae", "did you mean 'name'?"]),
        (SOURCE + SOURCE, ["service.sources", "the same name"]),
        (SOURCE + SOURCE.replace("north", "south"), ["service.sources", "the same api_key_sha256"]),
        ('[service]\ntrusted_proxies = ["proxy.example"]\n', ["trusted_proxies", "addresses and networks"]),
        ('[service]\ntrusted_proxies = ["0.0.0.0/0"]\n', ["trusted_proxies", "believe everybody"]),
        ('[service]\ntrusted_proxies = ["::/0"]\n', ["trusted_proxies", "believe everybody"]),
        ('[service]\nclient_certificate_header = "X-Cert"\n', ["client_certificate_header", "needs trusted_proxies"]),
        (
            '[service]\ntrusted_proxies = ["::1"]\nclient_certificate_header = "X Cert"\n',
            ["client_certificate_header", "header's name"],
        ),
        ('[service]\npublic_url = "http://bridge.example"\n', ["service.public_url", "https://"]),
        ('[service]\npublic_url = "https://bridge.example/?a=b"\n', ["service.public_url", "no query"]),
        ('[service]\npublic_url = "https://[bridge"\n', ["service.public_url", "no URL"]),
        ('[service.staff]\nissuer = "https://i.example"\n', ["service.staff", "needs client_id"]),
        ('[service.staff]\nissuer = "https://i.example"\nclient_id = "x"\n', ["service.staff", "who is staff"]),
        (
            '[service.staff]\nissuer = "https://i.example"\nclient_id = "x"\nclaim = "groups"\n',
            ["service.staff", "claim and value go together"],
        ),
        (
            '[service.staff]\nissuer = "https://i.example"\nclient_id = "x"\nsubjects = ["a"]\nscope = ["profile"]\n',
            ["service.staff", "openid"],
        ),
        ('[service.staff]\nsubjects = ["a"]\n', ["service.staff", "needs issuer"]),
        ('[service.chart]\nissuers = ["https://ehr.example/fhir"]\n', ["service.chart", "go together"]),
        (
            '[service.chart]\nissuers = ["https://a.example"]\nclient_id = "x"\nsame_ids_as_site = ["https://b.example"]\n',
            ["service.chart", "some of issuers"],
        ),
        ('[service.chart]\nframe_ancestors = ["https://ehr.example/x"]\n', ["frame_ancestors", "origins"]),
        ('[service.chart]\nframe_ancestors = ["https://*.example"]\n', ["frame_ancestors", "origins"]),
        ('[service.chart]\nframe_ancestors = ["https://a.example; script-src"]\n', ["frame_ancestors"]),
        ('[service.cds_hooks]\nissuers = ["https://ehr.example"]\n', ["service.cds_hooks", "go together"]),
        (
            '[service.cds_hooks]\nissuers = ["a", "b"]\njwks_urls = ["https://a.example/jwks"]\n',
            ["service.cds_hooks", "in the same order"],
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_key(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)

    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_fingerprint_may_have_colons_and_capitals(tmp_path: Path) -> None:
    digest = ":".join(["AB"] * 32)
    proxied = '[service]\ntrusted_proxies = ["::1"]\nclient_certificate_header = "X-Cert"\n'

    loaded = load(tmp_path, f'{proxied}[[service.sources]]\nname = "a"\ncertificate = "{digest}"\n')

    assert loaded.sources[0].certificate == HASH


def test_no_hash_of_a_key_is_shown(tmp_path: Path) -> None:
    loaded = load(tmp_path, SOURCE)

    assert HASH not in repr(loaded)
