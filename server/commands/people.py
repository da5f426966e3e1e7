"""What a person decides about a site's deliveries, and what is looked at for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from integration import settings
from server.commands.options import DONE, FAILED, format_option, mapping_option, settings_option, site_option
from server.terminal import Format, Terminal

_WHO: Final = "The person who decides; kept for good."
_WHY: Final = "The reason; kept for good."


def _person_options(*, required: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    rule: dict[str, Any] = {"required": True} if required else {"default": ""}  # a default would satisfy `required`
    who = click.option("--who", metavar="TEXT", help=_WHO, **rule)
    why = click.option("--why", metavar="TEXT", help=_WHY, **rule)
    return lambda command: who(why(command))


@click.command()
@site_option
@_person_options(required=True)
@click.option("--next", "following", type=click.IntRange(min=1), metavar="N", help="The next N responses that wait.")
@click.option("--response", "response_ids", multiple=True, metavar="ID", help="This response; may be given repeatedly.")
@click.option("--all", "is_all", is_flag=True, help="Every response that waits now.")
@settings_option
@format_option
def release(
    site_name: str,
    who: str,
    why: str,
    following: int | None,
    response_ids: tuple[str, ...],
    is_all: bool,
    settings_file: Path | None,
    output: Format,
) -> int:
    """Let responses be sent that wait for a person's release; deliver sends them."""
    from server.jobs import people
    from server.summary.people import show_released

    if sum((following is not None, bool(response_ids), is_all)) != 1:
        raise click.UsageError("give one of --next N, --response ID (once or more) and --all")
    terminal, person = Terminal(output), people.Person(who=who, why=why)
    configured = settings.load(settings_file, os.environ)
    site = configured.site(site_name)
    done = people.release(site, person, settings=configured, response_ids=response_ids, following=following)
    show_released(terminal, site_name, done)
    terminal.finish()
    return FAILED if done.unknown else DONE


@click.command()
@site_option
@_person_options(required=True)
@mapping_option
@settings_option
@format_option
def accept(site_name: str, who: str, why: str, mapping_name: str, settings_file: Path | None, output: Format) -> int:
    """Accept what a new version of software, mapping or write profile changes; the next run --site plans with it."""
    from integration import mapping as mappings
    from server.jobs import people
    from server.summary.people import show_accepted

    terminal, person = Terminal(output), people.Person(who=who, why=why)
    configured = settings.load(settings_file, os.environ)
    site = configured.site(site_name)
    show_accepted(terminal, site_name, people.accept(site, person, mappings.load(mapping_name), settings=configured))
    terminal.finish()
    return DONE


@click.command()
@site_option
@click.option(
    "--again",
    "again",
    multiple=True,
    metavar="KEY",
    help="Make this due again; as much of a key as no other has; may be given repeatedly.",
)
@click.option("--done", "done", multiple=True, metavar="KEY", help="It was done in the chart by hand; likewise.")
@_person_options(required=False)
@settings_option
@format_option
def work(
    site_name: str,
    again: tuple[str, ...],
    done: tuple[str, ...],
    who: str,
    why: str,
    settings_file: Path | None,
    output: Format,
) -> int:
    """List what only a person can settle, each with what to do; record what was settled."""
    from server.jobs import people
    from server.summary.people import show_work

    if (who or why) and not (again or done):
        raise click.UsageError("--who and --why go with --again KEY or --done KEY")
    terminal = Terminal(output)
    configured = settings.load(settings_file, os.environ)
    site = configured.site(site_name)
    replanned = None
    if again or done:
        person = people.Person(who=who, why=why)
        replanned = people.again(site, person, again, settings=configured) if again else None
        if done:
            people.done(site, person, done, settings=configured)
    show_work(terminal, site_name, people.work_list(site, settings=configured), again=again, replanned=replanned)
    terminal.finish()
    return FAILED if replanned is not None and replanned < len(set(again)) else DONE


@click.command()
@site_option
@click.option("--response", "response_id", default="", metavar="ID", help="Of this QuestionnaireResponse.")
@click.option("--key", default="", metavar="KEY", help="Of this resource; as much of its key as no other has.")
@settings_option
@format_option
def history(site_name: str, response_id: str, key: str, settings_file: Path | None, output: Format) -> int:
    """Show what was sent and what persons decided, in order; of the whole site the latest."""
    from server.jobs import people
    from server.summary.people import show_history

    if response_id and key:
        raise click.UsageError("give --response ID or --key KEY")
    terminal = Terminal(output)
    configured = settings.load(settings_file, os.environ)
    past = people.history(configured.site(site_name), settings=configured, response_id=response_id, key=key)
    show_history(terminal, site_name, past)
    terminal.finish()
    return DONE


COMMANDS: Final = (release, accept, work, history)
"""What the command line registers."""
