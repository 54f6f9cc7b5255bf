"""Which devices are the job's: by pids, by CUDA_VISIBLE_DEVICES, by being the only one."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from types import SimpleNamespace

import pytest

from collectors.nvml.devices import Gpu
from collectors.nvml.fold import observations
from collectors.nvml.holders import UNMATCHED, Match, match, of_visible, same_pids
from collectors.nvml.library import Handle, Library
from tests.make.nvml import seen


class Binding:
    """A binding that lists processes by handle; None: not permitted."""

    def __init__(self, pids: Mapping[str, Collection[int] | None]) -> None:
        self.pids = pids

    def nvmlDeviceGetComputeRunningProcesses(self, raw: str) -> list[SimpleNamespace]:  # noqa: N802
        found = self.pids[raw]
        if found is None:
            raise PermissionError(raw)
        return [SimpleNamespace(pid=pid) for pid in found]


def uuid(letter: str, kind: str = "GPU") -> str:
    return f"{kind}-{letter * 8}-0000-4000-8000-{letter * 12}"


def machine(*pids: Collection[int] | None, cut: bool = False) -> list[Gpu]:
    """GPUs with processes each; ``cut``: the first one into two instances without any."""
    library = Library(Binding({**{f"gpu{i}": p for i, p in enumerate(pids)}, "mig0": [], "mig1": []}))
    found = []
    for index in range(len(pids)):
        board, letter = Handle(library, f"gpu{index}"), "abcdefgh"[index]
        found.append(
            Gpu(
                index=index,
                board_index=index,
                handle=board,
                board=board,
                uuid=uuid(letter),
                board_uuid=uuid(letter),
                cut=cut and index == 0,
            )
        )
    instances = (
        Gpu(
            index=101 + place,
            board_index=0,
            handle=Handle(library, f"mig{place}"),
            board=found[0].board,
            uuid=uuid("12"[place], "MIG"),
            board_uuid=found[0].uuid,
            instance=1 + place,
            compute_instance=0,
        )
        for place in range(2 if cut else 0)
    )
    return [*found, *instances]


def same(pids: Collection[int]) -> dict[int, int]:
    return {pid: pid for pid in pids}


def unknown(pids: Collection[int]) -> dict[int, int]:
    """Within a container: none of NVML's numbers is a process here."""
    return {}


def taken(found: Match) -> list[int]:
    return sorted(found.held)


# --- matched


def test_by_pids_with_strangers_counted() -> None:
    found = match(machine([7, 9, 11], [9], [8]), {7, 8}, host_pids=same)
    assert {i: (h.pids, h.others) for i, h in found.held.items()} == {0: ((7,), 2), 2: ((8,), 0)}
    assert (found.reason, found.guessed) == (None, False)


def test_pids_are_translated() -> None:
    found = match(machine([70001, 70002]), {7}, host_pids=lambda pids: {70001: 7})
    assert found.held[0].pids == (7,)
    assert found.held[0].others == 1


def test_matched_pids_say_more_than_the_environment() -> None:
    assert taken(match(machine([7], []), {7}, host_pids=same, visible="1")) == [0]


def test_a_job_without_a_gpu_beside_a_strangers_gets_none() -> None:
    found = match(machine([9]), {7}, host_pids=same)
    assert (taken(found), found.reason) == ([], "no process of the job holds an NVIDIA GPU")


def test_a_job_that_opened_no_device_gets_none() -> None:
    assert taken(match(machine([9]), {7}, host_pids=unknown, holds_device=False)) == []


def test_a_list_that_is_refused_leaves_the_others() -> None:
    assert taken(match(machine(None, [7]), {7}, host_pids=same)) == [1]


def test_where_pids_are_the_hosts_they_are_processes_of_here() -> None:
    absent = 1 << 22
    assert same_pids([os.getpid(), absent]) == {os.getpid(): os.getpid()}


# --- not matched


def test_in_a_container_the_environment_decides() -> None:
    found = match(machine([70001], [70002], [70003]), {7}, host_pids=unknown, visible="2,0")
    assert taken(found) == [0, 2]
    assert found.guessed
    assert found.reason == f"{UNMATCHED}: GPU 2, GPU 0 are taken from the job's CUDA_VISIBLE_DEVICES"
    assert "--pid=host" in (found.unlock or "")


@pytest.mark.parametrize("hidden", ["", "-1", "NoDevFiles", "9", "-1,0"])
def test_an_environment_that_hides_every_gpu_gives_none(hidden: str) -> None:
    found = match(machine([70001]), {7}, host_pids=unknown, visible=hidden)
    assert taken(found) == []
    assert "names no GPU" in (found.reason or "")


def test_the_only_gpu_is_taken() -> None:
    found = match(machine([70001]), {7}, host_pids=unknown)
    assert found.reason == f"{UNMATCHED}: GPU 0 is taken as the only one"


def test_of_several_those_with_any_compute_process_are_taken() -> None:
    assert taken(match(machine([], [70001], [70002]), {7}, host_pids=unknown)) == [1, 2]


def test_of_several_that_list_nothing_none_is_taken() -> None:
    found = match(machine([], []), {7}, host_pids=unknown)
    assert taken(found) == []
    assert found.reason is not None


def test_a_gpu_cut_into_instances_is_never_read_as_a_whole() -> None:
    assert taken(match(machine([70001], cut=True), {7}, host_pids=unknown)) == []
    assert taken(match(machine([70001], cut=True), {7}, host_pids=unknown, visible="0")) == [101]


# --- CUDA_VISIBLE_DEVICES


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        ("0", [0]),
        (" 1 , 0 ", [1, 0]),
        ("0,-1,1", [0]),
        ("1,1", [1]),
        ("0,9", [0]),
        ("²", []),
        ("9" * 5000, []),
        ("GPU-bbbb", [1]),
        (uuid("a"), [0]),
        ("GPU-", []),
        ("gpu-bbbb", []),
    ],
)
def test_words_name_devices_up_to_the_first_that_names_none(text: str, indices: list[int]) -> None:
    assert [gpu.index for gpu in of_visible(text, machine([], []))] == indices


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        (uuid("2", "MIG"), [102]),
        (f"MIG-{uuid('a')}/2/0", [102]),
        (f"MIG-{uuid('a')}/5/0", []),
        ("GPU-aaaa", [101]),
        ("0,1", [101, 1]),
    ],
)
def test_instances_are_named_by_either_generation_of_names(text: str, indices: list[int]) -> None:
    assert [gpu.index for gpu in of_visible(text, machine([], [], cut=True))] == indices


# --- over a run, through the real binding


def test_without_permission_on_processes_the_reason_is_told_once() -> None:
    run = seen("h200,noprocs,pids=4000", known={4000: 700}, turns=12)
    assert run.missing == [
        "NVML: NVML does not tell which processes use a GPU (no permission): GPU 0 is taken as the only one"
    ]
    assert "pids" not in run.of("device")[0]
    assert "other_processes" not in run.of("device")[0]
    assert len(run.of("nvml")) == 12


def test_a_device_that_the_job_takes_later_is_read_from_then_on() -> None:
    run = seen("two,pids=4000,pids1=4001", jobs=[[700], [700, 701]], known={4000: 700, 4001: 701}, turns=7)
    assert [(r["index"], r["t_s"]) for r in run.of("device")] == [(0, 0.0), (1, 5.0)]
    assert [r["t_s"] for r in run.of("nvml", 1)] == [5.0, 6.0, 7.0]


def test_a_guess_that_was_wrong_is_taken_back() -> None:
    run = seen("two,pids1=4001", jobs=[[701]], known=[{}, {4001: 701}], visible="0", turns=6)
    assert run.missing == [f"NVML: {UNMATCHED}: GPU 0 is taken from the job's CUDA_VISIBLE_DEVICES"]
    assert [(r["index"], r["t_s"], r.get("of_job")) for r in run.of("device")] == [
        (0, 0.0, None),
        (0, 5.0, False),
        (1, 5.0, None),
    ]
    assert [r["t_s"] for r in run.of("nvml", 0)] == [1.0, 2.0, 3.0, 4.0]
    assert {o.device.index for o in observations(run.records) if o.device} == {1}


def test_a_job_that_holds_no_gpu_yet_is_said_once_and_looked_for_again() -> None:
    run = seen("two,pids1=4001", jobs=[[1], [1], [701]], known={4001: 701}, turns=11)
    assert run.missing == ["NVML: no process of the job holds an NVIDIA GPU"]
    assert [(r["index"], r["t_s"]) for r in run.of("device")] == [(1, 10.0)]


def test_devices_stay_when_the_jobs_processes_end() -> None:
    run = seen("h200,pids=4000", jobs=[[700], []], known={4000: 700}, turns=7)
    assert len(run.of("nvml", 0)) == 7
    assert run.missing == []
