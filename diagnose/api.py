"""The façade: one function a command, keyword arguments named and measured like its options."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike, fspath

from collectors.dump import Interrupt, Progress
from diagnose.pipeline import diagnose_files
from diagnose.result import Result
from heuristics.assemble import Given
from heuristics.errors import DiagnoseError
from heuristics.gpus import GpuPart, part_named
from heuristics.model_shape import ModelShape
from heuristics.vocabulary import Dtype

Path = str | PathLike[str]


def analyze(
    files: Path | Iterable[Path],
    *,
    gpu: str | None = None,
    model: Path | None = None,
    dtype: str | None = None,
    bandwidth_gb_s: float | str | None = None,
    tflops: float | str | None = None,
    interval: float | str | None = None,
    tensor_parallel: int | str | None = None,
    progress: Progress | None = None,
    interrupt: Interrupt | None = None,
) -> Result:
    """The verdict on one job from its dumps; their kinds are recognised from their content.

    Args:
        files: paths of dumps, ``-`` for standard input.
        gpu: the part's name where the dumps do not state the device; its datasheet fills what they lack.
        model: the model's config.json, or the folder that holds it.
        dtype: arithmetic type to compare with (bf16, fp16, fp8 ...) where the dumps do not tell.
        bandwidth_gb_s: peak bandwidth in GB/s, in place of the table's or the device's.
        tflops: peak arithmetic in TFLOP/s, likewise.
        tensor_parallel: devices that ``model`` is split over, so that its bytes and FLOPs are per device.
        interval: seconds between the first and the last Prometheus snapshot, where nothing else tells.
        progress: called as (path, bytes read, size or None) while files are read.
        interrupt: set ``requested`` on it to stop reading and judge what is there.

    Raises:
        UnreadableDump: a file is missing, or none of them is a usable dump.
        UnknownGpu: no part, or several, have that name.
        UnusableModel: the model's configuration cannot be read.
        DiagnoseError: an option's value makes no sense.
    """
    listed = [files] if isinstance(files, str | PathLike) else list(files)
    if not listed:
        raise DiagnoseError("no file given", hint="diagnose analyze FILE...")
    given = Given(
        part=_part(gpu),
        model=_model(model),
        dtype=_dtype(dtype),
        bandwidth_bytes_per_s=_scaled("bandwidth_gb_s", bandwidth_gb_s, 1e9),
        flops_per_s=_scaled("tflops", tflops, 1e12),
        tensor_parallel=_count("tensor_parallel", tensor_parallel),
    )
    diagnosis = diagnose_files(
        [fspath(f) for f in listed],
        given,
        interval_s=_scaled("interval", interval, 1.0),
        progress=progress,
        interrupt=interrupt,
    )
    return Result(diagnosis)


def _part(name: str | None) -> GpuPart | None:
    return None if name is None else part_named(name)


def _model(path: Path | None) -> ModelShape | None:
    if path is None:
        return None
    from collectors.model_config import read

    return read(fspath(path))


def _dtype(name: str | None) -> Dtype | None:
    if name is None:
        return None
    try:
        return Dtype(name.lower())
    except ValueError as error:
        known = ", ".join(d.value for d in Dtype)
        raise DiagnoseError(f"no arithmetic type named {name!r}", hint=f"one of {known}") from error


def _count(name: str, value: int | str | None) -> int:
    """A number of devices: whole and positive, one where it is not stated."""
    number = _scaled(name, value, 1.0) or 1.0
    if not number.is_integer():
        raise DiagnoseError(f"{name} must be a whole number, not {value}")
    return int(number)


def _scaled(name: str, value: float | str | None, factor: float) -> float | None:
    """An option's number in SI; it must be finite and positive."""
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError as error:
        raise DiagnoseError(f"{name} must be a number, not {value!r}") from error
    if not 0.0 < number < float("inf"):
        raise DiagnoseError(f"{name} must be positive, not {value}")
    return number * factor
