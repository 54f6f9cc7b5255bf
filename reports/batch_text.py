"""The batch curve for a terminal: a line a batch with its step split in two, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from heuristics.batch_shape import BatchFit, Interval, Parts
from reports.lines import bullet, table, wrapped
from reports.words import number, percent, seconds

LEAST_BAR, MOST_BAR = 8, 30
VARIED = 1.9
"""Largest over smallest batch from which on a table by batch says anything."""
_TABLE = 46
"""Columns that the figures beside the bars take."""
FIXED, GROWING = "█", "░"


def doubling(fit: BatchFit | None, columns: int) -> list[str]:
    """The section's lines; none without a curve, or where the batch hardly varied."""
    if fit is None or not fit.levels:
        return []
    if fit.parts is None and fit.cap_batch is None and fit.levels[-1].batch < VARIED * fit.levels[0].batch:
        return []
    return [*_levels(fit, columns), *(line for fact in _facts(fit) for line in bullet(fact, columns))]


def section(label: str, lines: Sequence[int], fit: BatchFit, columns: int = 80) -> str:
    """A curve beneath a table of measurements, with the lines of the table that it is of."""
    where = (
        f"lines {min(lines)} to {max(lines)}"
        if list(lines) == list(range(min(lines), max(lines) + 1))
        else (f"lines {', '.join(map(str, lines))}")
    )
    title = wrapped(f"Batch doubling: {label}, {where}", columns, "", "  ")
    return "\n".join(["", *title, *doubling(fit, columns)]) + "\n"


def _levels(fit: BatchFit, columns: int) -> list[str]:
    cells = max(LEAST_BAR, min(MOST_BAR, columns - _TABLE))
    most = max(level.step_s for level in fit.levels)
    rows = [
        (
            f"{number(level.batch)}{'*' if level.capped else ' '}",
            seconds(level.step_s),
            number(level.tokens_per_s),
            "" if level.gain is None else f"x{level.gain.value:.2f}",
            "" if level.fixed_share is None else percent(level.fixed_share.value),
            "" if level.fixed_share is None else _bar(level.fixed_share.value, round(cells * level.step_s / most)),
        )
        for level in fit.levels
    ]
    parts = fit.parts is not None
    head = ("batch", "step", "tokens/s", "gain", "fixed" if parts else "", f"{FIXED} {GROWING}" if parts else "")
    return table(head, rows, columns, left={5})


def _bar(fixed_share: float, cells: int) -> str:
    """The step's time, of which the fixed part is filled."""
    filled = round(max(1, cells) * fixed_share)
    return FIXED * filled + GROWING * (max(1, cells) - filled)


def _facts(fit: BatchFit) -> Iterator[str]:
    if fit.parts is None:
        yield f"not taken apart: {fit.reason}"
    else:
        yield from _taken_apart(fit, fit.parts)
    if fit.cap_batch is not None:
        yield (
            f"* the batch stopped at {number(fit.cap_batch)} although more was asked for: the KV cache was full, or "
            "the engine admits no more; either way the plateau is no limit of compute"
        )
    if fit.outliers:
        yield f"{fit.outliers} windows far from their like were not believed"
    if fit.parts is not None:
        yield (
            "a curve cannot tell weights from waiting in the fixed part, nor arithmetic from KV traffic, experts and "
            "the host's work for each sequence in the growing one"
        )


def _taken_apart(fit: BatchFit, parts: Parts) -> Iterator[str]:
    last = [level for level in fit.levels if not level.capped][-1]
    yield (
        f"at batch {number(last.batch)}: {_within(parts.fixed_s, seconds)} fixed, which is "
        f"{_within(last.fixed_share, percent)} of the step, and {_within(parts.marginal_s, seconds)} for each sequence"
    )
    if last.fixed_share is not None:
        left = max(0.0, 1.0 - last.fixed_share.low - (last.kv_share or 0.0))
        yield f"so compute takes at most {percent(left)} of that step"
    known = [level for level in fit.levels if level.kv_share]
    if known:
        most = known[-1]
        yield (
            f"reading the KV cache takes at least {percent(most.kv_share or 0.0)} of the step at batch "
            f"{number(most.batch)}"
        )
    elasticity = parts.elasticity
    yield (
        f"throughput grows as the batch to the power {elasticity.value:.2f} ({elasticity.low:.2f} to "
        f"{elasticity.high:.2f}) over all of it; 1 is weights or waiting, 0 compute or KV traffic"
    )
    if parts.knee_batch is not None:
        yield f"a doubling gains less than 4/3 from batch {_within(parts.knee_batch, number)} on"
    else:
        yield f"the knee, from where on a doubling gains less than 4/3, lies {parts.knee_reason}"
    for switch in parts.switches:
        yield (
            f"other kernels between batch {number(switch.below_batch)} and {number(switch.above_batch)}: steps take "
            f"{_within(switch.factor, lambda v: f'{v:.2f}')} times as long"
        )
    reasons: dict[str, list[str]] = {}
    for level in fit.levels:
        if level.unsettled is not None:
            reasons.setdefault(level.unsettled, []).append(number(level.batch))
    for reason, batches in reasons.items():
        yield f"not settled at batch {', '.join(batches)}: {reason}"


def _within(found: Interval | None, told: Callable[[float], str]) -> str:
    """A value with its interval."""
    return "" if found is None else f"{told(found.value)} ({told(found.low)} to {told(found.high)})"
