"""What NVML's own counters do on a device that is busy: sampling periods, costs of calls, who may read GPM.

``python -m tests.ground_truth.live_semantics OUT.json`` on a machine with a GPU, as root or not. Prints JSON.
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import threading
import time
from typing import Any

import pynvml

CALLS = {
    "UtilizationRates": pynvml.nvmlDeviceGetUtilizationRates,
    "Samples (GPU)": lambda h: pynvml.nvmlDeviceGetSamples(h, 1, 0),
    "PowerUsage": pynvml.nvmlDeviceGetPowerUsage,
    "TotalEnergyConsumption": pynvml.nvmlDeviceGetTotalEnergyConsumption,
    "ClockInfo (SM)": lambda h: pynvml.nvmlDeviceGetClockInfo(h, 1),
    "ClocksEventReasons": pynvml.nvmlDeviceGetCurrentClocksEventReasons,
    "MemoryInfo": pynvml.nvmlDeviceGetMemoryInfo,
    "PcieThroughput": lambda h: pynvml.nvmlDeviceGetPcieThroughput(h, 0),
    "ComputeRunningProcesses": pynvml.nvmlDeviceGetComputeRunningProcesses,
    "ProcessUtilization": lambda h: pynvml.nvmlDeviceGetProcessUtilization(h, 0),
}


def costs(handle: Any) -> dict[str, Any]:
    """Median and largest wall milliseconds of a call, and its CPU milliseconds."""
    found = {}
    for name, call in CALLS.items():
        times, cpu = [], time.process_time()
        try:
            for _ in range(15):
                begun = time.perf_counter()
                call(handle)
                times.append((time.perf_counter() - begun) * 1e3)
        except pynvml.NVMLError as error:
            found[name] = {"refused": str(error)}
            continue
        cpu_ms = (time.process_time() - cpu) / len(times) * 1e3
        found[name] = {"median_ms": statistics.median(times), "most_ms": max(times), "cpu_ms": cpu_ms}
    return found


def samples(handle: Any) -> dict[str, Any]:
    """The driver's buffer of samples: how many, how far apart."""
    found = {}
    for kind, name in ((0, "power"), (1, "gpu"), (2, "memory"), (5, "sm clock")):
        try:
            _, every = pynvml.nvmlDeviceGetSamples(handle, kind, 0)
        except pynvml.NVMLError as error:
            found[name] = {"refused": str(error)}
            continue
        stamps = [s.timeStamp for s in every]
        apart = [(b - a) / 1e3 for a, b in itertools.pairwise(stamps)]
        found[name] = {
            "count": len(stamps),
            "median_apart_ms": statistics.median(apart) if apart else None,
            "least_ms": min(apart, default=None),
            "most_ms": max(apart, default=None),
        }
    return found


def changes(handle: Any, seconds: float) -> dict[str, Any]:
    """How often the utilisation that is stated changes its place while polled every 10 ms."""
    seen, stamps = [], []
    until = time.monotonic() + seconds
    last = None
    while time.monotonic() < until:
        rates = pynvml.nvmlDeviceGetUtilizationRates(handle)
        if (rates.gpu, rates.memory) != last:
            last = (rates.gpu, rates.memory)
            seen.append(last)
            stamps.append(time.monotonic())
        time.sleep(0.01)
    apart = [b - a for a, b in itertools.pairwise(stamps)]
    return {"changes": len(seen), "least_apart_s": min(apart, default=None), "seen": seen[:40]}


def gpm(handle: Any, gap_s: float, rounds: int) -> dict[str, Any]:
    """GPM over gaps of one length: values, and what each call takes."""
    metrics = (1, 2, 3, 5, 10, 12)
    try:
        pair = [pynvml.nvmlGpmSampleAlloc() for _ in range(2)]
        rows, took_get, took_metrics = [], [], []
        pynvml.nvmlGpmSampleGet(handle, pair[0])
        for _ in range(rounds):
            time.sleep(gap_s)
            begun = time.perf_counter()
            pynvml.nvmlGpmSampleGet(handle, pair[1])
            took_get.append((time.perf_counter() - begun) * 1e3)
            request = pynvml.c_nvmlGpmMetricsGet_t()
            request.version = 1
            request.numMetrics = len(metrics)
            request.sample1, request.sample2 = pair
            for place, metric in enumerate(metrics):
                request.metrics[place].metricId = metric
            begun = time.perf_counter()
            pynvml.nvmlGpmMetricsGet(request)
            took_metrics.append((time.perf_counter() - begun) * 1e3)
            rows.append([(request.metrics[i].nvmlReturn, request.metrics[i].value) for i in range(len(metrics))])
            pair.reverse()
        for sample in pair:
            pynvml.nvmlGpmSampleFree(sample)
    except pynvml.NVMLError as error:
        return {"refused": str(error)}
    return {"gap_s": gap_s, "metrics": metrics, "rows": rows, "sample_ms": took_get, "metrics_ms": took_metrics}


def busy(stop: threading.Event) -> None:
    """A stream of adds, half of the time."""
    import torch

    a, b, c = (torch.empty(1 << 28, device="cuda", dtype=torch.bfloat16).normal_() for _ in range(3))
    while not stop.is_set():
        until = time.monotonic() + 0.05
        while time.monotonic() < until:
            for _ in range(10):
                torch.add(a, b, out=c)
            torch.cuda.synchronize()
        time.sleep(0.05)


def look() -> dict[str, Any]:
    """Everything of the first device."""
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    return {
        "costs": costs(handle),
        "samples": samples(handle),
        "changes": changes(handle, 3.0),
        "gpm": [gpm(handle, gap, 6) for gap in (0.02, 0.05, 0.1, 0.2, 0.5)],
    }


def main() -> None:
    """As this user, then as nobody."""
    if sys.argv[1] == "--look":
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        print(json.dumps({"gpm": gpm(handle, 0.3, 3), "costs": costs(handle)}))
        return
    stop = threading.Event()
    worker = threading.Thread(target=busy, args=(stop,))
    worker.start()
    time.sleep(6.0)
    try:
        found: dict[str, Any] = {"as this user": look()}
        command = [sys.executable, "-m", "tests.ground_truth.live_semantics", "--look"]
        other = subprocess.run(command, capture_output=True, text=True, check=False, user=65534, group=65534)
        found["as nobody"] = json.loads(other.stdout) if other.returncode == 0 else {"failed": other.stderr[-500:]}
        for delay in ("0.2", "1"):
            row = subprocess.run(
                ["timeout", "5", "nvidia-smi", "dmon", "-s", "u", "-d", delay, "-c", "3"],
                capture_output=True,
                text=True,
                check=False,
            )
            found[f"dmon -d {delay}"] = (row.stdout + row.stderr)[-600:]
        for path in ("/proc/driver/nvidia/params",):
            try:
                with open(path) as stream:
                    found[path] = [line.strip() for line in stream if "RmProfiling" in line or "Restrict" in line]
            except OSError as error:
                found[path] = str(error)
    finally:
        stop.set()
        worker.join()
    with open(sys.argv[1], "w") as stream:
        json.dump(found, stream, indent=1)
    print(json.dumps(found)[:1500])


if __name__ == "__main__":
    main()
