"""A check for a terminal: the answer in its first three lines, then what it rests on, then what to run next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heuristics.regression.outcome import Outcome
from reports.check_next import FOLDER, Step
from reports.check_told import Told, told
from reports.check_words import OUTCOMES, Answer, plain
from reports.lines import bold, bullet, painted, table, wrapped

NARROWEST, WIDEST = 50, 100
LEGEND = "* can fail a build. Changes are relative; p is Holm's from the second row on."

_COLOUR = {Outcome.PASS: "1;32", Outcome.IMPROVEMENT: "1;36", Outcome.REGRESSION: "1;31", Outcome.CANNOT_TELL: "1;33"}


def render(
    answer: Answer, *, width: int = 80, colour: bool = False, baseline: str = FOLDER, moved: Sequence[str] = ()
) -> str:
    """The report, wrapped to ``width`` columns. ``baseline``: the folder's name, for the commands to run next.

    ``moved``: lines on what moved, from a comparison of verdicts.
    """
    columns = max(NARROWEST, min(width, WIDEST))
    parts = told(answer, baseline)
    lines = [*_headline(parts, columns, colour), ""]
    for title, body in _sections(parts, columns, moved):
        if body:
            lines += [bold(title, colour), *body, ""]
    return "\n".join(lines).rstrip() + "\n"


def brief(answer: Answer) -> str:
    """The answer in one line."""
    parts = told(answer)
    return f"{OUTCOMES[parts.outcome]}: {plain(parts.headline[0])}"


def _headline(parts: Told, columns: int, colour: bool) -> list[str]:
    word = OUTCOMES[parts.outcome]
    first, *more = wrapped(f"{word}: {plain(parts.headline[0])}", columns, "", "  ")
    lines = [painted(word, _COLOUR[parts.outcome], colour) + first.removeprefix(word), *more]
    return lines + [line for text in parts.headline[1:] for line in wrapped(plain(text), columns, "", "  ")]


def _sections(parts: Told, columns: int, moved: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    yield parts.title, _table(parts, columns)
    yield "What moved", [f"  {line}" for line in moved]
    for title, facts in parts.sections:
        yield title, [line for fact in facts for line in bullet(plain(fact), columns)]
    yield "Next", [line for step in parts.next for line in _step(step, columns)]


def _table(parts: Told, columns: int) -> list[str]:
    head, *rows = table(parts.head, parts.rows, columns, {0, 1} if any(parts.gates) else {0}) or [""]
    if not rows:
        return []
    starred = [f"*{row[1:]}" if gates else row for row, gates in zip(rows, parts.gates, strict=True)]
    return [head, *starred, *(wrapped(LEGEND, columns, "", "  ") if any(parts.gates) else [])]


def _step(step: Step, columns: int) -> list[str]:
    """A command stands on a line of its own, whole however long it is, so that it can be copied."""
    if step.command is None:
        return bullet(plain(step.text), columns)
    return [*bullet(f"{plain(step.text)}:", columns), f"    {step.command}"]
