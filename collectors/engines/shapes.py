"""How each engine looks from outside: its command lines and titles, its libraries, its flags, what may be asked of it.

Paths are those known to be passive. What is not listed is never asked for: TensorRT-LLM's ``/metrics`` hands each
sample out once, SGLang's ``/health`` generates a token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Flag(StrEnum):
    """What is read from a command line, whatever the engine calls it. Nothing else of it is kept."""

    MODEL = "model"
    REVISION = "revision"
    DOWNLOAD_DIR = "download_dir"
    DTYPE = "dtype"
    QUANTIZATION = "quantization"
    LOAD_FORMAT = "load_format"
    KV_DTYPE = "kv_dtype"
    VALUE_DTYPE = "value_dtype"
    TENSOR_PARALLEL = "tensor_parallel"
    PIPELINE_PARALLEL = "pipeline_parallel"
    DATA_PARALLEL = "data_parallel"
    EXPERT_PARALLEL = "expert_parallel"
    MOST_SEQUENCES = "most_sequences"
    MOST_BATCHED_TOKENS = "most_batched_tokens"
    MOST_CONTEXT = "most_context"
    EAGER = "eager"
    DRAFT_MODEL = "draft_model"
    THREADS = "threads"
    OFFLOADED_LAYERS = "offloaded_layers"
    PORT = "port"
    CONFIG_FILE = "config_file"


SWITCHES = frozenset({Flag.EAGER})
"""Flags that stand alone."""

F = Flag


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One engine as a process tree.

    ``commands`` matches the command without its interpreter, or the title, of any process of it; ``serves`` those
    of them that answer HTTP (all where it is None). ``model_after`` ends before a positional model.
    """

    engine: str
    commands: re.Pattern[str]
    serves: re.Pattern[str] | None = None
    libraries: tuple[str, ...] = ()
    metrics: str | None = "/metrics"
    state: tuple[str, ...] = ()
    about: tuple[str, ...] = ("/v1/models",)
    default_port: int | None = None
    flags: Mapping[Flag, tuple[str, ...]] = field(default_factory=dict)
    environment: Mapping[Flag, str] = field(default_factory=dict)
    model_after: re.Pattern[str] | None = None
    default_dtype: str | None = None
    """What the engine takes where its flag is silent."""
    front: str | None = None
    """Name of a front end over another engine: it is told beside the engine found below it."""

    @property
    def paths(self) -> frozenset[str]:
        """Everything that may be asked for."""
        return frozenset(path for path in (self.metrics, *self.state, *self.about) if path)


def _commands(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


_COMMON: Mapping[Flag, tuple[str, ...]] = {
    F.REVISION: ("--revision",),
    F.DOWNLOAD_DIR: ("--download-dir",),
    F.DTYPE: ("--dtype",),
    F.LOAD_FORMAT: ("--load-format",),
    F.KV_DTYPE: ("--kv-cache-dtype",),
    F.PORT: ("--port",),
}

VLLM = Shape(
    engine="vLLM",
    commands=_commands(
        r"vllm serve\b",
        r"vllm-rs\b",
        r"-m vllm\.entrypoints\.",
        r"VLLM::",
        r"[\w.-]+::(?:EngineCore|Worker|APIServer|DPCoordinator)(?:_|\b)",
    ),
    serves=_commands(r"vllm serve\b", r"vllm-rs\b", r"-m vllm\.entrypoints\.", r"[\w.-]+::APIServer"),
    libraries=("/vllm/_C", "/vllm/_core_C", "/vllm/_moe_C"),
    about=("/version", "/v1/models"),
    default_port=8000,
    flags={
        **_COMMON,
        F.MODEL: ("--model",),
        F.QUANTIZATION: ("--quantization", "-q"),
        F.TENSOR_PARALLEL: ("--tensor-parallel-size", "-tp"),
        F.PIPELINE_PARALLEL: ("--pipeline-parallel-size", "-pp"),
        F.DATA_PARALLEL: ("--data-parallel-size", "-dp"),
        F.EXPERT_PARALLEL: ("--enable-expert-parallel",),
        F.MOST_SEQUENCES: ("--max-num-seqs",),
        F.MOST_BATCHED_TOKENS: ("--max-num-batched-tokens",),
        F.MOST_CONTEXT: ("--max-model-len",),
        F.EAGER: ("--enforce-eager",),
        F.CONFIG_FILE: ("--config",),
    },
    model_after=re.compile(r"vllm serve"),
    default_dtype="auto",
)

SGLANG = Shape(
    engine="SGLang",
    commands=_commands(r"sglang serve\b", r"-m sglang\.launch_server\b", r"sglang::", r"sgl_diffusion::"),
    serves=_commands(r"sglang serve\b", r"-m sglang\.launch_server\b", r"sglang::tokenizer_worker"),
    libraries=("/sgl_kernel/",),
    about=("/model_info", "/server_info"),
    default_port=30000,
    flags={
        **_COMMON,
        F.MODEL: ("--model-path", "--model"),
        F.QUANTIZATION: ("--quantization",),
        F.TENSOR_PARALLEL: ("--tp-size", "--tp", "--tensor-parallel-size"),
        F.PIPELINE_PARALLEL: ("--pp-size", "--pipeline-parallel-size"),
        F.DATA_PARALLEL: ("--dp-size", "--dp", "--data-parallel-size"),
        F.EXPERT_PARALLEL: ("--ep-size", "--ep", "--expert-parallel-size"),
        F.MOST_SEQUENCES: ("--max-running-requests",),
        F.MOST_BATCHED_TOKENS: ("--chunked-prefill-size",),
        F.MOST_CONTEXT: ("--context-length",),
        F.EAGER: ("--disable-cuda-graph",),
        F.DRAFT_MODEL: ("--speculative-draft-model-path",),
    },
    default_dtype="auto",
)

TGI = Shape(
    engine="TGI",
    commands=_commands(r"text-generation-(?:launcher|router|server)\b"),
    serves=_commands(r"text-generation-router\b"),
    about=("/info",),
    default_port=3000,
    flags={
        F.MODEL: ("--model-id", "--tokenizer-name"),
        F.REVISION: ("--revision",),
        F.DTYPE: ("--dtype",),
        F.QUANTIZATION: ("--quantize",),
        F.KV_DTYPE: ("--kv-cache-dtype",),
        F.TENSOR_PARALLEL: ("--num-shard",),
        F.PORT: ("--port",),
    },
    environment={
        F.MODEL: "MODEL_ID",
        F.REVISION: "REVISION",
        F.DTYPE: "DTYPE",
        F.QUANTIZATION: "QUANTIZE",
        F.TENSOR_PARALLEL: "NUM_SHARD",
        F.PORT: "PORT",
    },
    model_after=re.compile(r"text-generation-server serve"),
)

TENSORRT_LLM = Shape(
    engine="TensorRT-LLM",
    commands=_commands(r"trtllm-serve\b", r"trtllm-llmapi-launch\b", r"TRTLLM:"),
    serves=_commands(r"trtllm-serve\b"),
    libraries=("/libtensorrt_llm",),
    metrics="/prometheus/metrics",
    about=("/version", "/v1/models"),
    default_port=8000,
    flags={
        F.MODEL: ("--model",),
        F.TENSOR_PARALLEL: ("--tp_size", "--tp-size"),
        F.PIPELINE_PARALLEL: ("--pp_size", "--pp-size"),
        F.EXPERT_PARALLEL: ("--ep_size", "--ep-size"),
        F.MOST_SEQUENCES: ("--max_batch_size", "--max-batch-size"),
        F.MOST_BATCHED_TOKENS: ("--max_num_tokens", "--max-num-tokens"),
        F.MOST_CONTEXT: ("--max_seq_len", "--max-seq-len"),
        F.PORT: ("--port",),
    },
    model_after=re.compile(r"trtllm-serve(?: serve)?"),
)

TRITON = Shape(
    engine="Triton",
    commands=_commands(r"tritonserver\b", r"triton_python_backend_stub\b"),
    serves=_commands(r"tritonserver\b"),
    about=(),
    default_port=8002,
    flags={F.PORT: ("--metrics-port",)},
)

LLAMA_CPP = Shape(
    engine="llama.cpp",
    commands=_commands(r"llama-server\b"),
    libraries=("/libllama-server", "/libllama."),
    state=("/slots",),
    about=("/v1/models", "/props"),
    default_port=8080,
    flags={
        F.MODEL: ("-m", "--model", "-hf", "-hfr", "--hf-repo"),
        F.KV_DTYPE: ("-ctk", "--cache-type-k"),
        F.VALUE_DTYPE: ("-ctv", "--cache-type-v"),
        F.MOST_SEQUENCES: ("-np", "--parallel"),
        F.MOST_BATCHED_TOKENS: ("-ub", "--ubatch-size"),
        F.MOST_CONTEXT: ("-c", "--ctx-size"),
        F.DRAFT_MODEL: ("-md", "--model-draft"),
        F.THREADS: ("-t", "--threads"),
        F.OFFLOADED_LAYERS: ("-ngl", "--gpu-layers", "--n-gpu-layers"),
        F.PORT: ("--port",),
    },
    environment={
        F.MODEL: "LLAMA_ARG_MODEL",
        F.KV_DTYPE: "LLAMA_ARG_CACHE_TYPE_K",
        F.VALUE_DTYPE: "LLAMA_ARG_CACHE_TYPE_V",
        F.MOST_SEQUENCES: "LLAMA_ARG_N_PARALLEL",
        F.MOST_CONTEXT: "LLAMA_ARG_CTX_SIZE",
        F.THREADS: "LLAMA_ARG_THREADS",
        F.OFFLOADED_LAYERS: "LLAMA_ARG_N_GPU_LAYERS",
        F.PORT: "LLAMA_ARG_PORT",
    },
)

OLLAMA = Shape(
    engine="Ollama",
    front="Ollama",
    commands=_commands(r"ollama (?:serve|runner)\b", r"ollama_llama_server\b"),
    serves=_commands(r"ollama serve\b"),
    metrics=None,
    about=("/api/ps", "/api/version"),
    default_port=11434,
    flags={F.MODEL: ("--model",), F.MOST_CONTEXT: ("--ctx-size",), F.OFFLOADED_LAYERS: ("--n-gpu-layers",)},
)

LMDEPLOY = Shape(
    engine="LMDeploy",
    commands=_commands(r"lmdeploy serve\b"),
    libraries=("/_turbomind.", "/libturbomind"),
    default_port=23333,
    flags={
        F.MODEL: ("--model-path",),
        F.TENSOR_PARALLEL: ("--tp",),
        F.DATA_PARALLEL: ("--dp",),
        F.DTYPE: ("--dtype",),
        F.MOST_SEQUENCES: ("--max-batch-size",),
        F.PORT: ("--server-port",),
    },
    model_after=re.compile(r"lmdeploy serve api_server"),
)

LIGHTLLM = Shape(
    engine="LightLLM",
    commands=_commands(r"-m lightllm\.server\.api_server\b", r"lightllm::"),
    serves=_commands(r"-m lightllm\.server\.api_server\b", r"lightllm::[^:]*::api_server"),
    about=(),
    default_port=8000,
    flags={F.MODEL: ("--model_dir",), F.TENSOR_PARALLEL: ("--tp",), F.PORT: ("--port",)},
)

DYNAMO = Shape(
    engine="Dynamo",
    front="Dynamo",
    commands=_commands(r"-m dynamo\.frontend\b", r"dynamo\.runtime\b", r"-m dynamo\.(?:vllm|sglang|trtllm)\b"),
    serves=_commands(r"-m dynamo\.frontend\b"),
    default_port=8000,
    flags={**_COMMON, F.MODEL: ("--model",), F.PORT: ("--http-port",)},
)

MLC = Shape(
    engine="MLC-LLM",
    commands=_commands(r"mlc_llm serve\b", r"-m mlc_llm serve\b"),
    libraries=("/libmlc_llm",),
    metrics=None,
    default_port=8000,
    flags={F.PORT: ("--port",)},
    model_after=re.compile(r"(?:-m )?mlc_llm serve"),
)

TRANSFORMERS = Shape(
    engine="transformers",
    commands=_commands(r"transformers serve\b", r"transformers-cli serve\b"),
    metrics=None,
    default_port=8000,
    flags={F.MODEL: ("--force-model",), F.DTYPE: ("--dtype", "--torch-dtype"), F.PORT: ("--port",)},
    model_after=re.compile(r"transformers serve"),
)

DEMO = Shape(
    engine="diagnose demo",
    commands=_commands(r"-m diagnose\.demo\.job\b"),
    about=(),
    flags={F.MODEL: ("--model",), F.DTYPE: ("--dtype",)},
)

TORCH = Shape(
    engine="torch",
    commands=_commands(r"torchrun\b", r"-m torch\.distributed\.(?:run|launch)\b", r"accelerate launch\b"),
    libraries=("/libtorch_cuda.so", "/libtorch_hip.so", "/libtorch_cpu.so"),
    metrics=None,
    about=(),
)

SHAPES: tuple[Shape, ...] = (
    VLLM,
    SGLANG,
    TGI,
    TENSORRT_LLM,
    TRITON,
    LLAMA_CPP,
    LMDEPLOY,
    LIGHTLLM,
    MLC,
    TRANSFORMERS,
    DEMO,
    OLLAMA,
    DYNAMO,
    TORCH,
)
"""Every engine: those that state their rates before front ends over them, plain torch last."""
