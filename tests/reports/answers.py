"""One invented dump for every kind of answer, and the sample that ships with the package."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import diagnose
from diagnose import Result, analyze

SAMPLE = Path(diagnose.__file__).parent / "samples" / "vllm_cpu_decode"


def dcgm(index: int, **active: float) -> str:
    labels = f'gpu="{index}",UUID="GPU-{index}",modelName="NVIDIA H100 80GB HBM3"'
    return "".join(f"DCGM_FI_PROF_{name}_ACTIVE{{{labels}}} {value}\n" for name, value in active.items())


MEMORY = {"GR_ENGINE": 0.99, "SM": 0.92, "PIPE_TENSOR": 0.04, "DRAM": 0.85}
COMPUTE = {"GR_ENGINE": 0.99, "SM": 0.97, "PIPE_TENSOR": 0.70, "DRAM": 0.15}
NOTHING = {"GR_ENGINE": 0.0, "SM": 0.0, "PIPE_TENSOR": 0.0, "DRAM": 0.0}

IDLE_ENGINE = "\n".join(
    [
        "# TYPE vllm:num_requests_running gauge",
        'vllm:num_requests_running{model_name="m"} 0.0',
        'vllm:num_requests_waiting{model_name="m"} 0.0',
        'vllm:generation_tokens_total{model_name="m"} 5.0',
        "process_cpu_seconds_total CPU",
        "",
    ]
)

DMON = "# gpu    sm   mem\n# Idx     %     %\n" + "    0    99    40\n" * 20

ANSWERS: dict[str, dict[str, str]] = {
    "memory": {"dcgm.prom": dcgm(0, **MEMORY)},
    "compute": {"dcgm.prom": dcgm(0, **COMPUTE)},
    "several devices": {"dcgm.prom": dcgm(0, **MEMORY) + dcgm(1, **COMPUTE) + dcgm(2, **MEMORY)},
    "inconclusive": {"dmon.log": DMON},
    "idle": {
        "a.prom": IDLE_ENGINE.replace("CPU", "1.0"),
        "b.prom": IDLE_ENGINE.replace("CPU", "2.0"),
        "dcgm.prom": dcgm(0, **NOTHING),
    },
}

SAMPLE_ROOFS: dict[str, Any] = {"bandwidth_gb_s": 24.6, "tflops": 0.18, "dtype": "fp32"}

NAMES = (*ANSWERS, "the sample", "the sample's beginning")


def answered(name: str, folder: Path) -> Result:
    """The analysis of that answer's dumps, laid into ``folder``, which must be the current one."""
    if name in ANSWERS:
        for file, text in ANSWERS[name].items():
            (folder / file).write_text(text, encoding="utf-8")
        return analyze(sorted(ANSWERS[name]))
    for file in ("before.prom", "after.prom", "config.json"):
        shutil.copy(SAMPLE / file, folder)
    if name == "the sample":
        return analyze(["before.prom", "after.prom"], model="config.json", **SAMPLE_ROOFS)
    return analyze("before.prom")
