"""The façade: options as keywords, paths of any kind, files together, and what a result can be turned into."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import diagnose
from diagnose import DiagnoseError, Result, UnknownGpu, UnreadableDump, UnusableModel, analyze

SAMPLE = Path(diagnose.__file__).parent / "samples" / "vllm_cpu_decode"
BEFORE, AFTER = SAMPLE / "before.prom", SAMPLE / "after.prom"
ROOFS: dict[str, Any] = {
    "model": SAMPLE / "config.json",
    "bandwidth_gb_s": 24.6,
    "tflops": "0.18",
    "dtype": "fp32",
}


def verdict(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = result.to_dict()["verdict"]
    return found


def test_everything_public_is_there_and_nothing_else() -> None:
    assert set(dir(diagnose)) == set(diagnose.__all__)
    assert all(hasattr(diagnose, name) for name in diagnose.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = diagnose.nothing


def test_the_shipped_sample_is_memory_bound_by_its_weights() -> None:
    found = verdict(analyze([BEFORE, AFTER], **ROOFS))
    assert (found["regime"], found["cause"]) == ("memory", "weights")
    assert found["confidence"] > 0.9


def test_the_order_of_files_does_not_matter() -> None:
    there, back = analyze([BEFORE, AFTER], **ROOFS), analyze([AFTER, BEFORE], **ROOFS)
    assert there.to_dict()["verdict"] == back.to_dict()["verdict"]
    assert there.to_dict()["evidence"] == back.to_dict()["evidence"]


def test_a_file_given_twice_changes_nothing(tmp_path: Path) -> None:
    copy = shutil.copy(AFTER, tmp_path / "the same under another name.txt")
    once, twice = analyze([BEFORE, AFTER], **ROOFS), analyze([BEFORE, AFTER, copy, AFTER], **ROOFS)
    once_dict, twice_dict = once.to_dict(), twice.to_dict()
    for key in ("verdict", "measured", "evidence", "subject", "warnings"):
        assert once_dict[key] == twice_dict[key], key


def test_a_compressed_file_is_the_same_file(tmp_path: Path) -> None:
    packed = tmp_path / "after.prom.gz"
    packed.write_bytes(gzip.compress(AFTER.read_bytes()))
    assert verdict(analyze([BEFORE, packed], **ROOFS)) == verdict(analyze([BEFORE, AFTER], **ROOFS))


def test_one_path_needs_no_list() -> None:
    assert analyze(str(BEFORE)).to_dict()["next_measurement"] == analyze([BEFORE]).to_dict()["next_measurement"]


def test_a_generator_of_paths_is_read_once() -> None:
    assert verdict(analyze((p for p in (BEFORE, AFTER)), **ROOFS))["regime"] == "memory"


def test_a_file_that_is_no_dump_is_left_out_with_a_warning(tmp_path: Path) -> None:
    junk = tmp_path / "notes.txt"
    junk.write_text("remember the milk\n", encoding="utf-8")
    result = analyze([BEFORE, AFTER, junk], **ROOFS)
    assert verdict(result)["regime"] == "memory"
    assert any("notes.txt" in w and "left out" in w for w in result.to_dict()["warnings"])
    with pytest.raises(UnreadableDump, match="of no kind that is known"):
        analyze(junk)


def test_a_result_prints_itself_and_turns_into_a_frame() -> None:
    result = analyze([BEFORE, AFTER], **ROOFS)
    assert str(result).startswith("Memory-bound")
    frame = result.to_frame()
    assert list(frame["name"][:2]) == ["mlp up projection", "mlp down projection"]
    assert frame["time_share"].sum() == pytest.approx(1.0, abs=1e-4)
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False)) == result.to_dict()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"gpu": "H1000"}, UnknownGpu),
        ({"model": "nowhere"}, UnusableModel),
        ({"dtype": "bf17"}, DiagnoseError),
        ({"tflops": 0}, DiagnoseError),
        ({"tflops": "inf"}, DiagnoseError),
        ({"bandwidth_gb_s": "a lot"}, DiagnoseError),
        ({"interval": -3}, DiagnoseError),
        ({"tensor_parallel": 0}, DiagnoseError),
    ],
)
def test_options_that_make_no_sense_are_typed_errors(options: dict[str, Any], error: type[DiagnoseError]) -> None:
    with pytest.raises(error):
        analyze([BEFORE, AFTER], **options)


def test_no_file_at_all_is_an_error() -> None:
    with pytest.raises(DiagnoseError, match="no file"):
        analyze([])


def test_a_missing_file_is_an_error_even_beside_good_ones() -> None:
    with pytest.raises(UnreadableDump, match="no such file"):
        analyze([BEFORE, SAMPLE / "nowhere.prom"])


def test_progress_tells_how_far_reading_is() -> None:
    told: list[tuple[str, int, int | None]] = []
    analyze([BEFORE], progress=lambda *step: told.append(step))
    assert told[-1] == (str(BEFORE), BEFORE.stat().st_size, BEFORE.stat().st_size)


def test_the_split_of_a_model_is_counted_per_device() -> None:
    whole, half = analyze([BEFORE, AFTER], **ROOFS), analyze([BEFORE, AFTER], **ROOFS, tensor_parallel=2)
    longest, split = whole.to_dict()["operations"][0], half.to_dict()["operations"][0]
    assert longest["name"] == split["name"] == "mlp up projection"
    assert split["bytes"] == pytest.approx(longest["bytes"] / 2, rel=1e-5)


def test_an_interval_stands_in_for_clocks_that_are_missing(tmp_path: Path) -> None:
    """The same two snapshots, said to lie twice as far apart, show half the rate."""
    usual = analyze([BEFORE, AFTER], **ROOFS)
    window_s = usual.to_dict()["window_s"]
    longer = analyze([BEFORE, AFTER], **ROOFS, interval=2 * window_s)
    assert longer.to_dict()["measured"]["tokens_per_s"] == pytest.approx(
        usual.to_dict()["measured"]["tokens_per_s"] / 2, rel=1e-3
    )
