"""Files that people give and that are no dump: what each is, and what to give instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from collectors.dump import Dump
from heuristics.errors import UnreadableDump


@dataclass(frozen=True, slots=True)
class Refusal:
    """How to tell such a file, what to say, and what to type next."""

    tells: Callable[[Dump], bool]
    says: str
    hint: str


_JSON = re.compile(r"\s*+(?:\{\s*+[\"}]|\[\s*+[\[{\"\]])")
"""A log line may begin with a bracket as well."""


def _starts(*magics: bytes) -> Callable[[Dump], bool]:
    return lambda dump: dump.head.startswith(magics)


def _text(pattern: str) -> Callable[[Dump], bool]:
    compiled = re.compile(pattern, re.MULTILINE)
    return lambda dump: compiled.search(dump.head_text[:65536]) is not None


def _json_with(*keys: str) -> Callable[[Dump], bool]:
    return lambda dump: _is_json(dump) and all(f'"{k}"' in dump.head_text for k in keys)


def _is_json(dump: Dump) -> bool:
    return _JSON.match(dump.head_text[:4096]) is not None


def _is_safetensors(dump: Dump) -> bool:
    """The length of a header of eight bytes and then the header, which is JSON."""
    return dump.head[8:10] == b'{"' and b'"data_offsets"' in dump.head


def _is_tar(dump: Dump) -> bool:
    return dump.head[257:262] == b"ustar"


def _is_binary(dump: Dump) -> bool:
    sample = dump.head[:8192]
    control = sum(c < 9 or 13 < c < 32 for c in sample)
    return b"\0" in sample[:1024] or control > 0.05 * len(sample)


_ANY_DUMP = (
    "give an ncu CSV or .ncu-rep, a Kineto trace (.json, .json.gz), an nsys SQLite export, "
    "an nvidia-smi log or Prometheus text"
)

REFUSALS: tuple[Refusal, ...] = (
    Refusal(
        lambda d: not d.head and d.cut_short is not None,
        "is damaged: nothing of it can be decompressed",
        "copy or download it again",
    ),
    Refusal(lambda d: not d.head, "is empty", "was the tool interrupted before it wrote anything?"),
    Refusal(_is_tar, "is an archive of several files", "unpack it and give the traces in it"),
    Refusal(_starts(b"PK\x03\x04"), "is a zip archive", "unpack it and give the files in it"),
    Refusal(
        _starts(b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ"),
        "is compressed in another way than gzip",
        "decompress it first",
    ),
    Refusal(
        lambda d: d.path.endswith((".nsys-rep", ".qdrep")) or d.head[:4] == b"QDSS",
        "is a binary report of Nsight Systems",
        "nsys export --type sqlite -o run.sqlite FILE, and give run.sqlite",
    ),
    Refusal(_starts(b"PAR1"), "is a Parquet table", "export the profile as SQLite: nsys export --type sqlite"),
    Refusal(
        _starts(b"GGUF"),
        "is a model in GGUF, not a dump",
        "give the dump, and as --model the config.json of the model that the GGUF was made from",
    ),
    Refusal(_is_safetensors, "is a model's weights, not a dump", "give the dump, and the config.json as --model"),
    Refusal(
        _json_with("schema", "nodes"),
        "is an execution trace (Chakra, PyTorch ET): it has no times of kernels",
        "give the Kineto trace recorded beside it",
    ),
    Refusal(
        _json_with("iterLatencyMS"),
        "is the JSON of TensorRT-LLM's /metrics, whose samples vanish when read",
        "give the text of /prometheus/metrics",
    ),
    Refusal(
        _json_with("mean_tpot_ms"),
        "is a result of a serving benchmark: client times, no counters of the server",
        "give two snapshots of the server's /metrics taken while the benchmark ran",
    ),
    Refusal(
        _json_with("architectures", "hidden_size"),
        "is a model's config.json, not a dump",
        "give it as --model beside the dump",
    ),
    Refusal(
        lambda d: _is_json(d) and any(key in d.head_text for key in ('"is_processing"', '"total_slots"')),
        "is the JSON of llama-server's /slots or /props: one instant, no counters",
        "give two snapshots of llama-server's /metrics (start it with --metrics)",
    ),
    Refusal(
        _json_with("status", "resultType"),
        "is an answer of a Prometheus server, not a target's own text",
        "curl -s HOST:PORT/metrics > a.prom; sleep 10; curl -s HOST:PORT/metrics > b.prom",
    ),
    Refusal(
        _is_json,
        'is JSON without "traceEvents": no Kineto trace',
        "record one with torch.profiler: prof.export_chrome_trace('trace.json')",
    ),
    Refusal(
        _text(r"^[ \t]*+<\?xml|<nvidia_smi_log>"),
        "is XML: nvidia-smi -x shows one instant",
        "nvidia-smi dmon -s pucvmet -c 30 > dmon.log",
    ),
    Refusal(
        _text(r"NVSMI LOG|NVIDIA-SMI \d+\.\d+"),
        "is the plain output of nvidia-smi: one instant, and no log of it",
        "nvidia-smi dmon -s pucvmet -c 30 > dmon.log",
    ),
    Refusal(
        _text(
            r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{3}, "
            r"|^(?:GPU-[0-9a-f-]{36}|\d+(?: %)?|[\d.]+ W), .*\d (?:%|W|MHz|MiB)"
        ),
        "looks like nvidia-smi --query-gpu without its header: what the columns state cannot be told",
        "log it again without noheader: nvidia-smi --query-gpu=... --format=csv -l 1",
    ),
    Refusal(
        _text(r"gfx_activity|umc_activity"),
        "is a log of amd-smi, which is not read yet",
        "give a torch.profiler trace of the same job",
    ),
    Refusal(
        _text(r"^GPUId,TimeStampUs,Field"),
        "is a table of DCGM fields in its own format",
        "give a snapshot of dcgm-exporter: curl -s localhost:9400/metrics > dcgm.prom",
    ),
    Refusal(
        _text(
            r"^kernel_id,|^,Time,|^Metric Name,|\b(?:sm|dram|lts|l1tex|gpu)__\w++\.(?:sum|avg)"
            r"|sm_throughput_pct|^\w*kernel_\d{4}_"
        ),
        "is a table made from Nsight Compute metrics, not ncu's own export",
        "ncu --import REPORT --csv --page raw > kernels.csv, and give kernels.csv",
    ),
    Refusal(
        _text(r"^[ \t]*+Section: GPU Speed Of Light|^[ \t]*+---++ -++ -++"),
        "is ncu's plain text for reading",
        "ncu --import REPORT --csv --page raw > kernels.csv, and give kernels.csv",
    ),
    Refusal(
        _text(r"num_requests_running|generation_tokens_total"),
        "is a table made from an engine's metrics, not its Prometheus text",
        "curl -s HOST:PORT/metrics > a.prom; sleep 10; curl -s HOST:PORT/metrics > b.prom",
    ),
    Refusal(
        _text(r"^\| *model +\||^\| *PP +\| *TG +\|"),
        "is a table of llama-bench: throughput of a client, no counters",
        "give two snapshots of llama-server's /metrics (start it with --metrics)",
    ),
    Refusal(
        _text(r"^(?:\(\w+ pid=\d+\) )?INFO \d\d-\d\d \d\d:\d\d|^srv +\w+:|^llama_"),
        "is an engine's log, not a dump of its counters",
        "curl -s HOST:PORT/metrics > a.prom; sleep 10; curl -s HOST:PORT/metrics > b.prom",
    ),
    Refusal(
        _text(r"Performance counter stats for|^ +PID +PPID |^ *PID USER "),
        "tells of the host only: processes or CPU counters",
        "give a torch.profiler trace, an nsys export or an nvidia-smi log of the same job",
    ),
    Refusal(
        _text(r"\A\s*+(?:[-+\d.:/%]++|-)(?:[,;\s]++(?:[-+\d.:/%eE]++|-|N/A|nan|NaN)){3,}\s*+$"),
        "is a table of numbers without its header: what the columns state cannot be told",
        "log it again with its header",
    ),
    Refusal(_is_binary, "is binary and of no kind that is known", _ANY_DUMP),
)
"""Tried in order when no reader recognises a file."""

UNKNOWN = Refusal(lambda _: True, "is of no kind that is known", _ANY_DUMP)


def refusal(dump: Dump) -> UnreadableDump:
    """The error for a file that no reader takes."""
    chosen = next((r for r in REFUSALS if r.tells(dump)), UNKNOWN)
    return UnreadableDump(dump.path, chosen.says, hint=chosen.hint)
