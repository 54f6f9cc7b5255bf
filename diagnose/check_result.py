"""What a check came to, in every form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from diagnose import __version__
from diagnose.diffing import DiffResult
from heuristics.regression.difference import difference
from heuristics.regression.gate import most_usual
from heuristics.regression.outcome import Check, Outcome
from heuristics.regression.paired import PairedCheck

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What a check came to. ``str()`` is the terminal's report; ``exit_code`` is 0, 1 or 3."""

    check: Check | PairedCheck
    created_at: str
    baseline: str | None = None
    warnings: tuple[str, ...] = ()
    added: str | None = None
    """The file that the session was added to."""

    def __repr__(self) -> str:
        return f"CheckResult(outcome={self.outcome!r}, exit_code={self.exit_code})"

    def difference(self) -> DiffResult | None:
        """What moved since the most usual of the like sessions, where the check came to a regression."""
        found = self.check
        if isinstance(found, PairedCheck) or found.outcome is not Outcome.REGRESSION:
            return None
        usual = most_usual(found)
        return None if usual is None else DiffResult(difference(usual, found.current))

    def to_dict(self) -> dict[str, Any]:
        """The check's JSON (schema ``diagnose.check/1``) as plain Python values."""
        from reports.check_json import to_dict

        found = to_dict(self.check, baseline=self._folder)
        moved = self.difference()
        return {
            "schema": found.pop("schema"),
            "tool_version": __version__,
            "created_at": self.created_at,
            **found,
            "added_to": self.added,
            "difference": None if moved is None else moved.to_dict(),
            "warnings": [*self.warnings, *found["warnings"]],
        }

    def to_frame(self) -> pandas.DataFrame:
        """One row a metric, columns as in the JSON's ``metrics``; of pairs, one row a pair."""
        import pandas as pd

        if isinstance(self.check, PairedCheck):
            return pd.DataFrame({"a": self.check.a, "b": self.check.b})
        return pd.DataFrame(self.to_dict()["metrics"])

    def to_text(self, *, width: int = 80, colour: bool = False) -> str:
        """The terminal's report; under a regression, what moved."""
        from reports.check_text import render

        moved = self.difference()
        told = [] if moved is None else moved.brief(width=width - 2, colour=colour)
        return render(self.check, width=width, colour=colour, baseline=self._folder, moved=told)

    def to_markdown(self) -> str:
        """For a comment; under a regression, what moved in full."""
        from reports.check_markdown import render
        from reports.diff_markdown import render as render_difference

        moved = self.difference()
        more = "" if moved is None else "\n" + render_difference(moved.moved, __version__)
        return render(self.check, baseline=self._folder) + more

    def __str__(self) -> str:
        return self.to_text()

    @property
    def _folder(self) -> str:
        from reports.check_next import FOLDER

        return self.baseline or FOLDER

    @property
    def outcome(self) -> str:
        """``pass``, ``improvement``, ``regression`` or ``cannot_tell``."""
        return self.check.outcome.value

    @property
    def exit_code(self) -> int:
        """As the command's: 0 a pass, 1 a regression, 3 where it cannot be told."""
        return self.check.outcome.exit_code
