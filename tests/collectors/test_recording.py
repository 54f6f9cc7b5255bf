"""Recordings that were cut, bent, doubled or made by somebody else: a verdict or a clear refusal, never a crash."""

from __future__ import annotations

import copy
import gzip
import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import diagnose
from collectors.engines.slots import COUNTER
from collectors.fold import fold
from collectors.record import SCHEMA, Record, record
from collectors.recording import Writer
from heuristics.errors import DiagnoseError, UnreadableDump
from heuristics.vocabulary import Limit, Regime
from tests.diagnose.outcomes import CONTRACT, Outcome, analysed
from tests.make import engines
from tests.make.configs import PLAIN
from tests.make.engines import State

ROOFS = {"bandwidth_gb_s": 20.0, "tflops": 1.0, "dtype": "fp32"}
HEADER = {"schema": SCHEMA, "tool_version": "0.1.0", "created_at": "2026-01-01T00:00:00Z"}


def samples(lines: list[str]) -> list[list[Any]]:
    """What a scrape of these lines records."""
    from collectors.engines.source import _wanted
    from collectors.prometheus.series import SeriesReader

    return [list(sample) for sample in SeriesReader(_wanted()).read("\n".join(lines).encode())]


def scrape(t_s: float, state: State) -> Record:
    return record("scrape", t_s, took_s=0.01, samples=samples(engines.vllm(state)))


def host(t_s: float, **changes: Any) -> Record:
    fields: dict[str, Any] = {
        "window_s": 1.0,
        "threads": 12,
        "run_s": 1.0,
        "asleep_s": 0.0,
        "working": 1,
        "working_run_s": 1.0,
        "working_wait_s": 0.0,
        "busiest": [{"pid": 7, "name": "worker", "run_s": 1.0, "wait_s": 0.0}],
        "cores": 2.0,
        "throttled_s": 0.0,
    }
    return record("host", t_s, **(fields | changes))


def shape_record() -> Record:
    from collectors.model_config import shape_of
    from collectors.model_files.record import plain

    return record("model", name="ours/tiny", source="config.json", shape=plain(shape_of(PLAIN)))


def whole(seconds: int = 8, *, later: Callable[[State, int], State] | None = None) -> list[Record]:
    """A look of some seconds at a job that decodes on a CPU."""
    found = [
        record(
            "job",
            holds_device=False,
            pid=7,
            engine="vLLM",
            recognised_by="command line",
            processes=[{"pid": 7, "ppid": 1, "name": "vllm"}],
            flags={"dtype": "bfloat16"},
            parallelism={},
        ),
        record("about", version="0.33.0", served_name="ours/tiny"),
        shape_record(),
        record("missing", source="calibration", reason="none is stored", unlock="diagnose calibrate"),
    ]
    state = State()
    for n in range(seconds + 1):
        found += [scrape(float(n), state), host(float(n))]
        state = later(state, n) if later is not None else state.later(1.0, step_s=0.02)
    return [
        *found,
        record("overhead", float(seconds), start_cpu_s=0.1, cpu_s=0.2, wall_s=float(seconds), rss_bytes=5e7),
    ]


WHOLE = whole()


def lines_of(records: list[Any], header: Any = HEADER) -> list[bytes]:
    return [json.dumps(entry).encode() for entry in (header, *records)]


def written(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(gzip.compress(b"\n".join(lines) + b"\n", 1, mtime=0))
    return path


def judged(path: Path) -> diagnose.Result:
    return diagnose.analyze(path, **ROOFS)


def outlived(path: Path) -> dict[str, Any] | None:
    """A verdict that keeps the contract, or None after a refusal that says what to do."""
    try:
        found = judged(path).to_dict()
    except DiagnoseError:
        return None
    CONTRACT.validate(json.loads(json.dumps(found, allow_nan=False)))
    return found


# --- what is whole


def test_a_recording_is_judged(tmp_path: Path) -> None:
    found = judged(written(tmp_path / "a.rec.gz", lines_of(WHOLE))).to_dict()
    assert found["subject"]["engine"] == "vLLM"
    assert found["subject"]["pid"] == 7
    assert found["measured"]["tokens_per_s"] == pytest.approx(400.0)
    assert found["measured"]["batch"] == pytest.approx(8.0)
    assert found["verdict"]["regime"] in list(Regime)
    assert found["events"] == []
    assert found["missing"][0]["unlock"] == "diagnose calibrate"


def test_plain_lines_are_read_as_well(tmp_path: Path) -> None:
    plain = tmp_path / "a.jsonl"
    plain.write_bytes(b"\n".join(lines_of(WHOLE)))
    packed = judged(written(tmp_path / "a.rec.gz", lines_of(WHOLE)))
    assert judged(plain).to_dict()["verdict"] == packed.to_dict()["verdict"]


def test_a_writer_writes_what_is_read(tmp_path: Path) -> None:
    path = str(tmp_path / "a.rec.gz")
    writer = Writer(path, {"tool_version": "0.1.0"})
    for entry in WHOLE:
        writer.write(entry)
    writer.close()
    assert judged(Path(path)).to_dict()["verdict"] == outlived(written(tmp_path / "b", lines_of(WHOLE)))["verdict"]  # type: ignore[index]


def test_what_was_flushed_survives_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.rec.gz"
    writer = Writer(str(path), {})
    for entry in WHOLE:
        writer.write(entry)
    writer.flush()
    copied = tmp_path / "copy.rec.gz"
    copied.write_bytes(path.read_bytes())
    writer.close()
    found = judged(copied).to_dict()
    assert found["measured"]["tokens_per_s"] == pytest.approx(400.0)
    assert found["warnings"]


def test_a_writer_never_writes_what_is_no_json(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path / "a"), {})
    with pytest.raises(ValueError, match="JSON"):
        writer.write({"t_s": float("nan")})
    writer.close()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    for path in (str(tmp_path), str(tmp_path / "none" / "a"), "/dev/full", ""):
        with pytest.raises(DiagnoseError, match="cannot be written"):
            Writer(path, {})


# --- what runs are compared by


def test_windows_of_a_recording_have_the_figures_of_the_whole(tmp_path: Path) -> None:
    found = judged(written(tmp_path / "a.rec.gz", lines_of(WHOLE))).to_dict()
    assert set(found["samples"]) >= {"time_per_output_token_s", "tokens_per_s", "step_s", "batch", "bandwidth_fraction"}
    for name, values in found["samples"].items():
        assert values == pytest.approx([found["measured"][name]] * 8), name


def test_a_slow_second_is_seen_in_its_window(tmp_path: Path) -> None:
    records = whole(8, later=lambda state, n: state.later(1.0, step_s=0.02 if n == 3 else 0.01))
    found = judged(written(tmp_path / "a.rec.gz", lines_of(records))).to_dict()
    assert found["samples"]["time_per_output_token_s"] == pytest.approx([0.01] * 3 + [0.02] + [0.01] * 4)
    assert found["samples"]["bandwidth_fraction"][3] == pytest.approx(
        0.5 * found["samples"]["bandwidth_fraction"][0], rel=1e-4
    )


MACHINE = record("machine", processor="A Processor of Ours", cores=2.0, mark="0123456789ab")


def busy(t_s: float, machine_busy_s: float) -> Record:
    return host(t_s, machine_window_s=1.0, machine_busy_s=machine_busy_s, machine_ours_s=1.0)


def test_the_machine_is_read_back(tmp_path: Path) -> None:
    records = [MACHINE, *WHOLE, busy(7.0, 1.5), busy(8.0, 2.5)]
    found = judged(written(tmp_path / "a.rec.gz", lines_of(records))).to_dict()
    assert found["environment"]["host"] == {
        "processor": "A Processor of Ours",
        "cores": 2.0,
        "machine": "0123456789ab",
        "other_busy_cores": 1.0,
    }


def test_a_recording_without_a_machine_has_no_host(tmp_path: Path) -> None:
    """Those of earlier versions."""
    found = judged(written(tmp_path / "a.rec.gz", lines_of(WHOLE))).to_dict()
    assert "host" not in found["environment"]
    assert found["measured"]["host_busy_cores"] == pytest.approx(1.0)


@pytest.mark.parametrize("bent", [{"cores": "two"}, {"cores": -1.0}, {"mark": 7}, {"processor": ["x"]}])
def test_a_bent_machine_is_left_out(bent: dict[str, Any], tmp_path: Path) -> None:
    found = judged(written(tmp_path / "a.rec.gz", lines_of([MACHINE | bent, *WHOLE]))).to_dict()
    assert "host" not in found["environment"]
    assert any("1 line" in text for text in found["warnings"])


def test_the_same_recording_has_the_same_fingerprint(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path, records in zip(paths, (WHOLE, WHOLE, whole(9)), strict=True):
        written(path, lines_of(records))
    one, same, other = (judged(path).to_dict()["subject"]["files"][0]["fingerprint"] for path in paths)
    assert one == same
    assert one != other


# --- what is cut


def test_nothing_but_the_beginning(tmp_path: Path) -> None:
    full = written(tmp_path / "full", lines_of(WHOLE)).read_bytes()
    path = tmp_path / "a.rec.gz"
    for length in [*range(0, 40, 3), *range(40, len(full), max(1, len(full) // 40)), len(full) - 1]:
        path.write_bytes(full[:length])
        outlived(path)


def test_flipped_bytes(tmp_path: Path) -> None:
    full = written(tmp_path / "full", lines_of(WHOLE)).read_bytes()
    chance = random.Random(1)
    path = tmp_path / "a.rec.gz"
    for _ in range(40):
        bent = bytearray(full)
        for _ in range(chance.randrange(1, 4)):
            bent[chance.randrange(len(bent))] ^= 1 << chance.randrange(8)
        path.write_bytes(bent)
        outlived(path)


def test_an_empty_file_and_a_header_alone(tmp_path: Path) -> None:
    for content in (b"", gzip.compress(b""), gzip.compress(b"\n\n"), gzip.compress(lines_of([])[0])):
        path = tmp_path / "a.rec.gz"
        path.write_bytes(content)
        with pytest.raises(UnreadableDump) as refused:
            judged(path)
        assert refused.value.hint


@pytest.mark.parametrize("version", ["2", "10", "1.5", "", "x", "9" * 5000])
def test_a_newer_version_is_told(version: str, tmp_path: Path) -> None:
    header = HEADER | {"schema": f"diagnose.recording/{version}"}
    with pytest.raises(UnreadableDump, match="version") as refused:
        judged(written(tmp_path / "a.rec.gz", lines_of(WHOLE, header)))
    assert "pip install -U" in str(refused.value.hint)
    assert len(str(refused.value)) < 500


# --- what is bent


ODD_LINES = [
    b"",
    b"null",
    b"[]",
    b"5",
    b'"text"',
    b"{}",
    b"{",
    b'{"what": 5}',
    b'{"what": "scrape"}',
    b'{"what": "scrape", "t_s": "x"}',
    b'{"what": "scrape", "t_s": 1, "samples": [[1]]}',
    b'{"what": "scrape", "t_s": 1, "samples": [["vllm:num_requests_running", {}, NaN]]}',
    b'{"what": "scrape", "t_s": 1, "samples": [["vllm:num_requests_running", {}, 1e999]]}',
    b'{"what": "scrape", "t_s": 1, "samples": [["vllm:num_requests_running", {}, "7"]]}',
    b'{"what": "scrape", "t_s": 1, "samples": [["vllm:num_requests_running", [], 7]]}',
    b'{"what": "scrape", "t_s": 1, "samples": [["vllm:num_requests_running", {"engine": 5}, 7]]}',
    b'{"what": "scrape", "t_s": 1, "samples": {"vllm:num_requests_running": 7}}',
    b'{"what": "slots", "t_s": 1, "slots": [5]}',
    b'{"what": "slots", "t_s": 1, "slots": [{"running": true, "id": "x", "decoded": "y"}]}',
    b'{"what": "slots", "t_s": 1, "slots": [{"running": true, "task": [1], "decoded": -5}]}',
    b'{"what": "host", "t_s": 1, "window_s": 0, "threads": 0, "run_s": 0, "asleep_s": 0, "working_run_s": 0,'
    b' "working_wait_s": 0, "busiest": [{"pid": 1, "name": "x", "run_s": 1, "wait_s": 0}]}',
    b'{"what": "host", "t_s": 1, "window_s": -1, "threads": -1, "run_s": -1, "asleep_s": -1, "working_run_s": -1,'
    b' "working_wait_s": -1, "busiest": []}',
    b'{"what": "host", "t_s": 1, "window_s": 1, "threads": 1, "run_s": 1, "asleep_s": 0, "working_run_s": 1,'
    b' "working_wait_s": 0, "busiest": 5}',
    b'{"what": "host", "t_s": 1, "window_s": 1' + b"0" * 400 + b"}",
    b'{"what": "job", "t_s": 1' + b"0" * 400 + b"}",
    b'{"what": "job", "pid": "x", "engine": 5, "parallelism": {"tp": "x"}}',
    b'{"what": "job", "parallelism": [2]}',
    b'{"what": "job", "parallelism": {"tp": -2, "zz": 0}}',
    b'{"what": "job", "parallelism": {"tp": 1e300}}',
    b'{"what": "about", "version": 5, "served_name": {}, "stored_bytes": "x"}',
    b'{"what": "model", "name": 5, "source": [], "shape": {}}',
    b'{"what": "model", "shape": 5}',
    b'{"what": "model", "warnings": 5}',
    b'{"what": "model", "warnings": [5]}',
    b'{"what": "missing", "source": "x"}',
    b'{"what": "missing", "source": [1], "reason": {}}',
    b'{"what": "missing", "source": 1, "reason": 2, "unlock": 3}',
    b'{"what": "event"}',
    b'{"what": "event", "text": 5}',
    b'{"what": "event", "text": {}, "ended": "no"}',
    b'{"what": "calibration", "bandwidth_bytes_per_s": -1}',
    b'{"what": "calibration", "bandwidth_bytes_per_s": 1, "flops_per_s": 5}',
    b'{"what": "calibration", "bandwidth_bytes_per_s": 0, "flops_per_s": {"fp32": 0}, "device": 5, "threads": "x"}',
    b'{"what": "device"}',
    b'{"what": "device", "index": "x", "name": 5, "memory_bytes": "y", "driver": 5}',
    b'{"what": "nvml", "device": 0}',
    b'{"what": "nvml", "device": "x", "sm": 5, "memory": "y", "t_s": 1}',
    b'{"what": "gpm", "device": 0, "window_s": 0, "sm_active": "x"}',
    b'{"what": "dmon", "t_s": 1}',
    b'{"what": "dcgm", "t_s": 1, "samples": 5}',
    b'{"what": "overhead", "cpu_s": 1, "wall_s": 0}',
    b'{"what": "overhead", "cpu_s": "1", "wall_s": "x"}',
    b'{"what": "overhead", "cpu_s": "1", "wall_s": "2", "rss_bytes": "x", "start_cpu_s": []}',
    b"[" * 100_000,
    b'{"what": "\xff\xfe"}',
    b'{"what": "event", "text": "\\ud800"}',
]


@pytest.mark.parametrize("alone", [False, True], ids=["among good ones", "alone"])
@pytest.mark.parametrize("odd", ODD_LINES, ids=lambda line: line[:70].decode("ascii", "replace"))
def test_an_odd_line(odd: bytes, alone: bool, tmp_path: Path) -> None:
    good = [] if alone else lines_of(WHOLE)[1:]
    found = outlived(written(tmp_path / "a.rec.gz", [lines_of([])[0], *good[:9], odd, *good[9:]]))
    assert alone or found is not None


def test_lines_left_out_are_counted(tmp_path: Path) -> None:
    good = lines_of(WHOLE)
    found = judged(written(tmp_path / "a.rec.gz", [*good[:5], b"{", b"5", *good[5:]])).to_dict()
    assert any("2 lines" in warning for warning in found["warnings"])


def test_kinds_that_are_not_known_are_passed_over(tmp_path: Path) -> None:
    plain = outlived(written(tmp_path / "a", lines_of(WHOLE)))
    strange = [{"t_s": 2.0, "what": "of a later version", "value": n} for n in range(5)]
    mixed = [entry for pair in zip(WHOLE, strange * 9, strict=False) for entry in pair]
    mixed += WHOLE[len(mixed) // 2 :]
    found = outlived(written(tmp_path / "b", lines_of(mixed)))
    assert plain is not None
    assert found is not None
    assert found["verdict"] == plain["verdict"]
    assert found["warnings"] == plain["warnings"]


def test_fields_that_are_not_known_are_passed_over(tmp_path: Path) -> None:
    plain = outlived(written(tmp_path / "a", lines_of(WHOLE)))
    found = outlived(written(tmp_path / "b", lines_of([{**entry, "later": {"x": 1}} for entry in WHOLE])))
    assert plain is not None
    assert found is not None
    assert found["verdict"] == plain["verdict"]


def test_records_out_of_order_and_twice(tmp_path: Path) -> None:
    plain = outlived(written(tmp_path / "a", lines_of(WHOLE)))
    assert plain is not None
    chance = random.Random(2)
    for n in range(5):
        mixed = WHOLE * (1 + n % 2)
        chance.shuffle(mixed)
        found = outlived(written(tmp_path / "b", lines_of(mixed)))
        assert found is not None
        assert found["measured"]["tokens_per_s"] == pytest.approx(plain["measured"]["tokens_per_s"])


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([10**400, -(10**400), 1e308, -1e308, 1e-320, 2**63, 0.0, -0.0]),
    st.text(max_size=5),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(st.sampled_from(["pid", "tp", "x"]), st.integers(-1, 3), max_size=2),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a nested value something can be replaced."""
    found = [path] if path else []
    if isinstance(value, dict | list):
        keys = value if isinstance(value, dict) else range(len(value))
        found += [place for key in keys for place in places(value[key], (*path, key))]
    return found


SHORT = [
    *({**entry, "samples": entry["samples"][:12]} if "samples" in entry else entry for entry in whole(3)[:-1]),
    record("slots", 3.5, took_s=0.1, slots=[{"id": 0, "task": 1, "running": True, "decoded": 5}]),
    record("calibration", bandwidth_bytes_per_s=3e10, flops_per_s={"fp32": 1e11}, device="CPU", threads=2),
    record("device", index=0, uuid="GPU-0", name="NVIDIA H100", vendor="NVIDIA", of_job=True, memory_bytes=8e10),
    record("nvml", 1.0, device=0, sm=[0.5, 0.6], memory=[0.4], power_w=300.0, energy_j=5.0, sm_clock_hz=1.9e9),
    record("nvml", 2.0, device=0, sm=[0.5, 0.6], memory=[0.4], power_w=300.0, energy_j=9.0, sm_clock_hz=1.9e9),
    record("gpm", 1.0, device=0, window_s=1.0, sm_active=0.9, dram_active=0.8, tensor_active=0.1),
    record("event", 3.0, text="process 9 ended"),
    record("overhead", 3.0, start_cpu_s=0.1, cpu_s=0.2, wall_s=3.0, rss_bytes=5e7),
]
PLACES = places(SHORT)


@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=3), gone=st.booleans())
def test_any_value_may_be_any_other(
    changes: list[tuple[tuple[Any, ...], Any]], gone: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    records: list[Any] = copy.deepcopy(SHORT)
    for place, value in changes:
        at: Any = records
        try:
            for key in place[:-1]:
                at = at[key]
            if gone and isinstance(at, dict):
                at.pop(place[-1], None)
            else:
                at[place[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue
    outlived(written(tmp_path_factory.getbasetemp() / "bent.rec.gz", lines_of(records)))


@given(st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)))
def test_any_json_behind_the_header(value: Any) -> None:
    from collectors.readers import read
    from tests.make.dumps import dump

    text = b"\n".join([*lines_of([value]), *lines_of(WHOLE)[1:4]]).decode("utf-8", "surrogatepass")
    with suppress(UnreadableDump):
        read(dump(text, "a.rec"))


def test_the_command_line_says_it_in_two_lines(tmp_path: Path) -> None:
    for name, lines in {
        "header": lines_of([]),
        "newer": lines_of(WHOLE, {"schema": "diagnose.recording/7"}),
        "odd": [lines_of([])[0], b"{"],
    }.items():
        outcome: Outcome = analysed(written(tmp_path / name, lines))
        assert outcome.result is None
        assert outcome.hint


# --- made by hand: what would take long to wait for


def test_counters_that_stand_still_while_requests_run() -> None:
    still = whole(8, later=lambda state, n: state.later(1.0) if n < 2 else state)
    found = diagnosed(
        [host(entry["t_s"], run_s=0.01, asleep_s=0.99) if entry["what"] == "host" else entry for entry in still]
    )
    assert Limit.STALLED in found.limits


def test_counters_that_stand_still_for_a_moment_are_no_stall() -> None:
    found = diagnosed(whole(8, later=lambda state, n: state if n in (3, 4) else state.later(1.0)))
    assert Limit.STALLED not in found.limits


def test_a_long_prompt_is_no_stall() -> None:
    found = diagnosed(whole(8, later=lambda state, n: state.later(1.0) if n < 2 else state))
    assert Limit.STALLED not in found.limits


def test_nothing_to_do() -> None:
    from tests.make.engines import IDLE

    quiet = [entry for entry in whole(6) if entry["what"] != "scrape"]
    found = diagnosed([*quiet, *(scrape(float(n), IDLE) for n in range(7))])
    assert found.regime is Regime.IDLE


def diagnosed(records: list[Record]) -> Any:
    """The verdict on records that were never a file."""
    from diagnose.pipeline import diagnose_watched
    from heuristics.assemble import Given

    found = diagnose_watched(fold(records), Given(bandwidth_bytes_per_s=20e9, flops_per_s=1e12)).whole.verdict
    assert found is not None
    return found


def test_slots_and_counter_of_one_look_belong_together() -> None:
    records = []
    for n in range(6):
        ended, running = 100.0 * (n // 3), [20.0 * (n % 3 + 1) + 5.0 * k for k in range(2)]
        told = [[COUNTER, {}, ended], ["llamacpp:n_decode_total", {}, 50.0 * n]]
        slots = [{"id": k, "task": n // 3, "running": True, "decoded": value} for k, value in enumerate(running)]
        records += [record("scrape", float(n), samples=told), record("slots", n + 0.01, slots=slots)]
    found = fold(records)
    (served,) = [o.payload for o in found.observations if type(o.payload).__name__ == "Serving" and o.phase is None]
    assert served.generation_tokens == pytest.approx(100.0 + 125.0 - 45.0)  # type: ignore[union-attr]
