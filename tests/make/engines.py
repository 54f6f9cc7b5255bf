"""Metrics of serving engines in every generation of their names, with numbers of our own invention.

A ``State`` is how far a server has come; ``State.later`` lets it work for a while. Writers print states the way
an engine does: HELP and TYPE comments, buckets, ``_created`` gauges and families that nobody asks for included.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.make.prometheus import START_S, Labels, Series, counter, family, gauge, histogram


@dataclass(frozen=True, kw_only=True)
class State:
    """Gauges, and counters since the server's start."""

    running: float = 8.0
    waiting: float = 0.0
    kv_usage: float = 0.42
    prompt_tokens: float = 40_000.0
    cached_tokens: float = 0.0
    generation_tokens: float = 200_000.0
    steps: float = 30_000.0
    step_tokens: float = 240_000.0
    step_seconds: float = 600.0
    token_seconds: float = 4_000.0
    token_intervals: float = 190_000.0
    first_seconds: float = 300.0
    firsts: float = 1_000.0
    request_seconds: float = 5_000.0
    preemptions: float = 0.0
    flops: float = 0.0
    read_bytes: float = 0.0
    write_bytes: float = 0.0
    accepted: float = 0.0
    drafts: float = 0.0
    busy_slots: float = 210_000.0

    def later(self, seconds: float, *, step_s: float = 0.02, batch: float = 8.0, **more: float) -> State:
        """After that time of decoding with that batch; ``more`` sets gauges and adds to counters."""
        steps = round(seconds / step_s)
        gauges = {k: v for k, v in more.items() if k in ("running", "waiting", "kv_usage")}
        grown = {
            "generation_tokens": steps * batch,
            "steps": steps,
            "step_tokens": steps * batch,
            "step_seconds": seconds,
            "token_seconds": steps * batch * step_s,
            "token_intervals": steps * batch,
            "busy_slots": steps * batch,
        } | {k: v for k, v in more.items() if k not in gauges}
        return replace(self, **{k: getattr(self, k) + v for k, v in grown.items()}, **gauges)


IDLE = State(running=0.0, kv_usage=0.0)


def vllm(
    *states: State, era: str = "0.33", model: str = "ours/tiny-7b", buckets: bool = True, capacity: int = 100_000
) -> list[str]:
    """vLLM with one state a data-parallel engine. Eras: 0.6 (V0), 0.8, 0.10 (both names of the cache), 0.33."""
    labels = [{"model_name": model} | ({} if era == "0.6" else {"engine": str(n)}) for n in range(len(states))]
    each = list(zip(labels, states, strict=True))
    created = era != "0.6"

    def counted(name: str, field: str) -> list[str]:
        return counter(f"vllm:{name}_total", *((at, getattr(s, field)) for at, s in each), created=created)

    def level(name: str, field: str) -> list[str]:
        return gauge(f"vllm:{name}", *((at, getattr(s, field)) for at, s in each))

    def timed(name: str, total: str, count: str) -> list[str]:
        series = ((at, getattr(s, total), getattr(s, count)) for at, s in each)
        return histogram(f"vllm:{name}", *series, buckets=buckets, created=created)

    lines = level("num_requests_running", "running") + level("num_requests_waiting", "waiting")
    if era != "0.33":
        lines += level("gpu_cache_usage_perc", "kv_usage")
    if era in ("0.10", "0.33"):
        lines += level("kv_cache_usage_perc", "kv_usage")
    if era == "0.6":
        lines += gauge("vllm:gpu_prefix_cache_hit_rate", (labels[0], -1.0))
    for name, field in (("prompt_tokens", "prompt_tokens"), ("generation_tokens", "generation_tokens")):
        lines += counted(name, field)
    lines += timed("iteration_tokens_total", "step_tokens", "steps")
    lines += timed("time_to_first_token_seconds", "first_seconds", "firsts")
    lines += timed("e2e_request_latency_seconds", "request_seconds", "firsts")
    if era != "0.33":
        lines += timed("time_per_output_token_seconds", "token_seconds", "token_intervals")
    if era in ("0.10", "0.33"):
        lines += timed("inter_token_latency_seconds", "token_seconds", "token_intervals")
    lines += counted("num_preemptions", "preemptions")
    if era == "0.8":
        lines += counted("gpu_prefix_cache_hits", "cached_tokens")
    if era in ("0.10", "0.33"):
        lines += counted("prefix_cache_hits", "cached_tokens")
    if era != "0.6":
        lines += counted("spec_decode_num_drafts", "drafts") + counted("spec_decode_num_accepted_tokens", "accepted")
    if era == "0.33":
        lines += counted("estimated_flops_per_gpu", "flops") + counted("estimated_read_bytes_per_gpu", "read_bytes")
        lines += counted("estimated_write_bytes_per_gpu", "write_bytes")
        lines += counted("prompt_tokens_cached", "cached_tokens")
    config = {"block_size": "16", "cache_dtype": "auto", "num_gpu_blocks": str(capacity // 16)}
    if era == "0.33":
        config |= {"kv_cache_size_tokens": str(capacity), "block_size": "128"}
    return lines + gauge("vllm:cache_config_info", *(({**config, **at}, 1.0) for at in labels))


def sglang(*states: State, ranks: int = 0, model: str = "ours/tiny-7b") -> list[str]:
    """SGLang with one state a data-parallel replica; ``ranks`` tensor-parallel ranks repeat the scheduler's series."""
    plain = {"model_name": model}

    def repeated(field: str, more: Labels | None = None, factor: float = 1.0) -> list[tuple[Labels, float]]:
        rows: list[tuple[Labels, float]] = []
        for replica, state in enumerate(states):
            value = getattr(state, field) * factor
            base = {**plain, **({"dp_rank": str(replica)} if len(states) > 1 else {}), **(more or {})}
            first = replica * max(1, ranks)
            rows += [({**base, "tp_rank": str(first + r), "pp_rank": "0"}, value) for r in range(ranks)] or [
                (base, value)
            ]
        return rows

    graphs = repeated("steps", {"mode": "decode_cuda_graph"}, 0.75) + repeated("steps", {"mode": "decode_none"}, 0.25)
    whole = {f: sum(getattr(s, f) for s in states) for f in State.__dataclass_fields__}
    times = [
        histogram(f"sglang:{name}", (plain, whole[total], whole[count]))
        for name, total, count in (
            ("time_to_first_token_seconds", "first_seconds", "firsts"),
            ("inter_token_latency_seconds", "token_seconds", "token_intervals"),
            ("e2e_request_latency_seconds", "request_seconds", "firsts"),
        )
    ]
    return [
        *gauge("sglang:num_running_reqs", *repeated("running")),
        *gauge("sglang:num_queue_reqs", *repeated("waiting")),
        *gauge("sglang:token_usage", *repeated("kv_usage")),
        *gauge("sglang:gen_throughput", *repeated("running", factor=50.0)),
        *gauge("sglang:fwd_occupancy", (plain, "NaN")),
        *gauge("sglang:num_retracted_reqs", *repeated("preemptions")),
        *counter("sglang:num_retracted_requests_total", *repeated("preemptions")),
        *counter(
            "sglang:cuda_graph_passes_total", *graphs, *repeated("steps", {"mode": "prefill_none"}, 0.1), created=True
        ),
        *counter("sglang:prompt_tokens_total", (plain, whole["prompt_tokens"])),
        *counter("sglang:cached_tokens_total", (plain, whole["cached_tokens"])),
        *counter("sglang:generation_tokens_total", (plain, whole["generation_tokens"])),
        *(line for part in times for line in part),
    ]


def tgi(state: State) -> list[str]:
    """TGI: steps and their times by method; no token counter but the requests' sums."""
    decode, prefill = {"method": "decode"}, {"method": "prefill"}
    return [
        *counter("tgi_batch_inference_count", (prefill, state.firsts), (decode, state.steps)),
        *gauge("tgi_batch_current_size", ({}, state.running)),
        *gauge("tgi_queue_size", ({}, state.waiting)),
        *histogram(
            "tgi_batch_inference_duration",
            (prefill, state.firsts, state.firsts),
            (decode, state.step_seconds, state.steps),
        ),
        *histogram("tgi_request_generated_tokens", ({}, state.generation_tokens, state.firsts)),
        *histogram("tgi_request_input_length", ({}, state.prompt_tokens, state.firsts)),
        *family("tgi_request_skipped_tokens", "histogram"),
    ]


def llama_cpp(state: State, *, usage: str | None = None) -> list[str]:
    """llama.cpp's server: no labels, whole numbers plain, the mean batch over the lifetime with six digits."""
    mean = state.busy_slots / state.steps if state.steps else 0.0
    plain: list[Series] = [
        ("prompt_tokens_total", {}, f"{state.prompt_tokens:.0f}"),
        ("tokens_predicted_total", {}, f"{state.generation_tokens:.0f}"),
        ("tokens_predicted_seconds_total", {}, f"{state.token_seconds:g}"),
        ("n_decode_total", {}, f"{state.steps:.0f}"),
        ("spec_decode_num_accepted_tokens_total", {}, f"{state.accepted:.0f}"),
        ("spec_decode_num_drafts_total", {}, f"{state.drafts:.0f}"),
        ("predicted_tokens_seconds", {}, "36.65"),
        ("requests_processing", {}, f"{state.running:.0f}"),
        ("requests_deferred", {}, f"{state.waiting:.0f}"),
        ("n_busy_slots_per_decode", {}, f"{mean:.6g}"),
    ]
    if usage is not None:
        plain.append(("kv_cache_usage_ratio", {}, usage))
    return [
        line
        for name, labels, value in plain
        for line in family(f"llamacpp:{name}", "counter" if name.endswith("_total") else "gauge", ("", labels, value))
    ]


def tensorrt_llm(state: State) -> list[str]:
    """trtllm-serve's Prometheus text."""
    at = {"engine_type": "trtllm", "model_name": "/models/ours/tiny-7b"}
    return [
        *gauge("trtllm_num_requests_running", (at, state.running)),
        *gauge("trtllm_num_requests_waiting", (at, state.waiting)),
        *gauge("trtllm_kv_cache_utilization", (at, state.kv_usage)),
        *counter("trtllm_prompt_tokens_total", (at, state.prompt_tokens), created=True),
        *counter("trtllm_generation_tokens_total", (at, state.generation_tokens), created=True),
        *histogram("trtllm_time_to_first_token_seconds", (at, state.first_seconds, state.firsts)),
        *histogram("trtllm_time_per_output_token_seconds", (at, state.token_seconds, state.token_intervals)),
    ]


def triton(state: State, *, backend: bool = True) -> list[str]:
    """Triton, with the gauges of its TensorRT-LLM backend or with those of any model only."""
    at = {"model": "tensorrt_llm", "version": "1"}
    lines = gauge("nv_inference_pending_request_count", ({"model": "ensemble"}, state.waiting), (at, 0.0))
    if not backend:
        return lines + counter("nv_inference_exec_count", ({"model": "ensemble"}, state.steps))
    requests = {"waiting": 3.0, "max": 512.0, "active": state.running}
    blocks = {"used": 410.0, "max": 1000.0, "fraction": state.kv_usage}
    general = {"iteration_counter": state.steps, "timestamp": START_S}
    return [
        *lines,
        *gauge("nv_trt_llm_request_metrics", *(({"request_type": k, **at}, v) for k, v in requests.items())),
        *gauge(
            "nv_trt_llm_kv_cache_block_metrics", *(({"kv_cache_block_type": k, **at}, v) for k, v in blocks.items())
        ),
        *gauge("nv_trt_llm_general_metrics", *(({"general_type": k, **at}, v) for k, v in general.items())),
        *family(
            "nv_inference_request_summary_us", "summary", ("_count", at, 3.0), ("", {**at, "quantile": "0.5"}, 9.0)
        ),
    ]


def lmdeploy(state: State) -> list[str]:
    """LMDeploy."""
    at = {"model_name": "ours/tiny-7b", "engine": "0"}
    return [
        *gauge("lmdeploy:num_requests_running", (at, state.running)),
        *gauge("lmdeploy:num_requests_waiting", (at, state.waiting)),
        *gauge("lmdeploy:gpu_cache_usage_perc", (at, state.kv_usage)),
        *counter("lmdeploy:prompt_tokens_total", (at, state.prompt_tokens)),
        *counter("lmdeploy:generation_tokens_total", (at, state.generation_tokens)),
        *histogram("lmdeploy:iteration_tokens_total", (at, state.step_tokens, state.steps)),
        *histogram("lmdeploy:time_per_output_token_seconds", (at, state.token_seconds, state.token_intervals)),
    ]


def lightllm(state: State) -> list[str]:
    """LightLLM: no steps at all."""
    return [
        *gauge("lightllm_num_running_reqs", ({}, state.running)),
        *gauge("lightllm_queue_size", ({}, state.waiting)),
        *gauge("lightllm_gen_throughput", ({}, 50.0 * state.running)),
        *counter("lightllm_prompt_tokens_total", ({}, state.prompt_tokens)),
        *counter("lightllm_generation_tokens_total", ({}, state.generation_tokens)),
    ]


def dynamo(state: State) -> list[str]:
    """Dynamo's front end, which writes the model's name in two cases."""
    at = {"model": "ours/tiny-7b"}
    return [
        *gauge("dynamo_frontend_model_context_length", ({"model": "Ours/Tiny-7B"}, 40960.0)),
        *gauge("dynamo_frontend_inflight_requests", (at, state.running)),
        *gauge("dynamo_frontend_queued_requests", (at, state.waiting)),
        *counter("dynamo_frontend_output_tokens_total", (at, state.generation_tokens)),
        *histogram("dynamo_frontend_inter_token_latency_seconds", (at, state.token_seconds, state.token_intervals)),
        *histogram("dynamo_frontend_time_to_first_token_seconds", (at, state.first_seconds, state.firsts)),
    ]
