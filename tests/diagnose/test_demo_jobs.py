"""The demo's jobs: they compute what a decoder computes, count what they do, and leave nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from collectors.model_config import shape_of
from diagnose.commands.demo import told
from diagnose.demo.counters import Counters, exposition
from diagnose.demo.decoder import EPSILON, ROTARY_BASE, Decoder, Layer, Weights, random_weights
from diagnose.demo.job import Job
from diagnose.demo.launch import REGIMES, Running, running
from diagnose.demo.requests import ClosedLoop
from diagnose.demo.workloads import Workload, streamed_bytes, workload
from heuristics.errors import DiagnoseError
from heuristics.model_shape import ModelShape
from heuristics.operations import Load, step_operations
from heuristics.vocabulary import Regime, Share

SMALL = ModelShape(
    layers=2,
    hidden_size=24,
    heads=4,
    kv_heads=2,
    head_dim=6,
    intermediate_size=40,
    vocab_size=50,
    weight_bits=32.0,
    activation_bits=32.0,
    kv_bits=32.0,
)
TOY = Workload(regime=Share.LATENCY, about="a toy", shape=SMALL, batch=3, context=8, pause_s=0.001)
PREFIX = "diagnose_demo:"


def whole_pass(shape: ModelShape, weights: Weights, tokens: np.ndarray) -> np.ndarray:
    """Logits at every position of one sequence in double precision, without a cache, one head at a time."""
    length = tokens.size
    angles = np.arange(length)[:, None] * ROTARY_BASE ** (-np.arange(0, shape.head_dim, 2) / shape.head_dim)
    turn = np.exp(1j * angles)

    def normed(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return x / np.sqrt((x**2).mean(axis=1, keepdims=True) + EPSILON) * weight

    def rotated(x: np.ndarray) -> np.ndarray:
        half = shape.head_dim // 2
        turned = (x[:, :half] + 1j * x[:, half:]) * turn
        return np.concatenate((turned.real, turned.imag), axis=1)

    x = weights.embedding[tokens].astype(np.float64)
    for layer in weights.layers:
        projected = normed(x, layer.attention_norm) @ layer.queries_keys_values
        parts = np.split(projected, projected.shape[1] // shape.head_dim, axis=1)
        keys = [rotated(p) for p in parts[shape.heads : shape.heads + shape.kv_heads]]
        values = parts[shape.heads + shape.kv_heads :]
        attended = []
        for head in range(shape.heads):
            group = head // (shape.heads // shape.kv_heads)
            scores = rotated(parts[head]) @ keys[group].T / np.sqrt(shape.head_dim)
            scores = np.exp(np.where(np.tri(length, dtype=bool), scores, -np.inf))
            attended.append(scores / scores.sum(axis=1, keepdims=True) @ values[group])
        x = x + np.concatenate(attended, axis=1) @ layer.output
        gate, up = np.split(normed(x, layer.feed_forward_norm) @ layer.gate_up, 2, axis=1)
        x = x + (gate / (1.0 + np.exp(-gate)) * up) @ layer.down
    return normed(x, weights.norm) @ weights.head


def test_decoding_with_a_cache_gives_what_a_whole_pass_gives() -> None:
    weights = random_weights(SMALL, seed=3)
    decoder = Decoder(SMALL, weights, batch=1, context=12)
    tokens = np.random.default_rng(4).integers(0, SMALL.vocab_size, 12)
    stepped = [decoder.logits(tokens[n : n + 1], np.array([n]))[0] for n in range(12)]
    np.testing.assert_allclose(stepped, whole_pass(SMALL, weights, tokens), rtol=1e-3, atol=1e-4)


def test_sequences_at_different_positions_do_not_touch_each_other() -> None:
    weights = random_weights(SMALL, seed=5)
    decoder = Decoder(SMALL, weights, batch=2, context=10)
    first, second = np.random.default_rng(6).integers(0, SMALL.vocab_size, (2, 10))
    for n in range(4):
        decoder.logits(np.array([first[n], 0]), np.array([n, n]))
    for n in range(6):
        both = decoder.logits(np.array([first[4 + n], second[n]]), np.array([4 + n, n]))
    np.testing.assert_allclose(both[0], whole_pass(SMALL, weights, first)[-1], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(both[1], whole_pass(SMALL, weights, second[:6])[-1], rtol=1e-3, atol=1e-4)


def test_the_gpus_decoder_computes_the_same() -> None:
    torch = pytest.importorskip("torch")
    from diagnose.demo.decoder_torch import TorchDecoder

    weights = random_weights(SMALL, seed=7)

    def moved(layer: Any) -> dict[str, Any]:
        return {f.name: torch.from_numpy(getattr(layer, f.name)) for f in fields(layer) if f.name != "layers"}

    there = Weights(**moved(weights), layers=tuple(Layer(**moved(layer)) for layer in weights.layers))
    ours = Decoder(SMALL, weights, batch=2, context=8)
    theirs = TorchDecoder(SMALL, there, batch=2, context=8, device="cpu", graph=False)
    for n in range(8):
        tokens, positions = np.array([n, 2 * n]), np.array([n, n // 2])
        assert (ours.next_tokens(tokens, positions) == theirs.next_tokens(tokens, positions)).all()


def test_the_batch_stays_full_and_tokens_are_counted_once() -> None:
    loop = ClosedLoop(batch=5, context=8, vocabulary=50)
    prompts = generated = ended = 0
    for _ in range(200):
        assert loop.tokens.shape == loop.positions.shape == (5,)
        assert (loop.positions < 8).all()
        taken = loop.advance(np.full(5, 7))
        prompts, generated, ended = prompts + taken[0], generated + taken[1], ended + taken[2]
    assert 5 * 200 / 8 - 10 <= ended <= 5 * 200 / 8 + 10
    assert 2 * ended <= prompts <= 2 * (ended + 5)
    assert generated == pytest.approx(5 * 200 - prompts + ended, abs=5)


def test_requests_end_at_different_steps() -> None:
    loop = ClosedLoop(batch=8, context=32, vocabulary=50)
    ends = [loop.advance(np.zeros(8, np.int64))[2] for _ in range(64)]
    assert max(ends) <= 2


def values(page: str) -> dict[str, float]:
    """Samples of a page by name, of its only series each."""
    return {s.name: s.value for family in text_string_to_metric_families(page) for s in family.samples}


def test_the_page_is_prometheus_text() -> None:
    counters = Counters(
        running=4,
        waiting=1,
        cached_tokens=64,
        prompt_tokens=8,
        generation_tokens=90,
        requests=2,
        steps=30,
        step_tokens=120,
    )
    found = values(exposition(counters, model="demo", capacity_tokens=256))
    assert found == {
        f"{PREFIX}num_requests_running": 4,
        f"{PREFIX}num_requests_waiting": 1,
        f"{PREFIX}kv_cache_usage_perc": 0.25,
        f"{PREFIX}prompt_tokens_total": 8,
        f"{PREFIX}generation_tokens_total": 90,
        f"{PREFIX}request_success_total": 2,
        f"{PREFIX}iteration_tokens_total_bucket": 30,
        f"{PREFIX}iteration_tokens_total_count": 30,
        f"{PREFIX}iteration_tokens_total_sum": 120,
        f"{PREFIX}cache_config_info": 1,
    }


def test_a_step_moves_the_counters() -> None:
    decoder = Decoder(SMALL, random_weights(SMALL), batch=3, context=8)
    job = Job(decoder=decoder, requests=ClosedLoop(batch=3, context=8, vocabulary=50))
    for _ in range(20):
        job.step()
    c = job.counters
    assert (c.running, c.steps, c.step_tokens) == (3, 20, 60)
    assert 0 < c.cached_tokens < 24
    assert 0 < c.generation_tokens < 60
    assert c.requests > 0


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("regime", REGIMES)
def test_a_workloads_configuration_states_its_shape(regime: Share, device: str) -> None:
    load = workload(regime, device=device, last_level_cache_bytes=32e6)
    assert replace(shape_of(load.config), name=None) == load.shape
    streamed = sum(op.weight_bytes for op in step_operations(load.shape, Load(context_tokens=1.0)))
    assert streamed_bytes(load.shape) == pytest.approx(streamed, rel=0.02)


@pytest.mark.parametrize("cache_bytes", [None, 8e6, 32e6, 128e6])
def test_the_memory_job_outgrows_the_cache_and_the_latency_job_fits_it(cache_bytes: float | None) -> None:
    memory = workload(Share.MEMORY, last_level_cache_bytes=cache_bytes)
    assert streamed_bytes(memory.shape) > 4 * (cache_bytes or 32e6)
    assert memory.batch == 1
    assert streamed_bytes(workload(Share.LATENCY).shape) < 2e6
    assert workload(Share.COMPUTE).batch >= 64


def page(job: Running, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{job.port}{path}", timeout=30) as answer:
        return str(answer.read().decode())


def waited(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether it comes true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def gone(pid: int) -> bool:
    """No such process, or only its remains that nobody collected yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go meanwhile."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_job_runs_answers_and_leaves_nothing_behind(temporary: Path) -> None:
    with running(TOY) as job:
        assert job.regime is Share.LATENCY
        steps = f"{PREFIX}iteration_tokens_total_count"
        before = values(page(job))
        assert before[f"{PREFIX}num_requests_running"] == 3
        assert waited(lambda: values(page(job))[steps] > before[steps] + 3)
        arguments = Path(f"/proc/{job.pid}/cmdline").read_text().split("\0")
        model = Path(arguments[arguments.index("--model") + 1])
        assert replace(shape_of(_json(model / "config.json")), name=None) == SMALL
        with pytest.raises(urllib.error.HTTPError, match="404"):
            page(job, "/health")
    assert gone(job.pid)
    assert list(temporary.iterdir()) == []


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_block_leaves_nothing_behind(temporary: Path, error: type[BaseException]) -> None:
    def interrupted() -> None:
        with running(TOY) as job:
            pids.append(job.pid)
            raise error

    pids: list[int] = []
    with pytest.raises(error):
        interrupted()
    assert gone(pids[0])
    assert list(temporary.iterdir()) == []


def test_a_job_that_cannot_start_says_why(temporary: Path) -> None:
    with pytest.raises(DiagnoseError, match="ended at its start"), running(replace(TOY, context=0)):
        pass
    assert list(temporary.iterdir()) == []


def test_a_job_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import time\nfrom tests.diagnose.test_demo_jobs import TOY, running\n"
        "with running(TOY) as job:\n    print(job.pid, flush=True)\n    time.sleep(600)\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    try:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert not gone(pid)
    finally:
        starter.kill()
        starter.communicate()
    try:
        assert waited(lambda: gone(pid))
    finally:
        if not gone(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_the_demonstration_tells_whether_jobs_are_what_they_were_built_for() -> None:
    seen: list[str] = []

    @contextmanager
    def start(regime: Share) -> Iterator[Running]:
        seen.append(f"start {regime}")
        yield Running(pid=42, port=1, workload=workload(regime))
        seen.append(f"end {regime}")

    class Verdict:
        diagnosis = SimpleNamespace(whole=SimpleNamespace(verdict=SimpleNamespace(regime=Regime.MEMORY)))

        def __str__(self) -> str:
            return "one\ntwo\nthree\nfour\nfive\n"

    regimes = (Share.MEMORY, Share.LATENCY)
    lines = list(told(regimes, start=start, watch=lambda pid: Verdict(), report=str))  # type: ignore[arg-type,return-value]
    assert seen == ["start memory", "end memory", "start latency", "end latency"]
    assert lines[0][1:] == ["  one", "  two", "  three", "  four", "  -> as built"]
    assert lines[1][-1] == "  -> built to be latency-bound, found memory"
