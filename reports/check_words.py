"""What a check found, in words: outcomes, flips, guards, and the sessions that do not count."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from heuristics.regression.likeness import TRAITS, Difference
from heuristics.regression.outcome import Check, Flip, Guard, LeftOut, Outcome, Reason, Why
from heuristics.regression.paired import PairedCheck
from reports.sweep_text import NAMES
from reports.words import CAUSES, number, percent, printable, scaled

Answer = Check | PairedCheck
_Answer = TypeVar("_Answer", Check, PairedCheck)

OUTCOMES: Mapping[Outcome, str] = {
    Outcome.PASS: "PASS",
    Outcome.IMPROVEMENT: "IMPROVEMENT",
    Outcome.REGRESSION: "REGRESSION",
    Outcome.CANNOT_TELL: "CANNOT TELL",
}

WHYS: Mapping[Why, str] = {
    Why.SLOWER: "slower",
    Why.FARTHER_FROM_ROOF: "farther from the roof",
    Why.REGIME_FLIP: "another regime",
    Why.CAUSE_FLIP: "another cause",
    Why.FASTER: "faster",
    Why.UNCHANGED: "no change",
    Why.TOO_FEW_SESSIONS: "too few like sessions",
    Why.UNLIKE: "no like session",
    Why.TOO_NOISY: "too noisy",
    Why.SICK_HOST: "the host was not well",
    Why.MISSING_METRIC: "not measured",
    Why.NO_WORK: "the job was idle",
    Why.STALLED: "the job stood still with requests running",
    Why.NO_VERDICT: "nothing was judged",
    Why.OTHER_LOAD: "another load",
    Why.ENDED_EARLY: "ended early",
    Why.NOT_CONFIRMED: "not confirmed",
}
"""What an outcome rests on, in a few words."""

SHORT: Mapping[str, str] = {
    "time_per_output_token_s": "output token",
    "time_to_first_token_s": "first token",
    "tokens_per_s": "tokens/s",
    "step_s": "step",
    "roof_fraction": "roof",
    "busy_fraction": "busy",
    "kernel_time_s": "kernel time",
    "joules_per_token": "energy/token",
}
"""Metrics as they stand in a table."""

_LEFT_OUT: Mapping[Reason, str] = {
    Reason.TWICE: "are in the baseline twice",
    Reason.CURRENT: "is the current session itself",
    Reason.UNWELL: "ran on a host that was slowed or shared, unlike most",
    Reason.WITHOUT_METRIC: "do not have the metric that gates",
    Reason.OLDER: "are older than those that count",
    Reason.BEFORE_A_STEP: "are from before a step that lasted, of the job or of its host",
}

_SIGNS: Mapping[str, str] = {
    "throttled": "throttled",
    "clocks": "slower clocks",
    "power_limit_w": "a lower power cap",
    "other_processes": "other processes on the device",
    "other_busy_cores": "others kept cores busy",
    "wait_fraction": "long waits for a CPU",
}

_BEGIN, _END = "\x02", "\x03"
_OUTSIDE = re.compile(f"{_BEGIN}([^{_END}]*){_END}")


def outside(text: str) -> str:
    """Text that is not ours, marked as such until ``plain`` or ``marked`` lays it out. It cannot hold a mark itself."""
    return f"{_BEGIN}{printable(text)}{_END}"


def marked(text: str, lay: Callable[[str], str]) -> str:
    """A sentence with each text from outside laid out by ``lay``."""
    return _OUTSIDE.sub(lambda found: lay(found[1]), text)


def plain(text: str) -> str:
    """A sentence as it is read in a terminal."""
    return marked(text, str)


def decisive(check: _Answer) -> _Answer:
    """Whose figures the outcome rests on: the second session's, where it did not confirm the first."""
    return check.confirmed_by if check.confirmed_by is not None and Why.NOT_CONFIRMED in check.why else check


def place(check: Check) -> str:
    """What was measured: ``workload nightly, an-8b on H100``."""
    known = check.current.identity
    workload, model, gpu = (known.get(trait) for trait in ("workload", "model", "gpu"))
    told = [f"workload {outside(workload)}"] if workload else []
    told += [f"load {outside(load)}"] if (load := known.get("load")) and load != workload else []
    job = [outside(model)] if model else []
    job += [f"on {outside(gpu)}"] if gpu else []
    return ", ".join([*told, *filter(None, (" ".join(job),))])


def state(words: str) -> str:
    """A regime, or a regime with its cause, as a flip tells them: ``memory-bound: streaming weights``."""
    regime, _, cause = words.partition(": ")
    name = next((told for known, told in NAMES.items() if known.value == regime), regime)
    return f"{name}: {CAUSES.get(cause, cause)}" if cause else name


def turned(flip: Flip) -> str:
    """In few words: ``latency-bound, was memory-bound``; causes alone where the regime is the same."""
    (regime, _, cause), (former, _, before) = (side.partition(": ") for side in (flip.current, flip.baseline))
    if cause and before and regime == former:
        return f"{CAUSES.get(cause, cause)}, was {CAUSES.get(before, before)}"
    return f"{state(flip.current)}, was {state(flip.baseline)}"


def flipped(flip: Flip) -> str:
    """Before and now, each with its confidence."""
    return (
        f"{state(flip.current)} now ({percent(flip.current_confidence)} confidence), "
        f"{state(flip.baseline)} before ({percent(flip.baseline_confidence)}, "
        f"{flip.agreeing} of {flip.sessions} agree)"
    )


def difference(apart: Difference) -> str:
    """A trait with what it was and is: ``driver 550 before, 560 now``."""
    before, now = (outside(side) if side is not None else "not stated" for side in (apart.baseline, apart.current))
    return f"{TRAITS.get(apart.trait, apart.trait)} {before} before, {now} now"


def left_out(left: LeftOut) -> str:
    """How many sessions do not count, and why."""
    if left.differences:
        told = "; ".join(map(difference, left.differences))
        return f"{left.count} {'is' if left.count == 1 else 'are'} unlike: {told}"
    told = _LEFT_OUT.get(left.reason, left.reason)
    if left.count == 1:
        told = re.sub(r"^are ", "is ", told)
    return f"{left.count} {told}"


def guard(found: Guard) -> str:
    """A sign that the host was slow, with its units, and what was usual before."""
    name, _, which = found.name.partition(".")
    if name == "throttled":
        return f"throttled by {outside(str(found.current)).replace('_', ' ')}, which most sessions before were not"
    now, before = (_amount(found.name, value) for value in (found.current, found.baseline))
    if name == "clocks":
        return f"clock {outside(re.sub('_m?hz$', '', which))} at {now}; the lowest of the sessions before was {before}"
    if name == "power_limit_w":
        return f"power capped at {now}; {before} before"
    if name == "other_processes":
        return f"{now} other processes on the device; {before} at most before"
    if name == "other_busy_cores":
        return f"others kept {now} cores busy; {before} at most before"
    if name == "wait_fraction":
        return f"the job waited for a CPU {now} of the time it wanted one; {before} at most before"
    return f"{outside(found.name)} {now}; {before} before"


def sign(found: Guard) -> str:
    """The same in a word or two."""
    return _SIGNS.get(found.name.partition(".")[0], outside(found.name))


def _amount(name: str, value: float | str | None) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        return outside(value)
    for suffix, unit, factor in (("_hz", "Hz", 1.0), ("_mhz", "Hz", 1e6), ("_w", "W", 1.0)):
        if name.endswith(suffix):
            return scaled(value * factor, unit)
    return percent(value) if name.endswith("_fraction") else number(value)


def unconfirmed(outcome: Outcome) -> str:
    """What a second session without a regression says of the first."""
    if outcome is Outcome.CANNOT_TELL:
        return "the regression could not be confirmed"
    return "the regression was not confirmed"


def settled(outcome: Outcome, why: Why) -> str:
    """The last word on a metric in a table: worse, better, alike, or why there is none."""
    if outcome is not Outcome.CANNOT_TELL:
        return {Outcome.REGRESSION: "worse", Outcome.IMPROVEMENT: "better"}.get(outcome, "alike")
    return {Why.TOO_NOISY: "noisy", Why.TOO_FEW_SESSIONS: "too few", Why.MISSING_METRIC: "missing"}.get(why, "unknown")
