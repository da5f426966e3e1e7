"""What an attack is: bytes to send, and how the service may answer them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from attack_wire import CLOSED, Reply, exchange
from live_messages import CANARY
from live_service import Service

Send = Callable[[Service], list[Reply]]
NEVER_SHOWN = (CANARY, "Traceback (most recent call last)", 'File "', "root:x:0", "evil.example")
"""A patient's value, a traceback, the password file, a host that was named to us: in no answer and in no log."""


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One thing that somebody may try.

    Attributes:
        kind: heading of the table.
        name: what is tried.
        send: tries it.
        expected: statuses that are right for the first answer; `CLOSED` for a connection closed without one.
        answers: the most answers that one connection may bring.
    """

    kind: str
    name: str
    send: Send
    expected: frozenset[int]
    answers: int = 1

    def faults(self, replies: list[Reply]) -> list[str]:
        """What is wrong with what came back; empty if nothing is."""
        first = replies[0]
        found = [] if first.status in self.expected else [f"status {first.status}, not of {sorted(self.expected)}"]
        if len(replies) > self.answers:
            found.append(f"{len(replies)} answers on one connection")
        for reply in replies:
            found += _faults_of(reply)
        return found


def attack(kind: str, name: str, *pieces: bytes, expected: Iterable[int], answers: int = 1) -> Attack:
    """An attack that sends these bytes on one connection."""
    return Attack(
        kind=kind,
        name=name,
        send=lambda service: exchange(service.port, *pieces),
        expected=frozenset(expected),
        answers=answers,
    )


def _faults_of(reply: Reply) -> list[str]:
    text = (reply.head + reply.body).decode("utf-8", "replace")
    found = [f"{word!r} in the answer" for word in NEVER_SHOWN if word in text]
    is_page = "text/html" in reply.header("Content-Type")
    if reply.status >= 400 and reached_us(reply) and not is_page and not reply.outcome() and reply.body:
        found.append("an error that is no OperationOutcome")
    if reply.status >= 500 and reply.status not in (501, 503, 505):
        found.append("a fault of the service")
    return found


def reached_us(reply: Reply) -> bool:
    """Whether the application answered, which gives every request an id, and not what reads HTTP before it."""
    return bool(reply.header("X-Request-Id"))


__all__ = ["CLOSED", "NEVER_SHOWN", "Attack", "attack", "reached_us"]
