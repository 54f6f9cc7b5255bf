"""Words that nobody may read: planted wherever a job holds some, looked for in everything that comes out."""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import string
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from collectors.redaction import LONGEST, harmless, model_name
from diagnose import analyze
from reports import as_markdown
from tests.diagnose.command import DIAGNOSE
from tests.make import engines
from tests.make.stand_ins import BEGUN, JOBS, Job, answer, growing, running, slots

PATIENCE_S = 60.0

TOKENS = {
    "hub": "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",
    "key": "sk-proj-9f8e7d6c5b4a39281706f5e4d3c2b1a0",
    "access": "AKIAQ7R5T9Z3X1V8N2M4",
    "secret": "wZ9xK4/bR7tQ2vN8mL5jH3gF6dS1aP0oI+uYeTrW",
    "web": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJvdXJzIn0.c2lnbmVkLWJ5LXVz",
    "random": "0f3a9c7e5b1d8f2a6c4e0b9d7f5a3c1e",
    "urlsafe": "Vq3-xT9_bR2mZ8-kL5wP1_nC7yH4dF6sG0jA",
}
"""Known by their looks, wherever they stand."""


def plain(number: int) -> str:
    """A word that only its place makes a secret."""
    return f"swordfish{number}x"


@dataclass(frozen=True)
class Seen:
    """Everything that came out, and the names that may be in it."""

    text: str
    everything: dict[str, str]


def vllm() -> Job:
    page = growing(engines.vllm)
    planted = [
        f'vllm:num_requests_running{{model_name="ours/tiny-7b",engine="0",api_key="{plain(1)}"}} 1.0',
        f'vllm:num_requests_running{{model_name="{TOKENS["hub"]}",engine="1"}} 1.0',
        f'vllm:lora_requests_info{{running_lora_adapters="{plain(2)}"}} 1.0',
        f'{plain(3)}_total{{token="{TOKENS["key"]}"}} 1.0',
        f"# HELP {plain(4)} {TOKENS['random']}",
        f'vllm:cache_config_info{{cache_dtype="password={plain(5)}",num_gpu_blocks="10",block_size="16"}} 1.0',
    ]
    return replace(
        JOBS["vLLM"],
        command=(
            "serve",
            f"s3://ours:{plain(6)}@models.example/tiny?X-Amz-Signature={plain(7)}&X-Amz-Credential={TOKENS['access']}",
            "--port",
            "{port}",
            "--api-key",
            plain(8),
            "--hf-token",
            TOKENS["hub"],
            f"--ssl-keyfile-password={plain(9)}",
            "--otlp-headers",
            f"authorization=Bearer {plain(10)}",
            "--kv-transfer-config",
            json.dumps({"password": plain(11)}),
            "--served-model-name",
            f"https://ours:{plain(12)}@hub.example/tiny-7b",
            "--dtype",
            TOKENS["key"],
            "--download-dir",
            f"/home/{plain(13)}/models",
        ),
        environment={
            "HF_TOKEN": TOKENS["hub"],
            "AWS_SECRET_ACCESS_KEY": TOKENS["secret"],
            "AWS_SESSION_TOKEN": plain(14),
            "VLLM_API_KEY": plain(15),
            "OPENAI_API_KEY": TOKENS["key"],
            "DATABASE_URL": f"postgres://ours:{plain(16)}@db.example/x",
            "CUDA_VISIBLE_DEVICES": plain(17),
        },
        name="hf_QxZwVbNmLkJh",
        threads=("sk-9f8e7d6c5b4a", "key=opensesame"),
        works=0.2,
        pages=lambda: {
            "/metrics": {"body": "\n".join([*planted, page])},
            "/version": answer({"version": f"0.33.0 token={plain(18)}", "build": plain(19)}),
            "/v1/models": answer(
                {
                    "data": [
                        {
                            "id": f"https://ours:{plain(20)}@hub.example/tiny-7b?token={plain(21)}",
                            "root": f"/home/{plain(22)}/tiny-7b",
                            "owned_by": plain(23),
                            "permission": [{"id": TOKENS["random"]}],
                        }
                    ]
                }
            ),
        },
    )


def sglang() -> Job:
    told = {
        "version": TOKENS["web"],
        "api_key": plain(30),
        "admin_api_key": plain(31),
        "launch_command": f"python -m sglang.launch_server --api-key {plain(32)}",
        "model_path": f"/home/{plain(33)}/{TOKENS['urlsafe']}",
        "served_model_name": f"/home/{plain(34)}/tiny-7b",
        "dtype": f"Bearer {plain(35)}",
        "quantization": TOKENS["access"],
        "internal_states": [{"hf_token": plain(36)}],
    }
    pages = {
        "/metrics": {"body": growing(engines.sglang)},
        "/server_info": answer(told),
        "/model_info": answer({"model_path": f"/home/{plain(37)}/m", "tokenizer_path": plain(38)}),
    }
    return replace(
        JOBS["SGLang"],
        command=("--model-path", f"/home/{plain(39)}/{plain(40)}/tiny-7b", "--port", "{port}", "--api-key", plain(41)),
        pages=lambda: pages,
    )


def llama_cpp() -> Job:
    pages = {
        "/metrics": {"body": growing(engines.llama_cpp, whole=True, first=BEGUN)},
        "/slots": slots(prompt=f"Dear {plain(50)}, the key is {TOKENS['random']}."),
        "/props": answer(
            {
                "model_path": f"/home/{plain(51)}/tiny-7b.gguf",
                "chat_template": plain(52),
                "build_info": f"b7000 secret: {plain(53)}",
                "default_generation_settings": {"prompt": plain(54)},
            }
        ),
        "/v1/models": answer({"data": [{"id": f"/home/{plain(55)}/tiny-7b.gguf", "meta": {"n_params": plain(56)}}]}),
    }
    return replace(
        JOBS["llama.cpp"],
        command=(
            "/opt/llama-server",
            "-m",
            f"/home/{plain(57)}/tiny-7b.gguf",
            "--port",
            "{port}",
            "--api-key",
            plain(58),
            "-hft",
            TOKENS["hub"],
        ),
        environment={"LLAMA_API_KEY": plain(59), "LLAMA_ARG_API_KEY": plain(60)},
        pages=lambda: pages,
    )


PLANTED = (*TOKENS.values(), *(plain(n) for n in range(70)), "opensesame", "QxZwVbNm", "9f8e7d6c5b4a", "Dear ")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Seen]]:
    """What came out of watching each of the jobs, in every form."""
    made = {"vLLM": vllm, "SGLang": sglang, "llama.cpp": llama_cpp}
    with ThreadPoolExecutor(len(made)) as pool:
        folders = [tmp_path_factory.mktemp(name.replace(".", "_")) for name in made]
        yield dict(zip(made, pool.map(lambda make, at: watched(make(), at), made.values(), folders), strict=True))


def watched(job: Job, folder: Path) -> Seen:
    surroundings = os.environ | {"HOME": str(folder), "XDG_CACHE_HOME": str(folder), "COLUMNS": "200"}

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        line = [*DIAGNOSE, *map(str, arguments)]
        done = subprocess.run(
            line, capture_output=True, timeout=PATIENCE_S, check=False, text=True, env=surroundings, cwd=folder
        )
        assert done.returncode == 0, done.stderr
        return done

    with running(job, folder / "engine") as made:
        live = run("attach", made.pids[-1], "--for", 1.4, "--record", "run.rec.gz")
        outcome = {"live": live.stdout, "standard error": live.stderr}
        requests = json.dumps(made.requests())
    outcome["requests"] = requests
    outcome["recording"] = gzip.decompress((folder / "run.rec.gz").read_bytes()).decode()
    again = analyze(folder / "run.rec.gz")
    outcome |= {
        "text": str(again),
        "json": json.dumps(again.to_dict()),
        "markdown": as_markdown.render(again.diagnosis),
    }
    return Seen(live.stdout, outcome)


@pytest.mark.parametrize("name", ["vLLM", "SGLang", "llama.cpp"])
def test_no_planted_word_comes_out(name: str, seen: dict[str, Seen]) -> None:
    for place, text in seen[name].everything.items():
        assert [word for word in PLANTED if word in text] == [], place


@pytest.mark.parametrize("name", ["vLLM", "SGLang", "llama.cpp"])
def test_the_machine_is_not_named(name: str, seen: dict[str, Seen]) -> None:
    places = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"), Path("/proc/sys/kernel/random/boot_id"))
    names = {place.read_text(encoding="ascii").strip() for place in places if place.exists()}
    for place, text in seen[name].everything.items():
        assert [word for word in names if word and word in text] == [], place
        assert re.search(rf"\b{re.escape(socket.gethostname())}\b", text) is None, place
    assert json.loads(seen[name].everything["json"])["environment"]["host"]["cores"] > 0


@pytest.mark.parametrize("name", ["vLLM", "SGLang", "llama.cpp"])
def test_yet_the_job_is_told(name: str, seen: dict[str, Seen]) -> None:
    assert name in seen[name].text
    assert "tokens/s" in seen[name].text
    assert "tiny-7b" in seen[name].everything["json"]
    assert '"scrape"' in seen[name].everything["recording"]


# --- the last sieve


NAMES = [
    "meta-llama/Llama-3.1-8B-Instruct",
    "mistralai/Mixtral-8x7B-Instruct-v0.1",
    "TheBloke/Mistral-7B-Instruct-v0.2-GPTQ",
    "Qwen/Qwen2.5-Coder-32B-Instruct-GPTQ-Int4",
    "unsloth/DeepSeek-R1-Distill-Qwen-32B-bnb-4bit",
    "neuralmagic/Meta-Llama-3.1-405B-Instruct-FP8-dynamic",
    "hf-internal-testing/tiny-random-LlamaForCausalLM",
    "RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16",
    "ISTA-DASLab/Meta-Llama-3.1-8B-Instruct-AQLM-PV-2Bit-1x16-hf",
    "LoneStriker/Nous-Hermes-2-Mixtral-8x7B-DPO-4.0bpw-h6-exl2",
    "Qwen3-Coder-480B-A35B-Instruct-UD-Q4_K_XL-00001-of-00006.gguf",
    "Phi-3-mini-4k-instruct-q4.gguf",
    "ggml-org/gemma-3-27b-it-qat-GGUF",
    "llama3.1:8b-instruct-q4_K_M",
    "openai/gpt-oss-120b",
    "org/Llama-3-8B-api-v2-finetune",
    "01-ai/Yi-1.5-34B-Chat-16K",
    "models/token-classifier",
    "VLLM::EngineCore",
    "VLLM::Worker_DP0_PP1_TP3_EP3",
    "sglang::scheduler_TP0",
    "lightllm::x::model_infer:RANK0",
    "python3.11",
    "0.33.0.dev123+g1a2b3c4",
    "b7000-1a2b3c4d",
    "bfloat16",
]


@pytest.mark.parametrize("name", NAMES)
def test_ordinary_names_stay_as_they_are(name: str) -> None:
    assert harmless(name) == name


PATHS = {
    "/data/models/tiny-7b": "tiny-7b",
    "/home/me/tiny-7b/": "tiny-7b",
    "./tiny-7b": "tiny-7b",
    "~/models/tiny-7b": "tiny-7b",
    "org/tiny-7b": "org/tiny-7b",
    "tiny-7b.gguf": "tiny-7b.gguf",
    "models/tiny-7b.gguf": "tiny-7b.gguf",
    "/a/b/tiny-7b-Q4_K_M.gguf": "tiny-7b-Q4_K_M.gguf",
    "s3://bucket/tiny-7b?X-Amz-Signature=x": "tiny-7b",
    "https://me:word@hub.example/org/tiny-7b": "tiny-7b",
    "": "",
    "/": "",
}


@pytest.mark.parametrize("path", PATHS)
def test_models_are_named_by_their_last_part(path: str) -> None:
    assert model_name(path) == PATHS[path]


WORD = st.text(string.ascii_letters + string.digits, min_size=16, max_size=30).filter(
    lambda w: any(c.isdigit() for c in w) and any(c.isalpha() for c in w)
)
LONG = st.text(string.hexdigits.lower()[:16], min_size=32, max_size=64).filter(
    lambda w: any(c.isdigit() for c in w) and any(c.isalpha() for c in w)
)
FORMS = st.one_of(
    WORD.map("hf_{}".format),
    WORD.map("sk-{}".format),
    WORD.map("sk-proj-{}".format),
    WORD.map("ghp_{}".format),
    WORD.map("glpat-{}".format),
    WORD.map("xoxb-{}".format),
    WORD.map("nvapi-{}".format),
    WORD.map("gsk_{}".format),
    WORD.map(lambda w: f"AKIA{w.upper()}"),
    LONG,
)
NAMED = st.tuples(
    st.sampled_from(
        [
            "password={}",
            "HF_TOKEN={}",
            "AWS_SECRET_ACCESS_KEY={}",
            "api_key: {}",
            "--api-key {}",
            "--hf-token {}",
            "--ssl-keyfile-password={}",
            '{{"api_key": "{}"}}',
            "{{'password': '{}'}}",
            "Authorization: Bearer {}",
            "authorization=Basic {}",
            "bearer {}",
            "https://me:{}@host.example/x",
            "https://{}@host.example/x",
            "https://host.example/x?sig={}",
            "https://host.example/x?a=b&token={}",
            "s3://bucket/x?X-Amz-Signature={}",
            "bucket/x?X-Amz-Signature={}",
            "me:{}@registry.example:5000/x",
            "redis://:{}@host.example:6379/0",
        ]
    ),
    WORD,
)
AROUND = st.text(st.characters(codec="utf-8", exclude_characters="\\"), max_size=20).map(str.strip)


@given(secret=FORMS, before=AROUND, after=AROUND)
def test_what_looks_like_a_secret_never_survives(secret: str, before: str, after: str) -> None:
    assume(secret not in before + after)
    assert secret not in harmless(f"{before} {secret} {after}")
    assert secret not in model_name(f"{before} {secret} {after}")


@given(form=NAMED, before=AROUND, after=AROUND)
def test_what_is_called_a_secret_never_survives(form: tuple[str, str], before: str, after: str) -> None:
    assume(form[1] not in before + after)
    text = form[0].format(form[1])
    assert form[1] not in harmless(f"{before} {text} {after}")


@given(st.text())
def test_whatever_it_is_it_is_short_and_can_be_printed(text: str) -> None:
    for found in (harmless(text), model_name(text)):
        assert len(found) <= LONGEST
        assert found.isprintable()
        assert harmless(found) == found


def test_a_book_takes_no_time() -> None:
    for text in ("x" * 10**6, "a:" * 10**5, "token " * 10**5, "http://" * 10**5, "--key" * 10**5, "?a=" * 10**5):
        assert len(harmless(text)) <= LONGEST


def test_every_field_of_the_environment_but_a_few_is_dropped() -> None:
    from collectors.model_source import CACHES

    assert not [name for name in CACHES if any(word in name for word in ("TOKEN", "KEY", "SECRET", "PASS"))]
