"""AuditEvents from the file to an audit repository (IHE ITI-20, RESTful ATNA: POST of one AuditEvent).

Each goes at least once: what was posted and not noted before a crash is posted again. A repository that is away is
waited for; an event that it refuses for what it is stays in the file, and the next is posted.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import requests

from integration.process_settings import Audit
from server.service.operations.audit_trail import AuditTrail
from server.service.operations.marks import Marks

logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS: Final = 10.0
_BATCH: Final = 100
_REFUSED: Final = frozenset((400, 409, 413, 415, 422))
"""Statuses that say what is wrong with this event; another answer that is no success is waited out."""
_FILE, _OFFSET = "inode of the file posted from", "bytes of it posted"


class AwayError(Exception):
    """The repository does not take events now; `reason` is a status or the kind of the error."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class AuditPosting:
    """Posts what was appended to a trail.

    Args:
        trail: the file.
        settings: where to.
        marks: where is kept how far this came.
        session: for the requests.
    """

    def __init__(
        self, trail: AuditTrail, settings: Audit, marks: Marks, session: Callable[[], requests.Session]
    ) -> None:
        self._trail, self._settings, self._marks = trail, settings, marks
        self._session = session()
        self._session.verify = str(settings.ca_file) if settings.ca_file else True

    def step(self) -> int:
        """Post the next events; returns how many.

        Raises:
            AwayError: the repository takes none now; the next step begins with the same event.
            OSError: the file or the token cannot be read.
        """
        for path, offset in self._left():
            if count := self._post_from(path, offset):
                return count
        return 0

    def _post_from(self, path: Path, begin: int) -> int:
        """Post the next events of one file, and note how far that came."""
        offset, count = begin, 0
        with path.open("rb") as file:
            file.seek(begin)
            inode = os.fstat(file.fileno()).st_ino
            try:
                for line in itertools.islice(file, _BATCH):
                    if not line.endswith(b"\n"):
                        break  # it is being written
                    self._post(line)
                    offset, count = offset + len(line), count + 1
            finally:
                self._note(inode, offset)
        return count

    def posted(self) -> list[Path]:
        """Return the files that were posted to their end, oldest first."""
        return self._trail.files()[: self._position()]

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _left(self) -> Iterator[tuple[Path, int]]:
        """Yield the files that have something to post, each with where to begin."""
        files, position = self._trail.files(), self._position()
        for number, path in enumerate(files[position:]):
            is_begun = number == 0 and path.stat().st_ino == self._marks.get(_FILE)
            yield path, (self._marks.get(_OFFSET) or 0) if is_begun else 0

    def _position(self) -> int:
        """Return the place of the file that was posted from last; 0 if it is gone."""
        inodes = [path.stat().st_ino for path in self._trail.files()]
        inode = self._marks.get(_FILE)
        return inodes.index(inode) if inode in inodes else 0

    def _note(self, inode: int, offset: int) -> None:
        if (self._marks.get(_FILE), self._marks.get(_OFFSET)) != (inode, offset):
            self._marks.set_all({_FILE: inode, _OFFSET: offset})

    def _post(self, line: bytes) -> None:
        headers = {"Content-Type": "application/fhir+json", "Prefer": "return=minimal"}
        if self._settings.token_file:
            headers["Authorization"] = f"Bearer {self._settings.token_file.read_text(encoding='utf-8').strip()}"
        try:
            answer = self._session.post(
                f"{self._settings.url}/AuditEvent",
                data=line.strip(),
                headers=headers,
                timeout=_TIMEOUT_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise AwayError(type(error).__name__) from error
        if answer.status_code in _REFUSED:
            facts = {"action": "audit_refused", "status": answer.status_code}
            logger.warning("the audit repository refuses an event; it stays in the file", extra=facts)
        elif not 200 <= answer.status_code < 300:
            raise AwayError(f"HTTP {answer.status_code}")
