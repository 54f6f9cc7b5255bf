"""Is a transformer inference job memory-, compute- or latency-bound, how far is it from the roof, and how sure is that?

>>> from diagnose import analyze
>>> print(analyze(["trace.json.gz", "dcgm.prom"], gpu="H100"))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diagnose.api import analyze, attach, record, roofline, sweep, watch
    from diagnose.baselines import Baseline
    from diagnose.check_result import CheckResult
    from diagnose.checking import check
    from diagnose.diffing import DiffResult, diff
    from diagnose.measurements import Measurements
    from diagnose.probing.probe import ProbeResult, probe
    from diagnose.result import Result
    from diagnose.running import CommandFailed
    from heuristics.errors import (
        DiagnoseError,
        NoSuchProcess,
        NotPermitted,
        SeveralJobs,
        UnknownGpu,
        UnreadableDump,
        UnusableModel,
    )

__version__ = "0.1.0"

__all__ = [
    "Baseline",
    "CheckResult",
    "CommandFailed",
    "DiagnoseError",
    "DiffResult",
    "Measurements",
    "NoSuchProcess",
    "NotPermitted",
    "ProbeResult",
    "Result",
    "SeveralJobs",
    "UnknownGpu",
    "UnreadableDump",
    "UnusableModel",
    "__version__",
    "analyze",
    "attach",
    "check",
    "diff",
    "probe",
    "record",
    "roofline",
    "sweep",
    "watch",
]

_HOMES = {
    "Baseline": "diagnose.baselines",
    "analyze": "diagnose.api",
    "attach": "diagnose.api",
    "record": "diagnose.api",
    "roofline": "diagnose.api",
    "sweep": "diagnose.api",
    "watch": "diagnose.api",
    "CheckResult": "diagnose.check_result",
    "check": "diagnose.checking",
    "CommandFailed": "diagnose.running",
    "DiffResult": "diagnose.diffing",
    "diff": "diagnose.diffing",
    "Measurements": "diagnose.measurements",
    "ProbeResult": "diagnose.probing.probe",
    "probe": "diagnose.probing.probe",
    "Result": "diagnose.result",
    "DiagnoseError": "heuristics.errors",
    "NoSuchProcess": "heuristics.errors",
    "NotPermitted": "heuristics.errors",
    "SeveralJobs": "heuristics.errors",
    "UnknownGpu": "heuristics.errors",
    "UnreadableDump": "heuristics.errors",
    "UnusableModel": "heuristics.errors",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: importing ``diagnose`` imports nothing heavy."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'diagnose' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
