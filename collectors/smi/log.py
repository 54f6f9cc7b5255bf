"""Reader of nvidia-smi logs: dmon, pmon and query, one or several tables in a file, in any order of columns."""

from __future__ import annotations

import numpy as np

from collectors.dump import Contents, Dump
from collectors.smi.columns import Column
from collectors.smi.tables import Gpu, Tables, csv_header, is_dmon
from collectors.units import counted
from heuristics.arrays import median
from heuristics.errors import UnreadableDump
from heuristics.observations import Activity, Observation, Samples
from heuristics.roofs import Device

KIND = "nvidia-smi log"


def recognises(dump: Dump) -> bool:
    """A header of one of the tables anywhere in the beginning."""
    return any(is_dmon(line) or csv_header(line) is not None for line in dump.head_text.splitlines())


def read(dump: Dump) -> Contents:
    """Samples of every GPU, and its hardware activity where GPM columns were logged.

    Raises:
        UnreadableDump: a header and no sample.
    """
    tables = Tables()
    for line in dump.lines():
        tables.take(line)
    tables.close_pass()
    observations = _observations(dump.path, tables.gpus)
    if not observations:
        raise UnreadableDump(
            dump.path, "the log of nvidia-smi holds headers but no sample", hint="let it run while the job works"
        )
    warnings = [dump.cut_short] if dump.cut_short else []
    if tables.damaged:
        warnings.append(f"{counted(tables.damaged, 'row does', 'rows do')} not fit the header: left out")
    return Contents(kind=KIND, observations=tuple(observations), warnings=tuple(warnings))


def _observations(source: str, gpus: dict[int, Gpu]) -> list[Observation]:
    """One observation a GPU, and one more where GPM columns were logged."""
    found = []
    for index, gpu in sorted(gpus.items()):
        if not gpu.rows:
            continue
        device = _device(index, gpu)
        found.append(Observation(source=source, payload=_samples(gpu), device=device))
        activity = _activity(gpu)
        if activity is not None:
            found.append(Observation(source=source, payload=activity, device=device))
    return found


def _samples(gpu: Gpu) -> Samples:
    times = gpu.of(Column.TIME)
    steps = np.diff(times[~np.isnan(times)])
    power_limited = gpu.of(Column.POWER_LIMITED, Column.POWER_VIOLATION)
    return Samples(
        interval_s=median(steps[steps > 0]),
        sm=gpu.of(Column.SM),
        memory=gpu.of(Column.MEMORY),
        video=gpu.of(Column.ENCODER, Column.DECODER, Column.JPEG, Column.OPTICAL_FLOW),
        power_w=gpu.of(Column.POWER),
        sm_clock_hz=gpu.of(Column.SM_CLOCK),
        memory_clock_hz=gpu.of(Column.MEMORY_CLOCK),
        power_limited=power_limited,
        thermally_limited=gpu.of(Column.THERMALLY_LIMITED, Column.THERMAL_VIOLATION),
    )


def _device(index: int, gpu: Gpu) -> Device:
    """Highest limits seen, and clocks under load: an idle board lowers them."""

    def highest(*columns: Column) -> float | None:
        values = gpu.of(*columns)
        values = values[~np.isnan(values)]
        return float(values.max()) if values.size else None

    return Device(
        index=index,
        uuid=gpu.uuid,
        name=gpu.name,
        vendor="NVIDIA",
        memory_bytes=highest(Column.MEMORY_TOTAL),
        memory_clock_hz=highest(Column.MAX_MEMORY_CLOCK) or _under_load(gpu, Column.MEMORY_CLOCK),
        max_sm_clock_hz=highest(Column.MAX_SM_CLOCK),
        sm_clock_hz=_under_load(gpu, Column.SM_CLOCK),
        power_limit_w=highest(Column.POWER_LIMIT),
        mig_profile=None,
    )


def _under_load(gpu: Gpu, column: Column) -> float | None:
    """The median of a clock over the samples in which a kernel ran."""
    clock = gpu.of(column)
    loaded = clock[(np.nan_to_num(gpu.of(Column.SM)) > 0) & ~np.isnan(clock)]
    return median(loaded)


def _activity(gpu: Gpu) -> Activity | None:
    """Means of the GPM columns over the samples that state them; None where there are none."""

    def mean(column: Column) -> float | None:
        values = gpu.of(column)
        values = values[~np.isnan(values)]
        return float(values.mean()) if values.size else None

    found = Activity(
        window_s=None,
        engine_active=mean(Column.ENGINE_ACTIVE),
        sm_active=mean(Column.SM_ACTIVE),
        sm_occupancy=mean(Column.SM_OCCUPANCY),
        tensor_active=mean(Column.TENSOR_ACTIVE),
        dram_active=mean(Column.DRAM_ACTIVE),
        fp64_active=mean(Column.FP64_ACTIVE),
        fp32_active=mean(Column.FP32_ACTIVE),
        fp16_active=mean(Column.FP16_ACTIVE),
        integer_active=mean(Column.INTEGER_ACTIVE),
    )
    counters = (found.sm_active, found.tensor_active, found.dram_active, found.engine_active)
    return found if any(v is not None for v in counters) else None
