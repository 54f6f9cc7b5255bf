"""What is known of true shares: parts by relief, twins, and what needed bytes and FLOPs leave for latency."""

from __future__ import annotations

from typing import Any

import pytest

from heuristics.simplex import triangle
from heuristics.vocabulary import Share
from tests.ground_truth.answers import machines
from tests.ground_truth.known import PART_ERROR, TWINS, Known, Within, known_of

RATES = {"bandwidth_bytes_per_s": 1e12, "flops_per_s": 1e14}


def manifest(*, memory: float, compute: float, bytes_part: float, flops_part: float = 0.01) -> dict[str, Any]:
    """A workload whose changes show these parts, and whose needs take these parts of its 10 ms."""
    relief = {"share": "memory", "factor": 0.5, "step_s": 1.0 - memory / 2.0, "beside_s": 1.0}
    burden = {"share": "compute", "factor": 2.0, "step_s": 1.0 + compute, "beside_s": 1.0}
    built = {"bytes": bytes_part * 1e10, "flops": flops_part * 1e12, "dtype": "bf16", "weight_bits": 16.0}
    capture = {
        "built": built,
        "alone": {"step_s": 1e-2},
        "watched": {"step_s": 1e-2},
        "varied": {"variants": [relief, burden]},
    }
    return {"machine": {}, "ceilings": RATES, "workloads": {"x": capture}}


def span(share: Share, given: dict[str, Any]) -> tuple[float, float]:
    known = known_of("x", given, watched=False)
    assert known is not None
    return known.span(triangle().of(share))


def test_memory_lies_between_what_a_relief_saves_and_what_the_bytes_need() -> None:
    """Half of a stream takes half of all else with it: the bytes alone need less than that saves."""
    low, high = span(Share.MEMORY, manifest(memory=0.9, compute=0.0, bytes_part=0.6))
    assert low == pytest.approx(0.6, abs=PART_ERROR + 0.02)
    assert high == pytest.approx(0.9, abs=PART_ERROR + 0.02)


def test_bytes_that_compete_with_flops_say_nothing_of_their_own() -> None:
    """Near the ridge the time of the bytes may be hidden behind that of the FLOPs."""
    _, high = span(Share.MEMORY, manifest(memory=0.3, compute=0.4, bytes_part=0.5, flops_part=0.4))
    assert high < 0.3 + 2 * PART_ERROR + 0.02


def test_latency_is_never_more_than_the_needs_leave() -> None:
    """A relief that fell short of what it could save leaves a rest that is no latency."""
    _, high = span(Share.LATENCY, manifest(memory=0.3, compute=0.3, bytes_part=0.9, flops_part=0.6))
    assert high <= 0.1 + PART_ERROR + 0.02


def test_a_burden_is_known_less_well_the_larger_it_is() -> None:
    small = span(Share.COMPUTE, manifest(memory=0.1, compute=0.1, bytes_part=0.1))
    large = span(Share.COMPUTE, manifest(memory=0.1, compute=0.6, bytes_part=0.1))
    assert large[1] - large[0] > small[1] - small[0]


@pytest.mark.parametrize("within", [Within(low=0.2, high=0.2), Within(high=0.3), Within(low=0.7)])
def test_weights_sum_to_one_and_lie_where_the_share_is(within: Within) -> None:
    known = Known(within={Share.LATENCY: within})
    weight = known.weight()
    assert weight.sum() == pytest.approx(1.0)
    mean = float(weight @ triangle().latency)
    assert within.low - 2 * PART_ERROR <= mean <= within.high + 2 * PART_ERROR


def test_a_host_adds_latency_to_what_its_graph_loses() -> None:
    """An eager step has the same kernels as its graph: its memory share is the graph's, over a longer step."""
    _, _, h100 = next(m for m in machines() if m[0] == "h100")
    for eager, graph in TWINS.items():
        slow, fast = (known_of(name, h100, watched=False) for name in (eager, graph))
        assert slow is not None
        assert fast is not None
        steps = [h100["workloads"][name]["alone"]["step_s"] for name in (eager, graph)]
        high = fast.within[Share.MEMORY].high
        assert slow.within[Share.MEMORY].high == pytest.approx(high * steps[1] / steps[0], rel=0.05)
