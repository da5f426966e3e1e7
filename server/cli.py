"""The command line: the only place that builds objects and ends the process."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import click

from integration import settings
from integration.errors import OutcomeBridgeError
from server import log
from server.commands import copies, keys, people
from server.commands.options import (
    DONE,
    FAILED,
    SOME_REJECTED,
    WRONG,
    format_option,
    mapping_option,
    settings_option,
    site_option,
)
from server.terminal import Format, Terminal

# What a command works with is imported by it: `--help` and `view` need not load what `run` needs.
if TYPE_CHECKING:
    from integration.mapping import Mapping
    from server.view_rows import Form

__all__ = ["DONE", "FAILED", "SOME_REJECTED", "WRONG", "cli", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(metadata.version("outcome-bridge"), prog_name="outcome-bridge")
def cli() -> None:
    """Turn patient-reported outcomes in FHIR resources into a study's tables, and into the chart."""


@cli.command()
@click.option(
    "--data",
    "data",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A folder (searched through), *.ndjson, *.ndjson.gz or *.json; may be given more than once.",
)
@click.option("--site", "site_name", metavar="NAME", help="Pull from this site's FHIR server, and plan its outcomes.")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Where the results go.")
@mapping_option
@settings_option
@format_option
def run(
    data: tuple[Path, ...],
    site_name: str | None,
    out: Path,
    mapping_name: str,
    settings_file: Path | None,
    output: Format,
) -> int:
    """Read resources; write cohort, scores, statistics, report and outcome resources."""
    from integration import mapping as mappings
    from server.jobs import study
    from server.summary.study import show_run

    if bool(data) == bool(site_name):
        raise click.UsageError("give either --data PATH, once or more, or --site NAME")
    terminal = Terminal(output)
    configured = settings.load(settings_file, os.environ)
    mapping = mappings.load(mapping_name)
    if site_name:
        return _run_site(terminal, configured, site_name, mapping, out)
    with terminal.progress() as progress:
        job, results = study.study_of_files(data, mapping, out, settings=configured, progress=progress)
    show_run(terminal, job, results, out)
    terminal.finish()
    return SOME_REJECTED if results.intake.rejections else DONE


def _run_site(terminal: Terminal, configured: settings.Settings, site_name: str, mapping: Mapping, out: Path) -> int:
    from server.jobs import study
    from server.summary.study import show_run

    site = configured.site(site_name)
    with terminal.progress() as progress:
        done = study.study_of_site(site, mapping, out, settings=configured, progress=progress)
    show_run(terminal, done.job, done.results, out, planned=done.planned, pulled=done.pulled)
    terminal.finish()
    if done.planned.held_back:
        return FAILED
    return SOME_REJECTED if done.results.intake.rejections else DONE


@cli.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--data", multiple=True, type=click.Path(path_type=Path), metavar="PATH", help="As for run.")
@click.option(
    "--output",
    "form",
    type=click.Choice(["csv", "ndjson", "parquet"]),
    default="csv",
    show_default=True,
    help="How the rows are written; a list in a CSV cell is written as JSON.",
)
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False), help="File for the rows; else standard output.")
@click.option("--source", is_flag=True, help="Print the Python that was generated for the view, and do nothing else.")
@click.option(
    "--fhir-version",
    default="4.0.1",
    show_default=True,
    type=click.Choice(["4.0.1", "4.3.0", "5.0.0"]),
    help="Of the data: which elements there are.",
)
@click.option(
    "--jobs",
    "processes",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that share the work; the rows and their order stay the same.",
)
def view(
    file: Path,
    data: tuple[Path, ...],
    form: Form,
    to: Path | None,
    source: bool,
    fhir_version: str,
    processes: int,
) -> int:
    """Run one ViewDefinition over files and write its rows.

    Every version of a resource gives its rows: a view says what stands in a file, not which version counts.
    """
    from integration.sources.files import Files
    from server import view_jobs, view_rows

    compiled = view_rows.compiled(file, fhir_version)
    terminal = Terminal()
    for warning in compiled.warnings:
        terminal.remark(f"{file}: {warning}")
    if source:
        click.echo(compiled.source)
        return DONE
    if not data:
        raise click.UsageError("give --data PATH, once or more")
    if form == "parquet" and to is None:
        raise click.UsageError("--output parquet needs --to FILE")
    files = Files(data)
    is_rejected = False

    def reject(rejection: view_rows.Rejection) -> None:
        nonlocal is_rejected
        is_rejected = True
        terminal.remark(f"rejected: {rejection}")

    if processes == 1:
        view_rows.write(compiled, files, form, to, reject)
    else:
        view_jobs.write(compiled, files, form, to, processes, reject)
    return SOME_REJECTED if is_rejected else DONE


@cli.command()
@mapping_option
@click.option(
    "--settings",
    "settings_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file of a service, to be checked too.",
)
@click.option("--site", "site_name", metavar="NAME", help="With --settings, as for serve.")
@format_option
def check(mapping_name: str, settings_file: Path | None, site_name: str | None, output: Format) -> int:
    """Say every fault of a mapping, each with file and path, and what `serve` would refuse in a settings file.

    The service's port is not bound, and its stores are not opened.
    """
    from integration import mapping as mappings

    if site_name and not settings_file:
        raise click.UsageError("--site needs --settings FILE")
    terminal = Terminal(output)
    found = [str(fault) for fault in mappings.faults(mapping_name)]
    if settings_file and not found:
        found = _settings_faults(settings_file, site_name, mappings.load(mapping_name))
    checked = {"mapping": mapping_name, "settings": str(settings_file) if settings_file else None}
    terminal.document("check", checked | {"faults": found})
    for fault in found:
        terminal.say(fault)
    if not found:
        terminal.say(f"{', '.join(filter(None, checked.values()))}: no fault")
    terminal.finish()
    return WRONG if found else DONE


def _settings_faults(file: Path, site_name: str | None, mapping: Mapping) -> list[str]:
    """Return what `serve` would refuse: the first fault, for one may hide others."""
    from server.service import assembly

    try:
        configured = settings.load(file, os.environ)
        assembly.check(configured, _site_of_service(configured, site_name), mapping)
    except OutcomeBridgeError as error:
        return [str(error)]
    return []


def _site_of_service(configured: settings.Settings, site_name: str | None) -> settings.Site:
    name = site_name or configured.service.site
    if not name:
        raise click.UsageError("give --site NAME, or service.site in the settings")
    return configured.site(name)


@cli.command()
@site_option
@click.option(
    "--dry-run", "is_dry", is_flag=True, help="Read the live server and say what would be sent; send nothing."
)
@settings_option
@format_option
def deliver(site_name: str, is_dry: bool, settings_file: Path | None, output: Format) -> int:
    """Send to a site's FHIR server what is due; what was on its way is read before it is sent again."""
    from server.jobs import chart
    from server.summary.chart import show_delivery

    terminal = Terminal(output)
    configured = settings.load(settings_file, os.environ)
    site = configured.site(site_name)
    if is_dry:
        return _dry_run(terminal, configured, site)
    report = chart.deliver(site, settings=configured)
    show_delivery(terminal, site_name, report)
    terminal.finish()
    return FAILED if report.stopped or report.remaining or report.for_a_person else DONE


def _dry_run(terminal: Terminal, configured: settings.Settings, site: settings.Site) -> int:
    from server.jobs import chart
    from server.summary.dry_run import show_dry_run

    report, refusal = chart.dry_run(site, settings=configured)
    show_dry_run(terminal, site.name, report, refusal=refusal)
    terminal.finish()
    return FAILED if report.stopped or refusal else DONE


@cli.command()
@site_option
@click.option(
    "--repair", is_flag=True, help="Plan again what is missing or altered and may be written; nothing is sent."
)
@settings_option
@format_option
def reconcile(site_name: str, repair: bool, settings_file: Path | None, output: Format) -> int:
    """Read every outcome back from a site's FHIR server and print the books."""
    from server.jobs import chart
    from server.summary.chart import show_books

    terminal = Terminal(output)
    configured = settings.load(settings_file, os.environ)
    report = chart.reconcile(configured.site(site_name), settings=configured, repair=repair)
    show_books(terminal, report)
    terminal.finish()
    return DONE if report.books.is_proven else FAILED


for command in (*people.COMMANDS, *copies.COMMANDS, *keys.COMMANDS):
    cli.add_command(command)


@cli.command()
@click.option("--site", "site_name", metavar="NAME", help="Where outcomes go; else service.site in the settings.")
@click.option("--port", type=click.IntRange(0, 65535), help="Else service.port in the settings.")
@mapping_option
@settings_option
def serve(site_name: str | None, port: int | None, mapping_name: str, settings_file: Path | None) -> int:
    """Take QuestionnaireResponses by HTTP, and deliver their outcomes within seconds."""
    from integration import mapping as mappings
    from server.service import assembly

    configured = settings.load(settings_file, os.environ)
    process = configured.service.process
    log.configure(level=process.log_level, form=process.log_form)
    mapping = mappings.load(mapping_name)
    site = _site_of_service(configured, site_name)
    assembly.serve(configured, site, mapping, port=configured.service.port if port is None else port)
    return DONE


@cli.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".demo"),
    show_default=True,
    help="Where the demo keeps its server, its state and its report; run it again to see that nothing is sent twice.",
)
@click.option("--sekmet", type=click.Path(path_type=Path, dir_okay=False), help="The FHIR server's executable.")
@format_option
def demo(folder: Path, sekmet: Path | None, output: Format) -> int:
    """Go the whole way once, on synthetic data against a local FHIR server."""
    from server import demo as round_trip

    terminal = Terminal(output)
    status = round_trip.run(folder, sekmet, terminal)
    terminal.finish()
    return status


def main() -> None:
    """Run the command line and end the process with the contract's exit status."""
    log.configure()
    try:
        status = cli.main(standalone_mode=False)
    except OutcomeBridgeError as error:
        click.echo(f"Error: {error}{'' if str(error).endswith('?') else '.'}", err=True)
        status = error.exit_status
    except click.ClickException as error:
        error.show()
        status = WRONG
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        status = FAILED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; there is nobody to tell
        status = FAILED
    sys.exit(status if isinstance(status, int) else DONE)
