"""What the façade returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heuristics.verdict import Diagnosis

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True)
class Result:
    """A diagnosis that renders itself. ``str()`` is the terminal's report, 80 columns wide."""

    diagnosis: Diagnosis

    def to_dict(self) -> dict[str, Any]:
        """The verdict's JSON (schema ``diagnose.verdict/1``) as plain Python values."""
        from reports.as_json import to_dict

        return to_dict(self.diagnosis)

    def to_frame(self) -> pandas.DataFrame:
        """Operations or kernels as a frame, one a row, longest first; columns as in the JSON's ``operations``."""
        import pandas as pd

        return pd.DataFrame(self.to_dict()["operations"])

    def __str__(self) -> str:
        from reports.as_text import render

        return render(self.diagnosis)
