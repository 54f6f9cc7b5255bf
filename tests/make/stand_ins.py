"""Processes that stand in for serving engines: their command lines, trees, titles, sockets and pages, and no model.

They write down every request and every signal that reaches them, and end with the test that started them. Figures
are of our own invention: ``RATE`` steps a second of ``BATCH`` sequences each.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.make import engines
from tests.make.engines import IDLE, State
from tests.make.prometheus import page

PROGRAM = Path(__file__).with_name("stand_ins_program.py")
PATIENCE_S = 30.0

RATE = 50.0
BATCH = 8.0
TOKENS_PER_S = RATE * BATCH

BEGUN = State(busy_slots=240_000.0)
"""Its mean batch over the lifetime is that of every second that follows."""
SECOND = BEGUN.later(1.0, step_s=1.0 / RATE, batch=BATCH)

Page = dict[str, Any]
Pages = Mapping[str, Page]
Node = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A tree to start. ``command`` begins the root's real command line; ``title`` is laid over one instead.

    ``{port}`` and ``{model}`` are filled in. ``computes`` is the place of the process that has the model, ``front``
    that of the one that listens: indices of children from the root down.
    """

    engine: str
    command: tuple[str, ...]
    pages: Callable[[], dict[str, Page]]
    script: str | None = None
    """A script of this path is run by the interpreter with the command behind it; a module where it ends in .py."""
    children: tuple[Node, ...] = ()
    front: tuple[int, ...] = ()
    computes: tuple[int, ...] = ()
    model: str = "ours/tiny-7b"
    environment: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    threads: tuple[str, ...] = ()
    works: float = 0.0
    maps: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Running:
    """A tree that runs. ``pids`` by place, the root first."""

    process: subprocess.Popen[bytes]
    pids: tuple[int, ...]
    port: int
    log: Path

    @property
    def pid(self) -> int:
        """The root's."""
        return self.pids[0]

    def tell(self, word: str) -> None:
        """``freeze`` the counters, let them ``go`` on, be ``idle``, or ``end`` the root."""
        assert self.process.stdin is not None
        self.process.stdin.write(word.encode() + b"\n")
        self.process.stdin.flush()
        if word != "end":
            self._until(lambda said: sum(s.get("told") == word for s in said) >= len(self.pids))
            return
        self.process.wait(PATIENCE_S)

    def output(self) -> str:
        """What the command that the root ran has said, once it has ended."""
        self._until(lambda said: any("ran" in s for s in said))
        return self.log.with_name("output").read_text(encoding="utf-8").strip()

    def said(self) -> list[dict[str, Any]]:
        """Every line of the log."""
        return [json.loads(line) for line in self.log.read_bytes().splitlines()]

    def requests(self) -> list[dict[str, Any]]:
        """Requests: method, path, headers, bytes of the body."""
        return [said for said in self.said() if "method" in said]

    def signals(self) -> list[dict[str, Any]]:
        """Signals that reached any process of it."""
        return [said for said in self.said() if "signal" in said]

    def _until(self, reached: Callable[[list[dict[str, Any]]], bool]) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while not reached(self.said()):
            assert time.monotonic() < until_s, "the stand-in does not get on"
            time.sleep(0.01)


def growing(
    write: Callable[[State], Sequence[str]], *, whole: bool = False, first: State = BEGUN, rate: float = RATE
) -> str:
    """A page of metrics whose counters grow by what a second of so many steps adds."""
    begun, later = (page(write(state)).split("\n") for state in (first, _second(first, rate)))
    mark = "i" if whole else ""
    lines = []
    for before, after in zip(begun, later, strict=True):
        name, _, value = before.rpartition(" ")
        gained = 0.0 if before == after else float(after.rpartition(" ")[2]) - float(value)
        lines.append(f"{name} @{mark}{value}~{gained!r}@" if gained else before)
    return "\n".join(lines)


def _second(first: State, rate: float) -> State:
    return first.later(1.0, step_s=1.0 / rate, batch=BATCH) if first.running else first


def metrics(write: Callable[[State], Sequence[str]], *, whole: bool = False, rate: float = RATE) -> Page:
    """The page, and what stands there while the engine is idle."""
    return {"body": growing(write, whole=whole, rate=rate), "idle": page(write(replace(IDLE, busy_slots=240_000.0)))}


def answer(content: Any) -> Page:
    """JSON."""
    return {"body": json.dumps(content), "type": "application/json"}


def vllm_pages(rate: float = RATE, capacity: int = 100_000) -> dict[str, Page]:
    """vLLM at so many steps a second, with a cache for so many tokens."""
    return {
        "/metrics": metrics(lambda state: engines.vllm(state, capacity=capacity), rate=rate),
        "/version": answer({"version": "0.33.0"}),
        "/v1/models": answer({"data": [{"id": "ours/tiny-7b", "root": "ours/tiny-7b", "max_model_len": 4096}]}),
    }


def _sglang_pages() -> dict[str, Page]:
    return {
        "/metrics": metrics(engines.sglang),
        "/model_info": answer({"model_path": "ours/tiny-7b"}),
        "/server_info": answer({"version": "0.5.23", "served_model_name": "ours/tiny-7b", "tp_size": 1}),
    }


def _tgi_pages() -> dict[str, Page]:
    return {"/metrics": metrics(engines.tgi), "/info": answer({"version": "3.1.0", "model_id": "ours/tiny-7b"})}


def _tensorrt_llm_pages() -> dict[str, Page]:
    return {
        "/prometheus/metrics": metrics(engines.tensorrt_llm),
        "/metrics": answer([{"iter": 1}]),
        "/version": answer({"version": "1.3.0"}),
        "/v1/models": answer({"data": [{"id": "ours/tiny-7b"}]}),
    }


def slots(running: int = int(BATCH), *, rate: float = RATE, prompt: str = "Tell me of the sea.") -> Page:
    """llama.cpp's ``/slots``: every running one generates ``rate`` tokens a second."""
    marked = json.dumps(
        [
            {
                "id": n,
                "id_task": 70 + n,
                "n_ctx": 4096,
                "is_processing": n < running,
                "prompt": prompt,
                "next_token": [{"n_decoded": "MARK" if n < running else 0, "has_next_token": True}],
            }
            for n in range(running + 1)
        ]
    ).replace('"MARK"', f"@i100~{rate}@")
    return {"body": marked, "idle": marked.replace("true", "false"), "type": "application/json"}


def _llama_cpp(state: State) -> list[str]:
    """Its counter of generated tokens moves only when a request ends, and none does."""
    return engines.llama_cpp(
        replace(state, generation_tokens=BEGUN.generation_tokens, token_seconds=BEGUN.token_seconds)
    )


def _llama_cpp_pages() -> dict[str, Page]:
    return {
        "/metrics": metrics(_llama_cpp, whole=True),
        "/slots": slots(),
        "/v1/models": answer({"data": [{"id": "tiny-7b-Q4_K_M.gguf", "meta": {"n_params": 7e9, "size": 4e9}}]}),
        "/props": answer({"model_path": "/models/tiny-7b-Q4_K_M.gguf", "total_slots": 8, "build_info": "b7000"}),
    }


def _bare(write: Callable[[State], Sequence[str]]) -> Callable[[], dict[str, Page]]:
    return lambda: {"/metrics": metrics(write), "/v1/models": answer({"data": [{"id": "ours/tiny-7b"}]})}


def _models_only() -> dict[str, Page]:
    return {"/v1/models": answer({"data": [{"id": "ours/tiny-7b"}]})}


def _ollama_pages() -> dict[str, Page]:
    return {"/api/ps": answer({"models": [{"name": "tiny:7b", "size": 4_000_000_000}]}), "/": {"body": "ours"}}


_TRACKER = {"title": [sys.executable, "-c", "from multiprocessing.resource_tracker import main;main(5)"]}
_SPAWNED = [
    sys.executable,
    "-c",
    "from multiprocessing.spawn import spawn_main; spawn_main()",
    "--multiprocessing-fork",
]

JOBS: dict[str, Job] = {
    "vLLM": Job(
        engine="vLLM",
        script="bin/vllm",
        command=("serve", "{model}", "--port", "{port}", "--dtype", "bfloat16", "--tensor-parallel-size=2"),
        children=(
            _TRACKER,
            {"title": ["VLLM::EngineCore"], "name": "VLLM::EngineCor", "children": [{"title": ["VLLM::Worker_TP0"]}]},
        ),
        computes=(1, 0),
        pages=vllm_pages,
    ),
    "SGLang": Job(
        engine="SGLang",
        script="sglang/launch_server.py",
        command=("--model-path", "{model}", "--port", "{port}"),
        children=({"title": ["sglang::scheduler_TP0"], "name": "sglang::schedul"}, {"title": ["sglang::detokenizer"]}),
        computes=(0,),
        pages=_sglang_pages,
    ),
    "TGI": Job(
        engine="TGI",
        command=("/usr/local/bin/text-generation-launcher", "--model-id", "{model}", "--port", "{port}"),
        children=(
            {"title": ["text-generation-router", "--port", "{port}", "--tokenizer-name", "{model}"]},
            {"title": [sys.executable, "/opt/text-generation-server", "serve", "{model}", "--uds-path", "/tmp/x"]},
        ),
        front=(0,),
        computes=(1,),
        pages=_tgi_pages,
    ),
    "TensorRT-LLM": Job(
        engine="TensorRT-LLM",
        script="bin/trtllm-serve",
        command=("serve", "{model}", "--port", "{port}", "--tp_size", "1"),
        children=({"title": ["prte"], "children": [{"title": [sys.executable, "-R", "-m", "mpi4py.futures.server"]}]},),
        computes=(0, 0),
        pages=_tensorrt_llm_pages,
    ),
    "Triton": Job(
        engine="Triton",
        command=("/opt/tritonserver/bin/tritonserver", "--model-repository=/models", "--metrics-port={port}"),
        children=({"title": ["triton_python_backend_stub", "/models/x/1/model.py", "triton_shm_1"]},),
        computes=(0,),
        pages=_bare(engines.triton),
    ),
    "llama.cpp": Job(
        engine="llama.cpp",
        command=("/opt/llama/llama-server", "-m", "/models/tiny-7b-Q4_K_M.gguf", "--port", "{port}", "-np", "8"),
        pages=_llama_cpp_pages,
    ),
    "LMDeploy": Job(
        engine="LMDeploy",
        script="bin/lmdeploy",
        command=("serve", "api_server", "{model}", "--server-port", "{port}"),
        children=({"title": _SPAWNED},),
        computes=(0,),
        pages=_bare(engines.lmdeploy),
    ),
    "LightLLM": Job(
        engine="LightLLM",
        script="lightllm/server/api_server.py",
        command=("--model_dir", "{model}", "--port", "{port}"),
        children=({"title": ["lightllm::x::model_infer:RANK0"]}, {"title": ["lightllm::x::detokenization_server"]}),
        computes=(0,),
        pages=_bare(engines.lightllm),
    ),
    "MLC-LLM": Job(
        engine="MLC-LLM",
        script="bin/mlc_llm",
        command=("serve", "{model}", "--port", "{port}"),
        pages=_models_only,
    ),
    "transformers": Job(
        engine="transformers",
        script="bin/transformers",
        command=("serve", "{model}", "--port", "{port}"),
        pages=_models_only,
    ),
    "Ollama": Job(
        engine="Ollama (llama.cpp)",
        command=("/usr/bin/ollama", "serve"),
        children=(
            {"title": ["/usr/lib/ollama/llama-server", "--model", "/models/blobs/sha256-0f", "--port", "{port}"]},
        ),
        front=(0,),
        computes=(0,),
        pages=lambda: {"/slots": slots(), "/props": _llama_cpp_pages()["/props"]},
    ),
    "Ollama alone": Job(engine="Ollama", command=("/usr/bin/ollama", "serve"), pages=_ollama_pages),
    "Dynamo": Job(
        engine="Dynamo (vLLM)",
        command=(sys.executable, "-m", "dynamo.vllm", "--model", "{model}", "--port", "{port}"),
        children=({"title": ["VLLM::EngineCore"]},),
        computes=(0,),
        pages=vllm_pages,
    ),
    "Dynamo's front end": Job(
        engine="Dynamo",
        script="dynamo/frontend.py",
        command=("--http-port", "{port}"),
        pages=_bare(engines.dynamo),
    ),
    "the demo": Job(
        engine="diagnose demo",
        command=(sys.executable, "-m", "diagnose.demo.job", "--model", "{model}", "--port", "{port}"),
        pages=lambda: {"/metrics": metrics(_demo)},
    ),
}
"""One job for every engine, and the fronts over them."""


def _demo(state: State) -> list[str]:
    return [re.sub(r"\bvllm:", "diagnose_demo:", line) for line in engines.vllm(state) if "estimated" not in line]


def free_port() -> int:
    """A port that nobody listens on as of now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(job: Job, folder: Path, *, wrap: Sequence[str] = (), runs: Sequence[str] = ()) -> Iterator[Running]:
    """The tree, once every process of it is ready; it is gone when the block ends.

    ``wrap`` is a command that runs the root as its child; ``runs`` is one that the root runs, see ``output``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, log, plan = free_port(), folder / "log", folder / "plan.json"

    def filled(words: Sequence[str]) -> list[str]:
        return [word.replace("{port}", str(port)).replace("{model}", job.model) for word in words]

    tree = _tree(job, port, filled)
    if runs:
        tree |= {"runs": list(runs), "output": str(folder / "output")}
    plan.write_text(json.dumps({"log": str(log), "tree": tree}), encoding="utf-8")
    log.write_bytes(b"")
    command, environment = _command(job, folder, filled)
    process = subprocess.Popen(
        [*wrap, *command],
        stdin=subprocess.PIPE,
        env=os.environ | environment | dict(job.environment) | {"STAND_IN_PLAN": str(plan), "STAND_IN_PLACE": ""},
    )
    made = Running(process=process, pids=(process.pid,), port=port, log=log)
    try:
        count = _count(tree)
        made._until(lambda said: sum("ready" in s for s in said) == count)
        by_place = {s["place"]: s["pid"] for s in made.said() if "ready" in s}
        pids = tuple(pid for _, pid in sorted(by_place.items(), key=lambda item: (len(item[0]), item[0])))
        yield replace(made, pids=pids)
    finally:
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def place_of(made: Running, job: Job) -> int:
    """The pid of the process that has the model."""
    return int(next(s["pid"] for s in made.said() if s.get("place") == " ".join(map(str, job.computes))))


def _tree(job: Job, port: int, filled: Callable[[Sequence[str]], list[str]]) -> Node:
    def node(described: Node, place: tuple[int, ...]) -> Node:
        made = dict(described)
        if "title" in made:
            made["title"] = filled(made["title"])
        if place == job.front:
            made |= {"pages": job.pages(), "port": port}
        if place == job.computes:
            made |= {"works": job.works, "maps": list(job.maps), "threads": list(job.threads)}
        made["children"] = [node(child, (*place, n)) for n, child in enumerate(described.get("children", ()))]
        return made

    root: Node = {"children": list(job.children), "name": job.name}
    if job.script is None:
        root["title"] = list(job.command)
    return node(root, ())


def _count(node: Node) -> int:
    return 1 + sum(_count(child) for child in node["children"])


def _command(job: Job, folder: Path, filled: Callable[[Sequence[str]], list[str]]) -> tuple[list[str], dict[str, str]]:
    """The root's command line: the real one where an interpreter runs a script, else room for a title."""
    if job.script is None:
        return [sys.executable, "-I", "-S", str(PROGRAM), "." * 4096], {}
    path = folder / job.script
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"import runpy\nrunpy.run_path({str(PROGRAM)!r}, run_name='__main__')\n", encoding="utf-8")
    if path.suffix != ".py":
        return [sys.executable, "-S", str(path), *filled(job.command)], {}
    module = ".".join(Path(job.script).with_suffix("").parts)
    return [sys.executable, "-S", "-m", module, *filled(job.command)], {"PYTHONPATH": str(folder)}


@contextmanager
def started_plain(code: str) -> Iterator[int]:
    """The pid of a Python program that is no engine, once it has printed a line."""
    with subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            yield process.pid
        finally:
            process.kill()
