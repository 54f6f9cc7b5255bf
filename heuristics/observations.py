"""What collectors hand over: facts as the tools state them, in SI units, nothing judged yet.

Scalars that a source does not state are None. Arrays of many rows use NaN for a cell that is not stated.
"""

from __future__ import annotations

from dataclasses import dataclass

from heuristics.arrays import Array, Flags, Index
from heuristics.kernel_class import KernelClass
from heuristics.operations import Phase
from heuristics.roofs import Device
from heuristics.vocabulary import Dtype


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KernelProfile:
    """Kernels measured one by one under replay (Nsight Compute). Arrays have shape (rows,).

    Throughputs are fractions 0..1 of the peak sustained over the kernel's time; a row of a summary stands
    for ``launches`` launches. ``ncu_label`` is the label of the tool's own rule row, "" where it has none;
    it and ``phase`` are empty when no row has any.
    """

    names: tuple[str, ...]
    name_index: Index
    launches: Array
    duration_s: Array
    memory_throughput: Array
    compute_throughput: Array
    dram_throughput: Array
    tensor_active: Array
    dram_bytes: Array
    flops: Array
    waves_per_sm: Array
    ncu_label: tuple[str, ...]
    phase: tuple[Phase | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelTotal:
    """All launches of one kernel on a timeline. ``blocks_per_sm`` is the mean over its time, None if not stated."""

    name: str
    kind: KernelClass
    launches: int
    total_s: float
    blocks_per_sm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationTotal:
    """An operation whose FLOPs and bytes follow from its recorded shapes, with the device time it took."""

    name: str
    flops: float
    bytes: float
    device_s: float
    launches: int
    dtype: Dtype | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """What one device did over the time in which the job had work. Seconds; parts of ``window_s``.

    ``busy_s``: any device activity. ``roof_busy_s``: without time in which only communication or copies
    to or from the host ran. ``capable_s``: time of kernels that could reach the arithmetic roof, each
    counted at the fraction of the SMs its grid can occupy. ``host_gap_s``: gaps ended by a launch that
    came after the device had run dry; None where launches were not recorded.
    """

    window_s: float
    busy_s: float
    roof_busy_s: float
    capable_s: float
    underfill_s: float
    communication_s: float
    transfer_s: float
    host_gap_s: float | None
    excluded_s: float
    launches: int
    graph_launched: int
    launch_delay_s: float | None
    kernels: tuple[KernelTotal, ...]
    operations: tuple[OperationTotal, ...] = ()
    step_s: tuple[float, ...] = ()
    recorded_stacks: bool = False
    recorded_shapes: bool = False
    recorded_memory: bool = False
    of_sums: bool = False
    """Made of sums by kernel: overlap between streams is not known."""
    gaps_known: bool = True
    """False where not even a total of the host tells how much of the time lies between kernels."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """Periodic readings of one device (nvidia-smi, NVML). Arrays of shape (samples,), NaN where not stated.

    ``sm`` and ``memory`` are fractions of *time* in which a kernel ran, or device memory was accessed.
    """

    interval_s: float | None
    sm: Array
    memory: Array
    video: Array
    power_w: Array
    sm_clock_hz: Array
    memory_clock_hz: Array
    power_limited: Array
    thermally_limited: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Hardware activity of one device, averaged over a window: fractions 0..1 of cycles or of peak bandwidth."""

    window_s: float | None
    engine_active: float | None = None
    sm_active: float | None = None
    sm_occupancy: float | None = None
    tensor_active: float | None = None
    dram_active: float | None = None
    fp64_active: float | None = None
    fp32_active: float | None = None
    fp16_active: float | None = None
    integer_active: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What one device's board counted over a window, beside its utilisation. Bytes, joules, bytes/s.

    Links are seen from the device: ``rx`` is towards it. ``other_processes`` hold memory on it and are not the job's.
    """

    window_s: float
    energy_j: float | None = None
    pcie_rx_bytes_per_s: float | None = None
    pcie_tx_bytes_per_s: float | None = None
    pcie_peak_bytes_per_s: float | None = None
    nvlink_rx_bytes_per_s: float | None = None
    nvlink_tx_bytes_per_s: float | None = None
    nvlink_peak_bytes_per_s: float | None = None
    memory_used_bytes: float | None = None
    ecc_errors: float | None = None
    other_processes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What the job's process tree did on the host's CPUs over a window. Fractions 0..1 of the window.

    ``asleep_fraction``: time in which no thread of the tree was on a CPU, at least (by short slices).
    ``busiest_thread_fraction``: on-CPU time of the thread that had most. ``wait_fraction``: of the time in which that
    thread wanted a CPU, the part it waited for one. ``busy_cores``: on-CPU seconds a second, of
    all threads. ``cores``: CPUs it may use, by affinity and cgroup quota. Pressure is that of the job's cgroup, or
    of the machine.
    """

    window_s: float
    threads: int
    asleep_fraction: float | None = None
    busiest_thread_fraction: float | None = None
    busiest_thread: str | None = None
    wait_fraction: float | None = None
    busy_cores: float | None = None
    cores: float | None = None
    throttled_fraction: float | None = None
    cpu_pressure: float | None = None
    memory_pressure: float | None = None
    io_pressure: float | None = None
    read_bytes_per_s: float | None = None
    computes: bool = False
    """The CPU is the device that the model runs on."""
    self_driven: bool = False
    """A program of its own, not a server that polls for requests: while a thread of it runs, it has work."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadCurve:
    """Short decode-only windows under varying load. Arrays of shape (windows,), all of the same engine.

    ``batch``: mean sequences in a step; ``step_s``: the window's time over its steps; ``context_tokens``: mean
    cached tokens a sequence, NaN where not known. ``offered``: sequences asked for at the same time, NaN where not
    known. ``capped``: the KV cache was full, so that sequences had to wait or were put off; None where nothing tells.
    """

    batch: Array
    step_s: Array
    context_tokens: Array
    offered: Array | None = None
    capped: Flags | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimes:
    """The same step timed in several ways, medians in seconds; None for a way that is not there.

    ``step_s``: by the host's clock, synchronised around groups of steps. ``device_s``: by the device's own, all its
    launches queued before the first kernel begins. ``graph_s``: replayed from a captured graph. ``spread``: a fraction.
    """

    step_s: float
    device_s: float | None = None
    graph_s: float | None = None
    spread: float | None = None


FULL_CACHE = 0.95
"""Use of the KV cache at which nothing more fits."""

LARGEST_CHUNK = 2048.0
"""Prompt tokens that engines take in at once, at most, unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A serving engine over a window between two snapshots, or over its lifetime when there is only one.

    Rates are per second of the window; ``batch`` is the mean number of sequences in a step. FLOPs and
    bytes are the engine's own estimates per device. Tokens are the job's, all sequences together.
    """

    engine: str
    model: str | None = None
    window_s: float | None = None
    lifetime: bool = False
    requests_running: float | None = None
    requests_waiting: float | None = None
    batch: float | None = None
    tokens_per_step: float | None = None
    steps: float | None = None
    steps_per_s: float | None = None
    step_s: float | None = None
    generation_tokens: float | None = None
    prompt_tokens: float | None = None
    prompt_tokens_computed: float | None = None
    """Prompt tokens without those that the prefix cache gave."""
    requests: float | None = None
    """Requests that got their first token in the window, or ended in it."""
    busy: bool = False
    """Requests ran throughout the window."""
    least_work: float | None = None
    """Requests are known to have run for this share of the window; None where it was not looked at in between."""
    idle_fraction: float | None = None
    """For this share of it no request ran and nothing moved."""
    stale: bool = False
    """Nothing moved, and then this engine's gauges say nothing: neither that there was work nor that there was none."""
    replicas: int = 1
    """Data-parallel engines that took steps."""
    frozen_s: float = 0.0
    """At the end of the window no counter moved for so long although requests ran."""
    tokens_per_s: float | None = None
    prompt_tokens_per_s: float | None = None
    time_per_output_token_s: float | None = None
    time_to_first_token_s: float | None = None
    kv_cache_usage: float | None = None
    kv_capacity_tokens: float | None = None
    context_tokens: float | None = None
    """Mean tokens cached a running request, where the engine states it so."""
    preemptions: float | None = None
    flops: float | None = None
    read_bytes: float | None = None
    write_bytes: float | None = None
    accepted_tokens: float | None = None
    drafts: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One payload about one device (or about the whole job, ``device`` None), from one source."""

    source: str
    payload: KernelProfile | Timeline | Samples | Activity | Board | Host | LoadCurve | StepTimes | Serving
    device: Device | None = None
    phase: Phase | None = None
