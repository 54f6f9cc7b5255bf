"""Tools that are in a process are seen by their variables, or by their libraries."""

from __future__ import annotations

from pathlib import Path

import pytest

from collectors.probe.watchers import VARIABLES, watched_by

PLAIN = "7f00-7f01 r-xp 00000000 08:01 1 /usr/lib/libcuda.so.1\n7f02-7f03 rw-p 0 00:00 0\n"


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_shows_the_tool(name: str, tmp_path: Path) -> None:
    assert watched_by({name: "/opt/tool.so"}, tmp_path / "none") == name
    assert watched_by({name: ""}, tmp_path / "none") is None


@pytest.mark.parametrize(
    ("library", "told"),
    [
        ("/opt/nvidia/nsight-compute/2025.1/target/linux/libcuda-injection.so", "libcuda-injection.so"),
        ("/opt/nvidia/nsight-systems/2025.1/target/linux/libToolsInjection64.so", "libToolsInjection64.so"),
        ("/site-packages/nvidia/cuda_cupti/lib/libcupti.so.12", None),
    ],
)
def test_a_library_shows_the_tool(library: str, told: str | None, tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text(f"{PLAIN}7f04-7f05 r-xp 00000000 08:01 2 {library}\n")
    assert watched_by({}, maps) == told
