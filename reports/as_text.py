"""The verdict for a terminal: what it is, the budget as a bar, and how far it is to the roof, in three lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heuristics.kernel_class import short_name
from heuristics.operations import Phase
from heuristics.rows import Level, Row, rows
from heuristics.simplex import SHARES
from heuristics.subject import Subject
from heuristics.sweep import Sweep
from heuristics.verdict import Diagnosis, Judgement, Verdict, WeighedEvidence
from heuristics.vocabulary import Cause, Regime, Share
from reports import sweep_text
from reports.advice_text import title as advice_title
from reports.advice_text import told
from reports.bars import FILL, bar
from reports.batch_text import doubling
from reports.lines import bold, bullet, wrapped
from reports.probe_text import table as probe_table
from reports.probe_text import title as probe_title
from reports.ranking_text import sections as ranking_sections
from reports.roofline_text import facts, headline, sections
from reports.words import CAUSES, conclusion, count, filled, number, part_of_time, percent, scaled, seconds

NARROWEST, WIDEST = 50, 100
BAR_CELLS, FEWEST_CELLS = 30, 10
LEADS = 0.45
"""A share leads with this much confidence; below it nothing is worth naming."""
MOSTLY = 0.5
MOST_ROWS = 6
SHORTEST_NAME = 16

_NAMES = {
    Regime.MEMORY: "Memory-bound",
    Regime.COMPUTE: "Compute-bound",
    Regime.LATENCY: "Latency-bound",
    Regime.IDLE: "Idle",
    Regime.INCONCLUSIVE: "Inconclusive",
}


def render(diagnosis: Diagnosis, *, width: int = 80, colour: bool = False) -> str:
    """The report, wrapped to ``width`` columns."""
    columns = max(NARROWEST, min(width, WIDEST))
    if diagnosis.sweep is None:
        lines = [*_headline(diagnosis, columns, colour), ""]
    else:
        lines = [*_swept(diagnosis.sweep, columns, colour), bold("All levels together", colour)]
        lines += [*(f"  {line}" for line in _headline(diagnosis, columns - 2, colour)), ""]
    for title, body in _sections(diagnosis, columns):
        if body:
            lines += [bold(title, colour), *body, ""]
    while lines and not lines[-1]:
        lines.pop()
    return "\n".join(lines) + "\n"


def _swept(sweep: Sweep, columns: int, colour: bool) -> list[str]:
    """The answer of a sweep, its levels, and the verdict on each."""
    first, *more = [line for text in sweep_text.headline(sweep) for line in wrapped(text, columns, "", "  ")]
    lines = [bold(first, colour), *more, ""]
    for title, body in (
        ("Load", [line for fact in sweep_text.facts(sweep) for line in bullet(fact, columns)]),
        ("Levels, times as median/95th percentile", sweep_text.table(sweep, columns)),
        ("Verdicts", sweep_text.verdicts(sweep, columns)),
    ):
        lines += [bold(title, colour), *body, ""]
    return lines


def brief(diagnosis: Diagnosis) -> str:
    """The verdict in one line, for a stream of them."""
    verdict = diagnosis.whole.verdict
    if verdict is None:
        return "nothing was measured"
    mark = "provisional  " if diagnosis.provisional else ""
    speed = diagnosis.whole.measured.get("tokens_per_s")
    rate = "" if speed is None else f"  {number(speed)} tokens/s"
    limits = f"  limits {', '.join(limit.value for limit in verdict.limits)}" if verdict.limits else ""
    return f"{mark}{_brief(verdict)}{rate}{limits}"


def _sections(diagnosis: Diagnosis, columns: int) -> Iterator[tuple[str, list[str]]]:
    whole = diagnosis.whole
    whose = of_device(whole)
    yield advice_title(diagnosis), [line for text in told(diagnosis) for line in bullet(text, columns)]
    yield "Job", [line for fact in job_facts(diagnosis) for line in bullet(fact, columns)]
    yield "Not read", [line for fact in missing_facts(diagnosis) for line in bullet(fact, columns)]
    if diagnosis.probe is not None:
        yield probe_title(diagnosis.probe), probe_table(diagnosis.probe)
    forecast = diagnosis.forecast
    if forecast is not None:
        yield from sections(forecast, diagnosis.candidates, columns)
        yield from ranking_sections(diagnosis.ranking, columns)
    yield "Phases", _phases(diagnosis, columns)
    yield "Devices", _devices(diagnosis, columns)
    yield "Batch doubling", doubling(diagnosis.batch_fit, columns)
    yield f"Evidence{whose}", [line for item in whole.evidence for line in _evidence(item, columns)]
    every = rows(whole)
    for title, level in (("Kernels", Level.KERNEL), ("Operations", Level.OPERATION)):
        listed = [row for row in every if row.level is level and forecast is None]
        yield f"{title}{whose}", _rows(listed, columns)
    yield "Not weighed", _abstained(whole, columns)
    yield "Mind", [line for warning in diagnosis.warnings for line in bullet(warning, columns)]


def of_device(whole: Judgement) -> str:
    """Whose evidence stands for several devices."""
    return "" if whole.witness is None else f" of device {whole.witness}"


def _headline(diagnosis: Diagnosis, columns: int, colour: bool) -> list[str]:
    whole = diagnosis.whole
    verdict = whole.verdict
    if verdict is None and diagnosis.forecast is not None:
        first, *more = [line for text in headline(diagnosis.forecast) for line in wrapped(text, columns, "", "  ")]
        return [bold(first, colour), *more]
    if verdict is None:
        return [bold("Nothing was measured", colour), *wrapped(distance(whole), columns, "", "  ")]
    name = _NAMES[verdict.regime]
    why = f": {CAUSES[verdict.cause.value]}" if verdict.cause is not None else ""
    limits = f" (limits: {', '.join(limit.value for limit in verdict.limits)})" if verdict.limits else ""
    said = f"{name}{why}, confidence {percent(verdict.confidence)}{limits}"
    if verdict.regime is Regime.INCONCLUSIVE:
        said = f"{name}: {_leaning(whole, verdict)}{limits}"
    first, *more = wrapped(said, columns, "", "  ")
    lines = [bold(name, colour) + first.removeprefix(name), *more, *wrapped(time_split(diagnosis), columns, "", "  ")]
    if verdict.shares is not None:
        lines.append(_bar(verdict, columns, colour))
    return lines + wrapped(distance(whole), columns, "", "  ")


def time_split(diagnosis: Diagnosis) -> str:
    """Of a live job: how the time splits into prefill, decode and idle, and how fast it is."""
    if diagnosis.subject is None:
        return ""
    parts = [
        f"{phase.value} {part_of_time(part.time_fraction)}"
        for phase, part in sorted(diagnosis.phases.items(), key=lambda item: item[0] is Phase.PREFILL)
        if part.time_fraction is not None
    ]
    if not parts and diagnosis.idle_fraction is not None and diagnosis.idle_fraction < 1.0:
        parts = [f"prefill and decode together {part_of_time(1.0 - diagnosis.idle_fraction)}"]
    if diagnosis.idle_fraction is not None:
        parts.append(f"idle {part_of_time(diagnosis.idle_fraction)}")
    used = diagnosis.whole.measured
    speed = [
        text
        for name, text in (
            ("tokens_per_s", "{tokens_per_s:number} tokens/s"),
            ("batch", "batch {batch:number}"),
            ("step_s", "{step_s:seconds} a step"),
        )
        if used.get(name)
    ]
    told = ", ".join([*parts, *(filled(text, used) for text in speed)])
    return f"{'Provisional: ' if diagnosis.provisional else ''}{told}" if told else ""


def _leaning(whole: Judgement, verdict: Verdict) -> str:
    if any(item.evidence.impossible for item in whole.evidence):
        return "an input cannot be right"
    if verdict.shares is None:
        return "no share of the time is known"
    if verdict.confidence < LEADS:
        return "nothing here tells the three regimes apart"
    leader = max(SHARES, key=lambda share: (verdict.shares or {})[share])
    shown = percent(min(verdict.confidence, 0.594))
    return f"{leader.value} leads with only {shown} confidence, 60 % is needed"


def _bar(verdict: Verdict, columns: int, colour: bool) -> str:
    """The budget as cells, largest remainders first, and the shares in numbers; on narrow terminals these alone."""
    assert verdict.shares is not None
    legend = "  ".join(f"{FILL[share]} {share.value} {percent(verdict.shares[share])}" for share in SHARES)
    whole = min(BAR_CELLS, columns - len(legend) - 2)
    if whole < FEWEST_CELLS:
        return legend
    return f"{bar(verdict.shares, whole, colour)}  {legend}"


def distance(whole: Judgement) -> str:
    """How far it is to the roof that binds, or what would decide."""
    verdict = whole.verdict
    if verdict is None or verdict.regime is Regime.INCONCLUSIVE:
        return f"To settle it: {whole.next_measurement}" if whole.next_measurement else "Nothing more is known."
    if verdict.regime is Regime.IDLE:
        return "There was no work to judge; measure again while requests run."
    used = whole.measured
    if verdict.regime is Regime.LATENCY:
        return _without_latency(whole, verdict)
    memory = verdict.regime is Regime.MEMORY
    if verdict.cause is Cause.CACHE:
        return "Held by L1 or L2: DRAM bandwidth has room, better data reuse or layout helps."
    fraction = used.get("bandwidth_fraction" if memory else "compute_fraction")
    factor = whole.headroom.get("to_bandwidth_roof" if memory else "to_compute_roof")
    what = "bandwidth" if memory else "arithmetic"
    if fraction is None or factor is None:
        if not memory and whole.roofs is not None and whole.roofs.unproven:
            return "How far it is to the arithmetic roof is unknown: that of this type was never measured here."
        return f"How far it is to the {what} roof is not measured."
    near = "at" if factor < 1.05 else f"{factor:.1f}x below"
    weighed = {item.evidence.signal for item in whole.evidence}
    stated = {name for item in whole.evidence for name in item.evidence.measured}
    reached = f"{percent(fraction)} of the peak {what}"
    if not memory and "tensor_activity" in weighed:
        reached = f"The busiest arithmetic pipe is active {percent(fraction)}"
    elif not memory and "compute_throughput" in stated:
        reached = f"The SMs reach {percent(fraction)} of their peak throughput"
    return f"{reached}: {near} what is achievable in practice."


def _without_latency(whole: Judgement, verdict: Verdict) -> str:
    """What the latency costs: by the gaps where they were seen and are most of it, else by the estimated share."""
    timeline = whole.timeline
    assert verdict.shares is not None
    lost = 0.0 if timeline is None else 1.0 - timeline.roof_busy_s / max(timeline.window_s, 1e-12)
    seen = lost > MOSTLY * verdict.shares[Share.LATENCY]
    if timeline is not None and timeline.gaps_known and timeline.roof_busy_s > 0 and seen:
        gain = timeline.window_s / timeline.roof_busy_s
        worked = percent(timeline.roof_busy_s / timeline.window_s)
        return f"The device worked {worked} of the time: {gain:.1f}x faster if it always did."
    gain = 1.0 / max(0.05, 1.0 - verdict.shares[Share.LATENCY])
    return f"About {gain:.1f}x faster if nothing had to wait."


def job_facts(diagnosis: Diagnosis) -> list[str]:
    """What was judged: files, engine and model, of a live job also its process and weights, and the roofs."""
    found = [f"{f.path} ({f.kind})" for f in diagnosis.files]
    found += _watched_facts(diagnosis, diagnosis.subject) if diagnosis.subject is not None else _served(diagnosis)
    if diagnosis.forecast is not None:
        found += facts(diagnosis.forecast)
    roofs = diagnosis.whole.roofs
    names = [d.device.name for d in diagnosis.devices if d.device is not None and d.device.name]
    parts = [", ".join(dict.fromkeys(names))] if names else []
    if roofs is not None:
        peaks = []
        if roofs.bandwidth_bytes_per_s is not None:
            peaks.append(scaled(roofs.bandwidth_bytes_per_s, "B/s"))
        if roofs.flops_per_s is not None:
            stated = "" if "as given" in roofs.source else f" {roofs.dtype.value} dense"
            peaks.append(f"{scaled(roofs.flops_per_s, 'FLOP/s')}{stated}")
        if peaks:
            parts.append(f"roofs {' and '.join(peaks)} ({roofs.source})")
    if parts:
        found.append(": ".join(parts))
    if diagnosis.window_s is not None:
        found.append(f"{seconds(diagnosis.window_s)} judged")
    return found


def _served(diagnosis: Diagnosis) -> list[str]:
    named = " ".join(word for word in (diagnosis.engine, diagnosis.model) if word)
    return [named] if named else []


def _watched_facts(diagnosis: Diagnosis, subject: Subject) -> list[str]:
    named = " ".join(word for word in (diagnosis.engine, subject.engine_version, diagnosis.model) if word)
    parallel = ", ".join(f"{name} {count}" for name, count in subject.parallelism.items())
    process = f"process {subject.pid}" if subject.pid is not None else ""
    found = [", ".join(part for part in (named or "unknown program", process, parallel) if part)]
    used = diagnosis.whole.measured
    weights = []
    if subject.parameters:
        weights.append(scaled(subject.parameters, "").strip() + " parameters")
    if subject.stored_bytes:
        weights.append(f"{scaled(subject.stored_bytes, 'B')} stored")
    if "weight_bytes_per_step" in used:
        read = f"a step reads {scaled(used['weight_bytes_per_step'], 'B')} of weights"
        if used.get("kv_bytes_per_step"):
            read += f" and {scaled(used['kv_bytes_per_step'], 'B')} of KV cache"
        weights.append(read)
    if weights:
        found.append(", ".join(weights))
    if subject.sources:
        found.append(f"read from {', '.join(subject.sources)}")
    if subject.cpu_fraction is not None and subject.rss_bytes is not None:
        took = f"watching took {percent(subject.cpu_fraction)} of one core and {scaled(subject.rss_bytes, 'B')}"
        if subject.start_cpu_s is not None:
            took += f", starting {seconds(subject.start_cpu_s)} of it"
        found.append(took)
    return [*found, *subject.events]


def missing_facts(diagnosis: Diagnosis) -> list[str]:
    """What of a live job did not speak, why, and what would make it."""
    gone = diagnosis.subject.missing if diagnosis.subject is not None else ()
    return [f"{m.source}: {m.reason}" + (f" → {m.unlock}" if m.unlock else "") for m in gone]


def _phases(diagnosis: Diagnosis, columns: int) -> list[str]:
    found = []
    for phase, part in diagnosis.phases.items():
        if part.judgement.verdict is not None:
            time = f"{percent(part.time_fraction)} of the time" if part.time_fraction is not None else ""
            found += bullet(f"{phase.value:<8} {time:<17} {_brief(part.judgement.verdict)}", columns)
    return found


def _devices(diagnosis: Diagnosis, columns: int) -> list[str]:
    if len(diagnosis.devices) < 2:
        return []
    found = []
    for d in diagnosis.devices:
        if d.device is not None and d.verdict is not None:
            slow = "  <- slowest, the others wait for it" if d.device.index == diagnosis.slowest_device else ""
            found += bullet(f"{d.device.index!s:<3} {_brief(d.verdict)}{slow}", columns)
    return found


def _brief(verdict: Verdict) -> str:
    shares = ""
    if verdict.shares is not None:
        shares = "  ".join(f"{share.value} {percent(verdict.shares[share])}" for share in SHARES)
    return f"{verdict.regime.value:<12} {percent(verdict.confidence):>5}  {shares}"


def _evidence(item: WeighedEvidence, columns: int) -> list[str]:
    evidence = item.evidence
    text = filled(evidence.sentence, evidence.measured)
    return bullet(f"{evidence.signal}: {text}{conclusion(item.bounds)}", columns)


def _rows(every: Sequence[Row], columns: int) -> list[str]:
    """The longest, a line each, and how many more there are."""
    found = [_row(row, columns) for row in every[:MOST_ROWS]]
    rest = every[MOST_ROWS:]
    if rest:
        share = sum(row.time_share or 0.0 for row in rest)
        found.append(f"  {percent(share):>6}  {len(rest)} more")
    return found


def _row(row: Row, columns: int) -> str:
    share = percent(row.time_share) if row.time_share is not None else ""
    launches = f"{count(row.launches)} x" if row.launches is not None else ""
    marks = [row.regime.value] if row.regime is not None else ([row.kind.value] if row.kind is not None else [])
    if row.cause is not None:
        marks.append(row.cause.value)
    if row.intensity_flops_per_byte is not None and row.level is Level.OPERATION:
        marks.append(f"{row.intensity_flops_per_byte:.3g} FLOP/B")
    if row.ncu_rule is not None:
        marks.append(f"ncu: {row.ncu_rule.label}")
    front = f"  {share:>6} {launches:>8}  "
    name = short_name(row.name)
    while marks and columns - len(front) - len(_bracketed(marks)) < min(len(name), SHORTEST_NAME):
        marks.pop()
    behind = _bracketed(marks)
    room = columns - len(front) - len(behind)
    return f"{front}{name if len(name) <= room else name[: room - 1] + '…'}{behind}"


def _bracketed(marks: Sequence[str]) -> str:
    return f"  [{', '.join(marks)}]" if marks else ""


def _abstained(whole: Judgement, columns: int) -> list[str]:
    """What was there and could not be used, one by one; what was not there, in one line."""
    unfit = [a for a in whole.abstained if not a.missing]
    missing = [a.signal for a in whole.abstained if a.missing]
    found = [line for a in unfit for line in bullet(f"{a.signal}: {a.reason}", columns)]
    if missing:
        found += bullet(f"no source for {', '.join(missing)}", columns)
    return found
