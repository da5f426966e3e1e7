"""Hints that something changed at the site, and up to where its changes were read."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from server.service.inbound import schema
from server.service.inbound.schema import pulls


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A pull that is asked for.

    Attributes:
        asked: how often it was asked for up to now.
        watermark: `meta.lastUpdated` up to which was read; empty: nothing was.
    """

    asked: int
    watermark: str


class Pulls:
    """What one site's inbox knows of pulls; however many hints come, one pull answers all of them."""

    def __init__(self, engine: sa.Engine, site: str) -> None:
        self._site = site
        self._reading, self._writing = schema.reading(engine), schema.writing(engine)

    def ask(self) -> None:
        """Ask for a pull, durably."""
        asked = pulls.update().where(pulls.c.site == self._site).values(asked=pulls.c.asked + 1)
        with self._writing.begin() as connection:
            is_there = connection.execute(asked).rowcount
        if not is_there:
            self._make()

    def ask_again(self) -> None:
        """Ask for a pull, durably, if there ever was one: hints may have come while nobody listened."""
        known = pulls.update().where(pulls.c.site == self._site).values(asked=pulls.c.asked + 1)
        with self._writing.begin() as connection:
            connection.execute(known)

    def wanted(self) -> Wanted | None:
        """Return the pull that is asked for and was not made since; None if none is."""
        query = sa.select(pulls).where(pulls.c.site == self._site, pulls.c.asked > pulls.c.served)
        with self._reading.connect() as connection:
            row = connection.execute(query).first()
        return Wanted(asked=row.asked, watermark=row.watermark) if row else None

    def served(self, wanted: Wanted, watermark: str) -> None:
        """Record that a pull was made; hints that came meanwhile ask for another."""
        done = pulls.update().where(pulls.c.site == self._site, pulls.c.served < wanted.asked)
        with self._writing.begin() as connection:
            connection.execute(done.values(served=wanted.asked, watermark=watermark))

    def _make(self) -> None:
        try:
            with self._writing.begin() as connection:
                connection.execute(pulls.insert().values(site=self._site, asked=1, served=0, watermark=""))
        except IntegrityError:  # another process was faster
            self.ask()
