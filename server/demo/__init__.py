"""The whole way once, on synthetic data, against a FHIR server on this machine that somebody else wrote."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from integration import mapping as mapping_module
from integration import pipeline, settings
from integration.errors import InputError
from integration.mapping import Mapping
from integration.settings import Settings, Site
from integration.sources.client import connect
from server.demo import chart, fhir_server, post
from server.jobs import chart as chart_jobs
from server.jobs import study
from server.summary.chart import show_books, show_delivery
from server.summary.study import show_run
from server.terminal import Terminal

SITE: Final = "demo"
_SETTINGS_FILE: Final = "outcome-bridge.toml"
_SETTINGS: Final = '# Written by the demo.\nstate_folder = "state"\n'
_SITE: Final = """\
# Written by the demo at every start: the port is another each time.
base_url = "{base_url}"
# As the synthetic export names the server that its patients are at.
other_base_urls = ["https://ehr.example.invalid/fhir"]
"""
_LOADED_MARK: Final = "loaded"
_POSTED_AFTER: Final = timedelta(days=365)


@dataclass(kw_only=True)
class Stopwatch:
    """How long each step took, in seconds; names it when it begins."""

    terminal: Terminal
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure a step."""
        self.terminal.remark(f"... {name}")
        begin = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begin


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """What the demo plays on.

    Attributes:
        folder: of the demo; keeps the server's data, our state and the results.
        settings: as an operator would have them.
        site: the local server.
        mapping: the default study.
        watch: the stopwatch.
        terminal: what is shown.
    """

    folder: Path
    settings: Settings
    site: Site
    mapping: Mapping
    watch: Stopwatch
    terminal: Terminal


def run(folder: Path, program: Path | None, terminal: Terminal, *, export: Path | None = None) -> int:
    """Run the demo in a folder; run again, it finds everything done and sends nothing.

    Args:
        folder: where it keeps the server's data, our state and the results.
        program: the FHIR server's executable; looked for if it is None.
        terminal: what is shown.
        export: what the EHR holds; the synthetic export if it is None.

    Returns:
        Exit status: 0 if the chart was seen to hold every outcome, 1 if not.
    """
    executable, export, watch = fhir_server.executable(program), export or fixture(), Stopwatch(terminal=terminal)
    with ExitStack() as stack:
        with watch.step("start the FHIR server"):
            base_url = stack.enter_context(fhir_server.running(executable, folder / "fhir-server"))
        stage = _stage(folder, base_url, watch, terminal)
        _load(stage, export)
        results = _study(stage)
        is_proven = _deliver_and_prove(stage)
        _post(stage, results)
    _show_end(stage)
    return 0 if is_proven else 1


def fixture() -> Path:
    """Return the synthetic export: the checkout's, else the copy inside the package.

    Raises:
        InputError: it is in neither.
    """
    here = Path(__file__).resolve().parent.parent
    for candidate in (here.parent / "fixtures" / "export", here / "fixture"):
        if candidate.is_dir():
            return candidate
    raise InputError(path=str(here / "fixture"), problem="the synthetic export is missing; install the package again")


def _stage(folder: Path, base_url: str, watch: Stopwatch, terminal: Terminal) -> Stage:
    (folder / "sites").mkdir(parents=True, exist_ok=True)
    (folder / _SETTINGS_FILE).write_text(_SETTINGS, encoding="utf-8")
    (folder / "sites" / f"{SITE}.toml").write_text(_SITE.format(base_url=base_url), encoding="utf-8")
    configured = settings.load(folder / _SETTINGS_FILE, {})
    return Stage(
        folder=folder,
        settings=configured,
        site=configured.site(SITE),
        mapping=mapping_module.load(),
        watch=watch,
        terminal=terminal,
    )


def _load(stage: Stage, export: Path) -> None:
    mark = stage.folder / "fhir-server" / _LOADED_MARK
    if mark.exists():
        stage.terminal.say("The server holds the synthetic export from an earlier demo: nothing is loaded.\n")
        stage.terminal.document("loaded", {})
        return
    with stage.watch.step("load the synthetic export, as an EHR would hold it"), connect(stage.site) as client:
        loaded = chart.load(client, export)
    mark.touch()
    stage.terminal.document("loaded", asdict(loaded))
    stage.terminal.say(
        f"Loaded {loaded.stored} synthetic resources; left out {loaded.older} older versions, "
        f"{loaded.refused} that the server refused and {loaded.unreadable} broken lines.\n"
    )


def _study(stage: Stage) -> pipeline.Results:
    out = stage.folder / "results"
    with stage.watch.step("pull by search, run the study, plan the outcomes"), stage.terminal.progress() as progress:
        done = study.study_of_site(stage.site, stage.mapping, out, settings=stage.settings, progress=progress)
    show_run(stage.terminal, done.job, done.results, out, pulled=done.pulled, planned=done.planned)
    return done.results


def _deliver_and_prove(stage: Stage) -> bool:
    with stage.watch.step("deliver what is due"):
        delivered = chart_jobs.deliver(stage.site, settings=stage.settings)
    show_delivery(stage.terminal, SITE, delivered)
    with stage.watch.step("read every outcome back"):
        proof = chart_jobs.reconcile(stage.site, settings=stage.settings)
    show_books(stage.terminal, proof)
    return proof.books.is_proven


def _post(stage: Stage, results: pipeline.Results) -> None:
    """Post one new response to the service, and show its Observations on the server."""
    first = results.frames["cohort"].iloc[0]
    authored = date.fromisoformat(first["procedure_date"]) + _POSTED_AFTER
    with stage.watch.step("post one new response to the service, wait for the chart"), _service(stage) as url:
        shown = post.post_and_wait(stage.site, stage.mapping, url, str(first["patient_id"]), authored)
    stage.terminal.document("posted", {"status": shown.status, "seconds": shown.seconds, "observations": shown.rows})
    outcome = (
        "answered as the first time, and nothing new was sent"
        if shown.was_there
        else f"in the chart {shown.seconds:.1f} s after the POST"
    )
    stage.terminal.say(f"Posted QuestionnaireResponse/{shown.response_id}: HTTP {shown.status}; {outcome}.")
    stage.terminal.table("Its Observations on the server", ("Observation", "id", "status", "value"), shown.rows)


@contextmanager
def _service(stage: Stage) -> Iterator[str]:
    port = fhir_server.free_port()
    arguments = ["serve", "--settings", str(stage.folder / _SETTINGS_FILE), "--site", SITE, "--port", str(port)]
    with (stage.folder / "service.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603  # our own command
            [sys.executable, "-m", "server", *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            url = f"http://127.0.0.1:{port}"
            fhir_server.wait_until_ready(f"{url}/healthz", process)
            yield url
        finally:
            fhir_server.stop(process)


def _show_end(stage: Stage) -> None:
    seconds = stage.watch.seconds
    rows = [(name, f"{spent:.1f}") for name, spent in seconds.items()]
    stage.terminal.table("Time", ("Step", "seconds"), [*rows, ("all", f"{sum(seconds.values()):.1f}")])
    report = (stage.folder / "results" / "report.html").absolute()
    stage.terminal.say(f"The report: {report}")
    stage.terminal.say("Run the demo again: nothing is loaded again, and nothing is sent twice.")
    stage.terminal.document("demo", {"seconds": seconds, "report": str(report)})
