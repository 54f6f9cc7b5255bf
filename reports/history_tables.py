"""A baseline's history as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from heuristics.regression.history import Group
from reports.history_json import COLUMNS, rows, summaries
from reports.history_text import body, facts, list_rows
from reports.history_words import Files, flaws, title
from reports.markdown import table
from reports.words import printable

WIDTH = 80


def listed(groups: Sequence[Group], files: Files) -> str:
    """A row a group."""
    head, cells = list_rows(groups)
    lines = [*table(head, cells), *_below(files)] if groups else [_empty(files), "", *_below(files)]
    return "\n".join(lines).rstrip() + "\n"


def shown(groups: Sequence[Group], files: Files) -> str:
    """A heading a group, and beneath it the trends and the plot as in the text."""
    lines: list[str] = [] if groups else [_empty(files), ""]
    for group in groups:
        lines += [f"## {title(group)}", "", *(f"- {fact}" for fact in facts(group)), ""]
        lines += ["```", *(line.removeprefix("  ") for line in body(group, WIDTH)), "```", ""]
    return "\n".join([*lines, *_below(files)]).rstrip() + "\n"


def sessions_csv(groups: Sequence[Group]) -> str:
    """A row for each session and metric, with the columns of ``history_json.COLUMNS``."""
    return csv_of(rows(groups), COLUMNS)


def groups_csv(groups: Sequence[Group]) -> str:
    """A row for each group."""
    return csv_of(summaries(groups))


def csv_of(lines: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """Rows under the names of ``columns``, unless stated those of the rows."""
    named = columns or tuple(dict.fromkeys(name for line in lines for name in line))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, named, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue()


def _empty(files: Files) -> str:
    return f"No sessions in {printable(files.directory)}"


def _below(files: Files) -> list[str]:
    return [f"- {text}" for text in flaws(files)]
