"""What was counted on both sides that fits the change: launches, bytes, FLOPs, gaps, clocks, the load.

A reason fits a share only where it points the same way: a KV cache that shrank does not explain more memory time.
Bytes and FLOPs come with the time that their change is due at the achievable roof, so that it can be seen how much of
the change they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from heuristics.regression.loose import Json, mapping, number, numbers, positive
from heuristics.regression.moved import Change, Circumstance, Kind, Part, PhaseMove, Presence, Reason, Rows
from heuristics.vocabulary import Share

COUNTED = 0.02
"""Relative: counts and bytes that differ by less are the same."""

POINTS = 0.02
"""Of fractions of the time."""

WAITS = 0.05
"""Of the time that threads want a CPU: it swings more."""

MUCH = 0.25
"""A row that is so much of the change is named."""

_ACTIVITIES = (
    (Kind.HOST_GAPS, "host_gap_fraction", "waiting for the host"),
    (Kind.COMMUNICATION, "communication_fraction", "waiting for other devices"),
    (Kind.TRANSFER, "transfer_fraction", "copies to or from the host"),
)


def reasons(
    before: Json,
    after: Json,
    whole: Part,
    phases: Sequence[PhaseMove],
    kernels: Rows | None,
    around: Sequence[Circumstance],
) -> tuple[Reason, ...]:
    """Those that fit, the ones of the farthest moved share first, and within a share those with the most time due."""
    moved = {Share(change.name): change for change in whole.split if change.changed}
    found = [
        reason
        for share, change in sorted(moved.items(), key=lambda item: -abs(item[1].by or 0.0))
        for reason in _of_share(share, (change.by or 0.0) > 0.0, (before, after), whole, phases)
    ]
    if whole.time is not None and whole.time.changed:
        found += [*_of_whole(whole.time, kernels, around)]
        found = found or [*_unexplained((before, after))]
    return tuple(found)


def _of_share(
    share: Share, up: bool, sides: tuple[Json, Json], whole: Part, phases: Sequence[PhaseMove]
) -> list[Reason]:
    figures = numbers(mapping(sides[0], "measured")), numbers(mapping(sides[1], "measured"))
    if share is Share.LATENCY:
        found = [*_launching(figures), *_waiting(figures, whole)]
    else:
        found = [*_working(share, figures, sides), *_prompting(share, phases)]
    fitting = [(r, grows) for r, grows in found if grows is up]
    return sorted((r for r, _ in fitting), key=lambda r: -abs(r.figures.get("due", 0.0)))


Figures = tuple[Mapping[str, float], Mapping[str, float]]
Found = Iterator[tuple[Reason, bool]]
"""With whether it makes its share grow."""


def _launching(figures: Figures) -> Found:
    counts = _both([_launches(side) for side in figures])
    if counts is not None and _differ(*counts):
        per = " a step" if all(positive(side.get("steps")) for side in figures) else ""
        yield (
            _reason(Kind.LAUNCHES, f"kernels launched {{before:count}} → {{after:count}}{per}", counts, Share.LATENCY),
            counts[1] > counts[0],
        )
    delays = _both([positive(side.get("launch_delay_s")) for side in figures])
    if delays is not None and _differ(*delays):
        sentence = "a kernel starts {before:seconds} → {after:seconds} after its launch"
        yield _reason(Kind.LAUNCH_DELAY, sentence, delays, Share.LATENCY), delays[1] > delays[0]


def _launches(side: Mapping[str, float]) -> float | None:
    """Kernels a step, or in all where steps are not marked."""
    kernels, steps = positive(side.get("kernels")), positive(side.get("steps"))
    return kernels / (steps or 1.0) if kernels is not None else None


def _waiting(figures: Figures, whole: Part) -> Found:
    """What the device, or the job's threads, waited for."""
    idle = next((change for change in whole.device if change.name == "idle"), None)
    if idle is not None and idle.changed:
        sentence = f"{idle.label} {{before:seconds}} → {{after:seconds}}"
        yield _reason(Kind.IDLE, sentence, [idle.before, idle.after], Share.LATENCY), (idle.by or 0.0) > 0.0
    for kind, name, words in _ACTIVITIES:
        told = _pair(name, figures, absent=0.0 if kind is not Kind.HOST_GAPS else None)
        if told is not None and abs(told[1] - told[0]) > POINTS:
            sentence = f"{words} {{before:percent}} → {{after:percent}} of the time"
            yield _reason(kind, sentence, told, Share.LATENCY), told[1] > told[0]
    waited = _pair("host_wait_fraction", figures)
    if waited is not None and abs(waited[1] - waited[0]) > WAITS:
        sentence = "threads wait for a CPU {before:percent} → {after:percent} of the time that they want one"
        yield _reason(Kind.HOST_WAIT, sentence, waited, Share.LATENCY), waited[1] > waited[0]


def _working(share: Share, figures: Figures, sides: tuple[Json, Json]) -> Found:
    """Bytes and FLOPs a step, with the time that the difference is due at the achievable roof."""
    memory = share is Share.MEMORY
    field = "bandwidth_bytes_per_s" if memory else "flops_per_s"
    roofs = _both([positive(mapping(mapping(side, "roofs"), "achievable").get(field)) for side in sides])
    unit = "bytes" if memory else "flops"
    known = False
    for kind, name, words in _WORK[share]:
        told = _pair(name, figures)
        if told is None:
            continue
        known = True
        if _differ(*told) and weighs(name, figures):
            due = (told[1] - told[0]) / roofs[1] if roofs is not None else None
            more = "" if due is None else f", {{due_size:seconds}} {'more' if due > 0.0 else 'less'} at the roof"
            reason = _reason(kind, f"{words} {{before:{unit}}} → {{after:{unit}}} a step{more}", told, share, due=due)
            yield reason, told[1] > told[0]
    context = _pair("context_tokens", figures)
    if memory and not known and context is not None and _differ(*context):
        sentence = "a sequence has {before:count} → {after:count} tokens cached"
        yield _reason(Kind.CONTEXT, sentence, context, share), context[1] > context[0]
    if roofs is not None and _differ(*roofs):
        sentence = f"the achievable roof {{before:{unit}_per_s}} → {{after:{unit}_per_s}}"
        yield _reason(Kind.ROOFS, sentence, roofs, share), roofs[1] < roofs[0]


def weighs(name: str, figures: Figures) -> bool:
    """Whether bytes that changed are much of all bytes that a step moves; where those are not known, they may be."""
    if not name.endswith("bytes_per_step"):
        return True
    told, whole = _pair(name, figures), _pair("bytes_per_step", figures)
    whole = whole or _both([_sum(side) for side in figures])
    return told is None or whole is None or abs(told[1] - told[0]) > COUNTED * max(map(abs, whole))


def _sum(side: Mapping[str, float]) -> float | None:
    weights, cache = side.get("weight_bytes_per_step"), side.get("kv_bytes_per_step")
    return None if weights is None or cache is None else weights + cache


_WORK = {
    Share.MEMORY: (
        (Kind.KV_CACHE, "kv_bytes_per_step", "KV cache read"),
        (Kind.WEIGHTS, "weight_bytes_per_step", "weights read"),
    ),
    Share.COMPUTE: ((Kind.FLOPS, "flops_per_step", "arithmetic"),),
}


def _prompting(share: Share, phases: Sequence[PhaseMove]) -> Found:
    """Prompts are mostly arithmetic: more of them, more of it."""
    prefill = next((phase.time_fraction for phase in phases if phase.name == "prefill"), None)
    if share is Share.COMPUTE and prefill is not None and prefill.by is not None and abs(prefill.by) > POINTS:
        sentence = "prompts take {before:percent} → {after:percent} of the time"
        yield _reason(Kind.PROMPTS, sentence, [prefill.before, prefill.after], share), prefill.by > 0.0


def _of_whole(time: Change, kernels: Rows | None, around: Sequence[Circumstance]) -> Iterator[Reason]:
    """Clocks and caps that point the same way, and the row that is much of the change."""
    slower = (time.by or 0.0) > 0.0
    for circumstance in around:
        before, after = circumstance.before, circumstance.after
        if circumstance.name.startswith("clocks") and isinstance(before, float) and isinstance(after, float):
            if (after < before) is slower:
                sentence = f"{{before:{circumstance.unit}}} → {{after:{circumstance.unit}}}"
                yield _reason(Kind.CLOCKS, sentence, [before, after], subject=circumstance.label)
        elif circumstance.name == "throttled" and (after if slower else before) != "none":
            yield _reason(Kind.THROTTLED, f"clocks held down {'now' if slower else 'before'}", [])
    if kernels is not None and kernels.rows:
        first = kernels.rows[0]
        if first.moved_s * (time.by or 0.0) > 0.0 and abs(first.moved_s) > MUCH * abs(time.by or 0.0):
            told = [first.before_s, first.after_s]
            sentence = {
                Presence.NEW: "new, {after:seconds}",
                Presence.GONE: "gone, {before:seconds}",
                Presence.UNLISTED_BEFORE: "now {after:seconds}",
                Presence.UNLISTED_AFTER: "{before:seconds} before",
            }.get(first.presence, "{before:seconds} → {after:seconds}")
            yield _reason(Kind.KERNEL, sentence, told, subject=first.name)


def _unexplained(sides: tuple[Json, Json]) -> Iterator[Reason]:
    """The same bytes at another speed, or nothing at all."""
    figures = numbers(mapping(sides[0], "measured")), numbers(mapping(sides[1], "measured"))
    moved, used = _pair("bytes_per_step", figures), _pair("bandwidth_fraction", figures)
    if moved is not None and used is not None and not _differ(*moved) and _differ(*used):
        sentence = "the same bytes a step, at {before:percent} → {after:percent} of the peak bandwidth"
        yield _reason(Kind.EFFICIENCY, sentence, used)
        return
    yield _reason(Kind.UNEXPLAINED, "nothing that both sides counted says why", [])


def _pair(name: str, figures: Figures, absent: float | None = None) -> tuple[float, float] | None:
    """A figure of both sides; ``absent`` stands for it where one side alone has none."""
    told = [number(side.get(name)) for side in figures]
    if told == [None, None]:
        return None
    return _both([absent if value is None else value for value in told])


def _both(told: Sequence[float | None]) -> tuple[float, float] | None:
    one, other = told
    return None if one is None or other is None else (one, other)


def _differ(one: float, other: float) -> bool:
    return abs(one - other) > COUNTED * max(abs(one), abs(other))


def _reason(
    kind: Kind,
    sentence: str,
    told: Sequence[float | None],
    share: Share | None = None,
    *,
    due: float | None = None,
    subject: str | None = None,
) -> Reason:
    figures = {name: value for name, value in zip(("before", "after"), told, strict=False) if value is not None}
    if due is not None:
        figures |= {"due": due, "due_size": abs(due)}
    return Reason(kind=kind, sentence=sentence, figures=figures, share=share, subject=subject)
