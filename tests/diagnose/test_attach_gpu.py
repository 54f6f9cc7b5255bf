"""``diagnose attach`` on stand-ins that hold a GPU: the driver's library is a stub, everything else is real.

The stub is found by the real binding where the loader looks first. Watching takes its time, so every scenario of the
tests that were asked for starts with the first of them, side by side; a test takes what its scenario saw.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.diagnose.command import DIAGNOSE
from tests.make.nvml import stub
from tests.make.stand_ins import BATCH, JOBS, Job, Running, running, vllm_pages
from tests.reports.contract import VERDICT_JSON

PATIENCE_S = 90.0
LOOK_S = 2.3
"""Three readings of the devices and a last one."""
SIDE_BY_SIDE = 8

CONTRACT = jsonschema.Draft202012Validator(VERDICT_JSON)
Json = dict[str, Any]

LLAMA_8B: Json = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "torch_dtype": "bfloat16",
}
WEIGHT_BYTES = 2.0 * (32 * (2 * 4096**2 + 2 * 4096 * 1024 + 3 * 4096 * 14336) + 128256 * 4096)
"""What a step reads of it: all but the table of embeddings."""
KV_TOKENS = 16_384

H200, H100, A100 = (2.0 * clock * bits / 8 for clock, bits in ((3.201e9, 6144), (2.619e9, 5120), (1.593e9, 5120)))
"""Bytes/s by memory clock and bus."""
NEEDED = 0.70
"""Of its devices' bandwidth, by arithmetic, for every engine but the slow one."""


def steps_per_s(bandwidth: float, devices: int = 1, part: float = NEEDED) -> float:
    """Steps a second that need such a part of the bandwidth."""
    kv_bytes = 0.42 * KV_TOKENS * 2 * 32 * 8 * 128 * 2
    return part * bandwidth * devices / (WEIGHT_BYTES + kv_bytes)


RATES = {"one": steps_per_s(H200), "two": steps_per_s(H100, 2), "older": steps_per_s(A100), "slow": 40.0}
"""Engines by name: their steps a second."""

AT_WORK = {"watts": 600, "dram": 70, "tensor": 5, "smactive": 90, "engine": 99, "sm": 98, "mem": 75, "reasons": 0}
"""What a device says that streams weights at the rate needed."""


def driver(*words: str, **options: object) -> str:
    """A scenario of the stub."""
    return ",".join([*words, *(f"{name}={value}" for name, value in options.items())])


@dataclass(frozen=True, kw_only=True)
class Place:
    """A scenario's own folder, the stub's, and the engines that all scenarios share."""

    folder: Path
    library: Path
    engines: dict[str, Running]

    def workers(self, engine: str) -> tuple[int, ...]:
        """Pids of the processes that hold a device; the front and the core do not."""
        return self.engines[engine].pids[2:]

    def command(self, scenario: str, *arguments: object) -> str:
        """What ``diagnose`` prints where the driver is in such a state, and there is no other tool."""
        environment = {
            "NVML_STUB": scenario,
            "LD_LIBRARY_PATH": str(self.library),
            "PATH": str(self.folder),
            "XDG_CACHE_HOME": str(self.folder),
            "COLUMNS": "80",
        }
        done = subprocess.run(
            [*DIAGNOSE, *map(str, arguments)],
            env=os.environ | environment,
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    def attach(self, engine: str, scenario: str, *arguments: object, for_: float = LOOK_S) -> Json:
        """The verdict on one of the engines."""
        pid = self.engines[engine].pid
        return kept(self.command(scenario, "attach", pid, "--for", for_, "--format", "json", *arguments))


Scenario = Callable[[Place], Any]
SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    """Have it run side by side with the others; the tests of its name, and any that name it, get what it gives."""
    SCENARIOS[function.__name__] = function
    return function


def of(name: str) -> Callable[[Any], Any]:
    """Marks a test that looks at another test's scenario."""
    return pytest.mark.parametrize("seen", [name], indirect=True, ids=[""])


def engine(name: str, model: Path, library: Path) -> Job:
    """vLLM at work on that model, on as many devices as it has workers; the first maps the driver's library."""
    count = 2 if name == "two" else 1
    workers = [{"title": [f"VLLM::Worker_TP{rank}"]} for rank in range(count)]
    return replace(
        JOBS["vLLM"],
        model=str(model),
        command=("serve", "{model}", "--port", "{port}", f"--tensor-parallel-size={count}"),
        children=({"title": ["VLLM::EngineCore"], "children": workers},),
        computes=(0, 0),
        maps=(str(library),),
        pages=lambda: vllm_pages(RATES[name], KV_TOKENS),
    )


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    """All of them at work; skips where no stub of the driver can be compiled."""
    stub()
    folder = tmp_path_factory.mktemp("engines")
    model, library = folder / "llama-of-ours", folder / "libcuda.so.1"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(LLAMA_8B), encoding="utf-8")
    library.write_bytes(bytes(8192))
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(running(engine(name, model, library), folder / f"engine-{name}"))
            for name in RATES
        }


@pytest.fixture(scope="module")
def every_scenario(
    request: pytest.FixtureRequest, engines: dict[str, Running], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Any]]]:
    """Those of the tests that were asked for."""
    names = {_scenario_of(item) for item in request.session.items}
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        yield {
            name: pool.submit(
                SCENARIOS[name], Place(folder=tmp_path_factory.mktemp(name), library=stub(), engines=engines)
            )
            for name in SCENARIOS
            if name in names
        }


def _scenario_of(item: pytest.Item) -> str:
    called = getattr(item, "callspec", None)
    stated = called.params.get("seen") if called is not None else None
    return str(stated or getattr(item, "originalname", item.name).removeprefix("test_"))


@pytest.fixture
def seen(request: pytest.FixtureRequest, every_scenario: dict[str, Future[Any]]) -> Any:
    """What the scenario of the test saw."""
    return every_scenario[_scenario_of(request.node)].result(PATIENCE_S)


def kept(text: str) -> Json:
    """A verdict that keeps the contract."""
    found: Json = json.loads(text)
    CONTRACT.validate(found)
    return found


def near(value: float, wanted: float) -> bool:
    """Within what a slow machine makes of a rate over a second or two."""
    return 0.7 * wanted < value < 1.3 * wanted


def weighed(found: Json) -> dict[str, Json]:
    """Evidence by signal."""
    return {e["signal"]: e for e in found["evidence"] if "abstained" not in e}


def bandwidth_needed(found: Json) -> float:
    """By arithmetic, as a fraction of the peak."""
    used = found["measured"]
    return float(used["bytes_per_step"] * used["steps_per_s"] / found["roofs"]["bandwidth_bytes_per_s"])


# --- one device


@scenario
def a_device_with_gpm(place: Place) -> Json:
    return place.attach("one", driver("h200", **AT_WORK, pids=place.workers("one")[0]), for_=3.5)


def test_a_device_with_gpm(seen: Json) -> None:
    assert (seen["verdict"]["regime"], seen["verdict"]["cause"]) == ("memory", "weights")
    assert seen["verdict"]["confidence"] > 0.9
    assert seen["verdict"]["limits"] == []
    assert seen["sources"] == ["engine metrics", "NVML", "NVML GPM", "host"]
    (device,) = seen["subject"]["devices"]
    assert (device["index"], device["name"]) == (0, "NVIDIA H200")
    assert seen["environment"]["driver"] == "555.58.02"
    assert seen["missing"] == []
    assert seen["events"] == []


@of("a_device_with_gpm")
def test_what_the_windows_show_is_the_devices_own(seen: Json) -> None:
    used = seen["samples"]["bandwidth_fraction"]
    assert 1 <= len(used) <= len(seen["samples"]["tokens_per_s"])
    assert used == pytest.approx([NEEDED] * len(used))
    assert seen["environment"]["clocks"]["sm_hz"] > 1e9
    assert seen["environment"]["clocks"]["memory_hz"] > 1e9
    assert seen["environment"]["power_limit_w"] > 100.0


@of("a_device_with_gpm")
def test_the_counters_and_the_arithmetic_agree(seen: Json) -> None:
    used = seen["measured"]
    assert used["weight_bytes_per_step"] == pytest.approx(WEIGHT_BYTES, rel=0.01)
    assert near(used["steps_per_s"], RATES["one"])
    assert used["dram_active_fraction"] == pytest.approx(NEEDED)
    assert used["tensor_active_fraction"] == pytest.approx(0.05)
    assert near(bandwidth_needed(seen), used["dram_active_fraction"])
    assert weighed(seen)["dram_activity"]["source"] == "NVML GPM"
    assert weighed(seen)["tensor_activity"]["source"] == "NVML GPM"
    assert "bandwidth_saturation" not in weighed(seen)


@of("a_device_with_gpm")
def test_the_roofs_are_those_of_the_device_itself(seen: Json) -> None:
    roofs = seen["roofs"]
    assert roofs["bandwidth_bytes_per_s"] == pytest.approx(H200, rel=1e-4)
    assert roofs["source"].startswith("memory clock × bus width of the device")
    assert roofs["flops_per_s"] == pytest.approx(989.4e12 * 1755 / 1830, rel=1e-3)


@of("a_device_with_gpm")
def test_a_token_costs_the_power_over_the_tokens_a_second(seen: Json) -> None:
    used = seen["measured"]
    assert used["power_w"] == pytest.approx(600.0)
    assert near(used["joules_per_token"], 600.0 / (RATES["one"] * BATCH))


@of("a_device_with_gpm")
def test_no_sample_is_said_to_be_without_a_kernel(seen: Json) -> None:
    """The driver had no new sample at the first reading; in those that it had, a kernel ran."""
    assert weighed(seen)["time_fractions"]["measured"]["idle_samples"] == 0.0
    assert "in which one ran at all" not in weighed(seen)["time_fractions"]["text"]


@scenario
def a_device_without_gpm(place: Place) -> tuple[Json, str]:
    path = place.folder / "run.rec.gz"
    options = AT_WORK | {"watts": 300}
    found = place.attach("older", driver("a100", **options, pids=place.workers("older")[0]), "--record", path)
    return found, place.command("", "analyze", path)


def test_a_device_without_gpm(seen: tuple[Json, str]) -> None:
    found, report = seen
    assert found["sources"] == ["engine metrics", "NVML", "host"]
    assert found["roofs"]["bandwidth_bytes_per_s"] == pytest.approx(A100, rel=1e-4)
    assert {"bandwidth_saturation", "compute_saturation", "time_fractions"} <= weighed(found).keys()
    assert not {"dram_activity", "tensor_activity", "sm_activity"} & weighed(found).keys()
    assert near(found["measured"]["bandwidth_fraction"], NEEDED)
    assert found["verdict"]["regime"] == "memory"
    (gone,) = found["missing"]
    assert (gone["source"], gone["reason"]) == ("GPM of GPU 0", "not supported")
    assert "Hopper" in gone["unlock"]
    assert "dcgm-exporter" in gone["unlock"]
    assert "GPM needs Hopper or later" in " ".join(report.split("Not read")[1].split())
    assert all(len(line) <= 80 for line in report.splitlines())


@scenario
def a_device_that_waits_for_its_host(place: Place) -> Json:
    little = {"watts": 200, "dram": 13, "tensor": 1, "smactive": 18, "engine": 20, "sm": 20, "mem": 15, "reasons": 0}
    return place.attach("slow", driver("h200", **little, pids=place.workers("slow")[0]))


def test_a_device_that_waits_for_its_host(seen: Json) -> None:
    assert seen["measured"]["requests_running"] == BATCH
    assert near(seen["measured"]["tokens_per_s"], RATES["slow"] * BATCH)
    assert seen["measured"]["sm_time_fraction"] == pytest.approx(0.2)
    assert (seen["verdict"]["regime"], seen["verdict"]["cause"]) == ("latency", "host")
    assert seen["verdict"]["confidence"] > 0.9


@scenario
def an_instance_of_mig(place: Place) -> Json:
    return place.attach("slow", driver("mig", dram=60, tensor=5, reasons=0, pids=place.workers("slow")[0]))


def test_an_instance_of_mig(seen: Json) -> None:
    (device,) = seen["subject"]["devices"]
    assert device["mig_profile"] == "3g.40gb"
    assert seen["roofs"]["bandwidth_bytes_per_s"] == pytest.approx(0.5 * H100, rel=1e-4)
    assert seen["measured"]["dram_active_fraction"] == pytest.approx(0.6)
    assert "joules_per_token" not in seen["measured"]
    assert seen["verdict"]["regime"] == "memory"


# --- several devices


@scenario
def tensor_parallel_ranks(place: Place) -> tuple[Json, Json]:
    first, second = place.workers("two")
    path = place.folder / "run.rec.gz"
    options = AT_WORK | {"watts": 500, "tensor1": 10}
    found = place.attach("two", driver("two", **options, pids=first, pids1=second), "--record", path)
    return found, kept(place.command("", "analyze", path, "--format", "json"))


def test_tensor_parallel_ranks(seen: tuple[Json, Json]) -> None:
    found, _ = seen
    assert found["subject"]["parallelism"] == {"tp": 2}
    assert [d["index"] for d in found["devices"]] == [0, 1]
    for device in found["devices"]:
        assert device["verdict"]["regime"] == "memory"
        assert device["roofs"]["bandwidth_bytes_per_s"] == pytest.approx(H100, rel=1e-4)
        assert sum(device["verdict"]["shares"].values()) == pytest.approx(1.0, abs=1e-4)
        assert near(device["measured"]["weight_bytes_per_step"], WEIGHT_BYTES / 2)
    assert [d["measured"]["tensor_active_fraction"] for d in found["devices"]] == pytest.approx([0.05, 0.10])
    assert found["slowest_device"] == 1
    assert found["verdict"]["regime"] == "memory"
    assert near(bandwidth_needed(found), NEEDED)


@of("tensor_parallel_ranks")
def test_what_the_boards_took_adds_up(seen: tuple[Json, Json]) -> None:
    found, _ = seen
    each = [d["measured"] for d in found["devices"]]
    assert near(found["measured"]["joules_per_token"], 2 * 500.0 / (RATES["two"] * BATCH))
    for name in ("power_w", "joules_per_token", "energy_j"):
        assert found["measured"][name] == pytest.approx(sum(used[name] for used in each), rel=1e-4), name


def without_circumstances(found: Json) -> Json:
    subject = {k: v for k, v in found["subject"].items() if k not in ("kind", "files")}
    return {k: v for k, v in found.items() if k not in ("created_at", "tool_version")} | {"subject": subject}


@of("tensor_parallel_ranks")
def test_a_recording_of_devices_gives_the_same_verdict(seen: tuple[Json, Json]) -> None:
    live, again = seen
    assert [file["kind"] for file in again["subject"]["files"]] == ["diagnose recording"]
    assert without_circumstances(again) == without_circumstances(live)


@scenario
def record_then_analyze(place: Place) -> Json:
    first, second = place.workers("two")
    path = place.folder / "run.rec.gz"
    options = AT_WORK | {"watts": 500, "tensor1": 10}
    machine = driver("two", **options, pids=first, pids1=second)
    place.command(machine, "record", place.engines["two"].pid, "-o", path, "--for", LOOK_S)
    return kept(place.command("", "analyze", path, "--format", "json"))


def test_record_then_analyze(seen: Json) -> None:
    assert (seen["verdict"]["regime"], seen["verdict"]["cause"]) == ("memory", "weights")
    assert len(seen["devices"]) == 2
    assert seen["slowest_device"] == 1
    assert near(seen["measured"]["joules_per_token"], 2 * 500.0 / (RATES["two"] * BATCH))


@scenario
def clocks_that_are_held_down(place: Place) -> Json:
    first, second = place.workers("two")
    capped, hot = 0x04, 0x20 | 0x40
    return place.attach(
        "two", driver("two", **AT_WORK | {"reasons": capped, "reasons1": hot}, pids=first, pids1=second)
    )


def test_clocks_that_are_held_down(seen: Json) -> None:
    assert [d["verdict"]["limits"] for d in seen["devices"]] == [["power_cap"], ["thermal"]]
    assert seen["verdict"]["limits"] == ["power_cap", "thermal"]
    assert seen["environment"]["throttled"] == ["power_cap", "thermal"]
    assert seen["verdict"]["regime"] == "memory"
    assert seen["slowest_device"] is None


@scenario
def a_power_limit_that_was_lowered(place: Place) -> Json:
    options = AT_WORK | {"watts": 345, "limit": 350, "reasons": 0x04}
    return place.attach("one", driver("h200", **options, pids=place.workers("one")[0]))


def test_a_power_limit_that_was_lowered(seen: Json) -> None:
    """However little its power says of the regime, the cap is told."""
    assert seen["verdict"]["limits"] == ["power_cap"]
    assert seen["verdict"]["regime"] == "memory"


# --- drivers and devices in trouble


@scenario
def a_gpu_that_is_lost_meanwhile(place: Place) -> Json:
    first, second = place.workers("two")
    return place.attach("two", driver("two", **AT_WORK, lost=3, pids=first, pids1=second), for_=3.2)


def test_a_gpu_that_is_lost_meanwhile(seen: Json) -> None:
    (event,) = seen["events"]
    assert event == "GPU 1 (NVIDIA H100 80GB HBM3) is not read any more: GPU is lost"
    assert seen["verdict"]["regime"] == "memory"
    assert [d["verdict"]["regime"] for d in seen["devices"]] == ["memory", "memory"]
    assert all(d["measured"]["dram_active_fraction"] == pytest.approx(NEEDED) for d in seen["devices"])


@of("a_gpu_that_is_lost_meanwhile")
def test_energy_is_compared_with_the_tokens_of_the_same_time(seen: Json) -> None:
    """The lost one was read for a part of the time only, the engine throughout: right, or not stated."""
    whole, lost = (device["measured"].get("joules_per_token") for device in seen["devices"])
    right = 600.0 / (RATES["two"] * BATCH)
    assert near(whole, right)
    assert lost is None or near(lost, right)


@scenario
def a_gpu_that_is_lost_at_once(place: Place) -> Json:
    return place.attach("one", driver("h200", **AT_WORK, lost0=1, pids=place.workers("one")[0]))


def test_a_gpu_that_is_lost_at_once(seen: Json) -> None:
    """What it is was told before: its name and its roofs stand, and the engine's arithmetic is held against them."""
    assert seen["events"] == ["GPU 0 (NVIDIA H200) is not read any more: GPU is lost"]
    assert [d["name"] for d in seen["subject"]["devices"]] == ["NVIDIA H200"]
    assert seen["roofs"]["bandwidth_bytes_per_s"] == pytest.approx(H200, rel=1e-4)
    assert near(seen["measured"]["bandwidth_fraction"], NEEDED)
    assert seen["verdict"]["regime"] == "memory"


@scenario
def a_driver_that_does_not_fit_its_library(place: Place) -> tuple[Json, Json]:
    path = place.folder / "run.rec.gz"
    found = place.attach("two", driver("two", driver=18), "--record", path)
    return found, kept(place.command("", "analyze", path, "--format", "json", "--gpu", "H100"))


def test_a_driver_that_does_not_fit_its_library(seen: tuple[Json, Json]) -> None:
    alone, told = seen
    for found in seen:
        assert found["sources"] == ["engine metrics", "host"]
        (nvml,) = [m for m in found["missing"] if m["source"] == "NVML"]
        assert nvml["reason"] == "driver and library differ in version"
        assert "reboot" in nvml["unlock"]
    assert alone["verdict"]["regime"] == "inconclusive"
    assert "--gpu" in alone["next_measurement"]
    assert told["verdict"]["regime"] == "memory"
    assert told["roofs"]["source"] == "datasheet of H100 SXM5"
    assert near(told["measured"]["bandwidth_fraction"], NEEDED)


@scenario
def the_part_is_named_where_the_driver_is_silent(place: Place) -> Json:
    return place.attach("two", driver("two", driver=18), "--gpu", "H100")


def test_the_part_is_named_where_the_driver_is_silent(seen: Json) -> None:
    assert seen["verdict"]["regime"] == "memory"
    assert {"bandwidth_saturation", "compute_saturation"} <= weighed(seen).keys()


# --- strangers


@scenario
def a_stranger_on_the_same_gpu(place: Place) -> Json:
    """It streams; the job itself needs a seventh of the bandwidth."""
    listed = f"{place.workers('slow')[0]}:{os.getpid()}"
    return place.attach("slow", driver("h200", **AT_WORK, pids=listed))


def test_a_stranger_on_the_same_gpu(seen: Json) -> None:
    told = [w for w in seen["warnings"] if "other process" in w]
    assert len(told) == 1
    assert "device 0" in told[0]


@of("a_stranger_on_the_same_gpu")
def test_a_strangers_traffic_is_not_taken_for_the_jobs(seen: Json) -> None:
    assert bandwidth_needed(seen) < 0.2
    assert seen["verdict"]["regime"] != "memory"
    assert near(seen["measured"]["bandwidth_fraction"], bandwidth_needed(seen))


@scenario
def a_gpu_of_others_alone(place: Place) -> Json:
    return place.attach("slow", driver("h200", **AT_WORK, pids=os.getpid()))


def test_a_gpu_of_others_alone(seen: Json) -> None:
    """It is read for the job by nobody: its activity is not the job's."""
    assert seen["subject"].get("devices", []) == []
    assert "dram_active_fraction" not in seen["measured"]
    assert [m["reason"] for m in seen["missing"] if m["source"] == "NVML"] == [
        "no process of the job holds an NVIDIA GPU"
    ]
