"""Which metric of which engine states which concept, in every generation of its names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from collectors.engines import llama_cpp
from collectors.engines.concepts import Concept, Readings
from collectors.engines.slots import LIVE_TOKENS, SLOTS_CONTEXT, SLOTS_RUNNING, SLOTS_STEPS

C = Concept


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One engine. ``metrics``: for each concept the names to try, newest first, with the labels a series must have."""

    name: str
    prefixes: tuple[str, ...]
    metrics: Mapping[Concept, tuple[str, ...]]
    labels: Mapping[Concept, Mapping[str, str]] = field(default_factory=dict)
    ranks: bool = False
    """Series may carry tp_rank and pp_rank; only the first rank's count, the others repeat it."""
    stale_when_idle: bool = False
    """Gauges keep their last value while there is no work: requests that seem to run may have ended."""
    late_gauges: bool = False
    """Gauges are renewed when a request ends: without that they say nothing at all."""
    late_tokens: frozenset[str] = frozenset()
    """Counters of generated tokens that move only when a request ends, and then by all of its tokens."""
    habit: Callable[[Readings, Readings | None], tuple[Readings, Readings | None]] | None = None
    """What must be done to (later, earlier) readings that mean something peculiar."""


VLLM = Engine(
    name="vLLM",
    prefixes=("vllm:",),
    metrics={
        C.RUNNING: ("vllm:num_requests_running",),
        C.WAITING: ("vllm:num_requests_waiting",),
        C.KV_USAGE: ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
        C.PROMPT_TOKENS: ("vllm:prompt_tokens_total",),
        C.CACHED_PROMPT_TOKENS: (
            "vllm:prompt_tokens_cached_total",
            "vllm:prefix_cache_hits_total",
            "vllm:prefix_cache_hits",
            "vllm:gpu_prefix_cache_hits_total",
        ),
        C.REQUEST_SECONDS: ("vllm:e2e_request_latency_seconds_sum",),
        C.REQUESTS: ("vllm:e2e_request_latency_seconds_count",),
        C.GENERATION_TOKENS: ("vllm:generation_tokens_total",),
        C.STEPS: ("vllm:iteration_tokens_total_count",),
        C.STEP_TOKENS: ("vllm:iteration_tokens_total_sum",),
        C.TOKEN_LATENCY_SUM: ("vllm:inter_token_latency_seconds_sum", "vllm:time_per_output_token_seconds_sum"),
        C.TOKEN_LATENCY_COUNT: ("vllm:inter_token_latency_seconds_count", "vllm:time_per_output_token_seconds_count"),
        C.FIRST_TOKEN_SUM: ("vllm:time_to_first_token_seconds_sum",),
        C.FIRST_TOKEN_COUNT: ("vllm:time_to_first_token_seconds_count",),
        C.PREEMPTIONS: ("vllm:num_preemptions_total",),
        C.FLOPS: ("vllm:estimated_flops_per_gpu_total",),
        C.READ_BYTES: ("vllm:estimated_read_bytes_per_gpu_total",),
        C.WRITE_BYTES: ("vllm:estimated_write_bytes_per_gpu_total",),
        C.ACCEPTED: ("vllm:spec_decode_num_accepted_tokens_total",),
        C.DRAFTS: ("vllm:spec_decode_num_drafts_total",),
    },
)

SGLANG = Engine(
    name="SGLang",
    prefixes=("sglang:",),
    stale_when_idle=True,
    ranks=True,
    metrics={
        C.RUNNING: ("sglang:num_running_reqs",),
        C.WAITING: ("sglang:num_queue_reqs",),
        C.KV_USAGE: ("sglang:token_usage",),
        C.KV_CAPACITY_TOKENS: ("sglang:max_total_num_tokens",),
        C.PROMPT_TOKENS: ("sglang:prompt_tokens_total",),
        C.CACHED_PROMPT_TOKENS: ("sglang:cached_tokens_total",),
        C.REQUEST_SECONDS: ("sglang:e2e_request_latency_seconds_sum",),
        C.REQUESTS: ("sglang:e2e_request_latency_seconds_count",),
        C.GENERATION_TOKENS: ("sglang:realtime_tokens_total", "sglang:generation_tokens_total"),
        C.STEPS: ("sglang:cuda_graph_passes_total",),
        C.TOKEN_RATE: ("sglang:gen_throughput",),
        C.TOKEN_LATENCY_SUM: ("sglang:inter_token_latency_seconds_sum", "sglang:time_per_output_token_seconds_sum"),
        C.TOKEN_LATENCY_COUNT: (
            "sglang:inter_token_latency_seconds_count",
            "sglang:time_per_output_token_seconds_count",
        ),
        C.FIRST_TOKEN_SUM: ("sglang:time_to_first_token_seconds_sum",),
        C.FIRST_TOKEN_COUNT: ("sglang:time_to_first_token_seconds_count",),
        C.PREEMPTIONS: ("sglang:num_retracted_requests_total",),
        C.FLOPS: ("sglang:estimated_flops_per_gpu_total",),
        C.READ_BYTES: ("sglang:estimated_read_bytes_per_gpu_total",),
        C.WRITE_BYTES: ("sglang:estimated_write_bytes_per_gpu_total",),
    },
    labels={C.STEPS: {"mode": "decode"}, C.GENERATION_TOKENS: {"mode": "decode"}},
    late_tokens=frozenset({"sglang:generation_tokens_total"}),
)

TGI = Engine(
    name="TGI",
    prefixes=("tgi_",),
    metrics={
        C.RUNNING: ("tgi_batch_current_size",),
        C.WAITING: ("tgi_queue_size",),
        C.STEPS: ("tgi_batch_inference_count",),
        C.STEP_TIME_SUM: ("tgi_batch_inference_duration_sum",),
        C.STEP_TIME_COUNT: ("tgi_batch_inference_duration_count",),
        C.GENERATION_TOKENS: ("tgi_request_generated_tokens_sum",),
        C.REQUESTS: ("tgi_request_generated_tokens_count",),
        C.PROMPT_TOKENS: ("tgi_request_input_length_sum",),
        C.TOKEN_LATENCY_SUM: ("tgi_request_mean_time_per_token_duration_sum",),
        C.TOKEN_LATENCY_COUNT: ("tgi_request_mean_time_per_token_duration_count",),
    },
    labels={
        C.STEPS: {"method": "decode"},
        C.STEP_TIME_SUM: {"method": "decode"},
        C.STEP_TIME_COUNT: {"method": "decode"},
    },
    late_tokens=frozenset({"tgi_request_generated_tokens_sum"}),
)

LLAMA_CPP = Engine(
    name="llama.cpp",
    prefixes=("llamacpp:", "llamacpp_slots:"),
    metrics={
        C.RUNNING: ("llamacpp:requests_processing", SLOTS_RUNNING),
        C.WAITING: ("llamacpp:requests_deferred",),
        C.KV_USAGE: ("llamacpp:kv_cache_usage_ratio",),
        C.STEPS: ("llamacpp:n_decode_total", SLOTS_STEPS),
        C.MEAN_BATCH: ("llamacpp:n_busy_slots_per_decode",),
        C.PROMPT_TOKENS: ("llamacpp:prompt_tokens_total",),
        C.GENERATION_TOKENS: ("llamacpp:tokens_predicted_total",),
        C.LIVE_TOKENS: (LIVE_TOKENS,),
        C.CONTEXT_TOKENS: (SLOTS_CONTEXT,),
        C.PREFILL_SECONDS: ("llamacpp:prompt_seconds_total",),
        C.DECODE_SECONDS: ("llamacpp:tokens_predicted_seconds_total",),
        C.ACCEPTED: ("llamacpp:spec_decode_num_accepted_tokens_total",),
        C.DRAFTS: ("llamacpp:spec_decode_num_drafts_total",),
    },
    habit=llama_cpp.pair,
)

TENSORRT_LLM = Engine(
    name="TensorRT-LLM",
    prefixes=("trtllm_",),
    late_gauges=True,
    metrics={
        C.RUNNING: ("trtllm_num_requests_running",),
        C.WAITING: ("trtllm_num_requests_waiting",),
        C.KV_USAGE: ("trtllm_kv_cache_utilization",),
        C.PROMPT_TOKENS: ("trtllm_prompt_tokens_total",),
        C.GENERATION_TOKENS: ("trtllm_generation_tokens_total",),
        C.TOKEN_LATENCY_SUM: ("trtllm_time_per_output_token_seconds_sum",),
        C.TOKEN_LATENCY_COUNT: ("trtllm_time_per_output_token_seconds_count",),
        C.FIRST_TOKEN_SUM: ("trtllm_time_to_first_token_seconds_sum",),
        C.FIRST_TOKEN_COUNT: ("trtllm_time_to_first_token_seconds_count",),
    },
)

TRITON = Engine(
    name="Triton",
    prefixes=("nv_trt_llm_", "nv_inference_"),
    metrics={
        C.RUNNING: ("nv_trt_llm_request_metrics",),
        C.WAITING: ("nv_inference_pending_request_count",),
        C.KV_USAGE: ("nv_trt_llm_kv_cache_block_metrics",),
        C.STEPS: ("nv_trt_llm_general_metrics", "nv_inference_exec_count"),
    },
    labels={
        C.RUNNING: {"request_type": "active"},
        C.KV_USAGE: {"kv_cache_block_type": "fraction"},
        C.STEPS: {"general_type": "iteration_counter"},
    },
)

LMDEPLOY = Engine(
    name="LMDeploy",
    prefixes=("lmdeploy:",),
    metrics={
        C.RUNNING: ("lmdeploy:num_requests_running",),
        C.WAITING: ("lmdeploy:num_requests_waiting",),
        C.KV_USAGE: ("lmdeploy:gpu_cache_usage_perc",),
        C.PROMPT_TOKENS: ("lmdeploy:prompt_tokens_total",),
        C.GENERATION_TOKENS: ("lmdeploy:generation_tokens_total",),
        C.STEPS: ("lmdeploy:iteration_tokens_total_count",),
        C.STEP_TOKENS: ("lmdeploy:iteration_tokens_total_sum",),
        C.TOKEN_LATENCY_SUM: ("lmdeploy:time_per_output_token_seconds_sum",),
        C.TOKEN_LATENCY_COUNT: ("lmdeploy:time_per_output_token_seconds_count",),
    },
)

LIGHTLLM = Engine(
    name="LightLLM",
    prefixes=("lightllm_",),
    metrics={
        C.RUNNING: ("lightllm_num_running_reqs", "lightllm_batch_current_size"),
        C.WAITING: ("lightllm_queue_size",),
        C.PROMPT_TOKENS: ("lightllm_prompt_tokens_total",),
        C.GENERATION_TOKENS: ("lightllm_generation_tokens_total",),
        C.TOKEN_RATE: ("lightllm_gen_throughput",),
    },
)

DYNAMO = Engine(
    name="Dynamo",
    prefixes=("dynamo_",),
    metrics={
        C.RUNNING: ("dynamo_frontend_inflight_requests",),
        C.WAITING: ("dynamo_frontend_queued_requests",),
        C.GENERATION_TOKENS: ("dynamo_frontend_output_tokens_total",),
        C.TOKEN_LATENCY_SUM: ("dynamo_frontend_inter_token_latency_seconds_sum",),
        C.TOKEN_LATENCY_COUNT: ("dynamo_frontend_inter_token_latency_seconds_count",),
        C.FIRST_TOKEN_SUM: ("dynamo_frontend_time_to_first_token_seconds_sum",),
        C.FIRST_TOKEN_COUNT: ("dynamo_frontend_time_to_first_token_seconds_count",),
    },
)

DEMO = Engine(
    name="diagnose demo",
    prefixes=("diagnose_demo:",),
    metrics={
        C.RUNNING: ("diagnose_demo:num_requests_running",),
        C.WAITING: ("diagnose_demo:num_requests_waiting",),
        C.KV_USAGE: ("diagnose_demo:kv_cache_usage_perc",),
        C.PROMPT_TOKENS: ("diagnose_demo:prompt_tokens_total",),
        C.GENERATION_TOKENS: ("diagnose_demo:generation_tokens_total",),
        C.STEPS: ("diagnose_demo:iteration_tokens_total_count",),
        C.STEP_TOKENS: ("diagnose_demo:iteration_tokens_total_sum",),
    },
)

ENGINES: tuple[Engine, ...] = (VLLM, SGLANG, TGI, LLAMA_CPP, TENSORRT_LLM, LMDEPLOY, LIGHTLLM, DYNAMO, TRITON, DEMO)
"""Every engine, in the order in which a snapshot is tried against them: an engine's own series before a front end's."""
