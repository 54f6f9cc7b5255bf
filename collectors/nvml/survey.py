"""What NVML shows from here, and what would unlock the rest."""

from __future__ import annotations

import re
import time
from pathlib import Path

from collectors.nvml.devices import Gpu, facts, gpus, text
from collectors.nvml.gpm import Gpm
from collectors.nvml.holders import LISTS, listed
from collectors.nvml.library import Library, Record, Unavailable, missing, open_library, stated

PARAMS = "/proc/driver/nvidia/params"
"""Settings of the kernel module, readable by everybody."""

_ADMIN_ONLY = re.compile(r"^RmProfilingAdminOnly:\s*([01])\s*$", re.MULTILINE)

UNLOCK_PROFILING = (
    "as root: echo 'options nvidia NVreg_RestrictProfilingToAdminUsers=0' > /etc/modprobe.d/nvidia-profiling.conf, "
    "then reboot"
)


def survey(params: str | Path = PARAMS) -> list[Record]:
    """A ``driver`` record, a ``device`` record with ``gpm``, ``mig`` and ``processes``, and ``missing`` ones.

    ``driver``: driver, nvml (versions), gpus, profiling_admin_only. Absent fields could not be read. Never raises.
    """
    admin_only = profiling_admin_only(params)
    found = []
    if admin_only:
        reason = "the driver keeps them for administrators (RmProfilingAdminOnly: 1)"
        found.append(missing("profiling counters of ncu and DCGM before Hopper", reason, UNLOCK_PROFILING))
    opened = open_library()
    if isinstance(opened, Unavailable):
        driver = [{"t_s": 0.0, "what": "driver", "profiling_admin_only": admin_only}] if admin_only is not None else []
        return [*driver, missing("NVML", opened.reason, opened.unlock), *found]
    try:
        return _surveyed(opened, admin_only) + found
    finally:
        opened.close()


def profiling_admin_only(params: str | Path = PARAMS) -> bool | None:
    """Whether profiling counters are for administrators only; None without the driver's parameters."""
    try:
        content = Path(params).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = _ADMIN_ONLY.search(content)
    return None if found is None else found[1] == "1"


def _surveyed(library: Library, admin_only: bool | None) -> list[Record]:
    driver = text(library.value("nvmlSystemGetDriverVersion"))
    devices, refused = gpus(library)
    first = stated(
        t_s=0.0,
        what="driver",
        driver=driver,
        nvml=text(library.value("nvmlSystemGetNVMLVersion")),
        gpus=sum(gpu.whole for gpu in devices) + sum(index >= 0 for index, _ in refused),
        profiling_admin_only=admin_only,
    )
    found = [first]
    for index, refusal in refused:
        found.append(missing("NVML" if index < 0 else f"GPU {index}", refusal.reason))
    for gpu in devices:
        found += _described(gpu, driver)
    return found


def _described(gpu: Gpu, driver: str | None) -> list[Record]:
    gpm = Gpm(gpu, time.monotonic)
    gpm.close()
    processes = listed(gpu)
    record = {
        "t_s": 0.0,
        "what": "device",
        **facts(gpu, driver),
        "gpm": gpm.refusal is None,
        "mig": gpu.cut or not gpu.whole,
        **stated(processes=None if processes is None else len(processes)),
    }
    troubles = gpm.troubles()
    if processes is None:
        troubles.append(missing(f"processes of {gpu.called}", gpu.handle.why(LISTS[0]) or "not told"))
    return [record, *troubles]
