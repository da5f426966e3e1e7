"""A resource or line that was not used, and why."""

from __future__ import annotations

from dataclasses import dataclass

from integration.sources.resource import RawResource, Unreadable


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """One row of rejected.csv; holds no value out of the resource.

    Attributes:
        file: where it stood.
        line: from 1; 0 if the file as a whole cannot be read.
        resource: `Type/id`, as far as known.
        path: of the element that decided it.
        problem: why.
    """

    file: str
    line: int
    resource: str
    path: str
    problem: str

    @property
    def reason(self) -> str:
        """Why, beginning with the path; the problem alone where no element decided it."""
        return f"{self.path}: {self.problem}" if self.path else self.problem


class RejectedError(Exception):
    """Says inside the intake that the resource at hand cannot be used."""

    def __init__(self, path: str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{path}: {problem}")


def of_unreadable(found: Unreadable) -> Rejection:
    """Reject a line of which no resource could be got."""
    return Rejection(file=found.file, line=found.line, resource="", path=found.within, problem=found.problem)


def of(raw: RawResource, resource: str, error: RejectedError) -> Rejection:
    """Reject a resource."""
    path = ".".join(part for part in (raw.within, error.path) if part)
    return Rejection(file=raw.file, line=raw.line, resource=resource, path=path, problem=error.problem)
