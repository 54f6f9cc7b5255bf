"""A sweep for a terminal: which regime at which batch, in three lines, and a table of its levels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from heuristics.operations import Phase
from heuristics.simplex import SHARES
from heuristics.sweep import Spread, Sweep, SweepLevel
from heuristics.verdict import Verdict
from heuristics.vocabulary import Regime
from reports.words import count, number, percent, seconds

NAMES = {
    Regime.MEMORY: "memory-bound",
    Regime.COMPUTE: "compute-bound",
    Regime.LATENCY: "latency-bound",
    Regime.IDLE: "idle",
    Regime.INCONCLUSIVE: "inconclusive",
}

HEAD = ("at once", "batch", "tokens/s", "step", "first token", "between tokens")
WIDTHS = (7, 6, 8, 8, 15, 15)
SHARE_WIDTH = 9


def headline(sweep: Sweep) -> list[str]:
    """The answer: regimes by level, what the batch bought, and what it cost."""
    return [_regimes(sweep), _throughput(sweep), _doublings(sweep)]


def facts(sweep: Sweep) -> list[str]:
    """What was sent, and what sending it took."""
    answer = "" if sweep.output_tokens is None else f", answers of {number(sweep.output_tokens)}"
    share = sweep.client_cpu_s / sweep.wall_s if sweep.wall_s else 0.0
    found = [
        f"load on {sweep.target}: {count(sweep.requests)} requests, {count(sweep.tokens)} tokens in "
        f"{seconds(sweep.wall_s)}; prompts of {number(sweep.prompt_tokens)} tokens{answer}",
        f"sending it took {seconds(sweep.client_cpu_s)} of processor time, {percent(share)} of one core",
    ]
    if sweep.stopped is not None:
        found.append(f"ended early: {sweep.stopped}")
    return found


def table(sweep: Sweep, columns: int) -> list[str]:
    """A line a level, as many columns as there is room for; times as median and 95th percentile."""
    shown = len(WIDTHS)
    while 2 * shown + sum(WIDTHS[:shown]) > columns:
        shown -= 1
    lines = [list(HEAD), *(cells(level) for level in sweep.levels)]
    return ["".join(f"  {cell:>{width}}" for cell, width in zip(line, WIDTHS[:shown], strict=False)) for line in lines]


def verdicts(sweep: Sweep, columns: int) -> list[str]:
    """A line a level and phase: regime, confidence, and the shares where there is room."""
    head = "".join(share.value.rjust(SHARE_WIDTH) for share in SHARES)
    found = [f"  at once  phase     regime        sure{head}"]
    for level in sweep.levels:
        known = [(name, verdict) for name, verdict in parts(level) if verdict is not None]
        for place, (name, verdict) in enumerate(known):
            of = "" if place else str(level.offered)
            told = [percent(verdict.shares[share]) if verdict.shares else "" for share in SHARES]
            shares = "".join(text.rjust(SHARE_WIDTH) for text in told)
            sure = percent(verdict.confidence).rjust(5)
            found.append(f"  {of:>7}  {name:<8}  {verdict.regime.value:<12} {sure}{shares}")
    room = len(found[0]) <= columns
    return [line.rstrip() if room else line[: len(found[0]) - len(head)].rstrip() for line in found]


def parts(level: SweepLevel) -> Iterator[tuple[str, Verdict | None]]:
    """The verdicts of a level: of its phases and of the whole."""
    for phase in (Phase.DECODE, Phase.PREFILL):
        part = level.phases.get(phase)
        yield phase.value, part.judgement.verdict if part is not None else None
    yield "together", level.judgement.verdict if level.judgement is not None else None


def cells(level: SweepLevel) -> list[str]:
    """The columns of a level."""
    mark = "" if level.complete else "*"
    return [
        f"{level.offered}{mark}",
        "-" if level.batch is None else number(level.batch),
        number(level.tokens_per_s),
        "-" if level.step_s is None else seconds(level.step_s),
        _spread(level.first_token),
        _spread(level.between_tokens),
    ]


def _spread(spread: Spread | None) -> str:
    """Median and 95th percentile in the same unit."""
    if spread is None:
        return "-"
    factor, unit = (1.0, "s") if spread.p50_s >= 1.0 else (1e3, "ms")
    return f"{number(spread.p50_s * factor)}/{number(spread.p95_s * factor)} {unit}"


def _regimes(sweep: Sweep) -> str:
    decode = sweep.regimes(Phase.DECODE)
    if not decode:
        return "Nothing tells the regimes apart"
    told = [f"{NAMES[regime]} at {_range(group)}" for regime, group in _runs(decode)]
    prompts = sweep.regimes(Phase.PREFILL)
    tail = ""
    if prompts:
        named = [NAMES[regime] for _, regime in prompts if regime is not Regime.INCONCLUSIVE]
        common = max(named, key=named.count) if named else NAMES[Regime.INCONCLUSIVE]
        tail = f"; prompts {common}"
    return f"Decode {', '.join(told)}{tail}"


def _runs(decode: Sequence[tuple[SweepLevel, Regime]]) -> list[tuple[Regime, list[SweepLevel]]]:
    """Neighbouring levels of the same regime together."""
    found: list[tuple[Regime, list[SweepLevel]]] = []
    for level, regime in decode:
        if found and found[-1][0] is regime:
            found[-1][1].append(level)
        else:
            found.append((regime, [level]))
    return found


def _range(levels: Sequence[SweepLevel]) -> str:
    if len(levels) == 1:
        return f"batch {_batch(levels[0])}"
    return f"batch {_batch(levels[0])} to {_batch(levels[-1])}"


def _batch(level: SweepLevel) -> str:
    """The measured batch, and beside it what was sent where the engine did not run that together."""
    if level.batch is None:
        return number(float(level.offered))
    return f"{number(level.batch)} of {level.offered}" if level.capped else number(level.batch)


def _throughput(sweep: Sweep) -> str:
    first, best = sweep.levels[0], sweep.fastest
    told = f"{first.offered} at once: {_speed(first)}"
    return told if best is first else f"{told}; fastest: {best.offered} at once, {_speed(best)}"


def _speed(level: SweepLevel) -> str:
    between = level.between_tokens
    apart = "" if between is None else f", {seconds(between.p50_s)} between tokens"
    return f"{number(level.tokens_per_s)} tokens/s{apart}"


def _doublings(sweep: Sweep) -> str:
    """What each level gained over the one before, in throughput of decoding alone."""
    known = [level for level in sweep.levels if level.decode_tokens_per_s and level.batch]
    if len(known) < 2:
        return "Two levels or more are needed to say what a larger batch brings."
    gains = []
    for before, after in pairwise(known):
        gain = (after.decode_tokens_per_s or 0.0) / (before.decode_tokens_per_s or 1.0)
        gains.append(f"{_batch(before)}→{_batch(after)} {gain:.2f}x")
    return f"Decoding alone, from batch to batch: {', '.join(gains)}"
