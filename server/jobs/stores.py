"""Where an installation keeps its state."""

from __future__ import annotations

from integration.settings import Settings, Site
from integration.warehouse import Warehouse
from server.ledger import Ledger
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
    if settings.ledger.url:
        return Ledger.open(settings.ledger.url)
    settings.state_folder.mkdir(parents=True, exist_ok=True)
    return Ledger.open(settings.state_folder / "ledger.sqlite")
