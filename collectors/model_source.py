"""The job's model as a source that speaks once: found by what the engine was told, or by what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from collectors.engines.about import Fact
from collectors.engines.shapes import Flag
from collectors.job import Job
from collectors.model_files.runtime import StatedModel
from collectors.model_files.view import ProcessView
from collectors.process.proc import Proc
from collectors.record import Record, missing

CACHES = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "XDG_CACHE_HOME",
    "OLLAMA_MODELS",
    "LLAMA_CACHE",
    "HOME",
)
"""Variables of the job that say where models lie; no other is looked at."""

GIVE = "--model PATH, its config.json, folder or GGUF"


class ModelSource:
    """Reads the model's files through the job's own root and folder. ``facts`` waits for what the engine says."""

    name = "model"
    period_s = 3600.0

    def __init__(
        self, job: Job, proc: Proc, facts: Callable[[], Mapping[Fact, str | float]], *, given: str | None = None
    ) -> None:
        self._job, self._proc, self._facts, self._given = job, proc, facts, given

    def start(self) -> list[Record]:
        """The ``model`` record, or why there is none."""
        from collectors.model_files.read import Unread, read_given, read_model

        if self._given is not None:
            found = read_given(self._given)
        else:
            flags = self._job.flags
            stated = flags.get(Flag.MODEL)
            facts = self._facts()
            if stated is None:
                said = facts.get(Fact.MODEL_PATH) or facts.get(Fact.SERVED_NAME) or self._mapped()
                stated = said if isinstance(said, str) else None
            if stated is None:
                return [missing("model", "neither the command line nor the engine names it", GIVE)]
            found = read_model(
                StatedModel(
                    name_or_path=stated,
                    revision=flags.get(Flag.REVISION),
                    dtype=flags.get(Flag.DTYPE) or (self._job.shape.default_dtype if self._job.shape else None),
                    quantization=flags.get(Flag.QUANTIZATION),
                    kv_cache_dtype=flags.get(Flag.KV_DTYPE),
                    value_cache_dtype=flags.get(Flag.VALUE_DTYPE),
                    download_dir=flags.get(Flag.DOWNLOAD_DIR),
                ),
                self._view(),
            )
        if isinstance(found, Unread):
            return [missing("model", found.reason, found.unlock or GIVE)]
        return [{"t_s": 0.0, **found}]

    def sample(self, t_s: float) -> list[Record]:
        """Nothing more."""
        return []

    def close(self) -> None:
        """Nothing is held open."""

    def _mapped(self) -> str | None:
        """A GGUF that the job has mapped."""
        for pid in self._job.pids:
            weights = sorted(path for path in self._proc.mapped_files(pid) if path.endswith(".gguf"))
            if weights:
                return weights[0]
        return None

    def _view(self) -> ProcessView:
        pid = self._job.root.pid
        environment = self._proc.environment(pid)
        home = environment.get("HOME")
        return ProcessView(
            root=Path(self._proc.path(pid, "root")),
            cwd=Path(self._proc.link(pid, "cwd") or "/"),
            env={name: value for name, value in environment.items() if name in CACHES},
            home=Path(home) if home else None,
        )
