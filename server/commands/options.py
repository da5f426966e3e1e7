"""What commands share: options, and the exit statuses of the contract."""

from __future__ import annotations

from pathlib import Path

import click

DONE, FAILED, WRONG, SOME_REJECTED = 0, 1, 2, 3
"""Exit statuses: all well; refused or failed; wrong configuration or arguments; finished, some input was rejected."""

mapping_option = click.option(
    "--mapping",
    "mapping_name",
    default="msis29_venoplasty",
    show_default=True,
    metavar="NAME|FOLDER",
    help="The study: a mapping's folder, or the name of one inside the package.",
)
format_option = click.option(
    "--format", "output", type=click.Choice(["table", "json"]), default="table", help="For a person or for a program."
)
site_option = click.option("--site", "site_name", required=True, metavar="NAME", help="A site of the settings.")
settings_option = click.option(
    "--settings",
    "settings_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings file; else OUTCOME_BRIDGE_SETTINGS, else ./outcome-bridge.toml.",
)
