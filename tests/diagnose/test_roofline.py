"""``roofline``: the source note's numbers asked as its readers would, verdicts from a speed, and wrong arguments.

Rows are numbered as in docs/corrections.md.
"""

from __future__ import annotations

import io
import json
import re
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import diagnose
from diagnose import DiagnoseError, Measurements, Result, UnreadableDump, roofline
from diagnose.cli import main
from reports import as_markdown, as_text
from tests.diagnose.outcomes import outcome
from tests.golden_files import compare, settled
from tests.reports.contract import VERDICT_JSON

SAMPLE = Path(diagnose.__file__).parent / "samples" / "vllm_cpu_decode"
LLAMA_8B: dict[str, Any] = {
    "layers": 32,
    "heads": 32,
    "kv_heads": 8,
    "head_dim": 128,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "vocab_size": 128256,
}
ATTENTION_8B = {name: LLAMA_8B[name] for name in ("layers", "heads", "kv_heads", "head_dim")}
ATTENTION_70B: dict[str, Any] = {"layers": 80, "heads": 64, "kv_heads": 8, "head_dim": 128}
SHAPE_8B = " ".join(f"--{name.replace('_', '-')} {size}" for name, size in LLAMA_8B.items())
GEMM = "4096x4096"


def asked(**options: Any) -> Result:
    found = roofline(**options)
    assert isinstance(found, Result)
    return found


def numbers(**options: Any) -> dict[str, Any]:
    found: dict[str, Any] = asked(**options).to_dict()["roofline"]
    return found


def crossover(**options: Any) -> float:
    return float(numbers(**options)["crossover"]["step"]["batch"])


def command(*arguments: object) -> tuple[object, str, str]:
    out, err = io.StringIO(), io.StringIO()
    before, code = sys.argv, 0
    sys.argv = ["diagnose", "roofline", *map(str, arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as stopped:
        code = stopped.code  # type: ignore[assignment]
    finally:
        sys.argv = before
    return code, out.getvalue(), err.getvalue()


def intensity(**options: Any) -> float:
    return float(numbers(**options)["intensity_flops_per_byte"])


@pytest.mark.parametrize(("batch", "expected"), [(1, 1.0), (64, 62), (256, 228), (512, 410)])
def test_1_2_3_11_intensity_of_a_linear_layer(batch: int, expected: float) -> None:
    assert intensity(gpu="H100", linear=GEMM, batch=batch) == pytest.approx(expected, rel=0.003)


@pytest.mark.parametrize(
    ("gpu", "more", "leading", "exact"),
    [
        ("A100", {}, 153, 165),
        ("H100", {}, 295, 345),
        ("H200", {}, 206, 229),
        ("B200", {"bandwidth_gb_s": 8000}, 281, 326),
    ],
)
def test_4_7_crossover_batches(gpu: str, more: dict[str, Any], leading: float, exact: float) -> None:
    assert crossover(gpu=gpu, linear=GEMM, **more) == pytest.approx(exact, abs=0.6)
    assert crossover(gpu=gpu, params=7e9, **more) == pytest.approx(leading, abs=0.6)


@pytest.mark.parametrize(("size", "expected"), [(4096, 1024), (8192, 1365)])
def test_5_prefill_of_2048_tokens(size: int, expected: float) -> None:
    found = intensity(gpu="H100", linear=f"{size}x{size}", phase="prefill", context=2048)
    assert found == pytest.approx(expected, abs=1)


def test_6_seven_billion_parameters_on_an_h100() -> None:
    found = numbers(gpu="H100", params="7B")
    assert found["at_roof"]["tokens_per_s"] == pytest.approx(239.3, abs=0.05)
    assert found["at_roof"]["step_s"] == pytest.approx(4.18e-3, abs=1e-5)


@pytest.mark.parametrize(
    ("gpu", "ridge", "used"),
    [
        ("P100", 29, 0.0345),
        ("V100", 139, 0.0072),
        ("A100", 153, 0.0065),
        ("H100", 295, 0.0034),
        ("H200", 206, 0.0049),
        ("B200", 292, 0.0034),
        ("H20", 37, 0.027),
        ("RTX 3090", 76, 0.0132),
    ],
)
def test_8_12_19_ridges_and_compute_used_at_batch_one(gpu: str, ridge: float, used: float) -> None:
    found = asked(gpu=gpu, params=7e9).to_dict()
    assert found["roofs"]["ridge_flops_per_byte"] == pytest.approx(ridge, abs=0.6)
    assert found["roofline"]["compute_fraction"] == pytest.approx(used, abs=1e-4)


@pytest.mark.parametrize(("context", "stored"), [(4096, 1.34e9), (32768, 10.7e9)])
def test_13_cache_of_seventy_billion_parameters(context: int, stored: float) -> None:
    found = numbers(gpu="H200", params=70e9, **ATTENTION_70B, context=context)
    assert found["kv_bytes_per_token"] * context == pytest.approx(stored, rel=0.005)
    assert found["weight_bytes_per_step"] == 140e9


@pytest.mark.parametrize(("context", "expected"), [(512, 1.01), (4096, 1.10), (32768, 1.63)])
def test_15_intensity_at_batch_one_rises_with_context(context: int, expected: float) -> None:
    found = intensity(gpu="H100", params=8.03e9, **ATTENTION_8B, context=context)
    assert found == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize(("context", "limit"), [(512, 242), (4096, 34), (32768, 7.7)])
def test_16_the_cache_keeps_the_whole_step_memory_bound(context: int, limit: float) -> None:
    found = asked(gpu="H100", params=8.03e9, **ATTENTION_8B, context=context).to_dict()
    assert found["headroom"]["batch_crossover"] is None
    step = found["roofline"]["crossover"]["step"]
    assert found["headroom"]["batch_crossover_reason"] == step["reason"]
    assert step["batch"] is None
    assert "never" in step["reason"]
    assert "KV cache" in step["reason"]
    stated = re.search(r"at ([\d.]+) FLOP/byte at most", step["reason"])
    assert stated is not None
    assert float(stated[1]) == pytest.approx(limit, rel=0.01)


def test_16_what_80_gb_hold() -> None:
    assert numbers(gpu="H100", **LLAMA_8B, context=4096)["fitting_batch"] == {"batch": 119, "reason": None}


@pytest.mark.parametrize(("batch", "context"), [(1, 122_070), (32, 3_815)])
def test_18_context_at_which_the_cache_equals_the_weights(batch: int, context: float) -> None:
    found = numbers(gpu="H100", params=8e9, **ATTENTION_8B, batch=batch)
    assert found["kv_equals_weights_context_tokens"] == pytest.approx(context, abs=1)


def test_31_int4_weights_cross_at_a_quarter() -> None:
    assert crossover(gpu="H100", params=7e9, weight_bits=4) == pytest.approx(74, abs=0.3)
    assert intensity(gpu="H100", linear=GEMM, weight_bits=4) == pytest.approx(4.0, rel=0.01)
    widths = numbers(gpu="H100", params=7e9)["crossover"]["linear_layers"]
    assert {(w["dtype"], w["weight_bits"]): round(w["batch"]) for w in widths} == {
        ("bf16", 16): 295,
        ("bf16", 8): 148,
        ("bf16", 4): 74,
        ("fp8", 8): 295,
        ("fp8", 4): 148,
    }


def test_32_attention_has_the_intensity_of_its_groups() -> None:
    found = asked(gpu="H100", **LLAMA_8B, context=100_000).to_dict()["operations"]
    attention = next(op for op in found if op["name"] == "attention")
    assert attention["intensity"] == pytest.approx(4.0, rel=0.01)


def test_35_37_38_two_devices_and_their_prices() -> None:
    prices = ["H100=2.5", "H200=3.5"]
    found = asked(gpu=["H100", "H200"], params=7e9, price=prices).to_dict()["candidates"]
    assert [c["gpu"] for c in found] == ["H200 SXM", "H100 SXM5"]
    assert [c["at_roof"]["tokens_per_s"] for c in found] == pytest.approx([342.9, 239.3], abs=0.05)
    per_dollar = [1e6 / c["at_roof"]["usd_per_million_tokens"] for c in found]
    assert per_dollar == pytest.approx([352.7e3, 344.6e3], rel=1e-3)
    assert [c["rank_by_cost"] for c in found] == [1, 2]
    fast, slow = asked(gpu=["H100", "H200"], params=7e9, batch=211).to_dict()["candidates"]
    assert slow["at_roof"]["step_s"] / fast["at_roof"]["step_s"] == pytest.approx(1.40, abs=0.005)


def test_36_bound_by_arithmetic_both_come_to_the_same() -> None:
    found = asked(gpu=["H100", "H200"], params=7e9, batch=1000, price=["H100=2.5", "H200=3.5"]).to_dict()["candidates"]
    assert [c["at_roof"]["tokens_per_s"] for c in found] == pytest.approx([70_671] * 2, rel=1e-4)
    cost = {c["gpu"]: 1e6 / c["at_roof"]["usd_per_million_tokens"] for c in found}
    assert cost["H100 SXM5"] == pytest.approx(1.018e8, rel=1e-3)
    assert cost["H200 SXM"] == pytest.approx(7.27e7, rel=1e-3)


def test_the_order_of_devices_changes_no_answer() -> None:
    there, back = (asked(gpu=names, params=7e9).to_dict() for names in (["H100", "A100"], ["A100", "H100"]))
    assert {**there, "created_at": ""} == {**back, "created_at": ""}


@pytest.mark.parametrize(
    ("options", "regime", "cause"),
    [
        ({"params": 7e9, "tokens_per_s": 200}, "memory", "weights"),
        ({"params": 7e9, "step_ms": 5}, "memory", "weights"),
        ({"params": 7e9, "tokens_per_s": 10}, "latency", None),
        ({"linear": GEMM, "batch": 4096, "step_ms": 0.2}, "compute", "tensor"),
        ({"flops": 2e12, "bytes": 1e9, "step_ms": 3}, "compute", "tensor"),
        ({**LLAMA_8B, "batch": 64, "context": 8192, "step_ms": 32}, "memory", "kv_cache"),
        ({**LLAMA_8B, "phase": "prefill", "context": 8192, "step_ms": 220}, "compute", "tensor"),
    ],
)
def test_the_verdict_from_a_speed(options: dict[str, Any], regime: str, cause: str | None) -> None:
    found = asked(gpu="H100", **options).to_dict()
    assert (found["verdict"]["regime"], found["verdict"]["cause"]) == (regime, cause)
    assert found["subject"]["kind"] == "numbers"


@pytest.mark.parametrize(
    "options",
    [
        {"params": 7e9, "tokens_per_s": 600},
        {"params": 7e9, "tokens_per_s": 246},
        {"params": 47e9, "tensor_parallel": 2, "tokens_per_s": 250},
        {"linear": GEMM, "batch": 8192, "step_ms": 0.2},
        {**LLAMA_8B, "batch": 64, "context": 2048, "tokens_per_s": 9000},
        {**LLAMA_8B, "phase": "prefill", "context": 8192, "step_ms": 140},
        {"flops": 1e12, "bytes": 3e9, "step_ms": 0.8},
    ],
)
def test_what_cannot_be_is_never_a_confident_label(options: dict[str, Any]) -> None:
    found = asked(gpu="H100", **options).to_dict()
    assert found["verdict"]["regime"] == "inconclusive"
    assert found["next_measurement"].startswith("check the inputs")
    said = next(w for w in found["warnings"] if "cannot be" in w)
    for mistake in ("speculative decoding", "experts", "variant of the GPU", "rate of steps"):
        assert mistake in said


def test_two_fifths_of_what_is_achievable_is_not_a_confident_label() -> None:
    verdict = asked(gpu="H100", params=7e9, tokens_per_s=81).to_dict()["verdict"]
    assert verdict["confidence"] < 0.85


def test_tokens_and_step_time_say_the_same() -> None:
    one = asked(gpu="H100", params=7e9, batch=32, tokens_per_s=6400).to_dict()
    other = asked(gpu="H100", params=7e9, batch=32, step_ms=5).to_dict()
    assert one["verdict"] == other["verdict"]
    assert one["measured"] == other["measured"]


def test_narrow_weights_and_other_warnings() -> None:
    said = asked(gpu="H100", params="70B", weight_bits=4, batch=512).to_dict()["warnings"]
    assert any("unpacked" in w for w in said)
    said = asked(gpu="A100", params="8B", dtype="fp8").to_dict()["warnings"]
    assert any("no fp8 units" in w for w in said)
    said = asked(gpu="T4", params="70B").to_dict()["warnings"]
    assert any("does not fit" in w for w in said)


def test_own_roofs_need_no_part() -> None:
    found = asked(bandwidth_gb_s=24.6, tflops=0.18, dtype="fp32", model=SAMPLE / "config.json").to_dict()
    assert found["roofs"]["ridge_flops_per_byte"] == pytest.approx(7.32, abs=0.01)
    assert found["verdict"] is None
    assert found["roofline"]["gpu"] is None


WHOLE: dict[str, dict[str, Any]] = {
    "numbers_model": {"gpu": "H100", **LLAMA_8B, "batch": 32, "context": 4096},
    "numbers_speed": {"gpu": "H100", "params": 7e9, "tokens_per_s": 200},
    "numbers_impossible": {"gpu": "H100", "params": 7e9, "tokens_per_s": 600},
    "numbers_layer": {"gpu": "H100", "linear": GEMM},
    "numbers_prices": {"gpu": ["H100", "H200"], "params": 7e9, "price": ["H100=2.5", "H200=3.5"]},
    "numbers_prefill": {"gpu": "A100", **LLAMA_8B, "phase": "prefill", "context": 2048, "step_ms": 120},
}


@pytest.mark.parametrize("suffix", ["txt", "json", "md"])
@pytest.mark.parametrize("name", WHOLE)
def test_the_whole_report(name: str, suffix: str) -> None:
    compare(name, suffix, settled(asked(**WHOLE[name])))


@pytest.mark.parametrize("name", WHOLE)
def test_the_contract(name: str) -> None:
    found = asked(**WHOLE[name]).to_dict()
    jsonschema.Draft202012Validator(VERDICT_JSON).validate(json.loads(json.dumps(found, allow_nan=False)))
    assert sum(op["time_share"] for op in found["operations"]) == pytest.approx(1.0, abs=1e-4)
    assert (found["verdict"] is None) is (not {"step_ms", "tokens_per_s"} & set(WHOLE[name]))


@pytest.mark.parametrize("width", [20, 50, 80, 100, 300])
@pytest.mark.parametrize("name", WHOLE)
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    text = as_text.render(asked(**WHOLE[name]).diagnosis, width=width)
    longest = max(text.splitlines(), key=len)
    assert len(longest) <= max(50, min(width, 100)), longest


def test_markdown_has_a_heading_and_fences() -> None:
    text = as_markdown.render(asked(**WHOLE["numbers_model"]).diagnosis)
    assert text.startswith("## Decode would be memory-bound")
    assert text.count("```") % 2 == 0


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ("--gpu H100", "nothing says what a step does"),
        ("--params 8B", "roofs are not known"),
        ("--params 8B --tflops 100", "roofs are not known"),
        ("--gpu H1000 --params 8B", "no GPU named"),
        ("--gpu H100 --params lots", "params must be a number"),
        ("--gpu H100 --params 0", "params must be positive"),
        ("--gpu H100 --params 8B --batch 0", "batch must be positive"),
        ("--gpu H100 --params 8B --batch nan", "batch must be positive"),
        ("--gpu H100 --params 8B --head-bits 8", "head of its own width"),
        ("--gpu H100 --model {sample} --weight-bits 100", "weight-bits must be 64 at most"),
        ("--gpu H100 --model {sample} --tensor-parallel 5", "cannot be split over 5 devices"),
        ("--gpu H100 --params 8X", "params must be a number"),
        (
            "--gpu H100 --layers 2 --heads 30 --kv-heads 8 --hidden-size 64 --intermediate-size 64 --vocab-size 64",
            "cannot share 8 KV heads",
        ),
        ("--gpu H100 --params 8B --batch 1e300", "batch must be between"),
        ("--gpu H100 --gpu H200 --params 8B --layers 1e300 --kv-heads 8 --head-dim 128", "layers must be between"),
        (f"--gpu H100 {SHAPE_8B.replace('14336', '1e300')}", "intermediate-size must be between"),
        ("--gpu H100 --params 8B --weight-bits 1e300", "weight-bits must be between"),
        ("--gpu H100 --params 8B --step-ms 1e300", "step-ms must be between"),
        ("--gpu H100 --params 8B --tflops 1e-300", "tflops must be between"),
        ("--gpu H100 --flops 1e12 --bytes 1e300", "bytes must be between"),
        ("--gpu H100 --params 8B --price H100=1e300", "price must be between"),
        ("--gpu H100 --params 8B --context -1", "context must be positive"),
        ("--gpu H100 --params 8B --phase warmup", "no phase named"),
        ("--gpu H100 --params 8B --phase prefill", "prompt's length"),
        ("--gpu H100 --params 8B --dtype bf17", "no arithmetic type"),
        ("--gpu H100 --params 8B --layers 32", "KV cache needs"),
        ("--gpu H100 --params 8B --experts 8", "mixture needs"),
        ("--gpu H100 --params 8B --experts 8 --experts-per-token 9", "mixture needs"),
        ("--gpu H100 --params 8B --experts 8 --experts-per-token 2", "need --active-params"),
        ("--gpu H100 --params 8B --active-params 9B", "more parameters are active"),
        ("--gpu H100 --params 8B --linear 64x64", "state the work twice"),
        ("--gpu H100 --linear 64by64", "no layer's size"),
        ("--gpu H100 --linear 0x64", "no layer's size"),
        ("--gpu H100 --flops 1e12", "both --flops and --bytes"),
        ("--gpu H100 --linear 64x64 --tokens-per-s 5", "makes no tokens"),
        ("--gpu H100 --params 8B --tokens-per-s 5 --step-ms 5", "the speed twice"),
        ("--gpu H100 --gpu A100 --params 8B --step-ms 5", "measured on one device"),
        ("--gpu H100 --gpu A100 --params 8B --tflops 5", "several are named"),
        ("--gpu H100 --params 8B --price 2.5", "no price"),
        ("--gpu H100 --params 8B --price A100=2.5", "not asked about"),
        ("--gpu H100 --params 8B --price H100=free", "price must be a number"),
        ("--gpu H100 --layers 32 --heads 32", "shape lacks --hidden-size"),
        ("--gpu H100 --model nowhere", "nowhere"),
        ("--gpu H100 --model {sample} --layers 3", "states the shape already"),
        ("--gpu H100 --csv nowhere.csv", "No such file"),
        ("--gpu H100 --csv x.csv --price H100=2", "prices rank devices"),
    ],
)
def test_mistakes_are_told_in_two_lines_with_exit_code_2(arguments: str, wrong: str) -> None:
    told = outcome(*command(*arguments.format(sample=SAMPLE / "config.json").split(), "--format", "json"))
    assert told.result is None
    assert wrong in told.wrong
    assert told.hint


@pytest.mark.parametrize("usd", ["0", "free", "1e300"])
def test_the_hint_at_a_price_is_itself_taken(usd: str) -> None:
    told = outcome(*command("--gpu", "H100 PCIe", "--params", "8B", "--price", f"H100 PCIe={usd}", "--format", "json"))
    price = re.fullmatch(r"--price '(.+)', for example", told.hint)
    assert price is not None
    assert asked(gpu="H100 PCIe", params="8B", price=price[1]).diagnosis.candidates


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(LLAMA_8B)), st.sampled_from([1e-18, 1, 1e18, 1e19, 1e300, 10**400])),
    st.sampled_from(["1e-18", "1", "1e18"]),
)
def test_extreme_shapes_are_refused_or_answered_with_finite_numbers(sizes: dict[str, Any], speed: str) -> None:
    with suppress(DiagnoseError):
        found = asked(gpu="H100", **{**LLAMA_8B, **sizes}, batch=sizes.get("layers", 1), step_ms=speed)
        json.dumps(found.to_dict(), allow_nan=False)
        assert str(found)


def test_the_command_and_the_facade_are_one() -> None:
    code, out, err = command("--gpu", "H100", "--params", "7B", "--tokens-per-s", "200", "--format", "json")
    found = outcome(code, out, err).result
    assert found is not None
    assert found["verdict"] == asked(gpu="H100", params="7B", tokens_per_s=200).to_dict()["verdict"]


TABLE = """label,GPU,params,batch,--tokens-per-s,remark
fast,H100,7B,1,200,as published
unknown,H999,7B,1,200,

slow,A100,7B,1,10,
nothing,H100,7B,1,,
"usual part",,7B,1,200,
"""


def table(tmp_path: Path, text: str = TABLE) -> Path:
    path = tmp_path / "m.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_of_measurements_is_judged_row_by_row(tmp_path: Path) -> None:
    found = roofline(csv=table(tmp_path), gpu="H100")
    assert isinstance(found, Measurements)
    assert [line.number for line in found.lines] == [2, 3, 5, 6, 7]
    skipped = {line.label: line.skipped for line in found.lines if line.skipped}
    assert "H999" in (skipped["unknown"] or "")
    assert "no tokens_per_s" in (skipped["nothing"] or "")
    frame = found.to_frame()
    assert list(frame["regime"]) == ["memory", "latency", "memory"]
    assert [row["label"] for row in found.to_dict()["verdicts"]] == ["fast", "slow", "usual part"]
    assert "remark" in found.warnings[0]


def test_a_table_prints_a_line_a_measurement(tmp_path: Path) -> None:
    code, out, err = command("--csv", table(tmp_path), "--gpu", "H100")
    assert code == 0
    assert len(out.splitlines()) == 5
    assert "line 3: no GPU named 'H999' in the table; skipped" in err
    code, out, _ = command("--csv", table(tmp_path), "--gpu", "H100", "--format", "json")
    assert [json.loads(line)["verdict"]["regime"] for line in out.splitlines()] == ["memory", "latency", "memory"]


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_a_table_cannot_steer_the_terminal(form: str, tmp_path: Path) -> None:
    hostile = "\x1b[31m\x07\x9b\u202e"
    rows = [
        f"label,gpu,params,batch,step_ms,{hostile}",
        f"{hostile}a,H100,7B,1,9,1",
        f"{hostile}b,H100,7B,1,,",
        f"{hostile}c,H100,{hostile},1,9,",
    ]
    code, out, err = command("--csv", table(tmp_path, "\n".join(rows)), "--format", form)
    assert code == 0
    assert "[31m" in out
    assert all(c.isprintable() or c == "\n" for c in out + err)
    code, _, err = command("--csv", table(tmp_path, "gpu,model,step_ms\nH100,\x1b[31m,9\n"))
    assert code == 2
    assert all(c.isprintable() or c == "\n" for c in err)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "gpu,params\n", "gpu,params\nH100,7B\n", "gpu\0,params\n1\n"])
def test_a_table_without_a_usable_row_is_an_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableDump):
        roofline(csv=table(tmp_path, text))
    (tmp_path / "m.csv").write_bytes(b"\xff\xfe\x00gpu")
    with pytest.raises(DiagnoseError):
        roofline(csv=tmp_path / "m.csv")


def test_a_row_without_its_batch_is_no_measurement_at_batch_1(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("gpu,params,batch,tokens_per_s\nH100,7B,8,1300\nH100,7B,,33\n", encoding="utf-8")
    found = roofline(csv=table)
    assert isinstance(found, Measurements)
    assert [line.skipped for line in found.lines] == [None, "no batch, in a table of batches"]
    assert "| line 3 |" in found.to_markdown()
    stated = roofline(csv=table, batch=1)
    assert isinstance(stated, Measurements)
    assert [line.skipped for line in stated.lines] == [None, None]
