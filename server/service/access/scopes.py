"""What a token's scopes let its holder do here, in the spellings of SMART 1 and 2.

`system/QuestionnaireResponse.cu`, `system/*.*`, `system/QuestionnaireResponse.write`: SMART App Launch 2.2,
https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html. What sends acts for itself, so `user/` and
`patient/` scopes, which are of a person's own access, give nothing here. A scope restricted by a query (`?category=…`)
gives nothing either: whether a resource fits the query is not looked at, so it must not be taken for the whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from integration.service_settings import Interaction

_SCOPE: Final = re.compile(r"system/(?P<type>\*|[A-Z][A-Za-z]+)\.(?P<letters>read|write|\*|c?r?u?d?s?)")
_VERSION_1: Final = {"read": "rs", "write": "cud", "*": "cruds"}
_LETTERS: Final[dict[Interaction, str]] = {"create": "c", "read": "r", "update": "u", "delete": "d", "search": "s"}


def allow(scopes: Iterable[str], interaction: Interaction, resource_type: str) -> bool:
    """Whether these scopes allow an interaction with a resource type.

    >>> allow(["system/QuestionnaireResponse.cu"], "create", "QuestionnaireResponse")
    True
    >>> allow(["system/*.read", "user/*.write"], "create", "QuestionnaireResponse")
    False
    """
    for scope in scopes:
        found = _SCOPE.fullmatch(scope)
        if found and found["type"] in (resource_type, "*"):
            letters = _VERSION_1.get(found["letters"], found["letters"])
            if _LETTERS[interaction] in letters:
                return True
    return False


def spelled(interaction: Interaction, resource_type: str) -> str:
    """Return the scope of SMART 2 that allows an interaction with a resource type, and no more.

    >>> spelled("create", "QuestionnaireResponse")
    'system/QuestionnaireResponse.c'
    """
    return f"system/{resource_type}.{_LETTERS[interaction]}"
