"""The façade: one function a command, keyword arguments named and measured like its options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from os import PathLike, fspath
from typing import TYPE_CHECKING

from collectors.dump import Interrupt, Progress
from diagnose.pipeline import diagnose_files
from diagnose.result import Result
from heuristics.assemble import Given
from heuristics.errors import DiagnoseError, UnusableModel
from heuristics.gpus import GpuPart, part_named
from heuristics.model_shape import ModelShape
from heuristics.vocabulary import Dtype

if TYPE_CHECKING:
    from diagnose.live import Look

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
    given = _given(gpu, dtype, bandwidth_gb_s, tflops, tensor_parallel, _model(model))
    diagnosis = diagnose_files(
        [fspath(f) for f in listed],
        given,
        interval_s=_scaled("interval", interval, 1.0),
        progress=progress,
        interrupt=interrupt,
    )
    return Result(diagnosis)


def attach(
    pid: int | str,
    *,
    for_: float | str | None = None,
    interval: float | str | None = None,
    url: str | None = None,
    api_key_env: str | None = None,
    model: Path | None = None,
    gpu: str | None = None,
    dtype: str | None = None,
    bandwidth_gb_s: float | str | None = None,
    tflops: float | str | None = None,
    tensor_parallel: int | str | None = None,
    record: Path | None = None,
    interrupt: Interrupt | None = None,
) -> Result:
    """The verdict on a live job, from any process of it, after watching it for a while. Nothing of it is changed.

    Args:
        pid: any process of the job.
        for_: seconds to watch, 10 unless stated.
        interval: seconds between reads of the threads' clocks, 0.05 unless stated.
        url: where the engine's metrics are, where that cannot be found.
        api_key_env: the variable that holds the engine's key, sent to it alone.
        model: the model's config.json, folder or GGUF, or a hub id in the local cache, where it cannot be found.
        record: a file to keep the raw observations in; ``analyze`` reads it.
        interrupt: set ``requested`` on it to judge what was seen so far.
        gpu, dtype, bandwidth_gb_s, tflops, tensor_parallel: as for ``analyze``.

    Raises:
        NoSuchProcess: there is no such process.
        NotPermitted: it may not be looked into.
        SeveralJobs: it stands above several jobs.
        UnknownGpu: no part, or several, have that name.
        DiagnoseError: an option's value makes no sense, or the recording cannot be written.
    """
    from diagnose.watching import WATCH_S, attach_once

    return Result(
        attach_once(
            process_number(pid),
            _look(interval, url, api_key_env, model),
            _given(gpu, dtype, bandwidth_gb_s, tflops, tensor_parallel),
            window_s=_scaled("for", for_, 1.0) or WATCH_S,
            output=None if record is None else fspath(record),
            interrupt=interrupt or Interrupt(),
        )
    )


def watch(
    pid: int | str,
    *,
    for_: float | str | None = None,
    interval: float | str | None = None,
    url: str | None = None,
    api_key_env: str | None = None,
    model: Path | None = None,
    gpu: str | None = None,
    dtype: str | None = None,
    bandwidth_gb_s: float | str | None = None,
    tflops: float | str | None = None,
    tensor_parallel: int | str | None = None,
    record: Path | None = None,
    interrupt: Interrupt | None = None,
) -> Iterator[Result]:
    """A verdict every two seconds on a live job, each over the last ``for_`` seconds, until the job ends.

    Arguments and errors are those of ``attach``. The first verdicts, over less time than asked for, are marked
    provisional.
    """
    from diagnose.watching import WATCH_S, windows

    found = windows(
        process_number(pid),
        _look(interval, url, api_key_env, model),
        _given(gpu, dtype, bandwidth_gb_s, tflops, tensor_parallel),
        window_s=_scaled("for", for_, 1.0) or WATCH_S,
        output=None if record is None else fspath(record),
        interrupt=interrupt or Interrupt(),
    )
    return map(Result, found)


def record(
    pid: int | str,
    output: Path,
    *,
    for_: float | str | None = None,
    interval: float | str | None = None,
    url: str | None = None,
    api_key_env: str | None = None,
    model: Path | None = None,
    interrupt: Interrupt | None = None,
) -> int:
    """Keep the raw observations of a live job in a file, which ``analyze`` judges; the number of records written.

    Without ``for_`` it goes on until the job ends or ``interrupt`` is set. Arguments and errors are those of
    ``attach``.
    """
    from diagnose.watching import record_only

    return record_only(
        process_number(pid),
        _look(interval, url, api_key_env, model),
        window_s=_scaled("for", for_, 1.0),
        output=fspath(output),
        interrupt=interrupt or Interrupt(),
    )


def process_number(pid: int | str) -> int:
    """A pid as typed.

    Raises:
        DiagnoseError: it is no number that a process can have.
    """
    try:
        number = int(pid)
    except ValueError as error:
        raise DiagnoseError(
            f"{pid!r} is no process number", hint="pgrep -af vllm   # then: diagnose attach PID"
        ) from error
    if number <= 0:
        raise DiagnoseError(f"{pid} is no process number", hint="pgrep -af vllm   # then: diagnose attach PID")
    return number


def _look(interval: float | str | None, url: str | None, api_key_env: str | None, model: Path | None) -> Look:
    from diagnose.live import Look, credential_of

    stated = {} if interval is None else {"slice_s": _scaled("interval", interval, 1.0) or 0.0}
    return Look(
        url=url, credential=credential_of(api_key_env), model=None if model is None else fspath(model), **stated
    )


def _given(
    gpu: str | None,
    dtype: str | None,
    bandwidth_gb_s: float | str | None,
    tflops: float | str | None,
    tensor_parallel: int | str | None,
    model: ModelShape | None = None,
) -> Given:
    """What the user states of the device and the model."""
    return Given(
        part=_part(gpu),
        model=model,
        dtype=_dtype(dtype),
        bandwidth_bytes_per_s=_scaled("bandwidth_gb_s", bandwidth_gb_s, 1e9),
        flops_per_s=_scaled("tflops", tflops, 1e12),
        tensor_parallel=_count("tensor_parallel", tensor_parallel),
    )


def _part(name: str | None) -> GpuPart | None:
    return None if name is None else part_named(name)


def _model(path: Path | None) -> ModelShape | None:
    """A model that the user names.

    Raises:
        UnusableModel: it cannot be read.
    """
    if path is None:
        return None
    from collectors.model_files.read import Unread, read_given
    from collectors.model_files.record import shape_from_record

    found = read_given(fspath(path))
    if isinstance(found, Unread):
        raise UnusableModel(found.reason, hint=found.unlock)
    return shape_from_record(found)


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
        raise DiagnoseError(f"{name} must be a whole number, not {value}", hint=f"--{_option(name)} 2, for example")
    return int(number)


def _scaled(name: str, value: float | str | None, factor: float) -> float | None:
    """An option's number in SI; it must be finite and positive."""
    if value is None:
        return None
    hint = f"--{_option(name)} 10, for example"
    try:
        number = float(value)
    except ValueError as error:
        raise DiagnoseError(f"{_option(name)} must be a number, not {value!r}", hint=hint) from error
    if not 0.0 < number < float("inf"):
        raise DiagnoseError(f"{_option(name)} must be positive, not {value}", hint=hint)
    return number * factor


def _option(name: str) -> str:
    return name.replace("_", "-")
