"""What moved between two verdicts: the façade of ``diagnose diff``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from diagnose import __version__
from diagnose.given import Path
from heuristics.errors import DiagnoseError, UnreadableDump
from heuristics.regression.moved import Moved
from heuristics.regression.session import Session

if TYPE_CHECKING:
    import pandas

    from collectors.dump import Interrupt, Progress
    from diagnose.probing.probe import ProbeResult
    from diagnose.result import Result

    Side = Path | Sequence[Path] | Mapping[str, Any] | Result | ProbeResult


@dataclass(frozen=True, slots=True)
class DiffResult:
    """A comparison that renders itself. ``str()`` is the terminal's report, 80 columns wide."""

    moved: Moved

    @property
    def nothing(self) -> bool:
        """Nothing that both verdicts state differs by more than the noise."""
        return self.moved.nothing

    def to_dict(self) -> dict[str, Any]:
        """The comparison's JSON (schema ``diagnose.diff/1``) as plain Python values."""
        from reports.diff_json import to_dict

        return to_dict(self.moved, __version__)

    def to_frame(self) -> pandas.DataFrame:
        """Kernels, else operations, that moved, the farthest first; columns as in the JSON's ``kernels.moved``."""
        import pandas as pd

        found = self.to_dict()
        return pd.DataFrame((found["kernels"] or found["operations"] or {"moved": []})["moved"])

    def brief(self, *, width: int = 80, colour: bool = False) -> list[str]:
        """Eight lines at most."""
        from reports.diff_text import brief

        return brief(self.moved, width=width, colour=colour)

    def __str__(self) -> str:
        from reports.diff_text import render

        return render(self.moved)


def diff(
    a: Side,
    b: Side,
    *,
    gpu: str | None = None,
    model: Path | None = None,
    dtype: str | None = None,
    bandwidth_gb_s: float | str | None = None,
    tflops: float | str | None = None,
    tensor_parallel: int | str | None = None,
    progress: Progress | None = None,
    interrupt: Interrupt | None = None,
) -> DiffResult:
    """What moved from verdict ``a`` to verdict ``b`` of one job, in time, shares, phases, kernels and surroundings.

    Args:
        a, b: a verdict's JSON (its path, or the dict), what ``analyze``, ``attach`` and the others return, or a dump or
            recording, which is judged first; several dumps of one side as a list.
        gpu, model, dtype, bandwidth_gb_s, tflops, tensor_parallel: as for ``analyze``, for sides that are dumps.
        progress: called as (path, bytes read, size or None) while dumps are read.
        interrupt: set ``requested`` on it to stop reading and judge what is there.

    Raises:
        UnreadableDump: a side is missing, damaged, or neither a verdict nor a dump.
        UnknownGpu, UnusableModel, DiagnoseError: as for ``analyze``.
    """
    from heuristics.regression.difference import difference

    options = {
        "gpu": gpu,
        "model": model,
        "dtype": dtype,
        "bandwidth_gb_s": bandwidth_gb_s,
        "tflops": tflops,
        "tensor_parallel": tensor_parallel,
        "progress": progress,
        "interrupt": interrupt,
    }
    return DiffResult(difference(_session(a, "before", options), _session(b, "now", options)))


def _session(side: Side, word: str, options: Mapping[str, Any]) -> Session:
    """One side's session, by the name that the user knows it by."""
    from collectors.verdict_json import session_of
    from diagnose.api import analyze
    from diagnose.sessions import verdict_of

    name = f"the verdict {word}"
    if isinstance(side, str | PathLike):
        name = fspath(side)
    elif isinstance(side, Sequence):
        name = ", ".join(fspath(path) for path in side)
        side = analyze(side, **options)
    elif not isinstance(side, Mapping) and not hasattr(side, "to_dict"):
        raise DiagnoseError(f"{side!r} is no verdict and no file", hint="diff('before.json', 'after.json')")
    try:
        return session_of(verdict_of(side, **options), name)
    except RecursionError as error:
        hint = "diagnose analyze FILE... --format json -o verdict.json"
        raise UnreadableDump(name, "this verdict is nested too deeply", hint=hint) from error
