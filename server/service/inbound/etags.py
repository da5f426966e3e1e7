"""Versions in headers: `W/"3"`."""

from __future__ import annotations

from werkzeug.http import parse_etags

from server.service.inbound.deposits import NO_VERSION, SOME_VERSION


def expected_version(if_match: str, if_none_match: str = "") -> int | None:
    """Return the version of an If-Match, None if there is none; 0, which is before the first, for `If-None-Match: *`.

    `*` wants SOME_VERSION (https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1); what cannot be one of ours is
    NO_VERSION.
    """
    if not if_match.strip():
        return 0 if parse_etags(if_none_match).star_tag else None
    tags = parse_etags(if_match)
    if tags.star_tag:
        return SOME_VERSION
    found = [tag for tag in tags.as_set(include_weak=True) if tag.isascii() and tag.isdecimal() and len(tag) < 10]
    return (int(found[0]) or NO_VERSION) if len(found) == 1 else NO_VERSION


def is_named(if_none_match: str, version: int) -> bool:
    """Whether an If-None-Match names a version."""
    return parse_etags(if_none_match).contains_weak(str(version))
