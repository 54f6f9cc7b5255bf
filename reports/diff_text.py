"""What moved between two verdicts, for a terminal: what, by how much and where it went, in three lines."""

from __future__ import annotations

from collections.abc import Iterator

from heuristics.regression.moved import Measure, Moved, Part
from heuristics.vocabulary import Share
from reports.bars import bar
from reports.diff_tables import (
    FIGURES_HEAD,
    LEVELS_HEAD,
    SPLIT_HEAD,
    figure_rows,
    launches_of,
    level_rows,
    phase_rows,
    row_name,
    row_table,
    row_times,
    split_rows,
    unchanged,
)
from reports.diff_told import headline, notes
from reports.diff_words import MEASURES, TITLES, circumstance_text, outside, reason_text
from reports.lines import bold, bullet, table, wrapped
from reports.words import seconds

NARROWEST, WIDEST = 50, 100
BAR_CELLS, FEWEST_CELLS = 40, 10
BRIEF_LINES = 8


def render(moved: Moved, *, width: int = 80, colour: bool = False) -> str:
    """The report, wrapped to ``width`` columns."""
    columns = max(NARROWEST, min(width, WIDEST))
    lines = [*_headline(moved, columns, colour), *_bars(moved.whole, columns, colour), ""]
    for title, body in _sections(moved, columns):
        if body:
            lines += [bold(title, colour), *body, ""]
    return "\n".join(lines[:-1]) + "\n"


def brief(moved: Moved, *, width: int = 80, colour: bool = False) -> list[str]:
    """The same in at most eight lines, to stand beneath the answer of a check."""
    columns = max(NARROWEST, min(width, WIDEST))
    lines = _headline(moved, columns, colour)
    said = "\n".join(headline(moved))
    for reason in moved.reasons:
        text = reason_text(reason)
        if text.partition(": ")[2] not in said:
            lines += bullet(text, columns)[:1]
    for rows in (moved.kernels, moved.operations):
        named = {reason.subject for reason in moved.reasons}
        for row in [row for row in rows.rows if row.name not in named][:2] if rows is not None else ():
            before, now, change = row_times(row)
            times = " → ".join(time for time in (before, now) if time)
            launches = f", {told} launches" if (told := launches_of(row)) else ""
            due = " at the roof" if rows is not None and rows.measure is Measure.ROOF else ""
            lines += bullet(f"{row_name(row)}: {change}{due} ({times}{launches})", columns)[:1]
    if moved.circumstances:
        lines += bullet("; ".join(map(circumstance_text, moved.circumstances)), columns)
    return lines if len(lines) <= BRIEF_LINES else [*lines[: BRIEF_LINES - 1], "  …"]


def _headline(moved: Moved, columns: int, colour: bool) -> list[str]:
    """Lines of the answer, the word before the first colon in bold."""
    found = []
    for place, text in enumerate(headline(moved)):
        lines = wrapped(text, columns, "", "  ")
        word, colon, rest = lines[0].partition(":")
        if not place and colon:
            lines[0] = f"{bold(word, colour)}{colon}{rest}"
        found += lines
    return found


def _bars(part: Part, columns: int, colour: bool) -> list[str]:
    """Both sides as bars, in proportion to their times."""
    if not part.split:
        return []
    times = (part.time.before, part.time.after) if part.time is not None else (1.0, 1.0)
    longest = max(time or 0.0 for time in times)
    room = min(BAR_CELLS, columns - 22)
    if room < FEWEST_CELLS or longest <= 0.0:
        return []
    found = []
    for word, time, sides in (
        ("before", times[0], {Share(c.name): c.before or 0.0 for c in part.split}),
        ("now", times[1], {Share(c.name): c.after or 0.0 for c in part.split}),
    ):
        whole = sum(sides.values())
        if time is None or whole <= 0.0:
            return []
        cells = max(1, round(room * time / longest))
        drawn = bar({share: value / whole for share, value in sides.items()}, cells, colour)
        shown = seconds(time) if part.time is not None else ""
        found.append(f"  {word:<6}  {drawn}{' ' * (room - cells)}  {shown}".rstrip())
    return [*found, "          █ memory  ▒ compute  · latency"]


def _sections(moved: Moved, columns: int) -> Iterator[tuple[str, list[str]]]:
    basis = moved.whole.basis
    title = TITLES[basis] if basis is not None else "The time with work by share"
    yield title, [] if moved.nothing else table(SPLIT_HEAD, split_rows(moved.whole), columns, {0})
    yield "What fits", [line for reason in moved.reasons for line in bullet(reason_text(reason), columns)]
    yield (
        "What else is not the same",
        [line for c in moved.circumstances for line in bullet(circumstance_text(c), columns)],
    )
    phases = [f"{cells[0]:<8} {', '.join(cell for cell in cells[1:] if cell)}" for cells in phase_rows(moved)]
    yield "Phases", [line for phase in phases for line in bullet(phase, columns)]
    yield "Figures", _figures(moved, columns)
    yield "Levels", table((moved.levels_by, *LEVELS_HEAD), level_rows(moved), columns, {5})
    for word, rows in (("Kernels", moved.kernels), ("Operations", moved.operations)):
        if rows is not None:
            head, cells = row_table(rows, columns)
            yield f"{word}, {MEASURES[rows.measure]}", table(head, cells, columns, {len(head) - 1})
    yield "Mind", [line for note in notes(moved) for line in bullet(note, columns)]
    yield "Compared", bullet(f"{outside(moved.before)} → {outside(moved.after)}", columns)


def _figures(moved: Moved, columns: int) -> list[str]:
    lines = table(FIGURES_HEAD, figure_rows(moved), columns, {0})
    same = unchanged(moved)
    return lines + (bullet(f"unchanged: {same}", columns) if same else [])
