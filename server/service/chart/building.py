"""Put together what persons and EHRs see of a patient: the chart's pages, launches, and the cards of CDS Hooks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint

from integration import origin
from integration.errors import ConfigurationError
from integration.mapping import Mapping
from integration.service_settings import Chart, Service
from integration.settings import Settings, Site
from integration.sources import auth, credentials
from integration.sources.client import FhirClient
from integration.warehouse import Warehouse
from server.ledger import Ledger
from server.ledger.reading import Held
from server.service.access import secret_files
from server.service.access.once import Once
from server.service.cds_hooks import client_token
from server.service.cds_hooks import routes as hook_routes
from server.service.cds_hooks.routes import Hooks
from server.service.chart import routes
from server.service.chart.gathering import Gathering
from server.service.chart.routes import ChartPages
from server.service.chart.smart import discovery
from server.service.chart.smart import routes as smart_routes
from server.service.chart.smart.cookies import Cookies
from server.service.chart.smart.launch import Launching, client_key
from server.service.chart.smart.routes import Smart, bounded_client
from server.service.chart.smart.sessions import ChartSessions


@dataclass(frozen=True, kw_only=True, slots=True)
class Stores:
    """Where the service's own knowledge is.

    Attributes:
        ledger: outcomes.
        warehouse: resources that were pulled or posted.
        posted: what was posted of responses, by id.
        once: what may be used once only.
        key: signs cookies.
    """

    ledger: Ledger
    warehouse: Warehouse
    posted: Callable[[Sequence[str]], Sequence[bytes]]
    once: Once
    key: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Clinical:
    """What is shown of patients outside the staff pages.

    Attributes:
        chart_pages: the pages below /chart.
        smart: launches.
        hooks: CDS Hooks.
    """

    chart_pages: ChartPages
    smart: Smart
    hooks: Hooks

    def blueprints(self) -> Iterable[Blueprint]:
        """Build the routes."""
        yield routes.blueprint(self.chart_pages)
        yield smart_routes.blueprint(self.smart)
        yield hook_routes.blueprint(self.hooks)


@contextmanager
def opened(
    settings: Settings, site: Site, mapping: Mapping, stores: Stores, *, now: Callable[[], datetime]
) -> Iterator[Clinical]:
    """Build it for an installation.

    Raises:
        ConfigurationError: an EHR may launch the chart whose patients' ids may be another's here.
        SettingsError: a secret or key cannot be read.
        InputError: the table of the sessions cannot be opened.
    """
    chart = settings.service.chart
    secret_files.check(chart.secret_file)
    if chart.key_file and client_key(chart):
        credentials.warn_if_public(chart.key_file)
    place = settings.ledger.url or settings.state_folder / "chart-sessions.sqlite"
    with contextlib.closing(ChartSessions.open(place, now=now)) as sessions:
        yield clinical(settings.service, site, mapping, stores, sessions=sessions, now=now)


def clinical(
    service: Service,
    site: Site,
    mapping: Mapping,
    stores: Stores,
    *,
    sessions: ChartSessions,
    now: Callable[[], datetime],
) -> Clinical:
    """Build it of its parts.

    Raises:
        ConfigurationError: an EHR may launch the chart whose patients' ids may be another's here.
    """
    _require_own_ids(service.chart, site)
    connect = _connector(site, now)
    gathering = Gathering(
        mapping=mapping, site=site.name, warehouse=stores.warehouse, ledger=stores.ledger, posted=stores.posted
    )
    algorithms = frozenset(service.tokens.algorithms)
    ehrs = discovery.ehrs(service.chart.issuers, ca_file=service.chart.ca_file, now=now)
    smart = Smart(
        launching=Launching(chart=service.chart, ehrs=ehrs, once=stores.once, now=now, algorithms=algorithms),
        sessions=sessions,
        cookies=Cookies(key=stores.key, may_be_framed=bool(service.chart.frame_ancestors)),
        connect=connect,
        now=now,
        public_url=service.public_url,
        ca_file=service.chart.ca_file,
        staff_can_log_in=service.staff.can_log_in,
    )
    made_by = f"Outcome Bridge {origin.software_version()}, mapping {mapping.name} {mapping.version}"
    return Clinical(
        chart_pages=ChartPages(gathering=gathering, viewer=smart.viewer, now=now, made_by=made_by),
        smart=smart,
        hooks=_hooks(service, site, stores, gathering, ehrs=ehrs, now=now),
    )


def _require_own_ids(chart: Chart, site: Site) -> None:
    """See that whoever may launch the chart means this site's patient by an id, and not another hospital's."""
    own = {discovery.normalized(one) for one in (site.base_url, *chart.same_ids_as_site)}
    for issuer in chart.issuers:
        if discovery.normalized(issuer) not in own:
            raise ConfigurationError(
                f"service.chart.issuers names {issuer}, which is not the base_url of site {site.name}, so its ids may"
                " be other patients' here; remove it, or list it in service.chart.same_ids_as_site if it is one EHR"
            )


def _hooks(
    service: Service,
    site: Site,
    stores: Stores,
    gathering: Gathering,
    *,
    ehrs: Iterable[str],
    now: Callable[[], datetime],
) -> Hooks:
    chart, hooks = service.chart, service.cds_hooks
    return Hooks(
        held=_held_at_hand(gathering),
        tokens=client_token.of(hooks, stores.once, now, frozenset(service.tokens.algorithms)),
        fhir_servers=frozenset({*ehrs, discovery.normalized(site.base_url)}),
        launches=bool(chart.issuers),
        origins=_origins((*chart.issuers, *chart.frame_ancestors, *hooks.issuers)),
        public_url=service.public_url,
        body_limit_bytes=service.body_limit_bytes,
        now=now,
    )


def _connector(site: Site, now: Callable[[], datetime]) -> Callable[[], FhirClient]:
    login = auth.authenticator(site, now=now)
    return lambda: bounded_client(site.base_url, authenticator=login, ca_file=site.ca_file)


def _held_at_hand(gathering: Gathering) -> Callable[[str], list[Held]]:
    """Return what finds a patient's outcomes without asking the EHR: a card must be there at once."""

    def held(patient_id: str) -> list[Held]:
        return gathering.held(gathering.person(patient_id) or gathering.person_known_as(patient_id))

    return held


def _origins(urls: Iterable[str]) -> frozenset[str]:
    """Return the origins of those that are addresses."""
    return frozenset(origin for url in urls if (origin := _origin(url)))


def _origin(url: Any) -> str:
    try:
        parts = urlsplit(discovery.normalized(url))
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("https", "http") and parts.netloc else ""
