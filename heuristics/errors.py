"""The exceptions a caller can act on.

DiagnoseError
 ├─ UnreadableDump      the file cannot be used, and why
 ├─ UnknownGpu          the name matches no part, or several
 ├─ UnusableModel       the model description lacks what the arithmetic needs
 ├─ NoSuchProcess       no process has that number
 ├─ NotPermitted        the process may not be looked into
 └─ SeveralJobs         the process stands above more than one job
"""

from __future__ import annotations


class DiagnoseError(Exception):
    """Base of every error meant for the user: ``str()`` says what is wrong, ``hint`` what to type next."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        if hint is not None:
            self.add_note(f"Hint: {hint}")


class UnreadableDump(DiagnoseError):
    """A file that is missing, not a dump, damaged beyond use, or without anything to judge."""

    def __init__(self, path: str, reason: str, *, line: int | None = None, hint: str | None = None) -> None:
        where = path if line is None else f"{path}, line {line}"
        super().__init__(f"{where}: {reason}", hint=hint)
        self.path = path
        self.reason = reason
        self.line = line


class UnknownGpu(DiagnoseError):
    """A GPU name that matches no row of the table, or more than one."""


class UnusableModel(DiagnoseError):
    """A model description that lacks a dimension or contradicts itself."""


class NoSuchProcess(DiagnoseError):
    """There is no process with that number, or it has ended."""


class NotPermitted(DiagnoseError):
    """The process is another user's, or in a container that cannot be looked into from here."""


class SeveralJobs(DiagnoseError):
    """The process stands above several jobs; one of them must be named."""
