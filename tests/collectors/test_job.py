"""From any process of a job to the job: every engine, whatever stands above it, and what is no engine at all."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collectors.engines.recognise import command, flags, shape_of, shape_of_libraries
from collectors.engines.shapes import LLAMA_CPP, SGLANG, SHAPES, TGI, TORCH, TRANSFORMERS, VLLM, Flag, Shape
from collectors.job import find
from collectors.process.proc import Proc
from heuristics.errors import NoSuchProcess
from tests.make.stand_ins import JOBS, Running, place_of, running, started_plain

PROC = Proc()
REPOSITORY = str(Path(__file__).parents[2])


@pytest.mark.parametrize("name", JOBS)
def test_every_engine_from_any_of_its_processes(name: str, tmp_path: Path) -> None:
    job = JOBS[name]
    with running(job, tmp_path) as made:
        for pid in made.pids:
            found = find(pid, PROC)
            assert found.engine == job.engine
            assert found.pid == pid
            assert found.root.pid in (made.pid, pid)
            alone = name == "Ollama" and pid != made.pid  # one of perhaps several servers behind it
            assert set(found.pids) == ({pid} if alone else set(made.pids))
            assert found.recognised_by == "command line"
            assert place_of(made, job) in found.pids
            if name != "Ollama alone":
                assert found.flags.get(Flag.PORT, str(made.port)) == str(made.port)
            assert made.port in [listener.port for listener in found.listeners]
            if name not in ("Triton", "Ollama alone", "llama.cpp", "Ollama", "Dynamo's front end"):
                assert found.flags[Flag.MODEL] == job.model


@pytest.fixture
def vllm(tmp_path: Path) -> Iterator[Running]:
    with running(JOBS["vLLM"], tmp_path) as made:
        yield made


def test_flags_are_those_of_the_process_that_kept_its_command_line(vllm: Running) -> None:
    found = find(vllm.pids[-1], PROC)
    assert found.flags[Flag.DTYPE] == "bfloat16"
    assert found.flags[Flag.TENSOR_PARALLEL] == "2"
    assert set(found.flags) == {Flag.DTYPE, Flag.TENSOR_PARALLEL, Flag.MODEL, Flag.PORT}


def test_only_who_answers_is_asked(vllm: Running) -> None:
    assert {listener.pid for listener in find(vllm.pids[-1], PROC).listeners} == {vllm.pid}


def test_a_shell_or_a_launcher_above_belongs_to_no_job(tmp_path: Path) -> None:
    for wrap in (["bash", "-c", '"$@"; true', "vllm serve org/model"], [sys.executable, "-S", "-c", WRAPPER]):
        with running(JOBS["vLLM"], tmp_path, wrap=wrap) as made:
            assert made.process.pid not in made.pids
            for pid in (made.process.pid, *made.pids):
                found = find(pid, PROC)
                assert found.engine == "vLLM"
                assert found.root.pid == made.pids[0]
                assert set(found.pids) == set(made.pids)


WRAPPER = "import subprocess, sys; subprocess.run(sys.argv[1:])"


def found_from_outside(pid: int) -> str:
    """What a process of its own, below this one, finds; its error where there is one."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from collectors.job import find\n"
        "from collectors.process.proc import Proc\n"
        "from heuristics.errors import DiagnoseError\n"
        "try:\n"
        "    found = find(int(sys.argv[1]), Proc())\n"
        "    print(found.engine, *found.pids)\n"
        "except DiagnoseError as error:\n"
        "    print(type(error).__name__, error, error.hint)\n"
    )
    command = [sys.executable, "-c", code, str(pid), REPOSITORY]
    return subprocess.run(command, capture_output=True, timeout=60, check=True, text=True).stdout.strip()


def test_several_jobs_must_be_told_apart(tmp_path: Path) -> None:
    with running(JOBS["vLLM"], tmp_path / "a") as first, running(JOBS["llama.cpp"], tmp_path / "b") as second:
        said = found_from_outside(os.getpid())
    assert said.startswith(f"SeveralJobs process {os.getpid()} stands above several jobs: ")
    assert f"{first.pid} (vLLM)" in said
    assert f"{second.pid} (llama.cpp)" in said
    assert said.endswith((f"diagnose attach {first.pid}", f"diagnose attach {second.pid}"))


def test_ranks_under_one_launcher_are_one_job(tmp_path: Path) -> None:
    silent = replace(
        JOBS["LightLLM"], script=None, command=("lightllm::x::model_infer:RANK0",), children=(), front=(9,)
    )
    with running(silent, tmp_path / "a") as first, running(silent, tmp_path / "b") as second:
        engine, *pids = found_from_outside(os.getpid()).split()
    assert engine == "LightLLM"
    assert {str(first.pid), str(second.pid)} <= set(pids)


def test_this_process_and_what_it_started_below_the_job_are_no_members(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import os, subprocess\n"
        "from collectors.job import find\n"
        "from collectors.process.proc import Proc\n"
        "other = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n"
        "found = find(os.getppid(), Proc())\n"
        "print(found.engine, os.getpid() in found.pids, other.pid in found.pids, len(found.pids))\n"
        "other.communicate(b'x')\n"
    )
    with running(JOBS["llama.cpp"], tmp_path, runs=[sys.executable, "-c", code, REPOSITORY]) as made:
        assert made.output() == "llama.cpp False False 1"


# --- what is no engine


def test_an_unknown_program() -> None:
    with started_plain("import time; print(flush=True); time.sleep(600)") as pid:
        found = find(pid, PROC)
    assert found.engine is None
    assert found.shape is None
    assert found.recognised_by is None
    assert found.pids == (pid,)
    assert not found.flags


def test_torch_is_known_by_what_it_maps(tmp_path: Path) -> None:
    library = tmp_path / "libtorch_cuda.so"
    library.write_bytes(b"\x7fELF" + bytes(8192))
    mapping = f"import mmap, time; f = open({str(library)!r}, 'r+b'); m = mmap.mmap(f.fileno(), 0)"
    with started_plain(f"{mapping}; print(flush=True); time.sleep(600)") as pid:
        found = find(pid, PROC)
    assert found.engine == "torch"
    assert found.recognised_by == "mapped libraries"


def test_workers_of_a_program_lead_to_it(tmp_path: Path) -> None:
    code = (
        "import multiprocessing as m, time\n"
        "if __name__ == '__main__':\n"
        "    p = m.get_context('spawn').Process(target=time.sleep, args=(600,), daemon=True)\n"
        "    p.start(); print(p.pid, flush=True); time.sleep(600)\n"
    )
    script = tmp_path / "mine.py"
    script.write_text(code, encoding="utf-8")
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        try:
            worker = int(program.stdout.readline())
            until_s = time.monotonic() + 30.0
            while b"multiprocessing" not in Path(f"/proc/{worker}/cmdline").read_bytes() and time.monotonic() < until_s:
                time.sleep(0.01)  # between its fork and its exec it bears the parent's name
            assert find(worker, PROC).root.pid == program.pid
        finally:
            program.terminate()


# --- processes that are none


def test_nobody_has_this_number() -> None:
    for pid in (2**22 + 1, 2**31 - 1, 2**31, 2**70):
        with pytest.raises(NoSuchProcess) as refused:
            find(pid, PROC)
        assert "pgrep" in str(refused.value.hint)


def test_one_that_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(30)
        with pytest.raises(NoSuchProcess):
            find(process.pid, PROC)


def test_a_zombie_is_none() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(NoSuchProcess):
            find(pid, PROC)
    finally:
        os.waitpid(pid, 0)


# --- command lines


COMMANDS = {
    "vllm serve org/m": VLLM,
    "/usr/bin/python3.11 -u /opt/venv/bin/vllm serve org/m": VLLM,
    "python3 -W ignore -X dev -m vllm.entrypoints.openai.api_server --model org/m": VLLM,
    "python -mvllm.entrypoints.openai.api_server --model org/m": VLLM,
    "python -Im vllm.entrypoints.cli.main serve org/m": VLLM,
    "VLLM::EngineCore_DP1": VLLM,
    "ours-7b::Worker_TP1": VLLM,
    "python -m sglang.launch_server --model-path org/m": SGLANG,
    "/opt/conda/bin/python /opt/conda/bin/sglang serve org/m": SGLANG,
    "sglang::scheduler_DP0_TP1": SGLANG,
    "text-generation-router --port 80": TGI,
    "/app/llama-server -m x.gguf": LLAMA_CPP,
    "python /venv/bin/transformers serve org/m": TRANSFORMERS,
    "python /venv/bin/torchrun --nproc-per-node 2 train.py": TORCH,
    "python -m torch.distributed.run train.py": TORCH,
    "bash -c vllm serve org/m": None,
    "tail -f vllm serve": None,
    "vim vllm serve": None,
    "python train.py vllm serve": None,
    "docker run vllm/vllm-openai --model org/m": None,
    "sglang-router": None,
    "vllm-server": None,
    "ollama run tiny": None,
    "transformers-of-mine serve": None,
    "grep VLLM::EngineCore": None,
    "": None,
}


@pytest.mark.parametrize("said", COMMANDS)
def test_command_lines(said: str) -> None:
    found = shape_of(said.split(" ")) if said else shape_of([])
    assert (found and found.engine) == (COMMANDS[said] and COMMANDS[said].engine)


def test_no_word_is_needed() -> None:
    assert command([]) == []
    assert command(["python"]) == []
    assert command(["python", "-u"]) == []
    assert command(["python", "-W"]) == []
    assert command([""]) == [""]


FLAGS: list[tuple[Shape, str, dict[str, str]]] = [
    (VLLM, "vllm serve org/m --dtype=half -tp 4", {"model": "org/m", "dtype": "half", "tensor_parallel": "4"}),
    (VLLM, "vllm serve --port 1 org/m --enforce-eager", {"model": "org/m", "port": "1", "eager": "on"}),
    (VLLM, "vllm serve --enforce-eager org/m", {"model": "org/m", "eager": "on"}),
    (VLLM, "vllm serve org/m --max_model_len 5", {"model": "org/m", "most_context": "5"}),
    (VLLM, "vllm serve org/m --enable-expert-parallel --dtype", {"model": "org/m", "expert_parallel": "on"}),
    (VLLM, "vllm serve org/m --dtype half --dtype float", {"model": "org/m", "dtype": "float"}),
    (VLLM, "vllm serve --trust-remote-code org/m", {"model": "org/m"}),
    (
        SGLANG,
        "python -m sglang.launch_server --model-path org/m --tp 2 --api-key of-ours",
        {"model": "org/m", "tensor_parallel": "2"},
    ),
    (
        LLAMA_CPP,
        "llama-server -m /a/x.gguf -np 4 -ctk q8_0 -ngl 99",
        {"model": "/a/x.gguf", "most_sequences": "4", "kv_dtype": "q8_0", "offloaded_layers": "99"},
    ),
    (TGI, "text-generation-server serve org/m --uds-path /tmp/x", {"model": "org/m"}),
]


@pytest.mark.parametrize(("shape", "said", "stated"), FLAGS, ids=lambda v: v if isinstance(v, str) else "")
def test_flags(shape: Shape, said: str, stated: dict[str, str]) -> None:
    assert {flag.value: value for flag, value in flags(shape, said.split(" "), {}).items()} == stated


def test_the_environment_speaks_where_the_command_line_is_silent() -> None:
    stated = {"MODEL_ID": "org/m", "NUM_SHARD": "2", "HF_TOKEN": "hf_of_ours", "PORT": ""}
    found = flags(TGI, ["text-generation-launcher", "--num-shard", "4"], stated)
    assert {flag.value: value for flag, value in found.items()} == {"model": "org/m", "tensor_parallel": "4"}


def test_a_value_as_long_as_a_book_is_cut() -> None:
    found = flags(VLLM, ["vllm", "serve", "org/m", "--dtype", "x" * 10**6], {})
    assert len(found[Flag.DTYPE]) <= 4096


def test_every_library_leads_to_its_engine() -> None:
    for shape in SHAPES:
        for part in shape.libraries:
            found = shape_of_libraries(frozenset({f"/usr/lib/python3/site-packages{part}.so", "/usr/lib/libc.so.6"}))
            assert found is shape
    assert shape_of_libraries(frozenset()) is None
