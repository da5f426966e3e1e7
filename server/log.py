"""The one place that configures logging: JSON lines for a collector, readable lines for a person.

A record of ours says what happened by `action` and carries ids, counts and durations. Of records of other libraries
only the text before its arguments are put in is shown, for an argument may be a URL with a patient's id in it; and of
an exception only its type and where it arose, for its message may quote a body.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

Form = Literal["auto", "json", "text"]
"""How records are written; `auto`: text on a terminal, JSON elsewhere."""
Level = Literal["debug", "info", "warning", "error"]

_OURS: Final = ("server", "integration", "__main__")
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_MAY_HOLD_VALUES: Final = frozenset("/'\"{}?=")
"""Of a library's text without arguments: it may have been put together before."""
_PLACE: Final = re.compile(r"%(?:\(\w+\))?[-#0 +]*[\d*]*(?:\.\d+)?[sdrxfgi]")
_QUIET: Final = ("urllib3", "alembic", "matplotlib", "fontTools", "asyncio", "PIL")
"""Libraries whose INFO tells nothing about an operator's work."""


def configure(*, level: Level = "warning", form: Form = "text", stream: TextIO | None = None) -> None:
    """Have every record of this process written to a stream; a later call takes the place of an earlier one.

    Args:
        level: the least that is written.
        form: how.
        stream: where to; None: standard error.
    """
    target = stream or sys.stderr
    handler = _Handler(target)
    is_json = form == "json" or (form == "auto" and not target.isatty())
    handler.setFormatter(JsonLines() if is_json else Text())
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class _Handler(logging.StreamHandler[TextIO]):
    """What `configure` adds, by which it knows it again."""


class JsonLines(logging.Formatter):
    """One JSON object a line: `time`, `level`, `logger`, `message`, and what the record carries besides."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without its end."""
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message(record),
            **facts(record),
        }
        return json.dumps(line, default=str, ensure_ascii=True)  # so that no text in it ends a line


class Text(logging.Formatter):
    """One line for a person: time, level, logger, message, then what the record carries; no colour, no control code."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without its end."""
        carried = " ".join(f"{name}={_shown(value)}" for name, value in facts(record).items())
        line = f"{_time(record)} {record.levelname} {record.name}: {message(record)}"
        return "".join(one if one.isprintable() else repr(one)[1:-1] for one in f"{line} {carried}".rstrip())


def message(record: logging.LogRecord) -> str:
    """Return a record's text; of a library's only what stands in its source, if that can be told."""
    if is_ours(record):
        return record.getMessage()
    text = record.msg if isinstance(record.msg, str) else ""
    if not text or (not record.args and _MAY_HOLD_VALUES & set(text)):
        return "(not shown)"
    return _PLACE.sub("...", text)


def facts(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a record of ours carries besides its text, and of an exception its type and places."""
    carried = {name: value for name, value in vars(record).items() if name not in _STANDARD} if is_ours(record) else {}
    if record.exc_info and record.exc_info[0] is not None:
        kind, _, trace = record.exc_info
        carried |= {"error": kind.__name__, "frames": frames(trace)}
    return carried


def frames(trace: Any) -> list[str]:
    """Return the places of a traceback, outermost first, without a line of source."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]


def is_ours(record: logging.LogRecord) -> bool:
    """Whether this project wrote the record."""
    return record.name.partition(".")[0] in _OURS


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return ",".join(f"{name}:{one}" for name, one in value.items())
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
