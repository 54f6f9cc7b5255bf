"""One file a signal. Each turns a case into evidence on the time budget, or says why it cannot.

Adding a signal is one file and one line in ``SIGNALS``.
"""

from __future__ import annotations

from types import ModuleType

from heuristics.signals import (
    arithmetic_intensity,
    bandwidth_saturation,
    batch_curve,
    compute_saturation,
    dram_activity,
    host_time,
    kernel_speed_of_light,
    kernel_timeline,
    link_traffic,
    operation_roofline,
    power_and_clocks,
    requests,
    sm_activity,
    step_time,
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
    step_time,
    operation_roofline,
    bandwidth_saturation,
    compute_saturation,
    arithmetic_intensity,
    batch_curve,
    time_fractions,
    host_time,
    link_traffic,
    power_and_clocks,
)
"""Every signal, in the order in which a report lists them."""
