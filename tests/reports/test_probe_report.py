"""A probe's report, whole, on a processor and with graphs; and no wider than a terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from diagnose.probing.arguments import Model
from diagnose.probing.cases import Measured, judged
from diagnose.probing.probe import ProbeResult
from diagnose.probing.whole import diagnosis_of
from heuristics.assemble import Given
from heuristics.vocabulary import Dtype
from tests.diagnose.test_probe_cases import EDGE, GIVEN
from tests.golden_files import compare, settled
from tests.make.probed import H100, measured, product, timing


def on_processor() -> ProbeResult:
    times = {1: 14.5e-3, 2: 29e-3, 4: 32e-3, 8: 35e-3, 16: 38e-3, 32: 48e-3, 64: 70e-3, 128: 110e-3}
    return _result(measured({b: timing(b, t) for b, t in times.items()}, {b: product(EDGE, b) for b in times}), GIVEN)


def with_graphs() -> ProbeResult:
    eager = {1: 3e-3, 8: 3.1e-3, 64: 3.3e-3, 256: 4.1e-3, 1024: 4.5e-3}
    graph = {1: 0.70e-3, 8: 0.72e-3, 64: 0.8e-3, 256: 1.2e-3, 1024: 3.0e-3}
    timings = {b: timing(b, eager[b], device_s=1.05 * graph[b], graph_s=graph[b]) for b in eager}
    given = Given(dtype=Dtype.BF16)
    return _result(measured(timings, {b: product(29580, b, element_bytes=2) for b in eager}, device=H100), given)


def _result(found: Measured, given: Given) -> ProbeResult:
    return ProbeResult(diagnosis_of(found, judged(found, given), Model(), given))


@pytest.mark.parametrize("suffix", ["txt", "json", "md"])
def test_the_whole_report(suffix: str) -> None:
    compare("probe_processor", suffix, settled(on_processor()))
    compare("probe_graphs", suffix, settled(with_graphs()))


@pytest.mark.parametrize("made", [on_processor, with_graphs])
def test_the_table_fits_a_terminal_and_the_frame_has_its_rows(made: object) -> None:
    assert callable(made)
    result = made()
    assert max(map(len, str(result).splitlines())) <= 80
    frame = result.to_frame()
    assert list(frame["batch"]) == [row.batch for row in result.batches]
    assert {"step_s", "tokens_per_s", "regime", "confidence", "spread"} <= set(frame.columns)
    assert result.to_dict()["subject"]["kind"] == "process"
    assert [row["batch"] for row in result.to_dict()["probe"]["batches"]] == list(frame["batch"])


def test_what_was_not_measured_is_absent_from_a_row() -> None:
    row = on_processor().to_dict()["probe"]["batches"][0]
    assert "device_s" not in row
    assert "graph_s" not in row
    assert "eager_regime" not in row


def test_what_went_wrong_while_measuring_is_told() -> None:
    found = measured({1: replace(timing(1, 1e-3), steady=False, refusal="stream capture")}, {1: product(EDGE, 1)})
    told = _result(found, GIVEN).to_dict()["warnings"]
    assert any("warming up" in text for text in told)
    assert any("no CUDA graph" in text and "stream capture" in text for text in told)
