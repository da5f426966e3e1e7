"""The ledger's URL in the settings file."""

from pathlib import Path

import pytest

from integration import settings
from integration.errors import SettingsError
from server.jobs import stores
from server.ledger.engine import open_ledger_engine


def load(folder: Path, url: str) -> settings.Settings:
    (folder / "outcome-bridge.toml").write_text(f'[ledger]\nurl = "{url}"\n', encoding="utf-8")
    return settings.load(folder / "outcome-bridge.toml", {})


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://bridge@/outcomes?host=/run/postgresql",
        "postgresql://bridge@localhost/outcomes?passfile=/etc/pgpass",
        "postgresql+psycopg://bridge@127.0.0.1:5433/outcomes",
        "postgresql+psycopg://bridge@db.example/outcomes?sslmode=verify-full",
        "postgresql+psycopg://?service=outcomes",
    ],
)
def test_a_url_on_this_machine_or_over_tls_is_taken(tmp_path: Path, url: str) -> None:
    assert load(tmp_path, url).ledger.url == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://bridge:hidden@h/d", "must be a PostgreSQL URL"),
        ("postgresql+psycopg://bridge:hidden@db.example/outcomes", "sslmode=verify-full"),
        ("postgresql+psycopg://bridge:hidden@/d?hostaddr=192.0.2.1", "sslmode=verify-full"),
        ("postgresql+psycopg://bridge:hidden@db.example/outcomes?sslmode=prefer", "sslmode=verify-full"),
        ("postgresql+psycopg://bridge@localhost/d?password=hidden", "must hold no password in its query"),
    ],
)
def test_any_other_is_refused_without_repeating_it(tmp_path: Path, url: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        load(tmp_path, url)

    assert "hidden" not in str(caught.value)


def test_the_url_is_in_no_representation(tmp_path: Path) -> None:
    assert "hidden" not in repr(load(tmp_path, "postgresql+psycopg://bridge:hidden@localhost/d"))


def test_the_ledger_is_opened_where_the_settings_say(tmp_path: Path, cluster: object) -> None:
    url = cluster.new_schema()  # type: ignore[attr-defined]  # a Cluster

    with stores.open_ledger(load(tmp_path, url)) as ledger:
        assert ledger._engine.dialect.name == "postgresql"
    assert not (tmp_path / "state" / "ledger.sqlite").exists()


def test_no_transaction_waits_or_is_waited_for_without_end(cluster: object) -> None:
    engine = open_ledger_engine(cluster.new_schema())  # type: ignore[attr-defined]  # a Cluster
    with engine.begin() as connection:
        names = ("lock_timeout", "idle_in_transaction_session_timeout")
        found = [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names]
    engine.dispose()

    assert found == ["1min", "1min"]
