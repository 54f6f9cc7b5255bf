"""What numbers came to, for a terminal: facts, tables and plots within the columns there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heuristics.candidates import Candidate, by_cost
from heuristics.crossover import Crossover
from heuristics.operations import Load, Phase
from heuristics.step import Forecast, Point
from heuristics.verdict import Diagnosis
from reports.lines import bullet, table
from reports.words import number, percent, printable, scaled, seconds

LEAST_BAR, MOST_BAR = 8, 40

Section = tuple[str, list[str]]


def headline(found: Forecast) -> list[str]:
    """What the load comes to, where nothing was measured."""
    here, roofs = found.here, found.roofs
    what = "Prefill" if here.load.phase is Phase.PREFILL else "Decode" if found.work.generates else "The step"
    binding = f"{here.bound.value}-bound at the roof"
    return [
        f"{what} would be {binding}: {_speed(here.at_roof.step_s, here.at_roof.tokens_per_s)}",
        f"In practice about {_speed(here.achievable.step_s, here.achievable.tokens_per_s)}: good code reaches "
        f"{percent(roofs.bandwidth_ceiling)} of the bandwidth and {percent(roofs.arithmetic_ceiling)} of the "
        "arithmetic.",
        f"At the roof {percent(here.bandwidth_fraction)} of the bandwidth and {percent(here.compute_fraction)} of the "
        "arithmetic are in use. Nothing was measured: add --tokens-per-s or --step-ms for a verdict.",
    ]


def facts(found: Forecast) -> list[str]:
    """The load, as one line among those on the job."""
    if not found.operation_crossovers:
        return []
    return [_load(found.here.load, found.work.generates)]


def sections(found: Forecast, candidates: Sequence[Candidate], columns: int) -> Iterator[Section]:
    """What stands between the job and the evidence."""
    yield "Step", [line for fact in _step(found) for line in bullet(fact, columns)]
    yield "Operations", _operations(found, columns)
    yield "Crossover to compute-bound, as the batch of decode", _crossovers(found, columns)
    yield _titled("batch", found), _plot(found.by_batch, found.here.load, "batch", columns)
    yield _titled("context", found), _plot(found.by_context, found.here.load, "context", columns)
    yield "Devices by speed, in practice", _candidates(candidates, columns)
    yield "Devices by cost, in practice", _costs(candidates, columns)


def _speed(step_s: float, tokens_per_s: float | None) -> str:
    rate = "" if tokens_per_s is None else f", {number(tokens_per_s)} tokens/s"
    return f"{seconds(step_s)} a step{rate}"


def _load(load: Load, generates: bool) -> str:
    parts = [f"{load.phase.value}, batch {number(load.batch)}" if generates else f"batch {number(load.batch)}"]
    if load.context_tokens:
        parts.append(f"context {number(load.context_tokens)}")
    if load.tensor_parallel > 1:
        parts.append(f"split over {load.tensor_parallel} devices; bytes and FLOPs are one's")
    return ", ".join(parts)


def _step(found: Forecast) -> Iterator[str]:
    here, roofs = found.here, found.roofs
    yield f"at the roof {_speed(here.at_roof.step_s, here.at_roof.tokens_per_s)}: {here.bound.value}-bound"
    yield f"achievable  {_speed(here.achievable.step_s, here.achievable.tokens_per_s)}"
    yield (
        f"{number(here.intensity_flops_per_byte)} FLOP/byte against a ridge of "
        f"{number(roofs.ridge_flops_per_byte or 0.0)}: {percent(here.compute_fraction)} of the arithmetic in use "
        "at the roof"
    )
    cache = found.cache
    read = f"a step reads {scaled(found.weight_bytes, 'B')} of weights" if found.weight_bytes else ""
    if cache is not None:
        moved = f"{scaled(cache.bytes_per_step, 'B')} of KV cache, {scaled(cache.bytes_per_token, 'B')} a token"
        yield f"{read} and moves {moved}"
        if cache.equal_context_tokens is None:
            yield "its window keeps the KV cache smaller than the weights at any context"
        else:
            yield f"at a context of {cache.equal_context_tokens:,.0f} the KV cache equals the weights"
    elif read:
        yield read
    fit = found.fit
    if fit.batch is not None and found.memory_bytes is not None:
        held = fit.reason or f"at most {fit.batch:,} such sequences beside the weights"
        yield f"memory of {scaled(found.memory_bytes, 'B')}: {held}"
    other = found.other_phase
    if other is not None:
        name = "prefill of one such prompt" if other.load.phase is Phase.PREFILL else "decode after it"
        yield (
            f"{name} ({number(other.load.context_tokens)} tokens): "
            f"{_speed(other.achievable.step_s, other.achievable.tokens_per_s)} achievable, {other.bound.value}-bound "
            f"at {number(other.intensity_flops_per_byte)} FLOP/byte"
        )


def _operations(found: Forecast, columns: int) -> list[str]:
    bandwidth, peak = found.roofs.bandwidth_bytes_per_s or 0.0, found.roofs.flops_per_s or 0.0
    whole = sum(op.roof_s(bandwidth, peak) for op in found.operations)
    rows = [
        (
            percent(op.roof_s(bandwidth, peak) / whole),
            op.name,
            op.bound(peak / bandwidth).value,
            number(op.intensity_flops_per_byte),
            scaled(op.bytes, "B"),
            scaled(op.flops, "FLOP"),
        )
        for op in sorted(found.operations, key=lambda op: -op.roof_s(bandwidth, peak))
    ]
    return table(("time", "operation", "bound by", "FLOP/B", "bytes", "FLOPs"), rows, columns, left={1, 2})


def _crossovers(found: Forecast, columns: int) -> list[str]:
    """The whole step and operations, alike ones together; then the linear layers by width."""
    if not found.operation_crossovers:
        return []
    lines = bullet(f"whole step: {_batch(found.step_crossover)}", columns)
    together: dict[str, list[str]] = {}
    for name, crossover in found.operation_crossovers:
        together.setdefault(_batch(crossover), []).append(name)
    if len(found.operation_crossovers) > 1:
        for text, names in together.items():
            lines += bullet(f"{', '.join(names)}: {text}", columns)
    rows = [
        (w.dtype.value, f"{w.weight_bits:.3g}", number(w.ridge_flops_per_byte), _short(w.crossover))
        for w in found.width_crossovers
    ]
    if len(rows) > 1:
        lines += bullet("linear layers together, by arithmetic and stored width:", columns)
        lines += table(("type", "bits", "ridge", "batch"), rows, columns, left={0})
    return lines


def _batch(found: Crossover) -> str:
    return found.reason or "" if found.batch is None else f"{number(found.batch)}"


def _short(found: Crossover) -> str:
    return "never" if found.batch is None else number(found.batch)


def _titled(what: str, found: Forecast) -> str:
    return f"By {what}, at the roof" if found.work.generates else f"Time by {what}, at the roof"


def _plot(points: Sequence[Point], asked: Load, what: str, columns: int) -> list[str]:
    """A bar a load: tokens a second, or the time of a step where it makes none."""
    if len(points) < 2:
        return []
    values = [p.at_roof.tokens_per_s or p.at_roof.step_s for p in points]
    told = [
        f"{number(v)} tokens/s" if p.at_roof.tokens_per_s else seconds(v) for v, p in zip(values, points, strict=True)
    ]
    places = [p.load.batch if what == "batch" else p.load.context_tokens for p in points]
    here = asked.batch if what == "batch" else asked.context_tokens
    names = [f"{number(place)}{'*' if place == here else ' '}" for place in places]
    head, tail = max(map(len, names)), max(map(len, told)) + len("  compute")
    cells = max(LEAST_BAR, min(MOST_BAR, columns - head - tail - 6))
    most = max(values)
    lines = []
    for name, text, value, p in zip(names, told, values, points, strict=True):
        bar = "█" * max(1, round(cells * value / most))
        lines.append(f"  {name:>{head}} {bar:<{cells}}  {text:>{tail - len('  compute')}}  {p.bound.value}")
    return lines


def _candidates(found: Sequence[Candidate], columns: int) -> list[str]:
    rows = [
        (
            c.gpu,
            "-" if c.tokens_per_s is None else number(c.tokens_per_s),
            seconds(c.step_s),
            seconds(c.step_s_at_roof),
            {True: "", False: "does not fit", None: ""}[c.fits],
        )
        for c in found
    ]
    return table(("device", "tokens/s", "step", "at the roof", ""), rows, columns, left={0, 4})


def _costs(found: Sequence[Candidate], columns: int) -> list[str]:
    rows = [
        (
            c.gpu,
            f"{c.usd_per_million_tokens or 0.0:.3g}",
            f"{c.usd_per_million_tokens_at_roof or 0.0:.3g}",
            f"{c.usd_per_hour or 0.0:.2f}",
            "does not fit" if c.fits is False else "",
        )
        for c in by_cost(found)
    ]
    return table(("device", "$/M tokens", "at the roof", "$/h", ""), rows, columns, left={0, 4})


def lines_of(rows: Sequence[tuple[int, str, Diagnosis | None, str | None]]) -> str:
    """A line a measurement, of (line, label, diagnosis or None, why it was skipped)."""
    from reports.as_text import brief

    widest = max((len(label) for _, label, _, _ in rows), default=0)
    told = [
        f"{label:<{widest}}  {brief(diagnosis) if diagnosis is not None else f'skipped: {skipped}'}"
        for _, label, diagnosis, skipped in rows
    ]
    return "".join(printable(line) + "\n" for line in told)
