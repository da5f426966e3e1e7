"""A request as it concerns what is taken, without the web framework; it can be kept and taken up later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from integration.service_settings import Interaction

Kind = Literal["resource", "bundle", "message"]
Allow = Callable[[Interaction, str], object]
"""Raises RefusedError where the sender may not do this with resources of this type."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """What a request asks for, besides its body.

    Attributes:
        kind: one resource, a Bundle, or a message.
        caller: who sent it.
        is_poison_kept: whether what cannot be used is set aside instead of refused.
        request_id: of the HTTP request.
        base_url: of the FHIR interface, as the sender knows it.
        resource_type: of one resource.
        url_id: of an update; None for a create.
        if_match: as sent.
        if_none_match: as sent.
        idempotency_key: as sent; empty: none.
        is_deferred: whether it is taken up later, when nobody waits for the answer; it can then be put off again.
    """

    kind: Kind
    caller: str
    is_poison_kept: bool
    request_id: str
    base_url: str
    resource_type: str = ""
    url_id: str | None = None
    if_match: str = ""
    if_none_match: str = ""
    idempotency_key: str = ""
    is_deferred: bool = False
