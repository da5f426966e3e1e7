"""A study over files, and a study over a site's server with its outcomes planned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from integration import outcomes, pipeline
from integration.intake import READ_TYPES
from integration.mapping import Mapping
from integration.progress import Progress
from integration.settings import Settings, Site
from integration.sources import search
from integration.sources.client import FhirClient
from integration.sources.files import Files
from integration.sources.resource import RawResource
from integration.warehouse import StoreCounts, Warehouse
from server.jobs import chart, stores
from server.ledger import Ledger, PlanCounts
from server.ledger.planning import Kind
from server.planner import Changed

_EXAMPLES: Final = 10

PulledPage = Callable[[str, int], None]
"""Called for each page of a search: resource type, resources on it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteRun:
    """What a study over a site's server did.

    Attributes:
        job: what was run.
        pulled: resources by what the warehouse made of them.
        results: the study's.
        planned: what the ledger made of the outcomes.
    """

    job: pipeline.Job
    pulled: StoreCounts
    results: pipeline.Results
    planned: Planned


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """What a plan did to the ledger, or would do.

    Attributes:
        counts: resources by what the ledger made of them.
        withdrawn: resources taken back.
        held_back: what a person must accept before anything is planned: the software, mapping and profile that would
            change what was planned before; empty: it was planned.
        by_kind: of a plan held back, how many resources of each kind it would give another content.
        examples: the first of them, with what would change.
    """

    counts: PlanCounts
    withdrawn: int
    held_back: str = ""
    by_kind: dict[Kind, int] = field(default_factory=dict)
    examples: Sequence[Changed] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Staged:
    """A site's resources in the warehouse, as a source."""

    warehouse: Warehouse
    site: str

    def __iter__(self) -> Iterator[RawResource]:
        """Yield every resource, by type and id; its number stands for the line."""
        for number, body in enumerate(self.warehouse.resources(self.site), start=1):
            yield RawResource(self.site, number, "", body)


def study_of_files(
    data: Sequence[Path], mapping: Mapping, out: Path, *, settings: Settings, progress: Progress
) -> tuple[pipeline.Job, pipeline.Results]:
    """Run a study over files."""
    source = Files(data, settings.line_limit_bytes)
    job = pipeline.Job(
        source=source,
        files=list(source.described()),
        mapping=mapping,
        site=pipeline.SITE_OF_FILES,
        now=datetime.now(UTC),
        skipped=source.skipped,
    )
    return job, pipeline.run(job, out, progress)


def study_of_site(
    site: Site,
    mapping: Mapping,
    out: Path,
    *,
    settings: Settings,
    progress: Progress,
    on_page: PulledPage = lambda *_: None,
) -> SiteRun:
    """Pull a site's resources by search, run the study over them, and plan the outcomes in the ledger."""
    with stores.open_warehouse(settings) as warehouse, stores.open_ledger(settings) as ledger:
        progress.step("pull")
        with chart.connector(site)() as client:
            pulled = pull(client, warehouse, site, on_page)
        job = pipeline.Job(
            source=Staged(warehouse=warehouse, site=site.name),
            files=(),
            mapping=mapping,
            site=site.name,
            now=datetime.now(UTC),
        )
        results = pipeline.run(job, out, progress)
        progress.step("plan")
        find_patient = stores.staged_patients(warehouse, site, mapping)
        return SiteRun(job=job, pulled=pulled, results=results, planned=plan(ledger, site, results, find_patient))


def pull(client: FhirClient, warehouse: Warehouse, site: Site, on_page: PulledPage) -> StoreCounts:
    """Search a server for every type that a study reads, page by page, into the warehouse.

    Nothing is removed: a search does not say what was deleted.
    """
    counts = StoreCounts()
    for resource_type in READ_TYPES:
        found = search.resources(
            client,
            resource_type,
            page_size=site.limits.page_size,
            on_page=lambda page, resource_type=resource_type: on_page(resource_type, len(page.resources)),  # type: ignore[misc]  # bound per turn
        )
        counts += warehouse.store(site.name, found)
    return counts


def plan(
    ledger: Ledger, site: Site, results: pipeline.Results, find_patient: Callable[[str], str | None] = str
) -> Planned:
    """Record in the ledger what the chart shall hold; outcomes of responses that became unusable are withdrawn.

    A plan made with another version of the software or the mapping, or with another write profile, than the one
    before is held back if it changes anything that was planned, until a person accepts it.
    """
    planner = stores.planner(ledger, site, find_patient)
    device = outcomes.device(results.origin)
    without = [(one.response_id, one.reason) for one in results.intake.responses if not one.has_outcome]
    made_with, before = made_with_text(results.origin, site), ledger.decisions.origin(site.name)
    if before and before != made_with:
        counts = planner.preview(device, results.outcomes())
        withdrawn = planner.would_withdraw(without)
        if counts.changed or withdrawn:
            changed = planner.changes(device, results.outcomes())
            return _held_back(Planned(counts=counts, withdrawn=withdrawn, held_back=made_with), changed)
    counts = planner.plan(device, results.outcomes())
    withdrawn = planner.withdraw_all(without)
    ledger.decisions.set_origin(site.name, made_with)
    return Planned(counts=counts, withdrawn=withdrawn)


def _held_back(planned: Planned, changed: Iterable[Changed]) -> Planned:
    """Return a plan that is held back with what it would change."""
    by_kind: Counter[Kind] = Counter()
    examples: list[Changed] = []
    for one in changed:
        by_kind[one.kind] += 1
        if len(examples) < _EXAMPLES:
            examples.append(one)
    return replace(planned, by_kind=dict(by_kind), examples=examples)


def made_with_text(origin: outcomes.Origin, site: Site) -> str:
    """Return what a plan is made with, for a person to read and for comparison."""
    return f"Outcome Bridge {origin.software_version}, mapping {origin.mapping}, write profile {site.write_profile}"
