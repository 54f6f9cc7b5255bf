"""A check for a pull request: the answer and its table at once, the rest folded. Texts from outside stand as code."""

from __future__ import annotations

from collections.abc import Sequence

from heuristics.regression.outcome import Outcome
from reports.check_next import FOLDER, Step
from reports.check_told import Told, told
from reports.check_words import OUTCOMES, Answer, marked
from reports.markdown import code, folded, table

MARKS = {
    Outcome.PASS: "✅",
    Outcome.IMPROVEMENT: "🚀",
    Outcome.REGRESSION: "❌",
    Outcome.CANNOT_TELL: "❔",
}


def render(answer: Answer, *, baseline: str = FOLDER) -> str:
    """Markdown as GitHub and GitLab read it. ``baseline``: the folder's name, for the commands to run next."""
    parts = told(answer, baseline)
    first, *more = (_laid(text) for text in parts.headline)
    lines = [f"### {MARKS[parts.outcome]} {OUTCOMES[parts.outcome]}: {first}", ""]
    lines += [line for text in more for line in (text, "")]
    if parts.rows:
        body = _table(parts)
        lines += body if any(parts.gates) else folded(parts.title, body)
    lines += _next(parts.next)
    facts = [line for title, told_ in parts.sections for line in _section(title, told_)]
    lines += folded("What this rests on", facts[:-1]) if facts else []
    return "\n".join(lines).rstrip() + "\n"


def _table(parts: Told) -> list[str]:
    """Rows that can fail a build are bold."""
    bold = [
        [f"**{row[0]}**", f"**{row[1]}**", *row[2:]] if gates else list(row)
        for row, gates in zip(parts.rows, parts.gates, strict=True)
    ]
    return table(parts.head, bold)


def _section(title: str, facts: Sequence[str]) -> list[str]:
    return [f"**{title}**", "", *(f"- {_laid(fact)}" for fact in facts), ""]


def _next(steps: Sequence[Step]) -> list[str]:
    if not steps:
        return []
    return ["**Next**", "", *(f"- {_laid(s.text)}{_command(s.command)}" for s in steps), ""]


def _command(command: str | None) -> str:
    return "" if command is None else f": {code(command)}"


def _laid(text: str) -> str:
    return marked(text, code)
