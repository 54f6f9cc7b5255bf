"""The process that is watched: builds a workload, times it and its variants, runs it for a while, traces it.

Commands come as JSON lines on standard input, answers go as JSON lines to standard output. It stays one process for
all workloads, since starting torch takes longer than watching it.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from typing import Any

from tests.ground_truth.bench import Bench
from tests.ground_truth.lazily import torch
from tests.ground_truth.registry import WORKLOADS
from tests.ground_truth.workload import Built, Step

ROUNDS = 4
TRACED_S, LEAST_TRACED, MOST_TRACED = 0.03, 2, 10


class Job:
    """One device and the workload that is ready on it."""

    def __init__(self, device: str) -> None:
        torch.set_grad_enabled(False)
        torch.backends.cuda.matmul.allow_tf32 = False
        self.bench = Bench(device)
        self.built: Built | None = None
        self.step_s = 0.0

    def build(self, name: str) -> dict[str, Any]:
        """Make a workload ready."""
        self.built = None
        self.bench.free()
        built = self.built = WORKLOADS[name].build(self.bench)
        return {
            "flops": built.flops,
            "bytes": built.bytes,
            "dtype": built.dtype,
            "weight_bits": built.weight_bits,
            "config": built.config,
            "load": built.load,
            "note": built.note,
        }

    def time(self, seconds: float) -> dict[str, Any]:
        """Time its step."""
        assert self.built is not None
        found = self.bench.seconds(self.built.step, seconds)
        self.step_s = found["step_s"]
        return found

    def variants(self, seconds: float) -> dict[str, Any]:
        """Time the step and each variant, the step again between them: what drifts shows."""
        assert self.built is not None
        found = []
        for variant in self.built.variants:
            try:
                step = variant.make()
                timed, again = self._in_turns(step, seconds)
                found.append(
                    {
                        "share": variant.share,
                        "what": variant.what,
                        "factor": variant.factor,
                        **timed,
                        "beside_s": again,
                    }
                )
                del step
            except Exception as error:
                found.append(
                    {"share": variant.share, "what": variant.what, "failed": f"{type(error).__name__}: {error}"[:300]}
                )
            self.bench.free()
        return {"variants": found}

    def _in_turns(self, step: Step, seconds: float) -> tuple[dict[str, float], float]:
        """A variant's times, and the step's beside it in turns: the quicker tenth of each is disturbed least."""
        assert self.built is not None
        rounds = [
            (self.bench.seconds(step, seconds / ROUNDS), self.bench.seconds(self.built.step, seconds / ROUNDS)["low_s"])
            for _ in range(ROUNDS)
        ]
        timed = min((t for t, _ in rounds), key=lambda t: t["low_s"])
        return {**timed, "step_s": timed["low_s"]}, min(beside for _, beside in rounds)

    def run(self, seconds: float) -> dict[str, Any]:
        """Run for a while; says when it begins."""
        assert self.built is not None
        step, count = self.built.step, 0
        step()
        self.bench.wait()
        print(json.dumps({"began": time.monotonic()}), flush=True)
        begun = time.perf_counter()
        group = max(1, min(50, int(0.05 / max(self.step_s, 1e-6))))
        while time.perf_counter() - begun < seconds:
            for _ in range(group):
                step()
            self.bench.wait()
            count += group
        wall_s = time.perf_counter() - begun
        return {"steps": count, "wall_s": wall_s, "step_s": wall_s / count}

    def trace(self, path: str) -> dict[str, Any]:
        """A short trace of torch.profiler, without stacks and shapes."""
        assert self.built is not None
        steps = max(LEAST_TRACED, min(MOST_TRACED, int(TRACED_S / max(self.step_s, 1e-6))))
        kinds = [torch.profiler.ProfilerActivity.CPU]
        if self.bench.cuda:
            kinds.append(torch.profiler.ProfilerActivity.CUDA)
        plan = torch.profiler.schedule(wait=0, warmup=1, active=steps, repeat=1)
        with torch.profiler.profile(
            activities=kinds, schedule=plan, on_trace_ready=lambda p: p.export_chrome_trace(path)
        ) as profiler:
            for _ in range(steps + 1):
                self.built.step()
                profiler.step()
        return {"steps": steps}

    def ceilings(self) -> dict[str, Any]:
        """What this very device reaches: a large copy counted as read and written, and a large product."""
        size = 1 << 30 if self.bench.cuda else 1 << 27
        a, b = (torch.empty(size // 2, device=self.bench.device, dtype=torch.bfloat16) for _ in range(2))
        a.normal_()
        copied = self.bench.seconds(lambda: b.copy_(a), 0.5)["low_s"]
        n = 8192 if self.bench.cuda else 1024
        x, y = (torch.empty(n, n, device=self.bench.device, dtype=self.bench.dtype).normal_() for _ in range(2))
        multiplied = self.bench.seconds(lambda: torch.mm(x, y), 0.5)["low_s"]
        return {"bandwidth_bytes_per_s": 2.0 * size / copied, "flops_per_s": 2.0 * n**3 / multiplied}

    def facts(self) -> dict[str, Any]:
        """What it runs on."""
        found: dict[str, Any] = {"torch": torch.__version__, "python": sys.version.split()[0]}
        if self.bench.cuda:
            found |= {"device": torch.cuda.get_device_name(), "cuda": torch.version.cuda}
        else:
            found["threads"] = torch.get_num_threads()
        return found


def main() -> None:
    """Answer commands until there are none."""
    job = Job(sys.argv[1])
    for line in sys.stdin:
        command = json.loads(line)
        name = command.pop("do")
        try:
            answer = {"ok": True, **getattr(job, name)(**command)}
        except Exception as error:
            answer = {
                "ok": False,
                "error": f"{type(error).__name__}: {error}"[:500],
                "where": traceback.format_exc()[-800:],
            }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
