"""What is logged can be read by a program, and shows no patient."""

import io
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from server import log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_of_ours_is_one_json_object_with_what_it_carries() -> None:
    stream = io.StringIO()
    log.configure(level="info", form="auto", stream=stream)

    logging.getLogger("server.x").info("%d responses\nread", 3, extra={"action": "read", "counts": {"new": 2}})

    [line] = lines(stream)
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "info", "logger": "server.x", "message": "3 responses\nread", "action": "read",
                    "counts": {"new": 2}}  # fmt: skip


def test_a_person_at_a_terminal_gets_a_line_without_control_codes() -> None:
    stream = Terminal()
    log.configure(level="info", form="auto", stream=stream)

    logging.getLogger("server.x").warning("odd \x1b[31m name\n", extra={"action": "seen", "response": "r1"})

    time, _, line = stream.getvalue().partition(" ")
    assert datetime.fromisoformat(time).tzinfo == UTC
    assert line == "WARNING server.x: odd \\x1b[31m name\\n action=seen response=r1\n"


def test_of_another_librarys_record_no_argument_is_shown() -> None:
    stream = io.StringIO()
    log.configure(level="info", form="json", stream=stream)

    logging.getLogger("gunicorn.error").error("Error handling request %s (%.2f s)", "/chart/p-7", 2.0)
    logging.getLogger("urllib3.connectionpool").warning("Retrying /fhir/Patient?name=Moreau")

    assert [line["message"] for line in lines(stream)] == ["Error handling request ... (... s)", "(not shown)"]
    assert "p-7" not in stream.getvalue()
    assert "Moreau" not in stream.getvalue()


def test_of_an_exception_its_type_and_place_are_shown_and_not_its_words() -> None:
    stream = io.StringIO()
    log.configure(level="info", form="json", stream=stream)

    try:
        raise ValueError("Moreau, born 1970")
    except ValueError:
        logging.getLogger("server.x").error("failed", exc_info=sys.exc_info())

    [line] = lines(stream)
    assert line["error"] == "ValueError"
    assert line["frames"][-1].endswith("test_of_an_exception_its_type_and_place_are_shown_and_not_its_words")
    assert "Moreau" not in stream.getvalue()


def test_a_second_configuration_takes_the_place_of_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    log.configure(level="info", form="json", stream=first)

    log.configure(level="error", form="text", stream=second)
    logging.getLogger("server.x").warning("no")
    logging.getLogger("server.x").error("yes")

    assert first.getvalue() == ""
    assert second.getvalue().endswith(" ERROR server.x: yes\n")
    assert second.getvalue().count("\n") == 1
