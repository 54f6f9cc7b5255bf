"""Which machine it is, read from made-up system files."""

from __future__ import annotations

from pathlib import Path

import pytest

from collectors.calibration.machine import Machine, last_level_cache_bytes, on_distinct_cores, this_machine
from collectors.calibration.others import OthersWatch

MIB = 1024.0**2


def cache(root: Path, cpu: int, index: int, *, level: int, kind: str, size: str, shared: str) -> None:
    folder = root / f"devices/system/cpu/cpu{cpu}/cache/index{index}"
    folder.mkdir(parents=True)
    for name, text in (("level", str(level)), ("type", kind), ("size", size), ("shared_cpu_list", shared)):
        (folder / name).write_text(f"{text}\n", encoding="ascii")


def caches(root: Path, *, cpus: int, a_cache: int) -> None:
    """CPUs with their first levels and a third-level cache of 16 MiB for every ``a_cache`` of them."""
    for cpu in range(cpus):
        first = cpu // a_cache * a_cache
        cache(root, cpu, 0, level=1, kind="Data", size="32K", shared=str(cpu))
        cache(root, cpu, 1, level=1, kind="Instruction", size="32K", shared=str(cpu))
        cache(root, cpu, 3, level=3, kind="Unified", size="16384K", shared=f"{first}-{first + a_cache - 1}")


@pytest.mark.parametrize(
    ("cpus", "a_cache", "wanted"),
    [
        (8, 8, 16 * MIB),
        (8, 4, 32 * MIB),
        (1, 1, 16 * MIB),
        (8, 1, 16 * MIB),
    ],
    ids=["shared by all", "two instances", "one CPU", "a hypervisor's: one each"],
)
def test_the_last_level_cache_counts_its_instances(tmp_path: Path, cpus: int, a_cache: int, wanted: float) -> None:
    caches(tmp_path, cpus=cpus, a_cache=a_cache)
    assert last_level_cache_bytes(range(cpus), tmp_path) == wanted


def test_only_caches_beside_usable_cpus_count(tmp_path: Path) -> None:
    caches(tmp_path, cpus=8, a_cache=4)
    assert last_level_cache_bytes([4, 5], tmp_path) == 16 * MIB


def test_a_machine_that_states_no_cache_has_none(tmp_path: Path) -> None:
    assert last_level_cache_bytes([0], tmp_path) is None
    cache(tmp_path, 0, 0, level=3, kind="Unified", size="much", shared="0")
    assert last_level_cache_bytes([0], tmp_path) is None


def test_names_and_memory_come_from_proc(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: A  Fast   CPU\n", encoding="ascii")
    (tmp_path / "meminfo").write_text("MemTotal:  1048576 kB\nMemFree: 5 kB\n", encoding="ascii")
    machine = this_machine(sysfs=tmp_path, proc=tmp_path, cpus=[0, 1])
    assert machine == Machine(cpu="A Fast CPU", cpus=2, memory_bytes=1024.0 * MIB)


def test_arm_states_numbers_instead_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("CPU implementer\t: 0x41\nCPU part\t: 0xd40\n", encoding="ascii")
    assert this_machine(sysfs=tmp_path, proc=tmp_path, cpus=[0]).cpu == "0x41 0xd40"


def test_nothing_readable_still_gives_a_machine(tmp_path: Path) -> None:
    machine = this_machine(sysfs=tmp_path, proc=tmp_path, cpus=[0])
    assert machine.cpu
    assert (machine.cpus, machine.memory_bytes, machine.last_level_cache_bytes) == (1, None, None)


def test_the_key_knows_the_machine_but_not_a_few_megabytes() -> None:
    machine = Machine(cpu="x", cpus=4, memory_bytes=64e9)
    assert machine.key == Machine(cpu="x", cpus=4, memory_bytes=64.01e9).key
    others = (
        Machine(cpu="y", cpus=4, memory_bytes=64e9),
        Machine(cpu="x", cpus=8, memory_bytes=64e9),
        Machine(cpu="x", cpus=4, memory_bytes=32e9),
    )
    assert machine.key not in {m.key for m in others}


def test_hardware_threads_of_one_core_are_taken_last(tmp_path: Path) -> None:
    for cpu in range(8):
        folder = tmp_path / f"devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{cpu % 4},{cpu % 4 + 4}\n", encoding="ascii")
    assert on_distinct_cores(range(8), 4, tmp_path) == (0, 1, 2, 3)
    assert on_distinct_cores([0, 1, 4, 5], 3, tmp_path) == (0, 1, 4)
    assert on_distinct_cores([2, 6], 8, tmp_path) == (2, 6)


def stat(root: Path, *busy_ticks: int) -> None:
    lines = [f"cpu{n} {ticks} 0 0 1000 0 0 0 0 0 0" for n, ticks in enumerate(busy_ticks)]
    (root / "stat").write_text("\n".join(["cpu 0 0 0 0", *lines, "intr 1"]) + "\n", encoding="ascii")


def test_what_others_take_is_seen_on_the_cpus_asked_for(tmp_path: Path) -> None:
    stat(tmp_path, 0, 0, 0)
    watch = OthersWatch(proc=tmp_path, cpus=[0, 1])
    assert watch.fraction() == 0.0
    stat(tmp_path, 0, 0, 10**9)
    assert watch.fraction() == 0.0
    stat(tmp_path, 10**9, 0, 0)
    assert watch.fraction() == 1.0


def test_a_machine_that_does_not_tell_is_not_guessed_at(tmp_path: Path) -> None:
    assert OthersWatch(proc=tmp_path, cpus=[0]).fraction() is None
    stat(tmp_path, 5)
    assert OthersWatch(proc=tmp_path, cpus=[0, 1]).fraction() is None
