"""The job's GPUs as one source: NVML, or nvidia-smi where only the tool is there, and dcgm-exporter beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from collectors.engines.http import Answer, Client
from collectors.nvml.source import NvmlSource
from collectors.process.proc import Proc
from collectors.prometheus.series import SeriesReader
from collectors.record import Record, record
from collectors.smi.live import SmiSource

DCGM_PROCESS = "dcgm-exporter"
DCGM_PORT = 9400
DCGM_PERIOD_S = 5.0
DCGM_PATH = "/metrics"


PERIOD_S = 1.0
LONGEST_S = 5.0
"""The driver keeps its samples for 14 s and GPM counts throughout: little is lost between readings."""

SPENT_FRACTION = 0.004
"""Of one core, at most so much for reading devices: a reading of an H100 takes 13 ms of processor time."""

EARLY_READINGS = 2
"""These come a second apart whatever they cost: a first verdict waits for them."""


class DeviceSource:
    """NVML first. Where its library cannot be opened, nvidia-smi's own log. Reads less often what is dear to read."""

    name = "NVML"

    def __init__(self, pids: Callable[[], Sequence[int]], *, visible: str | None, holds_device: bool | None) -> None:
        self._pids, self._visible, self._holds = pids, visible, holds_device
        self._source: NvmlSource | SmiSource | None = None
        self._readings, self._spent_s = 0, 0.0

    @property
    def period_s(self) -> float:
        """Seconds to the next reading, by what the readings so far have cost."""
        if self._readings < EARLY_READINGS:
            return PERIOD_S
        return min(LONGEST_S, max(PERIOD_S, self._spent_s / self._readings / SPENT_FRACTION))

    def start(self) -> list[Record]:
        """Open what there is."""
        nvml = NvmlSource(self._pids, visible=self._visible, holds_device=self._holds)
        found = nvml.start()
        if any(r["what"] == "device" for r in found):
            self._source = nvml
            return found
        if nvml.library is not None:
            self._source = nvml  # a job that is still loading takes its device later
            return found
        nvml.close()
        smi = SmiSource(visible=self._visible)
        said = smi.start()
        if any(r["what"] != "missing" for r in said):
            self._source = smi
        else:
            smi.close()
        return [*found, *said]

    def sample(self, t_s: float) -> list[Record]:
        """One reading."""
        if self._source is None:
            return []
        begun_s = time.thread_time()
        found = self._source.sample(t_s)
        self._spent_s += time.thread_time() - begun_s
        self._readings += 1
        return found

    def close(self) -> None:
        """Let go of it."""
        if self._source is not None:
            self._source.close()


class DcgmSource:
    """dcgm-exporter of this node, if its process is seen here: no other service is asked."""

    name = DCGM_PROCESS
    period_s = DCGM_PERIOD_S

    def __init__(self, proc: Proc) -> None:
        self._proc = proc
        self._client: Client | None = None
        self._reader = SeriesReader(("DCGM_FI_*",))

    def start(self) -> list[Record]:
        """Look for the process and its port."""
        pids = self._exporters()
        if pids:
            listeners = self._proc.listeners(pids)
            port = listeners[0].port if listeners else DCGM_PORT
            self._client = Client("127.0.0.1", port, (DCGM_PATH,))
        return []

    def sample(self, t_s: float) -> list[Record]:
        """One scrape."""
        answer = self._client.get(DCGM_PATH) if self._client is not None else None
        if not isinstance(answer, Answer):
            return []
        series = self._reader.read(answer.body)
        return [record("dcgm", t_s, samples=[list(s) for s in series])] if series else []

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()

    def _exporters(self) -> list[int]:
        import psutil

        return [p.pid for p in psutil.process_iter(["name"]) if p.info["name"] == DCGM_PROCESS]
