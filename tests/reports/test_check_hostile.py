"""Texts from outside change no form of a report: XML stays well-formed, Markdown and commands stay ours."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import jsonschema
from hypothesis import given, settings
from markdown_it import MarkdownIt
from markdown_it.token import Token

from reports import check_json, check_markdown, check_text, github, junit
from reports.markdown import code
from tests.reports.contract import CHECK_JSON
from tests.reports.hostile import of_pairs, of_sessions, texts

OURS = {"<details>", "</details>", "<summary>What this rests on</summary>", "<summary>Pairs</summary>"}

markdown = MarkdownIt("commonmark").enable("table")


def tokens(text: str) -> list[Token]:
    """Flat, those within lines included."""
    return [t for block in markdown.parse(text) for t in (block, *(block.children or ()))]


@settings(max_examples=20, deadline=None)
@given(texts)
def test_no_text_breaks_the_xml(text: str) -> None:
    for answer in (*of_sessions(text), *of_pairs(text)):
        written = junit.render(answer).encode("utf-8")
        root = ET.fromstring(written)
        assert root.tag == "testsuites"
        assert {element.tag for element in root.iter()} <= {
            *("testsuites", "testsuite", "testcase", "properties", "property"),
            *("failure", "error", "skipped", "system-out"),
        }


@settings(max_examples=20, deadline=None)
@given(texts)
def test_no_text_becomes_markup(text: str) -> None:
    for answer in (*of_sessions(text), *of_pairs(text)):
        rendered = check_markdown.render(answer, baseline=text)
        found = tokens(rendered)
        html = {line for t in found if t.type.startswith("html") for line in t.content.split("\n") if line}
        assert html <= OURS
        assert not {"link_open", "image", "s_open", "em_open", "fence", "code_block"} & {t.type for t in found}
        assert not [t for t in found if t.type == "text" and re.search(r"[@#`]|https?:|www\.", t.content)]
        rows = [t for t in found if t.type == "tr_open"]
        heads = sum(t.type == "th_open" for t in found)
        assert sum(t.type == "td_open" for t in found) == heads * (len(rows) - 1)


@settings(max_examples=200, deadline=None)
@given(texts)
def test_code_is_one_span_that_shows_the_text(text: str) -> None:
    (inline,) = [t for t in markdown.parse(f"- {code(text)}") if t.type == "inline"]
    kinds = [t.type for t in inline.children or ()]
    assert kinds == ["code_inline"] or inline.content == "(blank)"


@settings(max_examples=20, deadline=None)
@given(texts)
def test_a_command_of_the_runner_is_one_line_and_reads_back(text: str) -> None:
    assert _read(github.command("error", text, text)) == ("error", text, text)
    for answer in (*of_sessions(text), *of_pairs(text)):
        for line in github.commands(answer, baseline=text):
            assert not re.search(r"[\r\n]", line)
            level, title, message = _read(line)
            assert level in ("error", "warning", "notice")
            assert title.startswith("diagnose check")
            assert message


def _read(line: str) -> tuple[str, str, str]:
    """As the runner reads a command: the properties end at the next two colons, codes are put back, %25 last."""
    found = re.fullmatch(r"::(\w+) title=([^:,\r\n]*)::([^\r\n]*)", line)
    assert found
    level, title, message = found.groups()
    for sign, mark in (("\r", "%0D"), ("\n", "%0A")):
        title, message = title.replace(mark, sign), message.replace(mark, sign)
    title = title.replace("%3A", ":").replace("%2C", ",")
    return level, title.replace("%25", "%"), message.replace("%25", "%")


@settings(max_examples=20, deadline=None)
@given(texts)
def test_a_terminal_gets_no_control_characters(text: str) -> None:
    for answer in (*of_sessions(text), *of_pairs(text)):
        told = check_text.render(answer, baseline=text)
        assert all(c.isprintable() or c == "\n" for c in told)
        assert "\n" not in check_text.brief(answer)


@settings(max_examples=20, deadline=None)
@given(texts)
def test_the_json_is_text_that_a_file_can_hold(text: str) -> None:
    for answer in (*of_sessions(text), *of_pairs(text)):
        found = json.loads(check_json.render(answer).encode("utf-8"))
        jsonschema.Draft202012Validator(CHECK_JSON).validate(found)
