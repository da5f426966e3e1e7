"""All attacks that are bytes on one connection."""

from __future__ import annotations

import attack_addresses
import attack_bodies
import attack_framing
from attack_case import Attack

ATTACKS: tuple[Attack, ...] = (*attack_bodies.attacks(), *attack_framing.attacks(), *attack_addresses.attacks())
SETTINGS = f"[service]\nbody_limit_bytes = {attack_bodies.LIMIT}\nbundle_entries = 1000\n"
"""Of the service that is attacked."""
