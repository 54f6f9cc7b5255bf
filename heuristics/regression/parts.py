"""Where the time of the whole, or of a phase, went before and where it goes now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from heuristics.regression.loose import Json, fraction, items, mapping, number, numbers, positive, words
from heuristics.regression.moved import Answer, Basis, Certainty, Change, Part, PhaseMove
from heuristics.vocabulary import Cause, Regime, Share

SURE, LIKELY = 0.80, 0.60
"""Confidence of both verdicts from which on their shares are sure, and likely."""

WHOLE = 1e-3
"""Shares that add up to one but for this are shares."""

WORKED = 0.02
"""Idle for less than this part of the time."""

_Word = TypeVar("_Word", bound=StrEnum)
Noise = Callable[[str], float]
"""The relative noise of a field of ``measured``."""


def part_of(before: Json, after: Json, noise: Noise) -> Part:
    """Two objects with a ``verdict`` and ``measured``: a whole verdict, or one phase of it."""
    answers = answer_of(before), answer_of(after)
    figures = numbers(mapping(before, "measured")), numbers(mapping(after, "measured"))
    windows = positive(before.get("window_s")), positive(after.get("window_s"))
    basis, time = _time(figures, windows, noise)
    return Part(
        before=answers[0],
        after=answers[1],
        basis=basis,
        time=time,
        split=_split(shares_of(before), shares_of(after), time, noise),
        device=_device((before, after), figures, basis, time),
        certainty=_certainty(*answers),
    )


def phases_of(before: Json, after: Json, whole: Part, noise: Noise) -> tuple[PhaseMove, ...]:
    """Phases that were told apart on both sides. The noise of a phase's figures is that of the whole's."""
    found = []
    for name in ("prefill", "decode"):
        one, other = (mapping(mapping(side, "phases"), name) for side in (before, after))
        if not one or not other:
            continue
        fractions = fraction(one.get("time_fraction")), fraction(other.get("time_fraction"))
        found.append(
            PhaseMove(
                name=name,
                part=part_of(one, other, noise),
                time_fraction=None if None in fractions else points("time_fraction", "part of the time", *fractions),
                time=_recorded(fractions, whole),
            )
        )
    return tuple(found)


def _recorded(fractions: tuple[float | None, float | None], whole: Part) -> Change | None:
    """A phase's part of everything recorded, where that is what is compared."""
    one, other, time = *fractions, whole.time
    if one is None or other is None or time is None or whole.basis is not Basis.RECORDING:
        return None
    before, after = one * (time.before or 0.0), other * (time.after or 0.0)
    return Change(name="time", label="time", unit="seconds", before=before, after=after, noise=time.noise)


def answer_of(of: Json) -> Answer:
    """The verdict within an object."""
    verdict = mapping(of, "verdict")
    return Answer(
        regime=one_of(Regime, verdict.get("regime")),
        cause=one_of(Cause, verdict.get("cause")),
        confidence=fraction(verdict.get("confidence")),
        limits=tuple(sorted(set(words(verdict, "limits")))),
    )


def shares_of(of: Json) -> Mapping[Share, float] | None:
    """The three shares, where they are shares: fractions that add up to one."""
    told = mapping(mapping(of, "verdict"), "shares")
    found = {share: value for share in Share if (value := fraction(told.get(share.value))) is not None}
    return found if len(found) == len(Share) and abs(sum(found.values()) - 1.0) <= WHOLE else None


def points(name: str, label: str, before: float | None, after: float | None) -> Change:
    """A change of fractions; half a point is none."""
    return Change(name=name, label=label, unit="percent", before=before, after=after, noise=0.005)


def relative(name: str, label: str, unit: str, before: float | None, after: float | None, noise: float) -> Change:
    """A change whose noise is a part of the larger figure."""
    largest = max((abs(v) for v in (before, after) if v is not None), default=0.0)
    return Change(name=name, label=label, unit=unit, before=before, after=after, noise=noise * largest)


def one_of(kind: type[_Word], value: Any) -> _Word | None:
    """The word of a closed set, where it is one."""
    return next((word for word in kind if word.value == value), None)


def _time(
    figures: tuple[Mapping[str, float], Mapping[str, float]], windows: tuple[float | None, float | None], noise: Noise
) -> tuple[Basis | None, Change | None]:
    """The time that both have. Kernels alone stand for it where nothing between them was seen."""
    gaps = all("busy_fraction" in side for side in figures)
    for basis, name, label in (
        (Basis.STEP, "step_s", "step time"),
        (Basis.OUTPUT_TOKEN, "time_per_output_token_s", "time per output token"),
        (Basis.TOKEN, "tokens_per_s", "time per token"),
        (Basis.KERNELS, "kernel_time_s", "kernel time"),
        (Basis.RECORDING, "window_s", "time recorded"),
    ):
        told = [positive(side.get(name)) for side in figures] if basis is not Basis.RECORDING else list(windows)
        if None in told or (basis is Basis.KERNELS and gaps) or (basis is Basis.RECORDING and not gaps):
            continue
        before, after = (1.0 / v if basis is Basis.TOKEN and v is not None else v for v in told)
        return basis, relative(name, label, "seconds", before, after, noise(name))
    return None, None


def _split(
    before: Mapping[Share, float] | None, after: Mapping[Share, float] | None, time: Change | None, noise: Noise
) -> tuple[Change, ...]:
    """Share × time on both sides, the last as what is left, so that they add up exactly."""
    if before is None or after is None:
        return ()
    if time is None or time.before is None or time.after is None:
        return tuple(points(share.value, share.value, before[share], after[share]) for share in Share)
    found = []
    left = [time.before, time.after]
    for share in Share:
        last = share is list(Share)[-1]
        parts = list(left) if last else [before[share] * time.before, after[share] * time.after]
        left = [rest - part for rest, part in zip(left, parts, strict=True)]
        found.append(
            Change(
                name=share.value,
                label=share.value,
                unit="seconds",
                before=max(0.0, parts[0]),
                after=max(0.0, parts[1]),
                noise=time.noise,
            )
        )
    return tuple(found)


def _device(
    sides: tuple[Json, Json],
    figures: tuple[Mapping[str, float], Mapping[str, float]],
    basis: Basis | None,
    time: Change | None,
) -> tuple[Change, ...]:
    """Busy and idle time: of the device where a timeline shows it, of the job's threads where they do the computing."""
    if time is None or time.before is None or time.after is None or basis not in (Basis.STEP, Basis.RECORDING):
        return ()
    busy = [fraction(side.get("busy_fraction")) for side in figures]
    words_ = "device busy", "device idle"
    if busy == [None, None] and all(map(_on_processors, sides)):
        asleep = [fraction(side.get("host_asleep_fraction")) for side in figures]
        busy = [None if part is None else 1.0 - part for part in asleep]
        words_ = "a thread on a CPU", "no thread on a CPU"
    if busy[0] is None or busy[1] is None:
        return ()
    before, after = busy[0] * time.before, busy[1] * time.after
    idle = max(0.0, time.before - before), max(0.0, time.after - after)
    return (
        Change(name="busy", label=words_[0], unit="seconds", before=before, after=after, noise=time.noise),
        Change(name="idle", label=words_[1], unit="seconds", before=idle[0], after=idle[1], noise=time.noise),
    )


def _on_processors(side: Json) -> bool:
    """No device was seen, and the job worked throughout: what its threads do is then what the steps do."""
    idle = number(side.get("idle_fraction")) or 0.0
    return (
        not items(mapping(side, "subject"), "devices") and "gpu" not in mapping(side, "environment") and idle < WORKED
    )


def _certainty(before: Answer, after: Answer) -> Certainty:
    bound = {Regime.MEMORY, Regime.COMPUTE, Regime.LATENCY}
    if before.regime not in bound or after.regime not in bound:
        return Certainty.OPEN
    least = number(min(before.confidence or 0.0, after.confidence or 0.0)) or 0.0
    return Certainty.SURE if least >= SURE else Certainty.LIKELY if least >= LIKELY else Certainty.OPEN
