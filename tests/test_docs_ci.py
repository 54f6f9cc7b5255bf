"""The page on continuous integration can be pasted: its shell and YAML parse, and its commands and options exist."""

from __future__ import annotations

import re
import shlex
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from diagnose.cli import COMMANDS
from heuristics.regression.outcome import Outcome, Why
from tests.reports.contract import CHECK_JSON

PAGE = (Path(__file__).parents[1] / "docs" / "ci.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, flags=re.M | re.S)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def workflows() -> list[dict[str, Any]]:
    return [yaml.safe_load(text) for text in blocks("yaml")]


def scripts() -> list[str]:
    """Every piece of shell: of its own, in a step, in a job of GitLab's."""
    github, gitlab = workflows()
    steps = [step["run"] for job in github["jobs"].values() for step in job["steps"] if "run" in step]
    lines = [line for job in gitlab.values() for line in job["script"]]
    return [*blocks("bash"), *blocks(""), *steps, *lines]


def commands() -> list[list[str]]:
    """The words of each call of diagnose in the page, inline code included."""
    text = "\n".join([*scripts(), *re.findall(r"`([^`\n]+)`", PAGE)]).replace("\\\n", " ")
    calls = re.findall(r"diagnose (?:[a-z]+ )[^\n|;]*", text)
    return [
        shlex.split(re.sub(r"\$\([^)]*\)|\$\?|2?>.*", "X", call).replace("...", ""), comments=True) for call in calls
    ]


def test_there_is_something_to_test() -> None:
    assert len(scripts()) >= 10
    assert {call[1] for call in commands()} == {"attach", "check", "sweep"}


@pytest.mark.parametrize("script", scripts())
def test_shell_parses(script: str) -> None:
    plain = re.sub(r"\$\{\{.*?\}\}", "value", script)
    done = subprocess.run(["bash", "-n"], input=plain, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("call", commands(), ids=" ".join)
def test_commands_and_their_options_exist(call: list[str]) -> None:
    command: click.Command = import_module(COMMANDS[call[1]][0]).command
    known = {name for parameter in command.params for name in parameter.opts}
    for word in call[2:]:
        if word.startswith("-"):
            assert word in known, word


def test_jobs_have_what_a_runner_needs() -> None:
    github, gitlab = workflows()
    for job in github["jobs"].values():
        assert {"runs-on", "steps", "permissions", "timeout-minutes"} <= set(job)
        assert all(("uses" in step) is not ("run" in step) for step in job["steps"])
        assert "--github" in str(job["steps"])
    assert gitlab["inference-speed"]["artifacts"]["reports"]["junit"] == "junit.xml"


def test_every_outcome_reason_and_field_is_explained() -> None:
    for word in (*Outcome, *Why):
        assert f"`{word}`" in PAGE, word
    fields = {name for kind in CHECK_JSON["anyOf"] for name in kind["properties"]}
    told_elsewhere = {"schema", "tool_version", "created_at", "added_to", "difference"}
    for name in fields - told_elsewhere:
        assert f"`{name}`" in PAGE, name
    (_, metrics) = (kind["properties"]["metrics"]["items"]["properties"] for kind in CHECK_JSON["anyOf"])
    for name in {*metrics, *CHECK_JSON["anyOf"][0]["properties"]["metrics"]["items"]["properties"]}:
        assert f"`{name}`" in PAGE, name


@pytest.mark.parametrize(("text", "code"), re.findall(r"^\| (\d) \| ([a-z ]+)", PAGE, flags=re.M))
def test_exit_codes_are_those_of_outcomes(text: str, code: str) -> None:
    named = {"pass": 0, "regression": 1, "an option or a file cannot be used": 2, "cannot tell": 3}
    assert named[code.strip()] == int(text)
