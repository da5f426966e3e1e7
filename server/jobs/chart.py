"""One delivery to a site's chart, one reading back of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final, Literal

from integration.errors import ConfigurationError, DeliveryError, ServerRefusedError, ServerUnreachableError
from integration.settings import Settings, Site
from integration.sources import auth
from integration.sources.client import Clock, FhirClient, Retries, connect
from integration.warehouse import Warehouse
from server import reconcile as reconciling
from server.delivery import dry_run as dry_running
from server.delivery import run as delivery
from server.delivery.run import Progress
from server.delivery.safeguards import Safeguards
from server.jobs import stores
from server.ledger import Ledger
from server.sites import profile_of

_SPARE_SECONDS: Final = 0.1
_Interaction = tuple[str, Literal["c", "r", "u", "s"]]


def deliver(site: Site, *, settings: Settings, on_progress: Progress = lambda *_: None) -> delivery.DeliveryReport:
    """Send what is due to a site's server; what a killed delivery had leased is waited for, once.

    Raises:
        SettingsError: the opt-out list cannot be read; nothing was asked.
    """
    site.safeguards.opted_out()
    connecting = connector(site)
    with (
        stores.open_warehouse(settings) as warehouse,
        stores.open_ledger(settings) as ledger,
        connecting() as client,
    ):
        require_fhir(client)
        report = send(ledger, warehouse, client, site, connect=connecting, on_progress=on_progress)
        if not report.leased_until or report.stopped:
            return report
        now = datetime.fromisoformat(ledger.now())
        pause = (datetime.fromisoformat(report.leased_until) - now).total_seconds()
        Clock().sleep(max(0.0, pause) + _SPARE_SECONDS)
        again = send(ledger, warehouse, client, site, connect=connecting, on_progress=on_progress)
        sent, resolved = Counter(report.sent) + Counter(again.sent), Counter(report.resolved) + Counter(again.resolved)
        return replace(again, sent=sent, resolved=resolved)


def send(
    ledger: Ledger,
    warehouse: Warehouse,
    client: FhirClient,
    site: Site,
    *,
    connect: Callable[[], FhirClient],
    limit: int | None = None,
    on_progress: Progress = lambda *_: None,
) -> delivery.DeliveryReport:
    """Send what is due to a site's server, with the site's safeguards; the ledger says whether it could be reached.

    Raises:
        ConfigurationError: the server did not grant what the writing needs; nothing was sent.
        DeliveryError: see `delivery.deliver`.
    """
    try:
        client.require(needed(ledger, site))
        safeguards = safeguards_of(ledger, warehouse, site)
        report = delivery.deliver(
            ledger, client, site, limit=limit, connect=connect, safeguards=safeguards, on_progress=on_progress
        )
    except ServerUnreachableError:
        ledger.decisions.note_contact(site.name, has_failed=True)
        raise
    if not report.stopped:
        ledger.decisions.note_contact(site.name, has_failed=False)
    return report


def dry_run(
    site: Site, *, settings: Settings, on_progress: Progress = lambda *_: None
) -> tuple[dry_running.DryRun, str]:
    """Say what a delivery would do now; nothing is written, neither to the chart nor to the ledger.

    Returns:
        What it would do, and why the server would not let it write, as far as the login says that; empty: it would.

    Raises:
        SettingsError: the opt-out list cannot be read; nothing was asked.
    """
    site.safeguards.opted_out()
    with (
        stores.open_warehouse(settings) as warehouse,
        stores.open_ledger(settings) as ledger,
        connector(site)() as client,
    ):
        require_fhir(client)
        report = dry_running.dry_run(
            ledger, client, site, safeguards=safeguards_of(ledger, warehouse, site), on_progress=on_progress
        )
        return report, _refusal(client, needed(ledger, site))


def safeguards_of(ledger: Ledger, warehouse: Warehouse, site: Site) -> Safeguards:
    """Return what must hold before a write to a site; the source's Patients are those that were pulled from it."""
    return Safeguards(ledger, site, lambda patient_id: warehouse.read(site.name, "Patient", patient_id))


def _refusal(client: FhirClient, interactions: list[_Interaction]) -> str:
    try:
        client.require(interactions)
    except ConfigurationError as error:
        return str(error)
    return ""


def reconcile(
    site: Site, *, settings: Settings, repair: bool = False, on_progress: Progress = lambda *_: None
) -> reconciling.Reconciliation:
    """Read every outcome back from a site's server; plan what can be mended, if that is wanted."""
    with stores.open_ledger(settings) as ledger, connector(site)() as client:
        require_fhir(client)
        return reconciling.reconcile(ledger, client, site, repair=repair, on_progress=on_progress)


def require_fhir(client: FhirClient) -> None:
    """See that there is a FHIR server at the site's address, where "not found" would pass for an empty chart.

    Raises:
        DeliveryError: it says that it has no CapabilityStatement, which every FHIR server has.
    """
    try:
        client.capabilities()
    except ServerRefusedError as error:
        if error.status in (404, 405, 410):
            problem = f"HTTP {error.status}: no FHIR server at this address; check the site's base_url"
            raise DeliveryError(f"{client.base_url}/metadata: {problem}") from error


def connector(site: Site) -> Callable[[], FhirClient]:
    """Return what makes connections to a site's server; they share one login."""
    login = auth.authenticator(site)
    return lambda: connect(site, authenticator=login)


def asking_once(site: Site, seconds: float) -> Callable[[], FhirClient]:
    """Return what makes connections for questions that are asked once, and waited for no longer than this for a byte.

    They share a login of their own: one that others wait for is not waited for by these.
    """
    login = auth.authenticator(site)
    return lambda: FhirClient(
        site.base_url,
        timeout_seconds=min(seconds, site.limits.timeout_seconds),
        retries=Retries(attempts=1),
        authenticator=login,
        ca_file=site.ca_file,
    )


def needed(ledger: Ledger, site: Site) -> list[_Interaction]:
    """Return what must be granted for what is due at a site; its Patients too, if they are to be compared."""
    updates = profile_of(site).abilities.updates
    types = ledger.due_types(site.name)
    patients: list[_Interaction] = [("Patient", "r")] if types and site.safeguards.check_patient else []
    return patients + sorted(
        (resource_type, interaction)
        for resource_type in types
        for interaction in ("c", "r", "s", "u")
        if interaction != "u" or (updates and resource_type != "Provenance")
    )
