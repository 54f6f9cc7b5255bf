"""The live source: the job's NVIDIA devices, read again and again, nothing changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from collectors.nvml.devices import Gpu, facts, gpus, power_limit_w, text
from collectors.nvml.gpm import Gpm
from collectors.nvml.holders import HostPids, Match, match, same_pids
from collectors.nvml.library import Handle, Library, Record, Unavailable, missing, open_library, stated
from collectors.nvml.readings import Readings

SOURCE = "NVML"

PERIOD_S = 1.0
"""Between readings. The driver keeps its own faster samples and GPM counts throughout, so little is lost."""

MATCH_S = 5.0
"""How often the devices' processes are listed again."""

SILENT_READS = 3
"""Readings in a row in which a device stated nothing, after which it is given up."""


@dataclass(slots=True, kw_only=True)
class _Watched:
    """A device that is read."""

    gpu: Gpu
    record: Record
    readings: Readings
    gpm: Gpm
    silent: int = 0


class NvmlSource:
    """NVIDIA devices of one job. No method raises; what cannot be seen is a ``missing`` record, once.

    ``pids`` gives the job's processes now, ``host_pids`` translates pids (see ``holders.HostPids``), ``visible`` is
    the job's CUDA_VISIBLE_DEVICES or None, ``holds_device`` False where no process of it has opened a device.
    """

    def __init__(
        self,
        pids: Callable[[], Collection[int]],
        *,
        host_pids: HostPids = same_pids,
        visible: str | None = None,
        holds_device: bool | None = None,
        period_s: float = PERIOD_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.period_s = period_s
        self.pids = pids
        self.host_pids = host_pids
        self.visible = visible
        self.holds_device = holds_device
        self.clock = clock
        self.library: Library | None = None
        self.driver: str | None = None
        self.gpus: list[Gpu] = []
        self.watched: dict[int, _Watched] = {}
        self.given_up: set[int] = set()
        self.matched_s: float | None = None
        self._said: set[tuple[str, str]] = set()

    def start(self) -> list[Record]:
        """Open the library, find the job's devices and describe them; or say why not."""
        try:
            return self._started()
        except Exception as error:
            return self._once([missing(SOURCE, f"unexpected {type(error).__name__}: {error}")])

    def sample(self, t_s: float) -> list[Record]:
        """One reading of every device of the job."""
        if self.library is None:
            return []
        try:
            found = self._sampled()
        except Exception as error:
            found = self._once([missing(SOURCE, f"unexpected {type(error).__name__}: {error}")])
        return [{**record, "t_s": t_s} for record in found]

    def close(self) -> None:
        """Free what was allocated and let go of the library. May be called twice."""
        for watched in self.watched.values():
            watched.gpm.close()
        self.watched.clear()
        if self.library is not None:
            self.library.close()
            self.library = None

    def _started(self) -> list[Record]:
        opened = open_library()
        if isinstance(opened, Unavailable):
            return self._once([missing(SOURCE, opened.reason, opened.unlock)])
        self.library = opened
        self.driver = text(opened.value("nvmlSystemGetDriverVersion"))
        self.gpus, refused = gpus(opened)
        found = [
            missing(SOURCE, refusal.reason if index < 0 else f"GPU {index} cannot be opened: {refusal.reason}")
            for index, refusal in refused
        ]
        if not self.gpus and not refused:
            found.append(
                missing(SOURCE, "the driver runs but shows no GPU", "in a container, start it with --gpus all")
            )
        return self._once(found) + (self._rematched() if self.gpus else [])

    def _sampled(self) -> list[Record]:
        found: list[Record] = []
        if self.matched_s is None or self.clock() - self.matched_s >= MATCH_S:
            found += self._rematched()
        for watched in list(self.watched.values()):
            found += self._read(watched)
        return found

    def _read(self, watched: _Watched) -> list[Record]:
        gpu, gpm = watched.gpu, watched.gpm
        before = gpu.handle.answers + gpu.board.answers
        activity = gpm.read()
        given = gpm.gives
        reading = watched.readings.read(
            pcie="pcie_rx_bytes_per_s" not in given, nvlink="nvlink_rx_bytes_per_s" not in given
        )
        found: list[Record] = []
        if len(reading) > 1:
            found.append({"what": "nvml", **reading})
        if activity is not None:
            found.append({"what": "gpm", **activity})
        if gpu.gone is None:
            found += self._once(gpm.troubles())
        watched.silent = watched.silent + 1 if gpu.handle.answers + gpu.board.answers == before else 0
        if gpu.gone is not None or watched.silent >= SILENT_READS:
            found.append(self._give_up(watched))
        return found

    def _give_up(self, watched: _Watched) -> Record:
        gpu = watched.gpu
        self.watched.pop(gpu.index, None)
        self.given_up.add(gpu.index)
        watched.gpm.close()
        name = watched.record.get("name")
        reason = gpu.gone.reason if gpu.gone is not None else _last_reason(gpu.board) or "it states nothing"
        return {
            "what": "event",
            "device": gpu.index,
            "text": f"{gpu.called}{f' ({name})' if name else ''} is not read any more: {reason}",
        }

    def _rematched(self) -> list[Record]:
        """Look which devices are the job's; begin to read those that are new, stop where a guess was wrong."""
        self.matched_s = self.clock()
        alive = [gpu for gpu in self.gpus if gpu.gone is None and gpu.index not in self.given_up]
        of_job = match(
            alive,
            frozenset(self.pids()),
            host_pids=self.host_pids,
            visible=self.visible,
            holds_device=self.holds_device,
        )
        found: list[Record] = []
        if of_job.reason is not None and not (self.watched and not of_job.held):
            found += self._once([missing(SOURCE, of_job.reason, of_job.unlock)])
        if of_job.held and not of_job.guessed:
            found += self._dropped(of_job)
        for gpu in alive:
            if gpu.index in of_job.held or gpu.index in self.watched:
                found += self._described(gpu, of_job)
        return found

    def _dropped(self, of_job: Match) -> list[Record]:
        wrong = [w for index, w in self.watched.items() if "pids" not in w.record and index not in of_job.held]
        for watched in wrong:
            self.watched.pop(watched.gpu.index)
            watched.gpm.close()
        return [{"what": "device", **watched.record, "of_job": False} for watched in wrong]

    def _described(self, gpu: Gpu, of_job: Match) -> list[Record]:
        """The ``device`` record where it is new or has changed."""
        known = self.watched.get(gpu.index)
        holding = of_job.held.get(gpu.index)
        record = dict(known.record) if known else {"t_s": 0.0, **facts(gpu, self.driver)}
        limit = power_limit_w(gpu.board)
        if limit is not None:
            record["power_limit_w"] = limit
        if holding is not None and not of_job.guessed:
            record |= stated(pids=list(holding.pids), other_processes=holding.others)
        if known is None:
            self.watched[gpu.index] = _Watched(
                gpu=gpu, record=record, readings=Readings(gpu, self.clock), gpm=Gpm(gpu, self.clock)
            )
            return [{"what": "device", **record}, *self._once(self.watched[gpu.index].gpm.troubles())]
        changed = record != known.record
        known.record = record
        return [{"what": "device", **record}] if changed else []

    def _once(self, records: list[Record]) -> list[Record]:
        """Those that were not said before."""
        fresh = []
        for record in records:
            key = (str(record["source"]), str(record["reason"]))
            if key not in self._said:
                self._said.add(key)
                fresh.append(record)
        return fresh


def _last_reason(handle: Handle) -> str | None:
    return next((refusal.reason for refusal in reversed(handle.refused.values())), None)
