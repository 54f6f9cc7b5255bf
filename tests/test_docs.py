"""The documentation says what the code does: signals from their docstrings, outputs from real runs."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import ModuleType

import pytest

import diagnose
from diagnose.cli import COMMANDS
from heuristics.advice.actions import ACTIONS
from heuristics.advice.advice import Action
from heuristics.signals import SIGNALS
from heuristics.vocabulary import Cause, Limit, Regime, Share
from tests.golden_files import FOLDER

ROOT = Path(__file__).parents[1]


HEADINGS = (
    "What it looks at",
    "What it bounds and why",
    "Blind spots",
    "What it changes",
    "When it is offered",
    "Assumptions",
    "Example",
)


def section(module: ModuleType) -> str:
    """A docstring as Markdown."""
    title, rest = (module.__doc__ or "").strip().split("\n", 1)
    rest = re.sub(rf"^({'|'.join(HEADINGS)}):", r"**\1.**", rest, flags=re.M)
    return f"## {title}\n\n`{module.NAME}`\n\n{rest.strip()}\n"


@pytest.mark.parametrize(("name", "modules"), [("signals", SIGNALS), ("advice", ACTIONS)])
def test_the_pages_on_signals_and_on_advice_are_those_of_the_code(name: str, modules: tuple[ModuleType, ...]) -> None:
    page, begin = ROOT / "docs" / f"{name}.md", f"<!-- from the docstrings of heuristics/{name} -->\n"
    before = page.read_text(encoding="utf-8").split(begin)[0]
    wanted = before + begin + "\n" + "\n".join(section(module) for module in modules)
    if os.environ.get("DIAGNOSE_UPDATE_GOLDEN"):
        page.write_text(wanted, encoding="utf-8")
    assert page.read_text(encoding="utf-8") == wanted


def test_every_action_and_field_of_advice_is_explained() -> None:
    page = (ROOT / "docs" / "verdict.md").read_text(encoding="utf-8")
    assert all(f"`{action}`" in page for action in Action)


def test_the_readme_shows_what_the_sample_prints() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    printed = (FOLDER / "the_sample.txt").read_text(encoding="utf-8")
    assert "\n".join(printed.splitlines()[:3]) in readme


def test_the_readme_shows_what_numbers_print() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    speed = (FOLDER / "numbers_speed.txt").read_text(encoding="utf-8")
    assert "\n".join(speed.splitlines()[:3]) in readme
    model = (FOLDER / "numbers_model.txt").read_text(encoding="utf-8")
    assert model[model.index("Step\n") : model.index("Operations\n")].rstrip() in readme


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{p.name}" for p in sorted((ROOT / "docs").glob("*.md")))])
def test_links_between_pages_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert ((ROOT / page).parent / target).exists(), target


@pytest.mark.parametrize("page", ["README.md", "docs/corrections.md"])
def test_files_and_tests_that_are_named_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for path in re.findall(r"`((?:tests|docs|heuristics|collectors|diagnose|reports|\.ci)/[\w./]+)`", text):
        assert (ROOT / path).exists(), path


def test_every_command_is_in_the_readme_and_the_version_in_the_changelog() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"diagnose {name}" in readme for name in COMMANDS)
    assert diagnose.__version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_word_of_a_verdict_is_explained() -> None:
    page = (ROOT / "docs" / "verdict.md").read_text(encoding="utf-8")
    for words in (Regime, Cause, Limit, Share):
        assert all(f"`{word}`" in page for word in words), words
