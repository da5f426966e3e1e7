"""Backup while the service runs, and restore."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from integration import settings
from server.commands.options import DONE, format_option, settings_option
from server.terminal import Format, Terminal

_MB: Final = 10**6


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@settings_option
@format_option
def backup(folder: Path, settings_file: Path | None, output: Format) -> int:
    """Copy inbox, ledger and warehouse into a new FOLDER, whatever is running."""
    from server.jobs import copies

    terminal = Terminal(output)
    configured = settings.load(settings_file, os.environ)
    copy = copies.back_up(configured, folder)
    terminal.document("backup", {"folder": str(folder), "taken_at": copy.taken_at, "bytes": dict(copy.sizes)})
    for name, size in copy.sizes.items():
        terminal.say(f"{name}: {size / _MB:.1f} MB")
    if configured.ledger.url:
        terminal.remark("The ledger is in PostgreSQL and not in this backup: dump the database after it.")
    terminal.finish()
    return DONE


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@settings_option
@format_option
def restore(folder: Path, settings_file: Path | None, output: Format) -> int:
    """Put the backup in FOLDER into an empty state folder; what is due is then looked for before it is sent."""
    from server.jobs import copies

    terminal = Terminal(output)
    done = copies.restore(settings.load(settings_file, os.environ), folder)
    counts = {"creates": done.doubted.creates, "updates": done.doubted.updates}
    terminal.document("restore", {"taken_at": done.copy.taken_at, **counts})
    terminal.say(f"Restored what was saved at {done.copy.taken_at}.")
    terminal.say(f"To be looked for before it is sent: {counts['creates']} resources that were due.")
    terminal.say(f"To be read before it is written over: {counts['updates']} resources in the chart.")
    terminal.finish()
    return DONE


COMMANDS: Final = (backup, restore)
"""What the command line registers."""
