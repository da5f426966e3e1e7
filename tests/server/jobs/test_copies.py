"""A backup is taken while others write; what a restored ledger no longer knows is looked for before it is sent."""

import contextlib
import itertools
import json
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from integration import outcomes
from integration.errors import ConfigurationError, InputError
from integration.settings import Settings, Site
from integration.sources.client import Clock, FhirClient
from integration.warehouse import Warehouse
from server.delivery.run import DeliveryReport, deliver
from server.jobs import copies, stores
from server.ledger import Ledger

NOW = datetime(2012, 6, 1, 12, 0, tzinfo=UTC)
BuildOutcome = Callable[..., outcomes.Outcome]
Chart = Any  # the class lives in conftest.py, which test modules cannot import


class Installation:
    """A state folder, what is planned in it, and what is sent from it."""

    def __init__(self, folder: Path, site: Site, client: FhirClient, build: BuildOutcome, device: Any) -> None:
        self.settings = Settings(folder=folder, state_folder=folder / "state")
        self._site, self._client, self._build, self._device = site, client, build, device

    def plan(self, *response_ids: str, answer: int = 3, version_id: str = "1") -> None:
        built = [self._build(one, answer=answer, version_id=version_id) for one in response_ids]
        with self._ledger() as ledger:
            stores.planner(ledger, self._site).plan(self._device, built)

    def deliver(self) -> DeliveryReport:
        with self._ledger() as ledger:
            return deliver(ledger, self._client, self._site, clock=Clock(now=lambda: NOW, sleep=lambda _: None))

    def states(self) -> dict[str, int]:
        with self._ledger() as ledger:
            return dict(ledger.counts("north"))

    def _ledger(self) -> Ledger:
        return Ledger.open(stores.ledger_place(self.settings), now=lambda: NOW)


@pytest.fixture
def install(
    tmp_path: Path, site: Site, client: FhirClient, build_outcome: BuildOutcome, device: outcomes.Resource
) -> Callable[[str], Installation]:
    return lambda name: Installation(tmp_path / name, site, client, build_outcome, device)


def versions(chart: Chart) -> dict[str, str]:
    return {key: one["meta"]["versionId"] for by_id in chart.held.values() for key, one in by_id.items()}


def test_what_was_sent_after_the_backup_is_found_in_the_chart_and_not_sent_again(
    chart: Chart, install: Callable[[str], Installation], tmp_path: Path
) -> None:
    lost, new = install("lost"), install("new")
    lost.plan("a", "b")
    lost.deliver()
    lost.plan("c", "d")
    lost.plan("a", answer=2, version_id="2")  # due at the time of the backup: two creates and a change
    copies.back_up(lost.settings, tmp_path / "backup")
    lost.deliver()
    lost.plan("b", answer=4, version_id="2")  # changed and sent after it
    lost.plan("e")
    lost.deliver()
    held, writes = versions(chart), chart.writes

    copies.restore(new.settings, tmp_path / "backup")
    first = new.deliver()
    new.plan("b", answer=4, version_id="2")
    new.plan("e")  # as the next run, which reads the source anew, plans them
    second = new.deliver()

    assert (first.remaining, second.remaining) == (0, 0)
    assert (versions(chart), chart.writes) == (held, writes)
    assert set(new.states()) == {"accepted", "already_there"}


def test_what_was_not_sent_after_the_backup_is_sent_once(
    chart: Chart, install: Callable[[str], Installation], tmp_path: Path
) -> None:
    lost, new = install("lost"), install("new")
    lost.plan("a")
    lost.deliver()
    lost.plan("b")
    copies.back_up(lost.settings, tmp_path / "backup")

    copies.restore(new.settings, tmp_path / "backup")
    report = new.deliver()
    again = new.deliver()

    assert report.remaining == 0
    assert again.sent == {}
    assert len(chart.keys()) == len(set(chart.keys())) == 9


def test_where_the_server_cannot_be_searched_a_person_sees_to_what_was_due(
    chart: Chart, install: Callable[[str], Installation], tmp_path: Path
) -> None:
    lost, new = install("lost"), install("new")
    lost.plan("a")
    copies.back_up(lost.settings, tmp_path / "backup")
    lost.deliver()
    held = versions(chart)

    chart.searches = False
    copies.restore(new.settings, tmp_path / "backup")
    new.deliver()

    assert versions(chart) == held
    assert new.states() == {"manual": 4, "planned": 1}  # the Provenance waits for them


def test_a_backup_under_load_is_one_state_of_each_store(install: Callable[[str], Installation], tmp_path: Path) -> None:
    lost, new, stop = install("lost"), install("new"), threading.Event()
    lost.plan("first")
    Warehouse.open(lost.settings.state_folder / "warehouse.sqlite").close()

    def write() -> None:
        with Warehouse.open(lost.settings.state_folder / "warehouse.sqlite") as warehouse:
            for number in itertools.count():
                if stop.is_set():
                    return
                bodies = [json.dumps({"resourceType": "Patient", "id": f"p{number}-{one}"}).encode() for one in "abc"]
                warehouse.store("north", bodies)
                lost.plan(f"r{number}")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        taken = [copies.back_up(lost.settings, tmp_path / f"backup-{number}") for number in range(5)]
    finally:
        stop.set()
        writer.join(30)

    for copy in taken:
        patients, responses = counted(copy.folder)
        assert patients % 3 == 0  # a batch is there whole or not at all
        assert responses == 4 * (responses // 4) + 1  # each response with its four resources, and one Device
    copies.restore(new.settings, tmp_path / "backup-4")
    assert sum(new.states().values()) == counted(tmp_path / "backup-4")[1]


def counted(folder: Path) -> tuple[int, int]:
    def count(name: str, table: str) -> int:
        with contextlib.closing(sqlite3.connect(folder / name)) as connection:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    return count("warehouse.sqlite", "staged"), count("ledger.sqlite", "outcome")


@pytest.fixture
def taken(install: Callable[[str], Installation], tmp_path: Path) -> tuple[Installation, Path]:
    lost = install("lost")
    lost.plan("a")
    copies.back_up(lost.settings, tmp_path / "backup")
    return lost, tmp_path / "backup"


def test_a_backup_can_be_read_by_its_owner_only(taken: tuple[Installation, Path]) -> None:
    _, folder = taken

    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "ledger.sqlite").stat().st_mode & 0o077 == 0


def test_neither_backup_nor_restore_writes_over_anything(taken: tuple[Installation, Path]) -> None:
    lost, folder = taken

    with pytest.raises(ConfigurationError, match="something already"):
        copies.back_up(lost.settings, folder)
    with pytest.raises(ConfigurationError, match=r"ledger\.sqlite: is there already"):
        copies.restore(lost.settings, folder)


def test_a_damaged_backup_is_refused(taken: tuple[Installation, Path], install: Callable[[str], Installation]) -> None:
    _, folder = taken
    with (folder / "ledger.sqlite").open("r+b") as file:
        file.seek(5000)
        file.write(b"x")

    with pytest.raises(InputError, match="is not what the backup wrote"):
        copies.restore(install("new").settings, folder)

    assert not (install("new").settings.state_folder / "ledger.sqlite").exists()
