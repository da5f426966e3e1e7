"""Where an installation keeps its state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from integration import intake
from integration.mapping import Mapping
from integration.settings import Settings, Site
from integration.warehouse import Warehouse
from server.ledger import Ledger
from server.ledger.overview import Overview
from server.planner import Planner
from server.sites import profile_of


def open_warehouse(settings: Settings) -> Warehouse:
    """Open the warehouse, and make it if it is not there."""
    settings.state_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Warehouse.open(settings.state_folder / "warehouse.sqlite")


def planner(ledger: Ledger, site: Site, find_patient: Callable[[str], str | None] = str) -> Planner:
    """Return what plans a site's outcomes, in the shape that the site takes.

    Args:
        ledger: where they are recorded.
        site: whose.
        find_patient: see `Planner`; unless given, nobody was merged.
    """
    return Planner(ledger, site.name, profile_of(site), find_patient)


def staged_patients(warehouse: Warehouse, site: Site, mapping: Mapping) -> Callable[[str], str | None]:
    """Return what says who a patient is after merging, by the Patients in the warehouse."""
    return lambda patient_id: intake.find_patient(
        mapping, patient_id, lambda one: warehouse.read(site.name, "Patient", one)
    )


def open_ledger(settings: Settings) -> Ledger:
    """Open the ledger, in PostgreSQL if the settings name a URL, and make it if it is not there."""
    return Ledger.open(ledger_place(settings))


def open_overview(settings: Settings) -> Overview:
    """Open the ledger for its figures only."""
    return Overview.open(ledger_place(settings))


def ledger_place(settings: Settings) -> Path | str:
    """Return where the ledger is: a file in the state folder, or PostgreSQL if the settings name a URL."""
    return settings.ledger.url or settings.state_folder / "ledger.sqlite"
