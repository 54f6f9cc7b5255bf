"""Shares of the verdicts beside what is known of the true ones; latency beside what a timeline shows of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heuristics.simplex import triangle
from heuristics.vocabulary import Share
from tests.ground_truth.answers import Answer, machines
from tests.ground_truth.known import gaps_at_own_speed, known_of, roof_parts
from tests.ground_truth.sources import cases
from tests.ground_truth.tables import rate
from tests.ground_truth.truth import SHARES

LARGE_GAP = 0.5
NEAR = 0.10

UNWATCHED = frozenset({"numbers", "trace", "ncu"})
"""Readings of other steps than those that were watched."""


def shares(every: Sequence[Answer], reading: str) -> Iterator[list[str]]:
    """Parts by intervention beside the shares of the verdict."""
    yield ["workload", "by intervention: memory, compute, latency", "verdict", "confidence", "cause", "its shares"]
    for a in (a for a in every if a.reading == reading):
        parts = ", ".join(f"{a.truth.parts[s]:.2f}" if s in a.truth.parts else "?" for s in SHARES)
        own = "" if a.shares is None else ", ".join(f"{a.shares[s]:.2f}" for s in SHARES)
        yield [
            a.workload,
            f"{parts} ({a.truth.regime})",
            a.regime or "",
            f"{a.confidence or 0.0:.2f}",
            a.cause or "",
            own,
        ]


def share_errors(every: Sequence[Answer]) -> Iterator[list[str]]:
    """A row a reading: how far its shares lie outside what is known of the true ones, whatever it names."""
    columns = [f"{share}: mean, most" for share in SHARES]
    yield ["reading", "captures", *columns, "latency within 0.10"]
    manifests = {machine: manifest for machine, _, manifest in machines()}
    for reading in dict.fromkeys(a.reading for a in every):
        off: dict[str, list[float]] = {share: [] for share in SHARES}
        for a in (a for a in every if a.reading == reading and a.shares is not None):
            known = known_of(a.workload, manifests[a.machine], watched=reading not in UNWATCHED)
            if known is not None and a.shares is not None:
                for share, errors in off.items():
                    low, high = known.span(triangle().of(Share(share)))
                    errors.append(max(0.0, low - a.shares[share], a.shares[share] - high))
        latency = off["latency"]
        if latency:
            means = [f"{sum(errors) / len(errors):.2f}, {max(errors):.2f}" for errors in off.values()]
            near = rate(sum(error <= NEAR for error in latency), len(latency))
            yield [reading, str(len(latency)), *means, near]


def gaps(every: Sequence[Answer]) -> Iterator[list[str]]:
    """Where the device mostly waits between kernels: latency by a timeline beside the share from all sources.

    The gaps of a trace are those of a job that the profiler slows, and they are not all of latency: what kernels lose
    to their roofs is latency too. So the time in kernels, which recording does not change, is taken of the step that
    nobody records, and the time that the step's bytes and FLOPs need, at the rates reached in the same run, of that.
    """
    yield [
        "workload",
        "gaps in the trace",
        "gaps by GPM",
        "gaps at its own speed",
        "and lost in kernels",
        "together",
        "latency share",
        "apart",
        "by intervention",
    ]
    shown = {(a.machine, a.workload): a for a in every if a.reading == "all" and a.shares is not None}
    for machine, folder, manifest in machines():
        for name, capture in manifest["workloads"].items():
            answer = shown.get((machine, name))
            parts = roof_parts(capture, manifest, from_cache=True) if answer is not None else None
            if answer is None or answer.shares is None or parts is None:
                continue
            case = cases(folder / name, capture, ("gpm", "trace"), manifest)[0]
            timeline, activity = case.timeline, case.activity
            if timeline is None or activity is None or activity.engine_active is None:
                continue
            gap = 1.0 - timeline.roof_busy_s / timeline.window_s
            if gap < LARGE_GAP:
                continue
            alone_s, step_s = capture["alone"]["step_s"], capture["watched"]["step_s"]
            own = gaps_at_own_speed(timeline, capture["traced"]["steps"], step_s)
            together = 1.0 - max(parts) * alone_s / step_s
            known = known_of(name, manifest, watched=True)
            low, high = known.span(triangle().latency) if known is not None else (0.0, 1.0)
            latency = answer.shares["latency"]
            figures = (gap, 1.0 - activity.engine_active, own, together - own, together, latency, latency - together)
            yield [name, *(f"{figure:.2f}" for figure in figures), f"{low:.2f} to {high:.2f}"]
