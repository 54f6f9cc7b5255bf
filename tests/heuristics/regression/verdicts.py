"""Verdicts' JSON made up, for tests of what compares them: sound ones, and ones that nobody should have written."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from collectors.verdict_json import session_of
from heuristics.regression.difference import difference
from heuristics.regression.moved import Moved

Json = dict[str, Any]

REGIMES = ("memory", "compute", "latency")
NAMES = ("gemm_bf16", "flash_fwd_kernel", "rms_norm_kernel", "void copy<int>(float*)", "ncclAllReduce")


def verdict(
    *,
    step_s: float | None = 0.01,
    shares: tuple[float, float, float] | None = (0.6, 0.1, 0.3),
    regime: str = "memory",
    confidence: float = 0.95,
    rows: list[Json] | None = None,
    samples: Json | None = None,
    environment: Json | None = None,
    subject: Json | None = None,
    phases: Json | None = None,
    **measured: float,
) -> Json:
    """A sound verdict of diagnose.verdict/1."""
    return {
        "schema": "diagnose.verdict/1",
        "tool_version": "0.1.0",
        "created_at": "2026-01-01T00:00:00+00:00",
        "subject": {"kind": "process", "engine": "vLLM", "model": "m", "files": [], "devices": [], **(subject or {})},
        "window_s": 10.0,
        "verdict": {
            "regime": regime,
            "cause": None,
            "confidence": confidence,
            "shares": None if shares is None else dict(zip(REGIMES, shares, strict=True)),
            "limits": [],
        },
        "phases": phases or {},
        "roofs": {
            "bandwidth_bytes_per_s": 3.35e12,
            "flops_per_s": 9.89e14,
            "dtype": "bf16",
            "source": "datasheet",
            "achievable": {"bandwidth_bytes_per_s": 2.8e12, "flops_per_s": 6.7e14},
        },
        "measured": ({} if step_s is None else {"step_s": step_s}) | measured,
        **({} if samples is None else {"samples": samples}),
        "environment": {"gpu": "NVIDIA H100 80GB HBM3", "dtype": "bf16", **(environment or {})},
        "evidence": [],
        "operations": rows or [],
        "headroom": {},
        "advice": [],
        "next_measurement": None,
        "warnings": [],
    }


def kernel(name: str, time_s: float, launches: int = 10, kind: str = "gemm") -> Json:
    """A row of ``operations``."""
    return {"level": "kernel", "name": name, "time_s": time_s, "launches": launches, "class": kind, "time_share": None}


def moved(before: Json, after: Json) -> Moved:
    """The comparison of two verdicts."""
    return difference(session_of(before, "a.json"), session_of(after, "b.json"))


@st.composite
def sound(draw: st.DrawFn) -> Json:
    """Verdicts with more or less in them."""
    times = st.floats(1e-5, 10.0)
    cut = sorted((draw(st.floats(0.0, 1.0)), draw(st.floats(0.0, 1.0))))
    shares = (cut[0], cut[1] - cut[0], 1.0 - cut[1])
    figures = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "busy_fraction": st.floats(0.0, 1.0),
                "kernels": st.integers(1, 10_000).map(float),
                "steps": st.integers(1, 100).map(float),
                "tokens_per_s": st.floats(0.1, 1e5),
                "batch": st.floats(1.0, 512.0),
                "context_tokens": st.floats(1.0, 1e5),
                "kv_bytes_per_step": st.floats(0.0, 1e11),
                "weight_bytes_per_step": st.floats(1e6, 1e12),
                "flops_per_step": st.floats(1e6, 1e15),
                "bandwidth_fraction": st.floats(0.0, 1.2),
                "compute_fraction": st.floats(0.0, 1.2),
                "host_wait_fraction": st.floats(0.0, 1.0),
                "launch_delay_s": st.floats(1e-6, 1e-2),
            },
        )
    )
    return verdict(
        step_s=draw(st.none() | times),
        shares=draw(st.none() | st.just(shares)),
        regime=draw(st.sampled_from((*REGIMES, "inconclusive", "idle"))),
        confidence=draw(st.floats(0.0, 1.0)),
        rows=[
            kernel(name, time_s, launches)
            for name, time_s, launches in draw(
                st.lists(st.tuples(st.sampled_from(NAMES), st.floats(1e-6, 1.0), st.integers(1, 1000)), max_size=8)
            )
        ],
        environment=draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "driver": st.sampled_from(["550.1", "560.2"]),
                    "clocks": st.fixed_dictionaries({"sm_hz": st.floats(1e8, 2e9)}),
                    "throttled": st.just(["thermal"]),
                    "other_processes": st.integers(1, 3),
                },
            )
        ),
        **figures,
    )


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(max_size=12)
    | st.just(10**400)
    | st.just("{a:b}"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def hostile(draw: st.DrawFn) -> Json:
    """A sound verdict with a few values, anywhere in it, that make no sense."""
    found = draw(sound())
    for _ in range(draw(st.integers(1, 6))):
        place: Any = found
        keys: list[Any] = [key for key in found if key != "schema"]
        while True:
            key = draw(st.sampled_from(keys))
            inner = place[key]
            keys = (
                list(inner) if isinstance(inner, dict) else list(range(len(inner))) if isinstance(inner, list) else []
            )
            if not keys or draw(st.booleans()):
                place[key] = draw(ANYTHING)
                break
            place = inner
    return found
