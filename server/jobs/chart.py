"""One delivery to a site's chart, one reading back of it."""

from __future__ import annotations

from integration.settings import Settings, Site
from integration.sources.client import connect
from server import reconcile as reconciling
from server.delivery import run as delivery
from server.delivery.run import Progress
from server.jobs import stores


def deliver(site: Site, *, settings: Settings, on_progress: Progress = lambda *_: None) -> delivery.DeliveryReport:
    """Send what is due to a site's server."""
    with stores.open_ledger(settings) as ledger, connect(site) as client:
        return delivery.deliver(ledger, client, site, on_progress=on_progress)


def reconcile(site: Site, *, settings: Settings, on_progress: Progress = lambda *_: None) -> reconciling.Reconciliation:
    """Read every outcome back from a site's server."""
    with stores.open_ledger(settings) as ledger, connect(site) as client:
        return reconciling.reconcile(ledger, client, site, on_progress=on_progress)
