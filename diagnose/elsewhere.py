"""A server of which no process can be seen: only its metrics are read."""

from __future__ import annotations

import threading
from collections.abc import Callable

from collectors.engines.shapes import LIGHTLLM, LLAMA_CPP, LMDEPLOY, SGLANG, TENSORRT_LLM, VLLM, Shape
from collectors.engines.source import EngineSource
from collectors.job import Job
from collectors.process.proc import Proc
from collectors.process.tree import Process
from collectors.record import Record, Source, missing, record
from collectors.watch import Watch
from diagnose.live import Announcing

OWNERS: tuple[tuple[str, Shape], ...] = (
    ("vllm", VLLM),
    ("sglang", SGLANG),
    ("llamacpp", LLAMA_CPP),
    ("tensorrt_llm", TENSORRT_LLM),
    ("lmdeploy", LMDEPLOY),
    ("lightllm", LIGHTLLM),
)
"""What engines write as the owner of the models that they list."""

UNLOCK = "--metrics-url http://HOST:PORT/metrics, or the server's PID"


def shape_of_owner(owner: str | None) -> Shape | None:
    """The engine that names itself as the owner of its models."""
    said = (owner or "").casefold().replace("-", "_")
    return next((shape for name, shape in OWNERS if said == name), None)


class Elsewhere:
    """Watches a server by its address alone. ``url`` is that of its metrics; None where it is not known."""

    ended = False

    def __init__(
        self, shape: Shape | None, url: str | None, credential: str | None, sink: Callable[[Record], None]
    ) -> None:
        self._shape, self._sink = shape, sink
        self._stopped = False
        sources: list[Source] = []
        if url is not None:
            nobody = Process(pid=0, parent=0, started_ticks=0, name="", arguments=())
            job = Job(pid=0, root=nobody, members=(), shape=shape)
            sources.append(Announcing(EngineSource(job, Proc(), url=url, credential=credential), threading.Event()))
        self._blind = url is None
        self.watch = Watch(sources, sink)

    def start(self) -> None:
        """Begin to watch; returns at once."""
        self.watch.start()
        if self._shape is not None:
            self._sink(record("job", engine=self._shape.engine, recognised_by="/v1/models"))
        if self._blind:
            self._sink(missing("engine", "its metrics are not known to be anywhere", UNLOCK))
        self._sink(missing("processes", "no process of the server can be seen from here", "its PID, on its machine"))

    def stop(self) -> None:
        """End, with what it took. May be called twice."""
        if not self._stopped:
            self._stopped = True
            self.watch.stop()
            self._sink(self.watch.overhead())
