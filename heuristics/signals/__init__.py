"""One file a signal. Each turns a case into evidence on the time budget, or says why it cannot.

Adding a signal is one file and one line in ``SIGNALS``.
"""

from __future__ import annotations

from types import ModuleType

from heuristics.signals import (
    arithmetic_intensity,
    bandwidth_saturation,
    compute_saturation,
    dram_activity,
    kernel_speed_of_light,
    kernel_timeline,
    operation_roofline,
    power_and_clocks,
    requests,
    sm_activity,
    tensor_activity,
    time_fractions,
)

SIGNALS: tuple[ModuleType, ...] = (
    requests,
    kernel_speed_of_light,
    dram_activity,
    tensor_activity,
    sm_activity,
    kernel_timeline,
    operation_roofline,
    bandwidth_saturation,
    compute_saturation,
    arithmetic_intensity,
    time_fractions,
    power_and_clocks,
)
"""Every signal, in the order in which a report lists them."""
