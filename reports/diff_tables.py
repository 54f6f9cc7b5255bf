"""What moved as rows of cells: shares, figures, phases, levels, kernels and operations."""

from __future__ import annotations

from heuristics.kernel_class import short_name
from heuristics.regression.moved import (
    Change,
    Moved,
    Part,
    Presence,
    RowMove,
    Rows,
)
from reports.diff_words import (
    PER,
    Quote,
    arrow,
    outside,
    regime_text,
    relative,
    sign,
    signed,
    told,
)
from reports.words import count, percent, seconds

SHORTEST_NAME = 16

SHIFTED = 2.0
"""Times the whole change: a share that moved farther is no part of it."""

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
