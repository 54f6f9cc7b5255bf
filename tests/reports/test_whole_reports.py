"""Whole reports, character by character, in every format."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

from reports import as_markdown, as_text
from tests.golden_files import compare, settled
from tests.reports.answers import NAMES, answered


@pytest.mark.parametrize("suffix", ["txt", "json", "md"])
@pytest.mark.parametrize("name", NAMES)
def test_the_whole_report(name: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    slug = name.replace(" ", "_").replace("'", "")
    compare(slug, suffix, settled(answered(name, tmp_path)))


@pytest.mark.parametrize("width", [20, 50, 80, 100, 300])
@pytest.mark.parametrize("name", NAMES)
def test_no_line_is_wider_than_the_terminal(
    name: str, width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = as_text.render(answered(name, tmp_path).diagnosis, width=width)
    longest = max(text.splitlines(), key=len)
    assert len(longest) <= max(50, min(width, 100)), longest


def test_colour_changes_nothing_but_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import re

    monkeypatch.chdir(tmp_path)
    found = answered("several devices", tmp_path).diagnosis
    coloured = as_text.render(found, colour=True)
    assert coloured != as_text.render(found)
    assert re.sub(r"\033\[\d*m", "", coloured) == as_text.render(found)


def test_markdown_tables_are_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line of a table has as many cells as its head, also where a kernel's name holds a bar."""
    monkeypatch.chdir(tmp_path)
    text = as_markdown.render(answered("the sample", tmp_path).diagnosis)
    lines = [line.replace("\\|", "") for line in text.splitlines()]
    tables = [list(rows) for is_row, rows in groupby(lines, lambda line: line.startswith("|")) if is_row]
    assert tables
    for rows in tables:
        assert len({line.count("|") for line in rows}) == 1, rows
