"""``diagnose.probe``: its arguments, and the whole way with a torch that is made up."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import diagnose
from diagnose import DiagnoseError, ProbeResult, UnknownGpu, probe
from diagnose.probing.arguments import EXAMPLE, INSTALL, amount_at, batches_of, cuda_index, model_of, plan_of
from heuristics.operations import Phase
from tests.heuristics.cases import LLAMA_8B

CONFIG = Path(diagnose.__file__).parent / "samples" / "vllm_cpu_decode" / "config.json"


class FakeTensor:
    def __init__(self, place: str, index: int | None = None) -> None:
        self.device = SimpleNamespace(type=place, index=index)


def fake_torch(*, gpus: int = 0, held_bytes: int = 0) -> Any:
    def device(named: str) -> Any:
        kind, _, index = str(named).partition(":")
        if kind not in ("cpu", "cuda", "tpu"):
            raise RuntimeError(f"Expected one of cpu, cuda, tpu device type at start of device string: {named}")
        return SimpleNamespace(type=kind, index=int(index) if index else None)

    cuda = SimpleNamespace(
        is_available=lambda: gpus > 0,
        is_initialized=lambda: gpus > 0,
        memory_allocated=lambda: held_bytes,
        current_device=lambda: 1,
    )
    return SimpleNamespace(no_grad=nullcontext, get_num_threads=lambda: 1, Tensor=FakeTensor, cuda=cuda, device=device)


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A torch that cannot compute, on a machine without a stored calibration."""
    found = fake_torch()
    monkeypatch.setitem(sys.modules, "torch", found)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return found


def spin(batch: int) -> int:
    """A step of a fraction of a millisecond."""
    return sum(range(2000 * batch))


def test_without_torch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(DiagnoseError, match="needs torch") as raised:
        probe(spin)
    assert raised.value.hint == INSTALL


def test_the_whole_way(torch: Any) -> None:
    found = probe(
        spin,
        batches=(4, 1, 2),
        flops=lambda batch: 1e6 * batch,
        bytes=1e6,
        bandwidth_gb_s=20,
        tflops=0.1,
        dtype="fp32",
        seconds=0.02,
        trace=False,
        context_tokens=16.0,
    )
    assert isinstance(found, ProbeResult)
    assert [row.batch for row in found.batches] == [1, 2, 4]
    told = found.to_dict()
    assert told["probe"]["batch"] == 4
    assert told["probe"]["work"] == "stated"
    assert told["measured"]["batch"] == 4
    assert told["measured"]["flops_per_step"] == 4e6
    assert told["measured"]["bytes_per_step"] == 1e6
    assert told["measured"]["context_tokens"] == 16
    assert "as given" in told["roofs"]["source"]
    assert all(row["tokens_per_s"] > 0 for row in told["probe"]["batches"])
    assert "Batches of decode, 1 thread" in str(found)
    assert told["subject"]["workload"] == "probe decode 1,2,4 of 16 tokens"
    assert {"processor", "cores"} <= set(told["environment"]["host"])
    assert set(told["samples"]) >= {"time_per_output_token_s", "step_s", "tokens_per_s", "bandwidth_fraction"}
    rounds = told["probe"]["batches"][-1]["rounds"]
    assert {len(values) for values in told["samples"].values()} == {rounds}
    assert told["samples"]["time_per_output_token_s"] == told["samples"]["step_s"]
    assert min(told["samples"]["step_s"]) <= told["measured"]["step_s"] <= max(told["samples"]["step_s"])


def test_the_models_shape_says_what_a_step_needs(torch: Any) -> None:
    found = probe(spin, batches=[1, 2], model=CONFIG, batch=1, bandwidth_gb_s=20, tflops=0.1, seconds=0.02, trace=False)
    told = found.to_dict()
    assert (told["probe"]["batch"], told["probe"]["work"]) == (1, "model")
    assert told["subject"]["model"]
    assert {row["name"] for row in told["operations"]} > {"attention", "head"}


def test_inputs_are_made_once_a_batch(torch: Any) -> None:
    asked: list[int] = []

    def inputs(batch: int) -> str:
        asked.append(batch)
        return f"inputs of {batch}"

    given: set[str] = set()
    probe(given.add, batches=(2, 1), make_inputs=inputs, calibrate=False, seconds=0.01, repeats=3, trace=False)
    assert asked == [1, 2]
    assert given == {"inputs of 1", "inputs of 2"}


def test_what_cannot_be_counted_is_told(torch: Any) -> None:
    found = probe(spin, batches=[1], calibrate=False, seconds=0.01, repeats=3, trace=False)
    assert any("FLOPs and bytes: counting failed" in text for text in found.to_dict()["warnings"])
    assert "work" not in found.to_dict()["probe"]


def test_a_profiler_in_the_process_is_told(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_INJECTION64_PATH", "/opt/tool.so")
    found = probe(spin, batches=[1], calibrate=False, seconds=0.01, repeats=3)
    assert any("CUDA_INJECTION64_PATH" in text for text in found.to_dict()["warnings"])


def test_what_a_step_raises_is_not_swallowed(torch: Any) -> None:
    def broken(batch: int) -> None:
        raise ZeroDivisionError("in the step")

    with pytest.raises(ZeroDivisionError, match="in the step"):
        probe(broken, batches=[1], calibrate=False, trace=False)


@pytest.mark.parametrize(
    "wrong", [[], [0], [-1], [1.5], [True], [1 << 25], "1,2", 4, ("a",), (1, "a"), [None], [[1]], [float("nan")]]
)
def test_batches_that_are_none(wrong: Any) -> None:
    with pytest.raises(DiagnoseError) as raised:
        batches_of(wrong, None)
    assert raised.value.hint == EXAMPLE


def test_the_batch_in_question_is_measured_too() -> None:
    assert batches_of((8, 1), None) == ((1, 8), 8)
    assert batches_of((8, 1), 4) == ((1, 4, 8), 4)


@pytest.mark.parametrize(
    "options",
    [
        {"phase": "training"},
        {"warmup": 0},
        {"seconds": -1.0},
        {"repeats": 2},
        {"model": 7},
        {"dtype": "bf15"},
        {"flops": {2: 1e9}},
        {"flops": lambda batch: 0.0},
        {"device": "tpu"},
        {"device": "cuda"},
        {"gpu": "H100"},
        {"batch": "a"},
        {"repeats": float("nan")},
        {"repeats": "9"},
        {"warmup": "x"},
        {"phase": None},
        {"device": "foo"},
        {"context_tokens": "abc"},
        {"context_tokens": -1},
        {"context_tokens": [1]},
        {"seconds": None},
        {"seconds": "long"},
        {"flops": -1.0},
        {"bytes": "many"},
        {"bandwidth_gb_s": "x"},
        {"tflops": 1e300},
        {"dtype": 8},
        {"make_inputs": 3},
    ],
)
def test_arguments_that_make_no_sense_are_told_with_what_to_type(torch: Any, options: dict[str, Any]) -> None:
    with pytest.raises(DiagnoseError) as raised:
        probe(spin, **{"batches": [1], "calibrate": False, "trace": False, **options})
    assert raised.value.hint
    assert "--" not in raised.value.hint, "Python is spoken here"


def test_a_step_is_a_function(torch: Any) -> None:
    with pytest.raises(DiagnoseError, match="must be functions") as raised:
        probe(3)  # type: ignore[arg-type]
    assert raised.value.hint == EXAMPLE


@pytest.mark.parametrize("gpu", ["H99", 100])
def test_a_part_that_no_table_knows(torch: Any, gpu: Any) -> None:
    with pytest.raises(UnknownGpu):
        probe(spin, batches=[1], gpu=gpu)


def test_the_device_is_where_the_work_is() -> None:
    here, there = FakeTensor("cpu"), FakeTensor("cuda", 2)
    torch = fake_torch(gpus=4)
    module = SimpleNamespace(parameters=lambda: iter([there]))

    def nothing() -> None:
        return None

    assert cuda_index(torch, "cuda:3", module, 1, nothing) == 3
    assert cuda_index(torch, "cuda", None, 1, nothing) == 1
    assert cuda_index(torch, "cpu", module, 1, nothing) is None
    assert cuda_index(torch, None, module, here, nothing) == 2
    assert cuda_index(torch, None, None, {"x": [there]}, nothing) == 2
    assert cuda_index(torch, None, None, (here,), lambda: there) is None
    assert cuda_index(torch, None, None, 8, lambda: (there, here)) == 2
    assert cuda_index(torch, None, None, 8, nothing) is None
    assert cuda_index(fake_torch(gpus=4, held_bytes=9), None, None, 8, nothing) == 1


def test_a_model_is_a_shape_a_path_or_a_module() -> None:
    module = SimpleNamespace(parameters=lambda: iter(()))
    assert model_of(None).name is None
    assert model_of(LLAMA_8B).shape is LLAMA_8B
    assert model_of(str(CONFIG)).shape is not None
    assert model_of(module).module is module


def test_amounts_by_batch() -> None:
    assert amount_at(None, 4, "flops") is None
    assert amount_at(3.0, 4, "flops") == 3.0
    assert amount_at({4: 5.0}, 4, "flops") == 5.0
    assert amount_at(lambda batch: 2.0 * batch, 4, "flops") == 8.0


def test_rounds_are_split_from_the_seconds() -> None:
    plan = plan_of(Phase.DECODE, 5, 0.9, 3, True)
    assert (plan.rounds, plan.warm_up, plan.seconds, plan.graph) == (3, 5, 0.9, True)
