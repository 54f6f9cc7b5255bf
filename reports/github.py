"""A check as GitHub's runner shows it: annotations and the summary of a step. Pure text, nothing is printed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from heuristics.regression.outcome import Check, Outcome, Why
from reports.check_markdown import render as render_markdown
from reports.check_next import FOLDER, next_steps
from reports.check_text import brief
from reports.check_told import told
from reports.check_words import OUTCOMES, Answer, decisive, guard, plain

LEVELS: Mapping[Outcome, str] = {
    Outcome.PASS: "notice",
    Outcome.IMPROVEMENT: "notice",
    Outcome.REGRESSION: "error",
    Outcome.CANNOT_TELL: "warning",
}

LONGEST_SUMMARY = 1 << 20
"""Bytes that GitHub takes of a step; one byte more, and it shows none."""

TITLE = "diagnose check"


def commands(answer: Answer, *, baseline: str = FOLDER) -> list[str]:
    """A line each: the answer, and what of the host or of the baseline should be looked at."""
    return [command(level, title, message) for level, title, message in _annotations(answer, baseline)]


def summary(answer: Answer, *, baseline: str = FOLDER, report: str | None = None) -> str:
    """Markdown to be appended to the file that ``GITHUB_STEP_SUMMARY`` names; the check's own unless stated."""
    text = f"\n{render_markdown(answer, baseline=baseline) if report is None else report}\n"
    return (
        text
        if len(text.encode()) < LONGEST_SUMMARY
        else f"### {brief(answer)}\n\nThe full report is too long for here.\n"
    )


def command(level: str, title: str, message: str) -> str:
    """A command of the runner, by its rules of escaping."""
    return f"::{level} title={_value(title)}::{_data(message)}"


def _annotations(answer: Answer, baseline: str) -> Iterator[tuple[str, str, str]]:
    parts = told(answer, baseline)
    lines = [plain(text) for text in parts.headline]
    steps = next_steps(answer, baseline)
    if answer.outcome in (Outcome.REGRESSION, Outcome.CANNOT_TELL) and steps:
        to_run = f": {steps[0].command}" if steps[0].command is not None else ""
        lines.append(f"Next: {plain(steps[0].text)}{to_run}")
    yield LEVELS[answer.outcome], f"{TITLE}: {OUTCOMES[answer.outcome]}", "\n".join(lines)
    if isinstance(answer, Check) and Why.SICK_HOST not in answer.why:
        for sign in decisive(answer).guards:
            yield "warning", f"{TITLE}: the host", plain(guard(sign))
    for warning in answer.warnings:
        yield "warning", TITLE, warning


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _value(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
