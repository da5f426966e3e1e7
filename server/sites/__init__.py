"""Write profiles: in what shape a kind of EHR takes outcomes. One module a kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from integration.errors import SettingsError
from integration.settings import Site
from integration.write_profile import Kind, ProfileKeys, problem
from server.sites import athena, canonical, document, epic, oracle
from server.sites.profile import Abilities, WriteProfile

__all__ = ["Abilities", "WriteProfile", "profile_of"]

_PROFILES: Final[Mapping[Kind, Callable[[ProfileKeys], WriteProfile]]] = {
    "generic": canonical.generic,
    "single": canonical.single,
    "epic": epic.profile,
    "oracle": oracle.profile,
    "athena": athena.profile,
    "document": document.profile,
}


def profile_of(site: Site) -> WriteProfile:
    """Return the write profile that a site names, as its file tunes it.

    Raises:
        SettingsError: a key is missing or not read by this profile, and the site was not read from a file, which
            refuses that already.
    """
    if fault := problem(site.write_profile, site.profile):
        raise SettingsError(file=f"sites/{site.name}.toml", problem=f"profile: {fault}")
    return _PROFILES[site.write_profile](site.profile)
