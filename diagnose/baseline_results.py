"""What the commands on a baseline return: as text, plain values, and frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from collectors.baseline import store
from collectors.baseline.lines import Line
from reports.history_words import Files

if TYPE_CHECKING:
    import pandas

    from heuristics.regression.history import Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What became of the verdicts that were to be added, in their order: ``known`` ones were there already."""

    directory: str
    items: tuple[store.Added, ...]

    def to_dict(self) -> dict[str, Any]:
        """``{"schema", "directory", "added": [{file, workload, created_at, id, known, figures}]}``."""
        return {
            "schema": "diagnose.baseline_added/1",
            "directory": self.directory,
            "added": [
                {
                    "file": item.path,
                    "workload": item.session.identity.get("workload"),
                    "created_at": item.session.created_at,
                    "id": item.session.data,
                    "known": item.known,
                    "figures": sorted(item.session.figures),
                }
                for item in self.items
            ],
        }

    def to_frame(self) -> pandas.DataFrame:
        """A row a verdict, with the columns of ``added``."""
        import pandas as pd

        return pd.DataFrame(self.to_dict()["added"])

    def __str__(self) -> str:
        from reports.baseline_text import added

        return added([(i.session, i.path, i.known) for i in self.items])


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The groups of alike sessions in a baseline."""

    groups: tuple[Group, ...]
    files: Files

    def to_dict(self) -> dict[str, Any]:
        """Schema ``diagnose.history/1`` without its series."""
        from reports.history_json import to_dict

        return to_dict(self.groups, self.files, series=False)

    def to_frame(self) -> pandas.DataFrame:
        """A row a group."""
        import pandas as pd

        from reports.history_json import summaries

        return pd.DataFrame(summaries(self.groups))

    def __str__(self) -> str:
        from reports.history_text import listed

        return listed(self.groups, self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The same over time: trends, change points, versions and regimes."""

    groups: tuple[Group, ...]
    files: Files

    def to_dict(self) -> dict[str, Any]:
        """Schema ``diagnose.history/1``."""
        from reports.history_json import to_dict

        return to_dict(self.groups, self.files)

    def to_frame(self) -> pandas.DataFrame:
        """A row for each session and metric: workload, created_at, metric, value, unit, regime, confidence, gpu,
        driver, engine_version, id. ``created_at`` is a text, ``value`` in the unit beside it.
        """
        import pandas as pd

        from reports.history_json import COLUMNS, rows

        return pd.DataFrame(rows(self.groups), columns=list(COLUMNS))

    def __str__(self) -> str:
        from reports.history_text import shown

        return shown(self.groups, self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """Lines that were removed, or would be with ``dry_run``."""

    directory: str
    lines: tuple[Line, ...]
    left: int
    dry_run: bool

    def to_dict(self) -> dict[str, Any]:
        """``{"schema", "directory", "dry_run", "left", "removed": [{file, line, workload, created_at, id}]}``."""
        return {
            "schema": "diagnose.baseline_pruned/1",
            "directory": self.directory,
            "dry_run": self.dry_run,
            "left": self.left,
            "removed": [
                {
                    "file": line.path,
                    "line": line.number,
                    "workload": line.session.identity.get("workload"),
                    "created_at": line.session.created_at,
                    "id": line.session.data,
                }
                for line in self.lines
                if line.session is not None
            ],
        }

    def to_frame(self) -> pandas.DataFrame:
        """A row a line, with the columns of ``removed``."""
        import pandas as pd

        return pd.DataFrame(self.to_dict()["removed"])

    def __str__(self) -> str:
        from reports.baseline_text import pruned

        sessions = [line.session for line in self.lines if line.session is not None]
        return pruned(sessions, left=self.left, dry_run=self.dry_run)
