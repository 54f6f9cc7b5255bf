"""Real logs, exports and scrapes, where the corpus is at hand: read or refused for a reason, never surely wrong.

Nsight Compute and Kineto have tests of their own.
"""

from __future__ import annotations

import csv
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from diagnose import analyze
from heuristics.errors import UnreadableDump
from tests.make.prometheus import counter, gauge, page

pytestmark = pytest.mark.corpus

DUMPS = ("smi", "nsys", "prom")
CONTEXT = ("measurement", "process", "server", "log", "gguf", "vllm_sweep")
"""Kinds that stand beside dumps and are none."""

REFUSED = {"trtllm-serve-metrics.real-excerpt.json": "is the JSON of TensorRT-LLM's /metrics"}
"""Dumps that cannot be read, and why."""

CONFIDENT = 0.80

SHAPES = {
    "opt-1.3b": {"hidden_size": 2048, "ffn_dim": 8192, "num_hidden_layers": 24, "num_attention_heads": 32},
    "opt-2.7b": {"hidden_size": 2560, "ffn_dim": 10240, "num_hidden_layers": 32, "num_attention_heads": 32},
}
GAUGES = ("gpu_cache_usage_perc", "num_requests_running", "num_requests_waiting")
COUNTERS = ("num_preemptions_total", "prompt_tokens_total", "generation_tokens_total")


@pytest.fixture
def listed(corpus: Path) -> list[dict[str, str]]:
    """Rows of the manifest, of the kinds that are tested here."""
    with (corpus / "MANIFEST.tsv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert rows
    return [row | {"path": str(corpus / row["file"])} for row in rows if row["kind"] not in ("ncu", "kineto")]


@cache
def of_file(path: str) -> dict[str, Any]:
    """The whole result of one file."""
    return analyze(path).to_dict()


def verdict(*files: str | Path, **options: Any) -> dict[str, Any]:
    single = len(files) == 1 and not options
    found: dict[str, Any] = (of_file(str(files[0])) if single else analyze(files, **options).to_dict())["verdict"]
    return found


def sure_of(found: dict[str, Any] | None) -> str | None:
    return str(found["regime"]) if found and found["confidence"] >= CONFIDENT else None


def test_every_kind_in_the_manifest_is_tested_somewhere(listed: list[dict[str, str]]) -> None:
    assert {row["kind"] for row in listed} <= {*DUMPS, *CONTEXT}


def test_every_dump_is_read_or_refused_for_a_reason_of_its_own(listed: list[dict[str, str]]) -> None:
    for row in listed:
        path = Path(row["path"])
        if row["kind"] in DUMPS and path.name not in REFUSED:
            found = of_file(str(path))
            assert found["subject"]["files"][0]["kind"], path
            damaged = [w for w in found["warnings"] if "left out" in w or "damaged" in w or "truncated" in w]
            assert damaged == [], path
        elif row["kind"] in DUMPS:
            with pytest.raises(UnreadableDump) as raised:
                analyze(path)
            assert raised.value.reason.startswith(REFUSED[path.name])
            assert raised.value.hint


def test_every_file_of_context_is_refused_or_says_nothing_for_sure(listed: list[dict[str, str]]) -> None:
    refusals: list[UnreadableDump] = []
    for row in listed:
        if row["kind"] in CONTEXT:
            try:
                assert sure_of(verdict(row["path"])) is None, row["file"]
            except UnreadableDump as error:
                refusals.append(error)
    assert len(refusals) > 50
    assert [error.path for error in refusals if not error.hint] == []


def test_a_load_that_is_named_in_the_log_is_not_called_another(listed: list[dict[str, str]]) -> None:
    for row in listed:
        if row["known_regime"] == "load section: compute":
            assert sure_of(verdict(row["path"])) in (None, "compute"), row["file"]
        elif row["known_regime"] == "load section: unknown":
            assert verdict(row["path"])["regime"] == "inconclusive", row["file"]
        elif row["known_regime"].startswith("load section: video encode"):
            found = verdict(row["path"])
            assert found["regime"] != "idle", row["file"]
            assert sure_of(found) is None, row["file"]


def test_no_log_of_utilisation_is_sure_of_memory(listed: list[dict[str, str]]) -> None:
    """The column ``mem`` is a share of time, not of bandwidth."""
    for row in listed:
        if row["kind"] == "smi":
            assert sure_of(verdict(row["path"])) != "memory", row["file"]


def test_invented_numbers_are_never_judged_surely(listed: list[dict[str, str]]) -> None:
    for row in listed:
        if row["values"] in ("INVENTED", "synthetic") and row["kind"] in DUMPS:
            assert sure_of(verdict(row["path"])) is None, row["file"]


def test_a_server_under_load_is_not_idle_between_two_scrapes(corpus: Path) -> None:
    for before, after in (("c1", "c8"), ("c2", "c4")):
        for server in ("llama", "vllm", "vllm300"):
            names = [corpus / "servers" / f"{server}_metrics_load_{load}.txt" for load in (before, after)]
            assert verdict(*names, interval=60.0)["regime"] != "idle", names


# --- a sweep of batch sizes: every run's scrapes and logs together


def scrape(row: dict[str, str]) -> str:
    """A row of the sweep's table of counters, as the server's own text at that moment."""
    at = {"model_name": "opt"}
    levels = [gauge(f"vllm:{name}", (at, float(row[name]))) for name in GAUGES]
    counts = [counter(f"vllm:{name}", (at, float(row[name]))) for name in COUNTERS]
    return page(*levels, *counts, captured_at=str(1.7e9 + float(row["time [s]"])))


def counted(run: Path, folder: Path) -> list[Path]:
    """Two scrapes around the middle three fifths of a run, without its warm-up and its end."""
    with (run / "metrics_engine_server_0.csv").open(encoding="utf-8", newline="") as stream:
        busy = [row for row in csv.DictReader(stream) if float(row["num_requests_running"]) > 0]
    paths = []
    for part in (1, 4):
        path = folder / f"{part}.prom"
        path.write_text(scrape(busy[len(busy) * part // 5]), encoding="utf-8")
        paths.append(path)
    return paths


def shape(run: Path, folder: Path) -> Path:
    config = {"model_type": "opt", "vocab_size": 50272, "torch_dtype": "float16", "tie_word_embeddings": True}
    path = folder / "config.json"
    path.write_text(json.dumps(config | SHAPES[run.parent.name.split("__")[1]]), encoding="utf-8")
    return path


@pytest.fixture
def runs(corpus: Path) -> list[Path]:
    found = sorted({table.parent for table in corpus.glob("smi/vLLM*/*/metrics_engine_server_0.csv")})
    assert len(found) > 10
    return found


def test_no_run_of_a_sweep_is_surely_called_what_it_is_not(runs: list[Path], tmp_path: Path) -> None:
    """Throughput still grows with the batch where it is small, and the plateau is not one of arithmetic."""
    for run in runs:
        scrapes, logs = counted(run, tmp_path), sorted(run.glob("metrics_gpu_device_nvidia_smi_*.csv"))
        assert len(logs) == 2
        for found in (
            verdict(*logs),
            verdict(*scrapes, *logs),
            verdict(*scrapes, *logs, model=shape(run, tmp_path), gpu="H100 SXM5"),
        ):
            assert found["regime"] not in ("compute", "idle"), run
            assert sure_of(found) in (None, "memory"), run


def test_streaming_weights_is_seen_more_clearly_the_smaller_the_batch(runs: list[Path], tmp_path: Path) -> None:
    """More sequences in a step raise the arithmetic of a step, not its weights."""
    shares = [
        verdict(*counted(run, tmp_path), model=shape(run, tmp_path), bandwidth_gb_s=2039, tflops=989)["shares"]
        for run in runs
        if run.parent.name.endswith("opt-1.3b")
    ]
    assert shares[0]["compute"] < shares[-1]["compute"]
    assert shares[0]["memory"] > shares[-1]["memory"]


def test_the_bandwidth_of_a_run_is_that_of_the_board_not_of_its_name(runs: list[Path], tmp_path: Path) -> None:
    for run in runs:
        logs = sorted(run.glob("metrics_gpu_device_nvidia_smi_*.csv"))
        found = analyze([*counted(run, tmp_path), *logs], model=shape(run, tmp_path), gpu="H100 SXM5").to_dict()
        assert found["roofs"]["bandwidth_bytes_per_s"] == pytest.approx(2.04e12, rel=0.01), run
