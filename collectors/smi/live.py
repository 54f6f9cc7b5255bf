"""nvidia-smi dmon as a live source: for machines where nvidia-smi runs and its library cannot be opened from here."""

from __future__ import annotations

import atexit
import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from collectors.dump import Dump
from collectors.smi.log import read
from collectors.units import number
from heuristics.errors import UnreadableDump
from heuristics.observations import Observation, Samples
from heuristics.roofs import Device

Record = dict[str, Any]

Payload = TypeVar("Payload")

SOURCE = "nvidia-smi dmon"
GROUPS = "pucvmet"
GPM_METRICS = "2,5,10"
"""SM, tensor and DRAM activity; printed by Hopper and later, a dash by others."""

DELAY_S = 1.0
MOST_ROWS = 3600
"""Passes after which dmon ends by itself, whatever becomes of us."""
MOST_TEXT = 1 << 20
"""Bytes taken in one reading; dmon prints about a hundred a second and GPU."""
QUICK_S = 10.0
"""How long nvidia-smi may take to answer. Without the persistence daemon it wakes every board first."""

NOT_FOUND = "nvidia-smi is not on the PATH"
UNLOCK = "nvidia-smi says more about the driver's state; in a container, start it with --gpus all"

_QUERY = {
    "index": ("index", 1.0),
    "name": ("name", None),
    "uuid": ("uuid", None),
    "memory.total": ("memory_bytes", float(1 << 20)),
    "clocks.max.memory": ("max_memory_clock_hz", 1e6),
    "clocks.max.sm": ("max_sm_clock_hz", 1e6),
    "enforced.power.limit": ("power_limit_w", 1.0),
    "driver_version": ("driver", None),
}
"""What dmon does not print: the ``device`` record's field of each, and its factor to SI."""


class SmiSource:
    """Readings of nvidia-smi dmon, a child that ends with ``close``. No method raises.

    ``visible`` is the job's CUDA_VISIBLE_DEVICES, None where it is not known: then every GPU is logged.
    """

    def __init__(
        self,
        *,
        visible: str | None = None,
        executable: str = "nvidia-smi",
        most_rows: int = MOST_ROWS,
        period_s: float = 1.0,
    ) -> None:
        self.period_s = period_s
        self.visible = visible
        self.executable = executable
        self.most_rows = max(1, min(most_rows, MOST_ROWS))
        self.child: subprocess.Popen[bytes] | None = None
        self._found: str | None = None
        self._chosen: list[str] | None = None
        self._gpm = False
        self._rest = b""
        self._rows = 0
        self._said = ""

    def start(self) -> list[Record]:
        """Describe the GPUs and begin to log them; or say why not."""
        self._found = shutil.which(self.executable)
        if self._found is None:
            return [_missing(NOT_FOUND, "install NVIDIA's driver, or put nvidia-smi on the PATH")]
        chosen = chosen_devices(self.visible)
        if chosen == []:
            return [_missing(f"the job's CUDA_VISIBLE_DEVICES={self.visible!r} names no GPU")]
        devices = self._devices(chosen)
        self._gpm = "--gpm-metrics" in self._asked("dmon", "--help")
        self._chosen = chosen
        self._launch()
        return devices if self.child is not None else [*devices, _missing(self._said, UNLOCK)]

    def sample(self, t_s: float) -> list[Record]:
        """The lines that dmon has printed since the last reading."""
        if self.child is None:
            return []
        ended = self.child.poll() is not None
        text = self._read(whole=ended)
        found: list[Record] = []
        if text:
            self._rows += sum(line.split()[0].isdecimal() for line in text.splitlines() if line.strip())
            self._said = (text.strip().splitlines() or [self._said])[-1].strip()[:200]
            found.append({"t_s": t_s, "what": "dmon", "text": text})
        if ended:
            found += self._ended(t_s)
        return found

    def close(self) -> None:
        """End dmon and wait for it. May be called twice."""
        child, self.child = self.child, None
        atexit.unregister(self.close)
        if child is None:
            return
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(timeout=1.0)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if child.stdout is not None:
            child.stdout.close()

    def _launch(self) -> None:
        """Start dmon in a process group of its own: Ctrl-C is ours to answer."""
        command = [str(self._found), "dmon", "-s", GROUPS, "-d", f"{DELAY_S:.0f}", "-c", str(self.most_rows)]
        if self._chosen:
            command += ["-i", ",".join(self._chosen)]
        if self._gpm:
            command += ["--gpm-metrics", GPM_METRICS]
        try:
            self.child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        except OSError as error:
            self._said = f"{type(error).__name__}: {error.strerror}"
            return
        atexit.register(self.close)
        if self.child.stdout is not None:
            os.set_blocking(self.child.stdout.fileno(), False)

    def _read(self, *, whole: bool) -> str:
        """What stands in the pipe, up to the last whole line; ``whole``: to the end."""
        if self.child is None or self.child.stdout is None:
            return ""
        content = self._rest
        while len(content) < MOST_TEXT:
            try:
                piece = os.read(self.child.stdout.fileno(), MOST_TEXT)
            except (BlockingIOError, OSError):
                break
            if not piece:
                break
            content += piece
        cut = len(content) if whole else content.rfind(b"\n") + 1
        self._rest = content[cut:][-MOST_TEXT:]
        return content[:cut].decode("utf-8", "replace")

    def _ended(self, t_s: float) -> list[Record]:
        """dmon ended: as it should after its last row, or in trouble; for want of GPM it is started again without."""
        code = self.child.returncode if self.child is not None else 0
        self.close()
        if self._gpm and not self._rows:
            self._gpm, self._said, self._rest = False, "", b""
            self._launch()
            return []
        if code == 0 and self._rows:
            return [{"t_s": t_s, "what": "event", "text": f"nvidia-smi dmon ended after {self.most_rows:,} passes"}]
        return [_missing(f"dmon ended with status {code}: {self._said or 'it printed nothing'}", UNLOCK, t_s)]

    def _devices(self, chosen: Sequence[str] | None) -> list[Record]:
        names = ",".join(_QUERY)
        only = ["-i", ",".join(chosen)] if chosen else []
        rows = self._asked(f"--query-gpu={names}", "--format=csv,noheader,nounits", *only).splitlines()
        return [record for row in rows if (record := _device(row.split(","))) is not None]

    def _asked(self, *arguments: str) -> str:
        """What nvidia-smi prints; nothing where it fails or takes too long."""
        try:
            done = subprocess.run(
                [str(self._found), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=QUICK_S,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            return ""
        return done.stdout[:MOST_TEXT].decode("utf-8", "replace")


def chosen_devices(visible: str | None) -> list[str] | None:
    """Words of CUDA_VISIBLE_DEVICES that ``nvidia-smi -i`` takes, up to the first that names no GPU; None: all.

    MIG instances cannot be told apart by dmon: then all GPUs are logged.
    """
    if visible is None or "MIG-" in visible:
        return None
    found = []
    for word in visible.split(","):
        if re.fullmatch(r"\d{1,4}|GPU-[0-9a-fA-F-]{36}", word.strip(), re.ASCII) is None:
            break
        found.append(word.strip())
    return found


def observations(records: Iterable[Mapping[str, Any]]) -> list[Observation]:
    """What the ``dmon`` records say, each GPU with what its ``device`` record states. Other kinds are ignored."""
    described: dict[Any, Mapping[str, Any]] = {}
    texts = []
    for record in records:
        if record.get("what") == "device":
            described[record.get("index")] = record
        elif record.get("what") == "dmon":
            texts.append(str(record["text"]))
    if not texts:
        return []
    try:
        contents = read(Dump(path=SOURCE, stream=io.BytesIO("".join(texts).encode())))
    except UnreadableDump:
        return []
    return [replace(o, payload=_paced(o.payload), device=_merged(o.device, described)) for o in contents.observations]


def _paced(payload: Payload) -> Payload:
    """dmon prints no times unless asked; the delay is ours."""
    if isinstance(payload, Samples) and payload.interval_s is None:
        return replace(payload, interval_s=DELAY_S)
    return payload


def _merged(device: Device | None, described: Mapping[Any, Mapping[str, Any]]) -> Device | None:
    facts = described.get(device.index) if device is not None else None
    if device is None or facts is None:
        return device
    stated = Device(
        uuid=facts.get("uuid"),
        name=facts.get("name"),
        memory_bytes=facts.get("memory_bytes"),
        memory_clock_hz=facts.get("max_memory_clock_hz"),
        max_sm_clock_hz=facts.get("max_sm_clock_hz"),
        power_limit_w=facts.get("power_limit_w"),
    )
    return replace(stated, index=device.index, vendor=device.vendor).merged(device)


def _device(row: Sequence[str]) -> Record | None:
    if len(row) != len(_QUERY) or not row[0].strip().isdecimal():
        return None
    record: Record = {"t_s": 0.0, "what": "device", "vendor": "NVIDIA"}
    for (field, factor), cell in zip(_QUERY.values(), (c.strip() for c in row), strict=True):
        if factor is None:
            if cell and not cell.startswith("["):
                record[field] = cell
        elif (value := number(cell)) is not None and value >= 0.0:
            record[field] = value * factor
    record["index"] = int(record["index"])
    return record


def _missing(reason: str, unlock: str | None = None, t_s: float = 0.0) -> Record:
    found: Record = {"t_s": t_s, "what": "missing", "source": SOURCE, "reason": reason}
    return found if unlock is None else {**found, "unlock": unlock}
