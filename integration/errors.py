"""Every error that Outcome Bridge raises on purpose.

OutcomeBridgeError
├── ConfigurationError        the mapping, the settings or the arguments are wrong (exit status 2)
│   ├── MappingError          a file of a mapping; names the file and the path in it
│   ├── SettingsError         a settings or site file
│   └── ViewError             a ViewDefinition that cannot be compiled, or a resource that breaks it
├── InputError                the data cannot be read at all (exit status 2)
├── LedgerError               the ledger cannot be used any more: a full disk, a lost database (exit status 1)
└── DeliveryError             the EHR's server refused or could not be reached (exit status 1)
    ├── ServerUnreachableError    no answer; it is not known whether anything had an effect
    │   └── ServerNotReachedError     no connection was made, so nothing was sent
    └── ServerRefusedError        an answer that says no

A message says what, where, and what to do next. It may hold ids and paths, never a patient's values or names.
The facts stay on the exception as attributes.
"""

from __future__ import annotations


class OutcomeBridgeError(Exception):
    """Base of every error raised on purpose; `exit_status` is what the command line ends with."""

    exit_status = 1


class ConfigurationError(OutcomeBridgeError):
    """The mapping, the settings or the arguments are wrong."""

    exit_status = 2


class MappingError(ConfigurationError):
    """A file of a mapping is wrong.

    Args:
        file: the file, relative to the mapping's folder.
        path: where in the file, in its own notation (`visits.month_1.last_day`, `select[0].column[2].path`).
        problem: what is wrong and what to do, one sentence without a full stop.
    """

    def __init__(self, *, file: str, path: str, problem: str) -> None:
        self.file, self.path, self.problem = file, path, problem
        super().__init__(f"{file}: {path}: {problem}" if path else f"{file}: {problem}")


class SettingsError(ConfigurationError):
    """A settings or site file is wrong or missing."""

    def __init__(self, *, file: str, problem: str) -> None:
        self.file, self.problem = file, problem
        super().__init__(f"{file}: {problem}")


class ViewError(ConfigurationError):
    """A ViewDefinition cannot be compiled, or a resource broke a compiled view.

    Args:
        view: the view's name.
        path: when compiling, the JSON path in the view (`select[0].column[1].path`); when running, the path in
            the resource (`item[3].answer[0]`).
        problem: what is wrong; never holds a value out of a resource.
        reference: `Type/id` of the resource that broke the view, empty when compiling or when it is not known.
    """

    def __init__(self, *, view: str, path: str, problem: str, reference: str = "") -> None:
        self.view, self.path, self.problem, self.reference = view, path, problem, reference
        where = " at ".join(part for part in (reference, path) if part)
        super().__init__(": ".join(part for part in (f"view {view}", where, problem) if part))

    def __reduce__(self) -> tuple[object, ...]:
        return _revive_view_error, (self.view, self.path, self.problem, self.reference)


def _revive_view_error(view: str, path: str, problem: str, reference: str) -> ViewError:
    return ViewError(view=view, path=path, problem=problem, reference=reference)


class InputError(OutcomeBridgeError):
    """The data cannot be read at all: no such folder, no permission, nothing in it."""

    exit_status = 2

    def __init__(self, *, path: str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{path}: {problem}")


class LedgerError(OutcomeBridgeError):
    """The ledger, which could be opened, cannot be read or written any more; what was committed is kept.

    Args:
        place: the file, or the database's URL without its password.
        problem: what is wrong and what to do, without a full stop.
    """

    def __init__(self, *, place: str, problem: str) -> None:
        self.place, self.problem = place, problem
        super().__init__(f"{place}: {problem}")


class DeliveryError(OutcomeBridgeError):
    """The EHR's FHIR server could not be used."""


class ServerUnreachableError(DeliveryError):
    """No answer came; whether the request had an effect is not known."""

    def __init__(self, *, url: str, problem: str) -> None:
        self.url, self.problem = url, problem
        super().__init__(f"{url}: {problem}; check that the server runs and that the address is right")


class ServerNotReachedError(ServerUnreachableError):
    """No connection was made, so nothing was sent: safe to repeat."""


class ServerRefusedError(DeliveryError):
    """The server answered, and said no.

    Args:
        url: what was asked.
        status: the HTTP status.
        problem: the OperationOutcome's issue codes and expressions; never its diagnostics, which may hold PHI.
        retry_after_seconds: the server's Retry-After, if it sent one.
    """

    def __init__(self, *, url: str, status: int, problem: str, retry_after_seconds: float | None = None) -> None:
        self.url, self.status, self.problem = url, status, problem
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"{url}: HTTP {status}: {problem}")
