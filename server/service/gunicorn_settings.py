"""gunicorn's settings for the service: `gunicorn -c python:server.service.gunicorn_settings`.

They follow `[service]` of the settings file that OUTCOME_BRIDGE_SETTINGS names; what is given on the command line goes
before them.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from integration import settings
from server import log
from server.service import web_server

_logger = logging.getLogger(__name__)
_configured = settings.load(None, os.environ).service
log.configure(level=_configured.process.log_level, form=_configured.process.log_form)

wsgi_app = "server.service.wsgi:application()"
_host = f"[{_configured.host}]" if ":" in _configured.host else _configured.host
bind = f"{_host}:{_configured.port}"
_options: dict[str, Any] = web_server.options(_configured.process)
worker_class = _options["worker_class"]
logger_class = _options["logger_class"]
workers = _options["workers"]
threads = _options["threads"]
worker_connections = _options["worker_connections"]
timeout = _options["timeout"]
graceful_timeout = _options["graceful_timeout"]
keepalive = _options["keepalive"]
control_socket_disable = _options["control_socket_disable"]
proc_name = _options["proc_name"]
forwarded_allow_ips = _options["forwarded_allow_ips"]


def when_ready(server: Any) -> None:
    """Record where gunicorn listens, which its command line may say."""
    facts = {"action": "listening", "workers": server.num_workers}
    _logger.info("listening on %s", ", ".join(map(str, server.LISTENERS)), extra=facts)


def on_exit(_server: Any) -> None:
    """Record that it has stopped."""
    _logger.info("stopped", extra={"action": "stopped"})
