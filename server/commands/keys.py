"""Keys for what can show no more than a key."""

from __future__ import annotations

from typing import Final

import click

from integration.service_settings import Source
from server.commands.options import DONE, format_option
from server.terminal import Format, Terminal


@click.command()
@click.argument("name")
@format_option
def key(name: str, output: Format) -> int:
    """Make an API key for a source; it is shown now and never again."""
    from pydantic import ValidationError

    from server.service.access.sources import hash_of, new_key

    made = new_key()
    try:
        source = Source(name=name, api_key_sha256=hash_of(made))
    except ValidationError:
        raise click.BadParameter("a source's name holds 1 to 64 letters, digits, '-', '_' and '.' only") from None
    lines = f'[[service.sources]]\nname = "{source.name}"\napi_key_sha256 = "{source.api_key_sha256}"'
    terminal = Terminal(output)
    terminal.document("key", {"name": source.name, "key": made, "api_key_sha256": source.api_key_sha256})
    terminal.say(f"Key, for the engine; it is shown only now:\n\n{made}\n\nFor the settings:\n\n{lines}")
    terminal.finish()
    return DONE


COMMANDS: Final = (key,)
"""What the command line registers."""
