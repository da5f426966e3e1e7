"""Where an installation keeps its state."""

from __future__ import annotations

from pathlib import Path

from integration.settings import Settings, Site
from integration.warehouse import Warehouse
from server.ledger import Ledger
from server.ledger.overview import Overview
from server.planner import Planner
from server.sites import profile_of


def open_warehouse(settings: Settings) -> Warehouse:
    """Open the warehouse, and make it if it is not there."""
    settings.state_folder.mkdir(parents=True, exist_ok=True)
    return Warehouse.open(settings.state_folder / "warehouse.sqlite")


def planner(ledger: Ledger, site: Site) -> Planner:
    """Return what plans a site's outcomes, in the shape that the site takes."""
    return Planner(ledger, site.name, profile_of(site))


def open_ledger(settings: Settings) -> Ledger:
    """Open the ledger, in PostgreSQL if the settings name a URL, and make it if it is not there."""
    return Ledger.open(ledger_place(settings))


def open_overview(settings: Settings) -> Overview:
    """Open the ledger for its figures only."""
    return Overview.open(ledger_place(settings))


def ledger_place(settings: Settings) -> Path | str:
    """Return where the ledger is: a file in the state folder, or PostgreSQL if the settings name a URL."""
    return settings.ledger.url or settings.state_folder / "ledger.sqlite"
