"""Run every workload on this machine and keep, compactly, what each of our sources reads of it.

``python -m tests.ground_truth.capture OUT --device cuda`` writes a folder a workload and a manifest. The job is a
process of its own, watched by its pid as a stranger's would be; nvidia-smi runs beside it where there is one.
``python -m tests.ground_truth.replay`` under Nsight Compute is the other half.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from collectors.calibration.machine import this_machine
from collectors.dump import Interrupt
from diagnose.live import Look
from diagnose.watching import record_only

QUERY = (
    "timestamp,name,driver_version,memory.total,utilization.gpu,utilization.memory,clocks.sm,clocks.mem,power.draw,"
    "clocks_event_reasons.active"
)
PATIENCE_S = 90.0
JOB = "tests.ground_truth.job"


class JobProcess:
    """The watched process, spoken to in JSON lines. ``module`` is what runs in it."""

    def __init__(self, device: str, module: str = JOB) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; what it says before it ends counts as an answer too."""
        self.tell(do, **arguments)
        return self.answer()

    def tell(self, do: str, **arguments: Any) -> None:
        """Send a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The next line that is JSON."""
        timer = threading.Timer(PATIENCE_S, self.process.kill)
        timer.start()
        try:
            assert self.process.stdout is not None
            for line in self.process.stdout:
                if line.startswith("{"):
                    found: dict[str, Any] = json.loads(line)
                    return found
        finally:
            timer.cancel()
        raise RuntimeError(f"the job ended with {self.process.wait()}")

    def end(self) -> None:
        """Let it go."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def beside(folder: Path, seconds: float) -> list[subprocess.Popen[bytes]]:
    """nvidia-smi's two logs, running."""
    if shutil.which("nvidia-smi") is None:
        return []
    count = max(2, int(seconds))
    commands = {
        "dmon.log": ["nvidia-smi", "dmon", "-s", "pucvmet", "-c", str(count)],
        "dmon_gpm.log": ["nvidia-smi", "dmon", "-s", "u", "--gpm-metrics", "2,5,10,12", "-c", str(count)],
        "query.csv": ["timeout", str(seconds), "nvidia-smi", f"--query-gpu={QUERY}", "--format=csv", "-lms", "200"],
    }
    return [
        subprocess.Popen(command, stdout=(folder / name).open("wb"), stderr=subprocess.STDOUT)
        for name, command in commands.items()
    ]


def capture(job: JobProcess, name: str, out: Path, seconds: float, timing_s: float) -> dict[str, Any]:
    """One workload: made, timed, watched, traced, varied."""
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    found = {"built": job.ask("build", name=name)}
    if not found["built"]["ok"]:
        return found
    found["alone"] = job.ask("time", seconds=timing_s)
    job.tell("run", seconds=seconds + 2.0)
    job.answer()
    others = beside(folder, seconds)
    record_only(
        job.process.pid, Look(), window_s=seconds, output=str(folder / "recording.jsonl.gz"), interrupt=Interrupt()
    )
    for other in others:
        try:
            other.wait(5)
        except subprocess.TimeoutExpired:
            other.kill()
    found["watched"] = job.answer()
    if name != "idle":
        trace = folder / "trace.json"
        found["traced"] = job.ask("trace", path=str(trace))
        if trace.exists():
            with trace.open("rb") as plain, gzip.GzipFile(folder / "trace.json.gz", "wb", mtime=0) as packed:
                shutil.copyfileobj(plain, packed)
            trace.unlink()
        found["varied"] = job.ask("variants", seconds=timing_s / 2)
    return found


def attach(job: JobProcess, folder: Path) -> None:
    """What the command prints of the job, as text and as JSON."""
    for kind in ("text", "json"):
        job.tell("run", seconds=8.0)
        job.answer()
        command = [sys.executable, "-m", "diagnose", "attach", str(job.process.pid), "--for", "5", "--format", kind]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        (folder / f"attach.{kind}").write_text(answer.stdout + answer.stderr)
        job.answer()


def machine(device: str) -> dict[str, Any]:
    """What this machine is, without its name."""
    found: dict[str, Any] = {"cores": os.cpu_count(), "taken": time.strftime("%Y-%m-%d")}
    if device == "cpu":
        found["last_level_cache_bytes"] = this_machine().last_level_cache_bytes
    if device == "cuda":
        asked = "name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit,vbios_version"
        answer = subprocess.run(
            ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader"], capture_output=True, text=True, check=False
        )
        found["nvidia_smi"] = answer.stdout.strip()
    return found


def main() -> None:
    """Capture those named, or all; none is begun after the deadline."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=5.0, help="each workload is watched for so long")
    parser.add_argument("--timing", type=float, default=0.5)
    parser.add_argument("--deadline", type=float, default=1e9, help="begin no workload after so many seconds")
    parser.add_argument("--only", default="", help="names, separated by commas")
    parser.add_argument("--job", default=JOB, help="what is watched; tests.ground_truth.stand_in needs no torch")
    parser.add_argument("--attach", default="", help="names on which the command line is tried as a user would")
    options = parser.parse_args()
    from tests.ground_truth.registry import ON_CPU, ON_GPU

    every = ON_GPU if options.device == "cuda" else ON_CPU
    named, attached = ({n for n in text.split(",") if n} for text in (options.only, options.attach))
    wanted = [w for w in every if not named or w.name in named]
    begun = time.monotonic()
    job = JobProcess(options.device, options.job)
    manifest: dict[str, Any] = {"machine": machine(options.device) | job.ask("facts"), "ceilings": job.ask("ceilings")}
    captures: dict[str, Any] = {}
    for workload in wanted:
        since = time.monotonic() - begun
        if since > options.deadline:
            captures[workload.name] = {"failed": "no time was left"}
            continue
        try:
            captures[workload.name] = capture(job, workload.name, options.out, options.seconds, options.timing)
            if workload.name in attached:
                attach(job, options.out / workload.name)
        except Exception as error:
            captures[workload.name] = {"failed": f"{type(error).__name__}: {error}"[:500]}
            job.end()
            job = JobProcess(options.device, options.job)
        took = time.monotonic() - begun - since
        print(f"{since:6.1f} s  {workload.name}: {took:.1f} s  {_short(captures[workload.name])}", flush=True)
        manifest["workloads"] = captures
        (options.out / "capture.json").write_text(json.dumps(manifest, indent=1))
    manifest["ceilings_after"] = job.ask("ceilings")
    (options.out / "capture.json").write_text(json.dumps(manifest, indent=1))
    job.end()


def _short(found: dict[str, Any]) -> str:
    if "failed" in found or not found.get("built", {}).get("ok"):
        return str(found.get("failed") or found["built"].get("error"))[:200]
    text = f"{found['alone']['step_s'] * 1e3:.3f} ms" if found["alone"].get("ok") else str(found["alone"])[:120]
    for v in found.get("varied", {}).get("variants", ()):
        text += f"; {v['share'][:3]} x{v.get('factor')}: " + (
            f"{v['step_s'] / v['beside_s']:.2f}" if "step_s" in v else v["failed"][:60]
        )
    return text


if __name__ == "__main__":
    main()
