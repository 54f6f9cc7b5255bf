"""Files that are no dump: each kind is named, and each refusal says what to type next."""

from __future__ import annotations

import bz2
import io
import json
import tarfile
import zipfile

import pytest

from collectors.readers import read
from collectors.refusals import REFUSALS, UNKNOWN
from heuristics.errors import UnreadableDump
from tests.make.dumps import dump


def archive() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo("trace.json")
        member.size = 2
        tar.addfile(member, io.BytesIO(b"{}"))
    return packed.getvalue()


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive_:
        archive_.writestr("trace.json", "{}")
    return packed.getvalue()


HEADER = json.dumps({"layer.weight": {"dtype": "BF16", "shape": [4, 4], "data_offsets": [0, 32]}}).encode()

FILES: dict[str, list[bytes | str]] = {
    "is damaged: nothing of it": [b"\x1f\x8b\x08\x00" + bytes([255] * 40)],
    "is empty": [""],
    "is an archive of several": [archive()],
    "is a zip archive": [zipped()],
    "is compressed in another way": [bz2.compress(b"x" * 99), b"\xfd7zXZ\x00\x00", b"\x28\xb5\x2f\xfd\x00"],
    "is a binary report of Nsight Systems": [b"QDSS\x01\x02"],
    "is a Parquet table": [b"PAR1\x15\x04"],
    "is a model in GGUF": [b"GGUF\x03\x00\x00\x00"],
    "is a model's weights": [len(HEADER).to_bytes(8, "little") + HEADER + bytes(32)],
    "is an execution trace": ['{"schema": "1.1.1-chakra", "pid": 7, "nodes": []}'],
    "is the JSON of TensorRT-LLM's /metrics": ['[{"iter": 7, "iterLatencyMS": 12.5, "gpuMemUsage": 1}]'],
    "is a result of a serving benchmark": ['{"backend": "ours", "mean_tpot_ms": 12.1, "mean_ttft_ms": 90.0}'],
    "is a model's config.json": ['{"architectures": ["OursForCausalLM"], "hidden_size": 64}'],
    "is the JSON of llama-server's": ['[{"id": 0, "n_ctx": 512, "is_processing": false}]', '{"total_slots": 4}'],
    "is an answer of a Prometheus server": ['{"status": "success", "data": {"resultType": "vector", "result": []}}'],
    'is JSON without "traceEvents"': ['{"ours": 1}', '[{"c": 1}]\n[{"c": 2}]\n', "  {}", '["a"]'],
    "is XML": ['<?xml version="1.0" ?>\n<nvidia_smi_log></nvidia_smi_log>\n'],
    "is the plain output of nvidia-smi": [
        "==============NVSMI LOG==============\n\nTimestamp : Tue May  4 13:00:00 2027\n",
        "+---------------+\n| NVIDIA-SMI 590.48.01   Driver Version: 590.48.01 |\n",
    ],
    "looks like nvidia-smi --query-gpu without": [
        "2027/05/04 13:00:00.250, 95 %, 54.19 W\n",
        "2027/05/04 13:00:00.250, 95, 54.19\n",
        "95 %, 41 %, 512.30 W\n",
        "GPU-0f0f0f0f-5a5a-4b4b-8c8c-000000000001, 95 %\n",
        "0, NVIDIA H100 80GB HBM3, 95 %\n",
    ],
    "is a log of amd-smi": ["timestamp,gpu,gfx_activity,umc_activity\n1,0,93,12\n"],
    "is a table of DCGM fields": ["GPUId,TimeStampUs,Field,Values\n0,1,1005,0.7\n"],
    "is a table made from Nsight Compute metrics": [
        "kernel_id,name,duration\n0,gemm,1\n",
        ",name,gpu__time_duration.sum\n0,gemm,1\n",
        "Metric Name,Minimum,Maximum\ndram__bytes.sum,1,2\n",
    ],
    "is ncu's plain text": [
        "  gemm (4, 1, 1)x(128, 1, 1), Context 1\n    Section: GPU Speed Of Light Throughput\n",
        "    Metric Name  Unit  Value\n    ------------ ----- -----\n",
    ],
    "is a table made from an engine's metrics": ["time [s],num_requests_running,tokens\n0.1,3,70\n"],
    "is a table of llama-bench": ["| model | size | t/s |\n| --- | --- | --- |\n", "|    PP |     TG |    B |\n"],
    "is an engine's log": [
        "(APIServer pid=71) INFO 05-04 13:00:00 [ours.py:1] ready\n",
        "INFO 05-04 13:00:00 [ours.py:1] ready\n",
        "srv  update_slots: all slots are idle\n",
        "llama_model_loader: loaded\n",
    ],
    "tells of the host only": [
        " Performance counter stats for process id '71':\n\n  19.50 msec task-clock\n",
        "  PID  PPID NLWP   RSS COMMAND\n   71     1   18 53408 ours\n",
    ],
    "is a table of numbers without its header": [
        "    0     71     31      -    405     22\n",
        "0.1,3,70,8\n0.2,3,71,8\n",
    ],
    "is binary": [bytes(range(256)) * 4, b"\x00\x01" * 50],
    "is of no kind that is known": ["Dear colleague,\nthe job is slow.\n", "[rank0] step 7 took 12 ms\n"],
}
"""Beginnings of what a refusal says, with files of that kind."""

CASES = [(says, content) for says, contents in FILES.items() for content in contents]


@pytest.mark.parametrize(("says", "content"), CASES, ids=[f"{s[:28]} {n}" for n, (s, _) in enumerate(CASES)])
def test_a_file_of_that_kind_is_refused_with_a_hint(says: str, content: bytes | str) -> None:
    with pytest.raises(UnreadableDump) as error:
        read(dump(content))
    assert error.value.reason.startswith(says)
    assert str(error.value).startswith("dump: is ") or " " in str(error.value)
    assert error.value.hint


@pytest.mark.parametrize("refusal", [*REFUSALS, UNKNOWN], ids=lambda r: r.says[:40])
def test_every_refusal_has_a_file_and_a_hint(refusal: object) -> None:
    says, hint = refusal.says, refusal.hint  # type: ignore[attr-defined]
    assert [s for s in FILES if says.startswith(s)], f"add to FILES a file that {says}"
    assert hint.strip() == hint != ""


@pytest.mark.parametrize("name", ["run.nsys-rep", "old.qdrep"])
def test_a_report_of_nsight_systems_is_known_by_its_name_too(name: str) -> None:
    with pytest.raises(UnreadableDump, match="binary report of Nsight Systems") as error:
        read(dump(b"\x01\x02 whatever", name))
    assert "nsys export" in (error.value.hint or "")


@pytest.mark.parametrize(
    "unit", ["\n", "sm__", "- ", "} {", "1 ", "# ", "[", "GPU-", "| model ", "kernel_", "Metric", "2027/"]
)
def test_a_large_file_of_one_word_is_refused_like_a_small_one(unit: str) -> None:
    for count in (40, 60_000):
        with pytest.raises(UnreadableDump) as error:
            read(dump(unit * count))
        assert error.value.hint
