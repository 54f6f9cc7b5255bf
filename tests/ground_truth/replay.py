"""One short step of every workload inside a named range, for Nsight Compute: ``ncu --nvtx ... python -m ...replay``."""

from __future__ import annotations

import sys

from tests.ground_truth.bench import Bench
from tests.ground_truth.lazily import torch
from tests.ground_truth.registry import ON_GPU

LAYERS = 1


def main() -> None:
    """Run those named, or all that can be replayed."""
    torch.set_grad_enabled(False)
    wanted = sys.argv[1:] or [w.name for w in ON_GPU if w.replayed]
    for workload in ON_GPU:
        if workload.name not in wanted:
            continue
        bench = Bench("cuda", layers=LAYERS)
        try:
            built = workload.build(bench)
            built.step()
            torch.cuda.synchronize()
        except Exception as error:
            print(f"{workload.name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            continue
        print(f"==WORKLOAD== {workload.name}", flush=True)
        torch.cuda.profiler.start()
        torch.cuda.nvtx.range_push(f"workload:{workload.name}")
        built.step()
        torch.cuda.synchronize()
        torch.cuda.nvtx.range_pop()
        torch.cuda.profiler.stop()
        del built
        bench.free()


if __name__ == "__main__":
    main()
