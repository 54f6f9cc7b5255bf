"""NVML read live, through the real binding: what a job's devices state, and what happens when they do not."""

from __future__ import annotations

import pytest

from tests.make.nvml import Seen, seen, stub

OURS = {4000: 700, 4001: 701}
"""Pids as NVML sees them, and as we do."""

PROCESSES = "pids=4000:5000,pids1=4001"


def watched(scenario: str, **order: object) -> Seen:
    """A run in which the job's processes are known."""
    return seen(f"{scenario},{PROCESSES}", **{"jobs": [[700, 701]], "known": OURS, **order})  # type: ignore[arg-type]


def first(run: Seen, what: str, device: int = 0) -> dict[str, object]:
    return run.of(what, device)[0]


# --- the machine


def test_a_hopper_board_is_described_and_read_with_gpm() -> None:
    run = watched("h200", turns=2)
    device = first(run, "device")
    assert device == {
        "what": "device",
        "t_s": 0.0,
        "index": 0,
        "uuid": "GPU-0f0f0f0f-5a5a-4b4b-8c8c-000000000000",
        "name": "NVIDIA H200",
        "vendor": "NVIDIA",
        "memory_bytes": 141.0 * 2**30,
        "sm_count": 132,
        "bus_width_bits": 6144,
        "max_memory_clock_hz": 3201e6,
        "memory_clock_hz": 3201e6,
        "max_sm_clock_hz": 1980e6,
        "power_limit_w": 700.0,
        "driver": "555.58.02",
        "pcie_peak_bytes_per_s": pytest.approx(63.0e9, rel=0.001),
        "pids": [700],
        "other_processes": 1,
    }
    reading, later = run.of("nvml", 0)
    assert reading == {
        "what": "nvml",
        "t_s": 1.0,
        "device": 0,
        "sm": reading["sm"],
        "memory": reading["memory"],
        "power_w": 513.0,
        "energy_j": 1600.0,
        "sm_clock_hz": 1755e6,
        "memory_clock_hz": 3201e6,
        "clock_reasons": 4,
        "memory_used_bytes": pytest.approx(0.75 * 141.0 * 2**30),
        "video": 0.12,
        "ecc_errors": 3.0,
    }
    assert later["energy_j"] == 2200.0
    assert first(run, "gpm") == {
        "what": "gpm",
        "t_s": 1.0,
        "device": 0,
        "window_s": 1.0,
        "engine_active": 1.0,
        "sm_active": 0.88,
        "sm_occupancy": 0.31,
        "integer_active": 0.08,
        "tensor_active": 0.07,
        "dram_active": 0.74,
        "fp64_active": 0.055,
        "fp32_active": 0.06,
        "fp16_active": 0.065,
        "pcie_tx_bytes_per_s": 148.0 * 2**20,
        "pcie_rx_bytes_per_s": 149.0 * 2**20,
        "nvlink_rx_bytes_per_s": 2.0**30,
        "nvlink_tx_bytes_per_s": 2.0**31,
    }
    assert run.of("missing") == []


def test_nothing_is_changed_and_everything_is_freed() -> None:
    for scenario in ("h200", "a100,sentinels", "mig", "two,lost=1", "eight,gpmnan", "h200,nogpm"):
        run = watched(scenario)
        assert (run.counts["stub_sets"], run.counts["stub_gpm_samples"], run.counts["stub_opened"]) == (0, 0, 0)


def test_the_drivers_own_samples_since_the_last_reading_are_taken_once() -> None:
    for reading in watched("h200", turns=3).of("nvml"):
        assert 6 <= len(reading["sm"]) <= 7
        assert set(reading["sm"]) == {0.9, 0.91, 0.92}
        assert set(reading["memory"]) == {0.4}


@pytest.mark.parametrize("buffer", ["norates", "still"])
def test_without_new_samples_the_latest_averages_are_read(buffer: str) -> None:
    last = watched(f"h200,{buffer}", turns=4).of("nvml")[-1]
    assert (last["sm"], last["memory"]) == ([0.77], [0.33])


def test_before_hopper_pcie_is_read_but_rarely_and_gpm_is_said_to_be_missing() -> None:
    run = watched("a100", turns=4)
    assert run.of("gpm") == []
    assert run.missing == ["GPM of GPU 0: not supported"]
    assert "Hopper" in run.of("missing")[0]["unlock"]
    assert first(run, "device")["sm_count"] == 108
    rates = [("pcie_rx_bytes_per_s" in r, "pcie_tx_bytes_per_s" in r) for r in run.of("nvml")]
    assert rates == [(True, True), (False, False), (True, True), (False, False)]
    assert first(run, "nvml")["pcie_rx_bytes_per_s"] == 3e9
    assert first(run, "nvml")["pcie_tx_bytes_per_s"] == 2e9


def test_where_gpm_states_pcie_the_slow_call_is_never_made() -> None:
    assert watched("h200").counts["stub_pcie_calls"] == 0
    assert watched("a100").counts["stub_pcie_calls"] > 0


def test_nvlink_counts_all_links() -> None:
    run = watched("two,a100")
    assert first(run, "device")["nvlink_peak_bytes_per_s"] == 12 * 25e9
    reading = first(run, "nvml")
    assert (reading["nvlink_rx_bytes"], reading["nvlink_tx_bytes"]) == (6.0 * 2**30, 2.0 * 2**30)


def test_gpm_is_not_read_faster_than_its_counters_refresh() -> None:
    run = watched("h200", turns=4, period_s=0.125)
    assert [r["window_s"] for r in run.of("gpm")] == [0.25, 0.25]
    assert len(run.of("nvml")) == 4


def test_eight_boards_are_read_where_the_job_runs() -> None:
    run = watched("eight")
    assert [r["index"] for r in run.of("device")] == [0, 1]
    assert {r["device"] for r in run.of("nvml")} == {0, 1}
    assert [r["clock_reasons"] for r in run.of("nvml")[:2]] == [0x04, 0x40]


# --- MIG


def test_every_mig_instance_is_a_device_of_its_own() -> None:
    run = watched("mig")
    three, one = run.of("device")
    assert (three["index"], one["index"]) == (101, 109)
    assert (three["mig_profile"], one["mig_profile"]) == ("3g.40gb", "1g.10gb")
    assert (three["sm_count"], one["sm_count"]) == (60, 16)
    assert (three["memory_bytes"], one["memory_bytes"]) == (40.0 * 2**30, 10.0 * 2**30)
    assert three["uuid"].startswith("MIG-")
    assert three["name"] == "NVIDIA H100 80GB HBM3"
    assert three["bus_width_bits"] == 5120
    assert (three["other_processes"], one["other_processes"]) == (1, 0)
    assert [first(run, "gpm", index)["dram_active"] for index in (101, 109)] == [0.74, 0.25]


def test_the_boards_power_and_links_are_not_an_instances() -> None:
    reading = first(watched("mig"), "nvml", 101)
    assert set(reading) == {
        *("what", "t_s", "device"),
        *("sm_clock_hz", "memory_clock_hz", "clock_reasons", "memory_used_bytes"),
    }


# --- devices in trouble


def test_a_lost_gpu_is_named_once_and_the_other_goes_on() -> None:
    run = watched("two,lost=2", turns=5)
    events = run.of("event")
    assert [(e["t_s"], e["text"]) for e in events] == [
        (2.0, "GPU 1 (NVIDIA H100 80GB HBM3) is not read any more: GPU is lost")
    ]
    assert [r["t_s"] for r in run.of("nvml", 0)] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert max(r["t_s"] for r in run.of("nvml", 1)) == 2.0
    assert run.of("missing") == []


def test_a_gpu_that_answers_nothing_is_given_up_after_a_while() -> None:
    run = watched("two,mute=1", turns=7)
    assert [e["text"] for e in run.of("event")] == ["GPU 0 (NVIDIA H100 80GB HBM3) is not read any more: unknown error"]
    assert len(run.of("nvml", 1)) == 7


def test_a_gpu_that_cannot_be_opened_is_said_and_the_other_read() -> None:
    run = watched("two,unopened")
    assert run.missing == ["NVML: GPU 1 cannot be opened: no permission"]
    assert {r["device"] for r in run.of("nvml")} == {0}


# --- values


def test_sentinels_are_absent() -> None:
    run = watched("h200,sentinels")
    assert set(first(run, "device")) == {
        *("what", "t_s", "index", "uuid", "name", "vendor", "sm_count", "bus_width_bits", "power_limit_w", "driver"),
        *("pcie_peak_bytes_per_s", "pids", "other_processes"),
    }
    for reading in run.of("nvml"):
        assert set(reading) <= {"what", "t_s", "device", "clock_reasons", "video", "ecc_errors"}


def test_idle_is_zero_not_absent() -> None:
    assert set(first(watched("h200,idle"), "nvml")["sm"]) == {0.0}  # type: ignore[call-overload]


def test_gpm_leaves_out_what_is_no_number_and_what_failed() -> None:
    run = watched("h200,gpmnan,gpmerr", turns=4)
    for activity in run.of("gpm"):
        assert {"engine_active", "sm_occupancy", "integer_active", "tensor_active"} == {
            k for k in activity if k not in GPM_FRAME
        }
    assert run.missing == [
        "GPM of GPU 0: dram_active: not a number; fp16_active: not supported; fp32_active: not supported; "
        "fp64_active: not supported; nvlink_rx_bytes_per_s: not supported; nvlink_tx_bytes_per_s: not supported; "
        "pcie_rx_bytes_per_s: not supported; pcie_tx_bytes_per_s: not supported; sm_active: not a number"
    ]


GPM_FRAME = {"what", "t_s", "device", "window_s"}


def test_codes_and_bytes_of_no_document_do_no_harm() -> None:
    run = watched("h200,strange,gpmerr", turns=4)
    assert "name" not in first(run, "device")
    assert "fp16_active: error 777" in run.missing[0]
    assert len(run.of("nvml")) == 4


# --- permission, old drivers


def test_gpm_without_permission_is_said_once_with_what_unlocks_it() -> None:
    run = watched("h200,nogpm", turns=4)
    assert run.missing == ["GPM of GPU 0: no permission"]
    assert "NVreg_RestrictProfilingToAdminUsers=0" in run.of("missing")[0]["unlock"]
    assert len(run.of("nvml")) == 4
    assert "pcie_rx_bytes_per_s" in first(run, "nvml")


def test_an_old_driver_lacks_functions_and_is_read_all_the_same() -> None:
    run = watched("h200", folder=stub("-DOLD"))
    assert run.missing == [
        "NVML: NVML does not tell which processes use a GPU (function not found): GPU 0 is taken as the only one",
        "GPM of GPU 0: function not found",
    ]
    reading = first(run, "nvml")
    assert reading["clock_reasons"] == 4
    assert reading["power_w"] == 513.0
    assert "pcie_rx_bytes_per_s" in reading


def test_no_heavy_library_is_loaded_by_reading() -> None:
    assert watched("h200", folder=stub()).loaded == []
