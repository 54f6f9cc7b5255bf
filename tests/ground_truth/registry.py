"""Every workload, in the order of their capture: what shares weights stands together, what matters most first."""

from __future__ import annotations

from tests.ground_truth import decoding, products, quantised, waiting
from tests.ground_truth.workload import Workload

_BIG = ("decode-8b", "prefill-8b", "sleeping-8b")

_GPU = (*decoding.ON_GPU, *products.ON_GPU, *waiting.ON_GPU, *quantised.ON_GPU)
ON_GPU: tuple[Workload, ...] = (
    *(w for w in _GPU if not w.name.startswith(_BIG)),
    *(w for w in _GPU if w.name.startswith(_BIG)),
)
"""The 8 B model last: its weights and caches fill most of the device."""

ON_CPU: tuple[Workload, ...] = (*decoding.ON_CPU, *products.ON_CPU, *waiting.ON_CPU)

WORKLOADS = {w.name: w for w in (*ON_GPU, *ON_CPU)}
