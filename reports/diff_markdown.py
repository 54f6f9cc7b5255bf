"""What moved between two verdicts as Markdown, for an issue or a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heuristics.regression.moved import Moved
from reports.diff_tables import (
    FIGURES_HEAD,
    LEVELS_HEAD,
    PHASES_HEAD,
    SPLIT_HEAD,
    figure_rows,
    level_rows,
    phase_rows,
    row_table,
    split_rows,
    unchanged,
)
from reports.diff_told import headline, notes
from reports.diff_words import MEASURES, TITLES, circumstance_text, outside, reason_text
from reports.markdown import code, table


def render(moved: Moved, tool_version: str) -> str:
    """A heading, the answer, and a table for each way to split it."""
    first, *more = headline(moved, _quoted)
    parts = [f"## {first}", "", *(line for text in more for line in (text, ""))]
    for title, body in _sections(moved):
        if body:
            parts += [f"### {title}", "", *body]
    parts.append(f"_{_quoted(moved.before)} → {_quoted(moved.after)}, diagnose {tool_version}_")
    return "\n".join(parts) + "\n"


def _sections(moved: Moved) -> Iterator[tuple[str, list[str]]]:
    basis = moved.whole.basis
    yield (
        TITLES[basis] if basis is not None else "The time with work by share",
        _table(SPLIT_HEAD, split_rows(moved.whole)),
    )
    yield "What fits", _listed([reason_text(reason, _quoted) for reason in moved.reasons])
    yield "What else is not the same", _listed([circumstance_text(c, _quoted) for c in moved.circumstances])
    yield "Phases", _table(PHASES_HEAD, phase_rows(moved))
    same = unchanged(moved)
    yield "Figures", _table(FIGURES_HEAD, figure_rows(moved)) + _listed([f"unchanged: {same}"] if same else [])
    yield "Levels", _table((moved.levels_by, *LEVELS_HEAD), level_rows(moved))
    for word, rows in (("Kernels", moved.kernels), ("Operations", moved.operations)):
        if rows is not None:
            yield f"{word}, {MEASURES[rows.measure]}", _table(*row_table(rows, quote=_quoted))
    yield "Mind", _listed(notes(moved))


def _table(head: Sequence[str], rows: list[list[str]]) -> list[str]:
    return table(head, rows) if rows else []


def _listed(texts: list[str]) -> list[str]:
    return [*(f"- {text}" for text in texts), ""] if texts else []


def _quoted(text: str) -> str:
    """A text from outside, in which nothing is markup."""
    return code(outside(text))
