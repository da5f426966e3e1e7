"""Where an installation keeps its state."""

from __future__ import annotations

from integration.settings import Settings
from integration.warehouse import Warehouse
from server.ledger import Ledger


def open_warehouse(settings: Settings) -> Warehouse:
    """Open the warehouse, and make it if it is not there."""
    settings.state_folder.mkdir(parents=True, exist_ok=True)
    return Warehouse.open(settings.state_folder / "warehouse.sqlite")


def open_ledger(settings: Settings) -> Ledger:
    """Open the ledger, and make it if it is not there."""
    settings.state_folder.mkdir(parents=True, exist_ok=True)
    return Ledger.open(settings.state_folder / "ledger.sqlite")
