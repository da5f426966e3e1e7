"""The figures as Prometheus reads them (https://prometheus.io/docs/instrumenting/exposition_formats/).

Labels have few values, all of them ours: states, routes, methods, statuses and the site's name; never an id.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import get_args

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from server.ledger.states import State
from server.service.operations.figures import Figures, Stores
from server.service.operations.timings import Timings


class Metrics:
    """What one application tells a Prometheus server, in a registry of its own.

    Args:
        stores: read at every scrape.
        timings: of requests, over all processes.
        software_version: of Outcome Bridge.
        fhir_version: of the mapping.
    """

    def __init__(self, stores: Stores, timings: Timings, *, software_version: str, fhir_version: str) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        versions = {"version": software_version, "fhir": fhir_version, "python": platform.python_version()}
        self._registry.register(_Figures(stores, versions))
        self._registry.register(_Requests(timings))

    def answer(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics and their content type, in the form that is asked for.

        Raises:
            LedgerError, sqlalchemy.exc.DBAPIError: a store cannot be read now.
        """
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _Requests(Collector):
    def __init__(self, timings: Timings) -> None:
        self._timings = timings

    def collect(self) -> Iterable[Metric]:
        return self._timings.collect()


class _Figures(Collector):
    def __init__(self, stores: Stores, versions: Mapping[str, str]) -> None:
        self._stores, self._versions = stores, versions

    def collect(self) -> Iterable[Metric]:
        yield _build(self._versions)
        yield from _of_site(self._stores.figures())


def _build(versions: Mapping[str, str]) -> Metric:
    made = GaugeMetricFamily("outcome_bridge_build_info", "What runs; always 1.", labels=list(versions))
    made.add_metric(list(versions.values()), 1)
    return made


def _of_site(figures: Figures) -> Iterator[Metric]:
    site = figures.site
    received = CounterMetricFamily("outcome_bridge_received", "Versions of responses stored so far.", labels=["site"])
    received.add_metric([site], sum(figures.inbox.values()))
    yield received
    yield _by("outcome_bridge_inbox", "Stored versions by what became of them.", site, "state", figures.inbox)
    known = {state: figures.outcomes.get(state, 0) for state in get_args(State)}
    yield _by("outcome_bridge_outcomes", "Resources in the ledger by state.", site, "state", known)
    sent = CounterMetricFamily(
        "outcome_bridge_deliveries", "Resources sent so far by the state that followed.", labels=["site", "result"]
    )
    for result, count in sorted(figures.deliveries.items()):
        sent.add_metric([site, result], count)
    yield sent
    for name, text, value in _single(figures):
        gauge = GaugeMetricFamily(f"outcome_bridge_{name}", text, labels=["site"])
        gauge.add_metric([site], value)
        yield gauge


def _single(figures: Figures) -> Iterator[tuple[str, str, float]]:
    yield (
        "oldest_unproven_seconds",
        "Age of the oldest write not seen in the chart yet.",
        figures.oldest_unproven_seconds,
    )
    yield "oldest_due_seconds", "Age of the oldest outcome still to be sent.", figures.oldest_due_seconds
    yield (
        "oldest_waiting_seconds",
        "Age of the oldest of what was taken and nothing was made of yet.",
        figures.oldest_waiting_seconds,
    )
    yield "working", "Whether some process plans and delivers now.", float(figures.is_worked)
    yield "quarantined", "Stored responses that can never be used and wait for a person.", quarantined(figures.inbox)
    yield "breaker_open", "Whether the EHR's server is left alone now.", float(figures.is_breaker_open)
    yield "breaker_openings", "How often in a row that was so.", figures.breaker.failures
    yield (
        "last_contact_timestamp_seconds",
        "When the EHR's server last answered; 0: never.",
        _seconds(figures.last_contact),
    )
    yield (
        "failed_contact_timestamp_seconds",
        "When a delivery last could not reach the EHR's server; 0: the last one could.",
        _seconds(figures.failed_contact),
    )
    yield "free_bytes", "Room on the disk of the state folder.", figures.free_bytes


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp() if moment else 0.0


def quarantined(inbox: Mapping[str, int]) -> int:
    """Return how many stored versions are set aside."""
    return inbox.get("quarantined", 0)


def _by(name: str, text: str, site: str, label: str, values: Mapping[str, int]) -> Metric:
    gauge = GaugeMetricFamily(name, text, labels=["site", label])
    for value, count in sorted(values.items()):
        gauge.add_metric([site, value], count)
    return gauge
