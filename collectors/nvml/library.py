"""NVIDIA's management library through its Python binding: the one place that meets NVML's errors.

Every question has a value for an answer, or None and a refusal that is kept. Nothing here raises.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

Record = dict[str, Any]
"""JSON-plain; ``what`` says its kind."""

NOT_PRESENT = 13
"""NVML's code of a function that the library, or the binding, lacks."""

NO_PERMISSION = 4
NOT_SUPPORTED = 3
NOTHING_NEW = 6

REASONS = {
    1: "NVML is not initialised",
    2: "invalid argument",
    NOT_SUPPORTED: "not supported",
    NO_PERMISSION: "no permission",
    NOTHING_NEW: "not found",
    8: "external power is not attached",
    9: "the driver is not loaded",
    12: "libnvidia-ml.so.1 is not found",
    NOT_PRESENT: "function not found",
    15: "GPU is lost",
    16: "GPU requires a reset",
    17: "blocked by the operating system",
    18: "driver and library differ in version",
    25: "argument version mismatch",
    26: "deprecated",
    27: "not ready",
    28: "GPU is not found",
    999: "unknown error",
}

GONE = frozenset({1, 9, 15, 16, 18, 28})
"""After one of these a device does not come back within a run."""

FOR_GOOD = frozenset({2, NOT_SUPPORTED, NO_PERMISSION, NOT_PRESENT, 25, 26}) | GONE
"""Asked once, a question so refused is not asked again."""

UNLOCKS = {
    NO_PERMISSION: "let this user open /dev/nvidiactl and /dev/nvidia* (ls -l /dev/nvidia* shows who may)",
    9: "load the driver: sudo modprobe nvidia; in a container, start it with --gpus all",
    12: "install NVIDIA's driver; in a container, start it with --gpus all and "
    "NVIDIA_DRIVER_CAPABILITIES=compute,utility",
    NOT_PRESENT: "update NVIDIA's driver",
    17: "allow the device in the container or cgroup: --gpus all",
    18: "reboot, or reload the nvidia kernel modules: the driver was upgraded while the old one ran; "
    "restart the container if it is one",
}

INSTALL = "pip install --force-reinstall nvidia-ml-py"

NEEDED = (
    "nvmlInit",
    "nvmlShutdown",
    "nvmlDeviceGetCount",
    "nvmlDeviceGetHandleByIndex",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetComputeRunningProcesses",
)
"""What tells NVIDIA's binding from another module of its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a question has no answer; ``code`` is NVML's, None where the failure was not NVML's."""

    reason: str
    code: int | None = None

    @property
    def for_good(self) -> bool:
        """Whether asking again is useless."""
        return self.code in FOR_GOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """Why NVML cannot be opened at all, and what would unlock it."""

    reason: str
    unlock: str
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Library:
    """The opened library."""

    binding: Any

    def asked(self, name: str, *arguments: Any) -> Any:
        """What a function of the binding returns, or a Refusal."""
        function = getattr(self.binding, name, None)
        if function is None:
            return Refusal(code=NOT_PRESENT, reason=REASONS[NOT_PRESENT])
        return _tried(lambda: function(*arguments))

    def value(self, name: str, *arguments: Any) -> Any:
        """What a function returns, or None."""
        answer = self.asked(name, *arguments)
        return None if isinstance(answer, Refusal) else answer

    def close(self) -> None:
        """Let go of the library."""
        self.asked("nvmlShutdown")


@dataclass(slots=True)
class Handle:
    """One device as NVML hands it out, with what it has refused so far."""

    library: Library
    raw: Any
    refused: dict[str, Refusal] = field(default_factory=dict)
    gone: Refusal | None = None
    answers: int = 0

    def ask(self, name: str, *arguments: Any, part: object = "") -> Any:
        """What a function says of this device, or None.

        ``part`` tells questions of the same function apart: a clock, a link, a direction.
        """
        if self.is_refused(name, part):
            return None
        return self.heard(f"{name}{part}", self.library.asked(name, self.raw, *arguments))

    def heard(self, question: str, answer: Any) -> Any:
        """An answer that is a value, or None where it is a refusal, which is kept."""
        if isinstance(answer, Refusal):
            self.refused[question] = answer
            if answer.code in GONE:
                self.gone = answer
            return None
        self.refused.pop(question, None)
        self.answers += 1
        return answer

    def is_refused(self, name: str, part: object = "") -> bool:
        """Whether a question is known to have no answer."""
        known = self.refused.get(f"{name}{part}")
        return self.gone is not None or (known is not None and known.for_good)

    def why(self, name: str, part: object = "") -> str | None:
        """The reason for which a question went unanswered last."""
        known = self.refused.get(f"{name}{part}")
        return None if known is None else known.reason


def open_library() -> Library | Unavailable:
    """NVML, or why not."""
    binding = _binding()
    if isinstance(binding, Unavailable):
        return binding
    library = Library(binding)
    opened = library.asked("nvmlInit")
    if not isinstance(opened, Refusal):
        return library
    unlock = UNLOCKS.get(opened.code or 0, "nvidia-smi says more about the driver's state")
    return Unavailable(reason=opened.reason, unlock=unlock, code=opened.code)


def sane(value: Any, most: float, factor: float = 1.0) -> float | None:
    """A reading in SI; None where it is none: negative, not a number, or the sentinel of an unknown value."""
    if value is None or isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    number = float(value) * factor
    return number if math.isfinite(number) and 0.0 <= number <= most else None


def stated(**fields: Any) -> Record:
    """A record without what is absent."""
    return {name: value for name, value in fields.items() if value is not None}


def missing(source: str, reason: str, unlock: str | None = None, t_s: float = 0.0) -> Record:
    """The record of something that cannot be seen from here."""
    return stated(t_s=t_s, what="missing", source=source, reason=reason, unlock=unlock)


def _binding() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            binding = import_module("pynvml")
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "pynvml":
            reason = "the Python package nvidia-ml-py is not installed"
            return Unavailable(reason=reason, unlock="pip install nvidia-ml-py")
        return Unavailable(reason=f"importing pynvml fails: {_words(error)}", unlock=INSTALL)
    lacks = [name for name in NEEDED if not hasattr(binding, name)]
    if not lacks:
        return binding
    where = getattr(binding, "__file__", None) or "an unknown place"
    return Unavailable(
        reason=f"the module pynvml in {where} is not NVIDIA's binding: it lacks {', '.join(lacks[:2])}",
        unlock=f"move that module away, or: pip uninstall pynvml && {INSTALL}",
    )


def _tried(call: Callable[[], Any]) -> Any:
    """Anything may come out of a driver in trouble: NVML's errors, ctypes', names that are no UTF-8."""
    try:
        return call()
    except Exception as error:
        code = getattr(error, "value", None)
        if isinstance(code, int):
            return Refusal(code=code, reason=REASONS.get(code) or _words(error))
        if type(error).__name__ == "NVMLLibraryMismatchError":
            return Refusal(code=NOT_PRESENT, reason=REASONS[NOT_PRESENT])
        return Refusal(reason=_words(error))


def _words(error: Exception) -> str:
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
