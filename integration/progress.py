"""How a long step tells how it gets on."""

from __future__ import annotations

from integration.sources.resource import RawResource, Unreadable


class Progress:
    """Is told how a run gets on; this one does nothing, a command line shows a bar."""

    def step(self, name: str) -> None:
        """Note that a step begins."""

    def resource(self, found: RawResource | Unreadable) -> None:
        """Note that one resource was met; each is met twice."""
