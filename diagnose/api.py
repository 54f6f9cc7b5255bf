"""The façade: one function a command, keyword arguments named and measured like its options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from os import PathLike, fspath
from typing import TYPE_CHECKING

from collectors.dump import Interrupt, Progress
from diagnose.given import Path, given_by, model_named, scaled
from diagnose.pipeline import diagnose_files
from diagnose.result import Result
from heuristics.errors import DiagnoseError

if TYPE_CHECKING:
    from diagnose.live import Look
    from diagnose.measurements import Measurements
    from diagnose.stated import Number

SHORTEST_INTERVAL_S = 0.005
"""Between reads of the threads' clocks: the kernel moves them on every few milliseconds."""


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
    given = given_by(gpu, dtype, bandwidth_gb_s, tflops, tensor_parallel, model_named(model))
    diagnosis = diagnose_files(
        [fspath(f) for f in listed],
        given,
        interval_s=scaled("interval", interval, 1.0),
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
            given_by(gpu, dtype, bandwidth_gb_s, tflops, tensor_parallel),
            window_s=scaled("for", for_, 1.0) or WATCH_S,
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
        given_by(gpu, dtype, bandwidth_gb_s, tflops, tensor_parallel),
        window_s=scaled("for", for_, 1.0) or WATCH_S,
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
        process_number(pid, "record"),
        _look(interval, url, api_key_env, model, "record"),
        window_s=scaled("for", for_, 1.0),
        output=fspath(output),
        interrupt=interrupt or Interrupt(),
    )


def sweep(
    target: str | int,
    *,
    batches: str | Sequence[int] | None = None,
    prompt_tokens: float | str | None = None,
    output_tokens: float | str | None = None,
    level_seconds: float | str | None = None,
    max_requests: float | str | None = None,
    max_tokens: float | str | None = None,
    max_seconds: float | str | None = None,
    timeout: float | str | None = None,
    served_model: str | None = None,
    metrics_url: str | None = None,
    api_key_env: str | None = None,
    yes: bool = False,
    model: Path | None = None,
    gpu: str | None = None,
    dtype: str | None = None,
    bandwidth_gb_s: float | str | None = None,
    tflops: float | str | None = None,
    tensor_parallel: int | str | None = None,
    interrupt: Interrupt | None = None,
    tell: Callable[[str], None] | None = None,
) -> Result:
    """Load an OpenAI-compatible server with so many requests at once, level by level, and judge each and the whole.

    Args:
        target: the server's address, or any process of it.
        batches: requests at once, level by level; 1, 2, 4 ... 64 unless stated.
        prompt_tokens, output_tokens: about how long prompts are, and how long answers; 64 and 128 unless stated.
        level_seconds: measured at each level, 8 unless stated.
        max_requests, max_tokens, max_seconds: limits of everything together; 2000, 400,000 and 300 unless stated.
        timeout: seconds without a token after which a request is given up, 60 unless stated.
        served_model: the name to ask for, where it is not the first of ``/v1/models``.
        metrics_url: where the engine's metrics are, where that cannot be found.
        api_key_env: the variable that holds the server's key, sent to it alone.
        yes: the server may be loaded although it is not on this machine.
        interrupt: set ``requested`` on it to end the load and judge what was seen.
        tell: takes what is to be sent, before it is, and a line after each level.
        model, gpu, dtype, bandwidth_gb_s, tflops, tensor_parallel: as for ``attach``.

    Raises:
        NoSuchProcess, NotPermitted, SeveralJobs: as for ``attach``.
        UnknownGpu: no part, or several, have that name.
        UnusableModel: the model cannot be read.
        DiagnoseError: an option makes no sense, or the server does not answer as such a server does.
    """
    from diagnose.live import Look, credential_of
    from diagnose.sweep_plan import plan_of
    from diagnose.sweeping import Terms
    from diagnose.sweeping import sweep as swept

    plan = plan_of(
        {
            "batches": batches,
            "prompt_tokens": prompt_tokens,
            "output_tokens": output_tokens,
            "level_seconds": level_seconds,
            "max_requests": max_requests,
            "max_tokens": max_tokens,
            "max_seconds": max_seconds,
            "timeout": timeout,
        }
    )
    look = Look(
        url=metrics_url,
        credential=credential_of(api_key_env),
        model=None if model is None else fspath(model),
        command="sweep",
    )
    return Result(
        swept(
            str(target),
            plan,
            Terms(look=look, served=served_model, yes=yes),
            given_by(gpu, dtype, bandwidth_gb_s, tflops, tensor_parallel, model_named(model)),
            interrupt=interrupt or Interrupt(),
            tell=tell or _untold,
        )
    )


def _untold(_: str) -> None:
    """Nobody wants to know."""


def roofline(
    *,
    gpu: str | Iterable[str] | None = None,
    model: Path | None = None,
    params: Number = None,
    active_params: Number = None,
    weight_bits: Number = None,
    head_bits: Number = None,
    dtype: str | None = None,
    layers: Number = None,
    heads: Number = None,
    kv_heads: Number = None,
    head_dim: Number = None,
    hidden_size: Number = None,
    intermediate_size: Number = None,
    vocab_size: Number = None,
    experts: Number = None,
    experts_per_token: Number = None,
    kv_bits: Number = None,
    tensor_parallel: Number = None,
    linear: str | None = None,
    flops: Number = None,
    bytes: Number = None,
    batch: Number = None,
    context: Number = None,
    phase: str | None = None,
    tokens_per_s: Number = None,
    step_ms: Number = None,
    bandwidth_gb_s: Number = None,
    tflops: Number = None,
    price: str | Iterable[str] | None = None,
    csv: Path | None = None,
) -> Result | Measurements:
    """What the roofs say about numbers; with a measured speed also the verdict that follows from arithmetic alone.

    Args:
        gpu: names of parts, whose datasheets are taken; several are ranked.
        model: a config.json, its folder, a GGUF, or a cached id. Otherwise one of the following states the work.
        params, active_params: parameters streamed a step, and those a token passes, such as 6.74e9 or "8B".
        weight_bits, kv_bits: bits of a stored weight and of a cached number; as wide as the arithmetic, and 16.
        head_bits: bits of the output head's weights, if it is narrow too; otherwise 16 at least, or the model's.
        layers, heads, kv_heads, head_dim, hidden_size, intermediate_size, vocab_size, experts, experts_per_token: a
            model's shape; beside ``params`` that of attention, for the KV cache.
        linear: one layer, as "4096x4096".
        flops, bytes: any kernel.
        batch, context, phase: sequences in the step, tokens each has cached (or brings, in prefill), decode or prefill.
        tokens_per_s, step_ms: the measured speed, of all sequences together.
        dtype, bandwidth_gb_s, tflops, tensor_parallel: as for ``analyze``.
        price: "NAME=USD_PER_HOUR", one device's, as often as there are prices.
        csv: a table of measurements with columns named like these arguments; the result is then a table of verdicts.

    Raises:
        UnknownGpu: no part, or several, have that name.
        UnusableModel: the model cannot be read, or its shape contradicts itself.
        UnreadableDump: the table of measurements cannot be read, or no row of it can be used.
        DiagnoseError: an option makes no sense, or something is stated twice or not at all.
    """
    from diagnose.numbers import diagnose_numbers
    from diagnose.stated import Options

    options = Options(
        model=model,
        params=params,
        active_params=active_params,
        weight_bits=weight_bits,
        head_bits=head_bits,
        dtype=dtype,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        hidden_size=hidden_size,
        intermediate_size=intermediate_size,
        vocab_size=vocab_size,
        experts=experts,
        experts_per_token=experts_per_token,
        kv_bits=kv_bits,
        tensor_parallel=tensor_parallel,
        linear=linear,
        flops=flops,
        bytes=bytes,
        batch=batch,
        context=context,
        phase=phase,
        tokens_per_s=tokens_per_s,
        step_ms=step_ms,
        bandwidth_gb_s=bandwidth_gb_s,
        tflops=tflops,
    )
    gpus, prices = _listed(gpu), _listed(price)
    if csv is not None:
        from diagnose.measurements import measurements

        return measurements(fspath(csv), options, gpus, prices)
    return Result(diagnose_numbers(options, gpus, prices))


def _listed(names: str | Iterable[str] | None) -> list[str]:
    return [] if names is None else [names] if isinstance(names, str) else list(names)


def process_number(pid: int | str, command: str = "attach") -> int:
    """A pid as typed to ``command``.

    Raises:
        DiagnoseError: it is no number that a process can have.
    """
    try:
        number = int(pid)
    except (TypeError, ValueError, OverflowError):
        number = 0
    if number <= 0:
        hint = f"pgrep -af vllm   # then: diagnose {command} PID"
        raise DiagnoseError(f"{pid!r} is no process number", hint=hint)
    return number


def _look(
    interval: float | str | None, url: str | None, api_key_env: str | None, model: Path | None, command: str = "attach"
) -> Look:
    from diagnose.live import Look, credential_of

    slice_s = scaled("interval", interval, 1.0)
    if slice_s is not None and slice_s < SHORTEST_INTERVAL_S:
        raise DiagnoseError(
            f"an interval of {interval} s would take more than the job: at least {SHORTEST_INTERVAL_S}",
            hint="--interval 0.05",
        )
    stated = {} if slice_s is None else {"slice_s": slice_s}
    return Look(
        url=url,
        credential=credential_of(api_key_env),
        model=None if model is None else fspath(model),
        command=command,
        **stated,
    )
