"""The service as a WSGI application, for a gunicorn that an operator runs: `server.service.wsgi:application()`.

The settings file is the one that OUTCOME_BRIDGE_SETTINGS names; `service.site` in it says whose responses are taken.
`outcome-bridge serve` starts the same processes by itself. gunicorn must not preload the application: each of its
processes has a worker thread of its own.
"""

from __future__ import annotations

import atexit
import os
from contextlib import ExitStack

from flask import Flask

from integration import mapping as mappings
from integration import settings
from integration.errors import ConfigurationError
from integration.settings import Settings
from server import log
from server.service import app, assembly

DEFAULT_MAPPING = "msis29_venoplasty"


def application(mapping_name: str = DEFAULT_MAPPING) -> Flask:
    """Build the application in the process that will serve it; what it holds is closed when the process ends.

    Args:
        mapping_name: a mapping's folder, or the name of one inside the package.

    Raises:
        ConfigurationError: the settings are wrong, or `service.site` is missing.
        InputError: a store cannot be opened.
    """
    configured = settings.load(None, os.environ)
    log.configure(level=configured.service.process.log_level, form=configured.service.process.log_form)
    running = ExitStack()
    atexit.register(running.close)
    services = running.enter_context(
        assembly.assembled(
            configured, configured.site(_site(configured)), mappings.load(mapping_name), service=os.getppid()
        )
    )
    return app.create_app(services)


def _site(configured: Settings) -> str:
    if not configured.service.site:
        raise ConfigurationError(
            f"{configured.file}: service.site is missing; name the site whose server is written to"
        )
    return configured.service.site
