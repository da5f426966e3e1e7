"""Logging in at a FHIR server that somebody else wrote (sekmet-fhir, PyPI), which checks assertions and scopes."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from joserfc.jwk import ECKey, RSAKey

from integration.errors import ConfigurationError, ServerRefusedError
from integration.settings import Authentication, Site
from integration.sources import scopes, search
from integration.sources.client import FhirClient, connect
from server.demo import fhir_server

ROOT = Path(__file__).resolve().parents[2]
SEKMET = ROOT / ".sekmet" / "bin" / "sekmet"
SECRET = "s3cret-1"  # it does not undo the form encoding of RFC 6749, section 2.3.1
OBSERVATION = json.dumps({"resourceType": "Observation", "status": "final", "code": {"text": "a score"}}).encode()
WRITES: list[scopes.Interaction] = [("Observation", "c"), ("Observation", "u")]

Sites = Callable[..., Site]


@pytest.fixture(scope="module")
def keys() -> dict[str, RSAKey | ECKey]:
    return {"RS384": RSAKey.generate_key(2048), "ES384": ECKey.generate_key("P-384")}


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, RSAKey | ECKey]) -> Iterator[str]:
    """Start a server that knows clients that may do everything, one that only reads, and one with a secret.

    A client has one key there: with two of different types the server fails on the one that did not sign.
    """
    if not SEKMET.is_file():
        pytest.skip("no sekmet-fhir in .sekmet; `make test` installs it")
    folder, port = tmp_path_factory.mktemp("sekmet-auth"), fhir_server.free_port()
    sets = {name: {"keys": [key.as_dict(kid=name, alg=name, use="sig")]} for name, key in keys.items()}
    clients = [
        {"client_id": "writer RS384", "scopes": "system/*.*", "jwks": sets["RS384"]},
        {"client_id": "writer ES384", "scopes": "system/*.*", "jwks": sets["ES384"]},
        {"client_id": "reader", "scopes": "system/*.read", "jwks": sets["ES384"]},
        {"client_id": "small", "scopes": "system/*.cruds", "client_secret": SECRET},
    ]
    settings = {
        "host": "127.0.0.1",
        "port": port,
        "base_url": f"http://127.0.0.1:{port}/fhir",
        "data_dir": str(folder / "data"),
        "simulator": {"enabled": False},
        "server_auth": {"types": ["smart"], "token_lifetime": 300, "smart_clients": clients},
    }
    (folder / "settings.yaml").write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen([str(SEKMET), "serve", "-c", "settings.yaml"], cwd=folder, stdout=log, stderr=log)
        try:
            fhir_server.wait_until_ready(f"http://127.0.0.1:{port}/fhir/.well-known/smart-configuration", process)
            yield f"http://127.0.0.1:{port}/fhir"
        finally:
            fhir_server.stop(process)


@pytest.fixture
def sites(tmp_path: Path, base_url: str, keys: dict[str, RSAKey | ECKey]) -> Sites:
    def build(client_id: str, algorithm: str = "ES384", scope: str = "system/*.read system/*.write") -> Site:
        file = tmp_path / "key.pem"
        file.write_bytes(keys[algorithm].as_pem(private=True))
        file.chmod(0o600)
        own = Authentication(
            type="smart-backend", client_id=client_id, key_file=file, key_id=algorithm, scope=tuple(scope.split())
        )
        return Site(name="north", base_url=base_url, authentication=own)

    return build


@pytest.fixture
def opened() -> Iterator[Callable[[Site], FhirClient]]:
    clients: list[FhirClient] = []

    def open_(site: Site) -> FhirClient:
        clients.append(connect(site))
        return clients[-1]

    yield open_
    for client in clients:
        client.close()


@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
def test_a_write_and_its_reading_back_work_with_a_token(
    sites: Sites, opened: Callable[[Site], FhirClient], algorithm: str
) -> None:
    client = opened(sites(f"writer {algorithm}", algorithm))

    client.require(WRITES)
    answer = client.create("Observation", OBSERVATION)

    assert answer.status == 201
    assert answer.location is not None
    assert client.read("Observation", answer.location.resource_id).json()["code"] == {"text": "a score"}


def test_without_a_token_a_write_is_refused_with_401(base_url: str, opened: Callable[[Site], FhirClient]) -> None:
    with pytest.raises(ServerRefusedError) as caught:
        opened(Site(name="north", base_url=base_url)).create("Observation", OBSERVATION)

    assert caught.value.status == 401


def test_a_scope_that_is_too_small_is_told_before_and_by_the_server_403(
    sites: Sites, opened: Callable[[Site], FhirClient]
) -> None:
    client = opened(sites("reader"))

    with pytest.raises(ConfigurationError, match=r"did not grant system/Observation\.cu; have it added"):
        client.require(WRITES)
    with pytest.raises(ServerRefusedError) as caught:
        client.create("Observation", OBSERVATION)

    assert caught.value.status == 403
    client.require([("Patient", "r"), ("Patient", "s")])
    assert list(search.resources(client, "Patient", page_size=10)) == []


def test_a_scope_that_this_client_may_not_have_is_refused_with_its_code(
    sites: Sites, opened: Callable[[Site], FhirClient]
) -> None:
    with pytest.raises(ServerRefusedError, match=r"invalid_scope .*check authentication\.scope") as caught:
        opened(sites("reader", scope="system/*.write")).create("Observation", OBSERVATION)

    assert caught.value.status == 401


def test_a_key_that_is_not_registered_is_refused_with_its_code(
    sites: Sites, opened: Callable[[Site], FhirClient]
) -> None:
    site = sites("writer ES384")
    assert site.authentication.key_file is not None
    site.authentication.key_file.write_bytes(ECKey.generate_key("P-384").as_pem(private=True))

    with pytest.raises(ServerRefusedError, match="invalid_client"):
        opened(site).create("Observation", OBSERVATION)
    with pytest.raises(ServerRefusedError, match="invalid_client"):
        opened(sites("nobody")).create("Observation", OBSERVATION)


def test_a_client_with_a_secret_writes_likewise(
    tmp_path: Path, base_url: str, opened: Callable[[Site], FhirClient]
) -> None:
    (tmp_path / "secret").write_text(SECRET, encoding="utf-8")
    (tmp_path / "secret").chmod(0o600)
    own = Authentication(type="client-secret", client_id="small", secret_file=tmp_path / "secret")
    client = opened(Site(name="north", base_url=base_url, authentication=own))

    client.require(WRITES)

    assert client.create("Observation", OBSERVATION).status == 201
