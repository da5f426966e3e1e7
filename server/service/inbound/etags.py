"""Versions in headers: `W/"3"`."""

from __future__ import annotations

from werkzeug.http import parse_etags


def expected_version(if_match: str) -> int | None:
    """Return the version of an If-Match; None if any will do; -1, which none has, if it cannot be one of ours."""
    if not if_match.strip():
        return None
    tags = parse_etags(if_match)
    if tags.star_tag:
        return None
    found = [tag for tag in tags.as_set(include_weak=True) if tag.isascii() and tag.isdecimal() and len(tag) < 10]
    return int(found[0]) if len(found) == 1 else -1


def is_named(if_none_match: str, version: int) -> bool:
    """Whether an If-None-Match names a version."""
    return parse_etags(if_none_match).contains_weak(str(version))
