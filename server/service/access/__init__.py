"""Who may use the service: how whoever asks is known, what they may do, and what every answer carries for it."""

from server.service.access.caller import ALL_TYPES, LOOPBACK, Caller, current, require, require_source

__all__ = ["ALL_TYPES", "LOOPBACK", "Caller", "current", "require", "require_source"]
