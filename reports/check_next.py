"""What to run next, after each outcome of a check: a sentence, and where there is one the command to type."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from heuristics.regression.likeness import LENIENT, TRAITS, Difference
from heuristics.regression.metrics import METRICS
from heuristics.regression.outcome import Check, Comparison, Outcome, Why
from heuristics.regression.paired import FEWEST_PAIRS, PairedCheck
from reports.check_words import Answer, decisive, outside, plain
from reports.words import percent

FOLDER = "DIR"
"""What stands for the baseline in a command, where a report is not told which one it was."""

IN_TURNS = "diagnose check --paired 'CMD_A' 'CMD_B'"
MOST_PAIRS = 100
BEARABLE = 0.5
"""A resolution beyond this is no offer."""

_LOOK: Mapping[str, tuple[str, str]] = {
    "throttled": ("what holds the clocks down", "nvidia-smi -q -d PERFORMANCE"),
    "clocks": ("at which clocks the device runs", "nvidia-smi -q -d CLOCK"),
    "power_limit_w": ("which power cap is set", "nvidia-smi -q -d POWER"),
    "other_processes": ("who else is on the device", "nvidia-smi --query-compute-apps=pid,name --format=csv"),
    "other_busy_cores": ("who keeps the cores busy", "ps -eo pid,pcpu,comm --sort=-pcpu"),
    "wait_fraction": ("who keeps the cores busy", "ps -eo pid,pcpu,comm --sort=-pcpu"),
}
"""By guard, what shows the culprit."""

_MEASURE: Mapping[str, tuple[str, str]] = {
    "time_per_output_token_s": ("a serving engine tells it, and so does a sweep", "diagnose sweep URL_OR_PID"),
    "time_to_first_token_s": ("a serving engine tells it, and so does a sweep", "diagnose sweep URL_OR_PID"),
    "tokens_per_s": ("a serving engine tells it while it works", "diagnose attach PID --for 60"),
    "step_s": ("a serving engine tells it while it works", "diagnose attach PID --for 60"),
    "roof_fraction": (
        "it needs the model, and the roofs of the device",
        "diagnose attach PID --gpu NAME --model PATH_OR_ID",
    ),
    "busy_fraction": ("the device's counters or a profile tell it", "diagnose attach PID --for 60"),
    "kernel_time_s": ("a profile tells it", "diagnose analyze trace.json.gz"),
    "joules_per_token": ("the device's power and an engine's tokens tell it", "diagnose attach PID --for 60"),
}
"""By metric, what measures it."""

_PRINTED = ("both commands must print it", None)

_STATED: Mapping[str, str] = {"workload": "--workload", "gpu": "--gpu", "dtype": "--dtype", "model": "--model"}
"""Options that state a trait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something to do, and the command for it. Texts from outside are marked in ``text``."""

    text: str
    command: str | None = None


def next_steps(answer: Answer, baseline: str = FOLDER) -> list[Step]:
    """The first is the one to take. ``baseline``: the folder, as it was named."""
    if isinstance(answer, PairedCheck):
        return list(_paired(answer))
    return list(_sessions(answer, decisive(answer), shlex.quote(plain(outside(baseline)))))


def _sessions(check: Check, seen: Check, baseline: str) -> Iterator[Step]:
    if Why.NOT_CONFIRMED in check.why and check.outcome is not Outcome.CANNOT_TELL:
        yield Step(
            text="the slow-down did not come again; should it return another night, compare in turns", command=IN_TURNS
        )
    if check.outcome in (Outcome.PASS, Outcome.IMPROVEMENT):
        if not check.kept:
            yield Step(text="keep this session for the nights to come", command=_add(seen, baseline))
        return
    if check.outcome is Outcome.REGRESSION:
        yield from _regression(check, baseline)
        return
    for why in check.why:
        yield from _unanswered(why, seen, baseline)


def _unanswered(why: Why, seen: Check, baseline: str) -> Iterator[Step]:
    if why is Why.TOO_FEW_SESSIONS:
        yield from _too_few(seen, baseline)
    elif why is Why.UNLIKE:
        yield from _unlike(seen, baseline)
    elif why is Why.SICK_HOST:
        yield from _sick(seen)
    elif why is Why.TOO_NOISY:
        yield from _noisy(seen, baseline)
    elif why is Why.MISSING_METRIC:
        yield from _missing(seen)
    elif why is Why.OTHER_LOAD:
        yield from _other_load(seen, baseline)
    elif why in (Why.STALLED, Why.NO_VERDICT):
        yield Step(text="see what is wrong with the job, and measure again", command="diagnose attach PID --for 30")
    elif why is Why.NO_WORK:
        yield Step(text="put load on the job and measure while requests run", command="diagnose sweep URL_OR_PID")


def _other_load(check: Check, baseline: str) -> Iterator[Step]:
    yield Step(
        text="measure under the load of the sessions before; a fixed one is given by",
        command="diagnose sweep URL_OR_PID --batches N --format json -o verdict.json",
    )
    yield Step(
        text="or keep the new load's sessions under a name of their own",
        command=f"diagnose baseline add {_file(check)} --baseline {baseline} --workload NAME",
    )


def _regression(check: Check, baseline: str) -> Iterator[Step]:
    if check.batch is not None:
        yield Step(text="the load was another one: measure under the same, or name it: --workload NAME")
    if check.confirmed_by is None:
        yield Step(
            text="measure once more before it is believed (--run with --confirm does), or compare in turns",
            command=IN_TURNS,
        )
    yield Step(text="all that moved, against an earlier verdict", command=f"diagnose diff BEFORE.json {_file(check)}")
    yield Step(
        text="if it is meant to be so: add sessions of it under a new name of the workload",
        command=f"diagnose baseline add {_file(check)} --baseline {baseline} --workload NAME",
    )


def _too_few(check: Check, baseline: str) -> Iterator[Step]:
    gate = gating(check)
    have = len(check.sessions)
    what = "like sessions"
    if have >= check.policy.sessions and gate is not None:
        have, what = gate.sessions, f"like sessions have {gate.metric.label}"
    lack = check.policy.sessions - have
    if check.kept:
        left = "the next one can be answered" if lack == 1 else f"{lack - 1} more to come"
        yield Step(text=f"this night was added: {left}")
    else:
        nights = f"add {lack} more night{'' if lack == 1 else 's'}"
        yield Step(text=f"{have} of {check.policy.sessions} {what}; {nights}", command=_add(check, baseline))
    yield Step(text="or compare the two versions on this machine", command=IN_TURNS)
    yield from _across(check, baseline, "count the unlike ones as well, if that is what is under test")


def _unlike(check: Check, baseline: str) -> Iterator[Step]:
    yield from _across(check, baseline, "if that is what is under test, let it differ")
    yield Step(
        text=f"else a baseline of its own must grow first, {check.policy.sessions} nights",
        command=_add(check, baseline),
    )
    yield Step(text="or compare the two versions on this machine", command=IN_TURNS)


def _across(check: Check, baseline: str, reason: str) -> Iterator[Step]:
    """For the unlike sessions that are nearest: traits that are not stated are to be stated, others may differ."""
    apart = check.nearly_alike
    for trait in (d for d in apart if _unstated(d)):
        option = _STATED.get(trait.trait)
        with_ = f", with {option}" if option else ""
        side = "of this session" if trait.current is None else "of the sessions before"
        yield Step(text=f"the {TRAITS[trait.trait]} {side} is not stated: measure again so that it is{with_}")
    differing = [d.trait for d in apart if not _unstated(d)]
    if "measured_by" in differing:
        yield Step(text="measure both the same way: a profiler slows what it looks at, a load is part of the result")
    other = next((d.baseline for d in apart if d.trait == "workload" and d.baseline is not None), None)
    if other is not None:
        yield Step(
            text="there is another workload; if that one is meant",
            command=f"diagnose check {_file(check)} --baseline {baseline} --workload {_quoted(other)}",
        )
        return
    options = "".join(f" --across {trait}" for trait in differing if trait != "measured_by")
    if options:
        command = f"diagnose check {_file(check)} --baseline {baseline}{_workload(check)}{options}"
        yield Step(text=reason, command=command)


def _unstated(apart: Difference) -> bool:
    return apart.trait not in LENIENT and (apart.current is None or apart.baseline is None)


def _sick(check: Check) -> Iterator[Step]:
    yield Step(text="measure again once the host is quiet")
    for text, command in dict.fromkeys(_LOOK[name] for g in check.guards if (name := g.name.split(".")[0]) in _LOOK):
        yield Step(text=text, command=command)
    yield Step(text="--allow-noisy counts the session all the same")


def _noisy(check: Check, baseline: str) -> Iterator[Step]:
    gate = gating(check)
    yield Step(text="compare the two versions in turns: what the host does to both cancels", command=IN_TURNS)
    if gate is None or gate.visible is None or gate.spread is None:
        return
    within = gate.within is not None and gate.windows > 0 and gate.within / math.sqrt(gate.windows) > 0.5 * gate.spread
    if within:
        yield Step(
            text="the windows of a session scatter as much: watch longer", command="diagnose attach PID --for 60"
        )
    else:
        yield Step(
            text="sessions differ more than their windows: a quieter host, locked clocks, the same load each night"
        )
    if gate.visible > BEARABLE:
        return
    yield Step(
        text=f"or be content with seeing a slow-down of {percent(gate.visible)}",
        command=f"diagnose check {_file(check)} --baseline {baseline} --resolution {math.ceil(100.0 * gate.visible)}",
    )


def _missing(check: Check) -> Iterator[Step]:
    if check.primary is None:
        if check.policy.metric is not None:
            yield Step(
                text=f"no metric has the name {outside(check.policy.metric)}: {', '.join(m.name for m in METRICS)}"
            )
        else:
            yield Step(
                text="neither side has a speed: measure while the job works", command="diagnose attach PID --for 60"
            )
        return
    how, command = _MEASURE[check.primary.name]
    yield Step(text=f"{check.primary.label}: {how}", command=command)
    other = next(
        (c.metric.name for c in check.comparisons if c.change is not None and c.metric is not check.primary), None
    )
    if other is not None:
        yield Step(text="or let another metric gate, that both sides have", command=f"--metric {other}")


def _paired(check: PairedCheck) -> Iterator[Step]:
    pairs = len(check.a)
    if Why.NOT_CONFIRMED in check.why and check.outcome is not Outcome.CANNOT_TELL:
        yield Step(
            text="the slow-down did not come again; more pairs would settle it", command=_pairs(check, 2 * pairs)
        )
    elif Why.TOO_FEW_SESSIONS in check.why:
        yield Step(
            text=f"{pairs} of {FEWEST_PAIRS} pairs were measured; run all of them",
            command=_pairs(check, max(FEWEST_PAIRS, check.policy.pairs)),
        )
    elif Why.TOO_NOISY in check.why and check.low is not None and check.high is not None:
        half = 0.5 * math.log((1.0 + check.high) / (1.0 + check.low))
        wanted = math.ceil(pairs * (half / math.log1p(check.policy.resolution)) ** 2)
        if wanted <= MOST_PAIRS:
            yield Step(text=f"about {wanted} pairs would do", command=_pairs(check, wanted))
        else:
            yield Step(text="more pairs hardly help: let each command run longer, on a quieter host")
        if half <= BEARABLE:
            wide = math.expm1(half)
            yield Step(
                text=f"or be content with ± {percent(wide)}",
                command=f"{_in_turns(check)} --resolution {math.ceil(100.0 * wide)}",
            )
    elif Why.MISSING_METRIC in check.why:
        how, command = _MEASURE.get(check.metric.name, _PRINTED)
        yield Step(text=f"{check.metric.label}: {how}", command=command)
    elif Why.NO_WORK in check.why or Why.STALLED in check.why:
        yield Step(text="one of the commands did no work while it was watched: put load on in both")
    elif Why.UNLIKE in check.why:
        yield Step(text="run both on the same device of the same host, measured the same way under the same load")
    elif Why.OTHER_LOAD in check.why:
        yield Step(text="put the same load on both: speed follows the batch")
    elif Why.ENDED_EARLY in check.why:
        yield Step(text="let all pairs run", command=_pairs(check, check.policy.pairs))
    elif check.outcome is Outcome.REGRESSION and check.confirmed_by is None:
        yield Step(text="run it once more before it is believed", command=f"{_in_turns(check)} --confirm")


def gating(check: Check) -> Comparison | None:
    """The comparison of the primary metric."""
    return next((c for c in check.comparisons if c.metric is check.primary), None)


def _add(check: Check, baseline: str) -> str:
    named = _workload(check) or " --workload NAME"
    return f"diagnose baseline add {_file(check)} --baseline {baseline}{named}"


def _workload(check: Check) -> str:
    workload = check.current.identity.get("workload")
    return f" --workload {_quoted(workload)}" if workload else ""


def _quoted(text: str) -> str:
    return shlex.quote(plain(outside(text)))


def _file(check: Check) -> str:
    """The session's file, where it is one."""
    name = plain(outside(check.current.name))
    return shlex.quote(name) if name.endswith(".json") else "current.json"


def _pairs(check: PairedCheck, pairs: int) -> str:
    return f"{_in_turns(check)} --pairs {pairs}"


def _in_turns(check: PairedCheck) -> str:
    if check.commands is None:
        return IN_TURNS
    return " ".join(["diagnose check --paired", *(shlex.quote(plain(outside(c))) for c in check.commands)])
