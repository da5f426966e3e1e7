"""What an OAuth scope lets a client do on FHIR resources, in the spellings of SMART 1 and 2.

SMART 2 (https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html) writes `system/Observation.crus`,
SMART 1 `system/Observation.write`; servers were seen to answer either to a request for the other.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, Literal

Interaction = tuple[str, Literal["c", "r", "u", "s"]]
"""A resource type, and create, read, update or search."""

_SCOPE: Final = re.compile(r"(?P<context>system|user)/(?P<type>\*|[A-Z][A-Za-z]+)\.(?P<letters>read|write|\*|[cruds]+)")
_VERSION_1: Final = {"read": "rs", "write": "cud", "*": "cruds"}
_LETTERS: Final = "crus"


def not_granted(needed: Iterable[Interaction], scope: str | None) -> list[Interaction]:
    """Return the needed interactions that a scope does not cover, sorted.

    A scope restricted by a query (`?category=…`) counts as granted: whether an Observation fits it, the server says.
    `user/` counts beside `system/`, as some servers answer it to a client that acts for itself; `patient/` does not.

    Args:
        needed: what is about to be done.
        scope: the token's, words between blanks. None, or without any scope on resources, does not say what the
            token is good for: then nothing is missing.

    >>> not_granted([("Observation", "c"), ("Patient", "r")], "system/*.read")
    [('Observation', 'c')]
    >>> not_granted([("Observation", "c"), ("Patient", "r")], "openid")
    []
    """
    words = [word.partition("?")[0] for word in (scope or "").split()]
    if not any(re.match(r"(system|user|patient)/", word) for word in words):
        return []
    granted = {(found["type"], letter) for word in words if (found := _SCOPE.fullmatch(word)) for letter in _of(found)}
    return sorted(
        {(kind, letter) for kind, letter in needed if not granted & {(kind, letter), ("*", letter)}},
        key=lambda interaction: (interaction[0], _LETTERS.index(interaction[1])),
    )


def spelled(interactions: Iterable[Interaction]) -> str:
    """Write interactions as scopes of SMART 2.

    >>> spelled([("Observation", "u"), ("Observation", "c"), ("Device", "c")])
    'system/Device.c system/Observation.cu'
    """
    letters: dict[str, set[str]] = defaultdict(set)
    for kind, letter in interactions:
        letters[kind].add(letter)
    return " ".join(
        f"system/{kind}.{''.join(letter for letter in _LETTERS if letter in found)}"
        for kind, found in sorted(letters.items())
    )


def _of(scope: re.Match[str]) -> str:
    return _VERSION_1.get(scope["letters"], scope["letters"])
