"""What moved between two verdicts, in sentences and cells: shared by the terminal, Markdown and the short form."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from heuristics.kernel_class import short_name
from heuristics.regression.likeness import TRAITS, Difference
from heuristics.regression.moved import (
    Answer,
    Basis,
    Certainty,
    Change,
    Circumstance,
    Measure,
    Moved,
    Part,
    Presence,
    Reason,
    RowMove,
    Rows,
)
from heuristics.vocabulary import Regime, Share
from reports.sweep_text import NAMES
from reports.words import FORMATS, count, filled, percent, printable, seconds

LONGEST_OUTSIDE = 60
"""Letters of a text from outside that are shown."""

SHORTEST_NAME = 16

BUSY_HOST = 0.2
"""Waiting for CPUs beyond this part is the host's doing more than the job's."""

SHIFTED = 2.0
"""Times the whole change: a share that moved farther is no part of it."""

SMALL = 0.05
"""Relative change that two runs of one job may well differ by from one session to another."""

PER = {
    Basis.STEP: "a step",
    Basis.OUTPUT_TOKEN: "an output token",
    Basis.TOKEN: "a token of all sequences",
    Basis.KERNELS: "in kernels",
    Basis.RECORDING: "recorded",
}

TITLES = {
    Basis.STEP: "A step by share, as judged",
    Basis.OUTPUT_TOKEN: "An output token by share, as judged",
    Basis.TOKEN: "A token of all sequences by share, as judged",
    Basis.KERNELS: "Time in kernels by share, as judged",
    Basis.RECORDING: "The time recorded by share, as judged",
}

MEASURES = {
    Measure.STEP: "a step",
    Measure.RECORDING: "in the whole recording",
    Measure.ROOF: "a step at the achievable roof: what is due, not what was measured",
}


def outside(text: str) -> str:
    """A text from outside in one line, not too long."""
    plain = printable(text)
    return plain if len(plain) <= LONGEST_OUTSIDE else f"{plain[: LONGEST_OUTSIDE - 1]}…"


Quote = Callable[[str], str]
"""How a text from outside is shown: names of kernels, devices, models, files."""


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


def told_apart(difference: Difference, quote: Quote = outside) -> str:
    """``device A100, then H100``."""
    word = TRAITS.get(difference.trait, difference.trait)
    return f"{word} {quote(difference.baseline or '')} → {quote(difference.current or '')}"


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


def reason_text(reason: Reason, quote: Quote = outside) -> str:
    """A reason with the share that it moves."""
    told = filled(reason.sentence, reason.figures)
    if reason.subject is not None:
        told = f"{quote(short_name(reason.subject))}: {told}"
    return told if reason.share is None else f"{reason.share.value}: {told}"


def circumstance_text(circumstance: Circumstance, quote: Quote = outside) -> str:
    """``batch 8 → 16``."""
    told = [
        quote(value) if isinstance(value, str) else FORMATS[circumstance.unit or "number"](value)
        for value in (circumstance.before, circumstance.after)
    ]
    plain = circumstance.label.replace(" ", "").replace(",", "").replace("/", "")
    label = outside(circumstance.label) if plain.isalnum() else quote(circumstance.label)
    return f"{label} {' → '.join(told)}"


def answers(moved: Moved) -> str:
    """The regimes with both confidences, and the distance to the nearer roof."""
    part = moved.whole
    if part.before.regime is None and part.after.regime is None:
        return ""
    if part.regime_flip or part.cause_flip or None in (part.before.regime, part.after.regime):
        said = f"{regime_text(part.before)} → {regime_text(part.after)}"
    else:
        both = dict.fromkeys((_sure(part.before), _sure(part.after)))
        said = f"still {_named(part.after)} ({' → '.join(both)})"
    binding = {Regime.MEMORY: "bandwidth_fraction", Regime.COMPUTE: "compute_fraction"}
    wanted = binding.get(part.after.regime or Regime.IDLE)
    roof = max(moved.roofs, key=lambda c: (c.name == wanted, c.after or 0.0), default=None)
    return (
        said[0].upper()
        + said[1:]
        + (f"; {arrow(roof)} of the {roof.label.removesuffix(' used')}" if roof is not None else "")
    )


def regime_text(answer: Answer) -> str:
    """``memory-bound, weights (97 %)``."""
    return f"{_named(answer)} ({_sure(answer)})" if answer.regime is not None else "nothing measured"


def _named(answer: Answer) -> str:
    if answer.regime is None:
        return "nothing measured"
    cause = f", {answer.cause.value.replace('_', ' ')}" if answer.cause is not None else ""
    return f"{NAMES[answer.regime]}{cause}"


def _sure(answer: Answer) -> str:
    return "?" if answer.confidence is None else percent(answer.confidence)


def arrow(change: Change) -> str:
    """``4.1 ms → 5.3 ms``, or the one value where nothing changed."""
    if change.unchanged:
        return told(change, change.after)
    return f"{told(change, change.before)} → {told(change, change.after)}"


def told(change: Change, value: float | None) -> str:
    """A value in the figure's own unit."""
    return "" if value is None else FORMATS[change.unit](value)


def signed(change: Change) -> str:
    """The change with its sign, ``=`` where there is none."""
    if change.by is None:
        return ""
    if change.unchanged:
        return "="
    size = abs(change.by)
    return sign(change.by) + (f"{100.0 * size:.3g} points" if change.unit == "percent" else told(change, size))


def sign(value: float) -> str:
    """Plus, or a minus as wide as it."""
    return "−" if value < 0.0 else "+"


def relative(change: Change) -> str:
    """The change as a part of what was before, signed."""
    if change.relative is None or change.unchanged:
        return ""
    if abs(change.relative) >= 9.995:
        return f"{change.relative + 1.0:,.0f}x"
    return f"{sign(change.relative)}{percent(abs(change.relative))}"


SPLIT_HEAD = ("", "before", "now", "change", "", "of the change")


def split_rows(part: Part) -> list[list[str]]:
    """A row a share, the device's measured time beneath, and the whole."""
    if not part.split:
        return []
    rows = [[*_cells(share), relative(share), _of_whole(share, part)] for share in part.split]
    if part.time is not None:
        rows.append(["whole", *_cells(part.time)[1:], relative(part.time), ""])
    return rows + [[*_cells(change), relative(change), _of_whole(change, part)] for change in part.device]


def _cells(change: Change) -> list[str]:
    return [change.label, told(change, change.before), told(change, change.after), signed(change)]


def _of_whole(share: Change, part: Part) -> str:
    """The part of the whole change, where that is more than what the shares shifted among themselves."""
    time = part.time
    if time is None or not time.changed or not time.by or share.unchanged or share.by is None:
        return ""
    if any(abs(c.by or 0.0) > SHIFTED * abs(time.by) for c in part.split):
        return ""
    told_part = share.by / time.by
    return f"−{percent(-told_part)}" if told_part < 0.0 else percent(told_part)


FIGURES_HEAD = ("", "before", "now", "change", "")


def figure_rows(moved: Moved) -> list[list[str]]:
    """Figures that changed."""
    return [[*_cells(c), relative(c)] for c in (*moved.figures, *moved.roofs) if c.changed]


def unchanged(moved: Moved) -> str:
    """Names of the figures that did not."""
    return ", ".join(c.label for c in (*moved.figures, *moved.roofs) if c.unchanged)


PHASES_HEAD = ("", "part of the time", "time", "regime")


def phase_rows(moved: Moved) -> list[list[str]]:
    """A row a phase: its part of the time, the time of its step or of all of it, and its regime."""
    found = []
    for phase in moved.phases:
        part, time = phase.part, phase.time or phase.part.time
        fraction = "" if phase.time_fraction is None else f"{arrow(phase.time_fraction)} of the time"
        per = "" if phase.time is not None or part.basis is None else f" {PER[part.basis]}"
        told_time = "" if time is None else f"{arrow(time)}{per} {relative(time)}".strip()
        flipped = part.regime_flip or part.cause_flip
        regime = f"{regime_text(part.before)} → {regime_text(part.after)}" if flipped else regime_text(part.after)
        found.append([phase.name, fraction, told_time, regime])
    return found


LEVELS_HEAD = ("step before", "now", "change", "tokens/s", "regime")


def level_rows(moved: Moved) -> list[list[str]]:
    """A row a level of a sweep or batch of a probe."""
    found = []
    for level in moved.levels:
        one, other = (a.regime.value if a.regime is not None else "" for a in (level.before, level.after))
        regime = one if one == other else f"{one or '?'} → {other or '?'}"
        step, speed = level.step, level.tokens_per_s
        times = [told(step, step.before), told(step, step.after), relative(step) or ("=" if step.unchanged else "")]
        found.append([level.name, *times, "" if speed.by is None else arrow(speed), regime])
    return found


ROWS_HEAD = ("before", "now", "change", "launches", "")


def row_cells(rows: Rows, quote: Quote = outside) -> list[list[str]]:
    """A row a kernel or operation that moved, under ``ROWS_HEAD``; then the others together, and all."""
    found = [[*row_times(row), launches_of(row), row_name(row, quote)] for row in rows.rows]
    if found and rows.rest_count:
        rest = f"{sign(rows.rest_s)}{seconds(abs(rows.rest_s))}" if abs(rows.rest_s) > rows.total.noise else "="
        found.append(["", "", rest, "", f"{rows.rest_count} more"])
    return [*found, [*_cells(rows.total)[1:], "", "all"]] if found else []


def row_table(rows: Rows, columns: int | None = None, quote: Quote = outside) -> tuple[list[str], list[list[str]]]:
    """Head and rows without the columns that no row fills; names are cut to what ``columns`` leave for them."""
    cells = row_cells(rows, quote)
    kept = [place for place in range(len(ROWS_HEAD)) if any(row[place] for row in cells)]
    head, cells = [ROWS_HEAD[place] for place in kept], [[row[place] for place in kept] for row in cells]
    if columns is not None and cells:
        widths = [max(map(len, column)) + 2 for column in zip(head[:-1], *(row[:-1] for row in cells), strict=True)]
        room = max(SHORTEST_NAME, columns - sum(widths) - 2)
        cells = [[*row[:-1], _cut(row[-1], room)] for row in cells]
    return head, cells


def _cut(name: str, room: int) -> str:
    """A name no longer than that; what is said of it stays whole."""
    if len(name) <= room:
        return name
    front, mark, said = name.partition("  ")
    return f"{front[: max(1, room - len(mark + said) - 1)]}…{mark}{said}"


def row_times(row: RowMove) -> list[str]:
    """Before, now, and the change."""
    least = "≥ " if row.presence in (Presence.UNLISTED_BEFORE, Presence.UNLISTED_AFTER) else ""
    before = "" if row.before_s is None else seconds(row.before_s)
    after = "" if row.after_s is None else seconds(row.after_s)
    return [before, after, f"{least}{sign(row.moved_s)}{seconds(abs(row.moved_s))}"]


def launches_of(row: RowMove) -> str:
    """``20 → 40``, or the one number where it stayed."""
    known = [n for n in (row.before_launches, row.after_launches) if n is not None]
    if not known:
        return ""
    told_ = [count(n) if n >= 1.0 else f"{n:.2g}" for n in known]
    return " → ".join(dict.fromkeys(told_))


def row_name(row: RowMove, quote: Quote = outside) -> str:
    """The name, and whether it is new or gone."""
    mark = {
        Presence.NEW: "  new",
        Presence.GONE: "  gone",
        Presence.UNLISTED_BEFORE: "  not listed before",
        Presence.UNLISTED_AFTER: "  not listed now",
    }.get(row.presence, "")
    return f"{quote(short_name(row.name))}{mark}"


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
            found.append(f"{word} at {_sure(answer)}")
    regimes = {part.before.regime, part.after.regime}
    return (
        f"both {part.after.regime.value}"
        if len(found) == 2 and len(regimes) == 1 and part.after.regime
        else ", ".join(found)
    )
