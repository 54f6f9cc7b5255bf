"""What moved, by how much and where it went, in sentences; and what to mind before believing it."""

from __future__ import annotations

from collections.abc import Sequence

from heuristics.regression.moved import (
    Basis,
    Certainty,
    Change,
    Moved,
    Part,
)
from heuristics.vocabulary import Regime, Share
from reports.diff_words import (
    PER,
    Quote,
    arrow,
    named,
    outside,
    reason_text,
    regime_text,
    relative,
    signed,
    sure,
    told_apart,
)
from reports.words import percent, seconds

BUSY_HOST = 0.2
"""Waiting for CPUs beyond this part is the host's doing more than the job's."""

SMALL = 0.05
"""Relative change that two runs of one job may well differ by from one session to another."""


def headline(moved: Moved, quote: Quote = outside) -> list[str]:
    """What moved, by how much, and where it went. What makes the comparison one of two jobs comes before that."""
    first = [f"Not the same job: {', '.join(told_apart(d, quote) for d in moved.apart)}"] if moved.apart else []
    if moved.measured_apart is not None:
        first.append(
            f"Not measured the same way: {told_apart(moved.measured_apart, quote).removeprefix('way of measuring ')}"
        )
    answer = [_how_much(moved), _where(moved, quote)]
    if moved.whole.time is None and moved.whole.split:
        answer.reverse()
    return [*first, *(text for text in (*answer, answers(moved)) if text)]


def notes(moved: Moved) -> list[str]:
    """What to mind before believing it."""
    found = []
    part = moved.whole
    if moved.other_load:
        found.append("another load takes another time: that is no word on the code")
    if moved.measured_apart is not None:
        found.append("a profiler slows what it looks at: its times are comparable with its own only")
    if part.split and part.certainty is Certainty.OPEN:
        found.append(f"how the time splits is not settled: {_unsettled(part)}")
    for word, rows in (("kernel", moved.kernels), ("operation", moved.operations)):
        if rows is not None and not rows.common:
            found.append(f"no {word} is in both: these may be captures of other work")
    if part.basis in (Basis.RECORDING, Basis.KERNELS):
        found.append("steps are not marked: both sides must hold the same number of them")
    waited = max((moved.host_wait.before or 0.0, moved.host_wait.after or 0.0)) if moved.host_wait is not None else 0.0
    if waited > BUSY_HOST:
        found.append(f"the host was busy: threads waited for a CPU up to {percent(waited)} of the time they wanted one")
    time = part.time
    if time is not None and time.changed and abs(time.relative or 0.0) < SMALL:
        found.append(
            "one run each: runs of the same job differ by as much from session to session; "
            "diagnose check tells noise from change"
        )
    return found


def answers(moved: Moved) -> str:
    """The regimes with both confidences, and the distance to the nearer roof."""
    part = moved.whole
    if part.before.regime is None and part.after.regime is None:
        return ""
    if part.regime_flip or part.cause_flip or None in (part.before.regime, part.after.regime):
        said = f"{regime_text(part.before)} → {regime_text(part.after)}"
    else:
        both = dict.fromkeys((sure(part.before), sure(part.after)))
        said = f"still {named(part.after)} ({' → '.join(both)})"
    binding = {Regime.MEMORY: "bandwidth_fraction", Regime.COMPUTE: "compute_fraction"}
    wanted = binding.get(part.after.regime or Regime.IDLE)
    roof = max(moved.roofs, key=lambda c: (c.name == wanted, c.after or 0.0), default=None)
    return (
        said[0].upper()
        + said[1:]
        + (f"; {arrow(roof)} of the {roof.label.removesuffix(' used')}" if roof is not None else "")
    )


def _how_much(moved: Moved) -> str:
    time, basis = moved.whole.time, moved.whole.basis
    same = "The same measurement twice. " if moved.same_data else ""
    if time is None or basis is None or time.after is None or time.before is None:
        return f"{same}No time was measured on both sides: only what is beside it can be compared"
    now, before, per = seconds(time.after), seconds(time.before), PER[basis]
    if time.unchanged:
        within = "" if now == before else f", {before} before: within the noise of {percent(_noise(time))}"
        return f"{same}Unchanged: {now} {per}{within}"
    change = f"{now} {per}, {before} before ({signed(time)}, {relative(time)})"
    speed = next((c for c in moved.figures if c.name == "tokens_per_s" and c.changed), None)
    tokens = f"; {arrow(speed)} tokens/s ({relative(speed)})" if speed is not None and basis is Basis.STEP else ""
    if moved.other_load:
        loads = ", ".join(f"{c.label} {arrow(c)}" for c in moved.other_load)
        return f"Another load, {loads}: {change}{tokens}"
    if basis is Basis.KERNELS and moved.kernels is not None and not moved.kernels.common:
        return f"Other kernels: {change}"
    return f"{'Slower' if (time.by or 0.0) > 0.0 else 'Faster'}: {change}{tokens}"


def _noise(change: Change) -> float:
    """Relative."""
    return change.noise / max(abs(change.before or 0.0), abs(change.after or 0.0))


def _where(moved: Moved, quote: Quote) -> str:
    """The share that the change mostly is, with what fits it."""
    part, leading = moved.whole, moved.leading
    if not part.split:
        return "Where it went is not known: a side has no shares" if part.time is not None else ""
    if leading is None or leading.by is None:
        return f"No share of {'it' if part.time is not None else 'the time with work'} moved by more than the noise"
    why = next((r for r in moved.reasons if r.share is Share(leading.name)), None)
    why = why or next((r for r in moved.reasons if r.share is None), None)
    reason = "" if why is None else f": {reason_text(why, quote).removeprefix(f'{leading.name}: ')}"
    if part.time is None:
        moves = ", ".join(f"{c.label} {arrow(c)}" for c in _farthest_first(part.split) if c.changed)
        text = f"{moves} of the time with work{reason}"
    elif _whole_change(part.time, leading):
        text = f"{_both(leading.by, part.time.by or 0.0)} are {leading.label}{reason}"
    else:
        moves = ", ".join(f"{c.label} {signed(c)}" for c in _farthest_first(part.split) if c.changed)
        text = f"{moves}{reason}"
    if part.certainty is Certainty.OPEN:
        return f"Where it went is not settled ({_unsettled(part)}); estimated: {text}"
    likely = f"Likely {text}" if part.certainty is Certainty.LIKELY else text
    return likely[0].upper() + likely[1:]


def _farthest_first(split: Sequence[Change]) -> list[Change]:
    return sorted(split, key=lambda c: -abs(c.by or 0.0))


def _whole_change(time: Change, leading: Change) -> bool:
    """The share moved the way that the whole did, and no farther."""
    if not time.changed or not time.by or not leading.by:
        return False
    return 0.0 < leading.by / time.by <= 1.1


def _both(part: float, whole: float) -> str:
    """``2.1 of 2.3 ms``, ``210 µs of 2.3 ms``; a change downwards with its sign."""
    less = "−" if whole < 0.0 else ""
    one, other = seconds(abs(part)), seconds(abs(whole))
    if one.split()[-1] == other.split()[-1]:
        one = one.split()[0]
    return f"{less}{one} of {less}{other}"


def _unsettled(part: Part) -> str:
    found = []
    for word, answer in (("before", part.before), ("now", part.after)):
        if answer.regime is None:
            found.append(f"{word} without a verdict")
        elif answer.regime in (Regime.INCONCLUSIVE, Regime.IDLE):
            found.append(f"{word} {answer.regime.value}")
        elif (answer.confidence or 0.0) < 0.6:
            found.append(f"{word} at {sure(answer)}")
    regimes = {part.before.regime, part.after.regime}
    return (
        f"both {part.after.regime.value}"
        if len(found) == 2 and len(regimes) == 1 and part.after.regime
        else ", ".join(found)
    )
