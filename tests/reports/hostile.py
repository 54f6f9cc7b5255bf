"""Checks whose every text from outside is one that was made to do harm."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from heuristics.regression.health import Health
from heuristics.regression.outcome import Check
from heuristics.regression.paired import PairedCheck
from tests.reports.situations import IDENTITY, checked, in_turns, session

HARM = (
    "a|b",
    "`code` ``more``",
    "</details><script>alert(1)</script>",
    "@everyone #1 https://example.org/x www.example.org GH-12",
    "![x](https://example.org/pixel.png)",
    "# title\n- list\r\n::error::injected",
    "]]> <!-- &amp; \"quoted\" 'quoted'",
    "\x00\x07\x1b[31m\x7f\x85\u2028\ufffe\ud800",
    "%0A::set-env name=X::y%25",
    "a, b: c, title=d",
    "\x02nested\x03",
    "  ",
)

texts = st.one_of(
    st.sampled_from(HARM),
    st.text(st.characters(), min_size=1, max_size=40),
    st.lists(st.sampled_from(HARM), min_size=2, max_size=3).map("".join),
)


def of_sessions(text: str) -> list[Check]:
    """Unlike, sick and slow ones."""
    named = dict.fromkeys(IDENTITY, text)
    health = Health(throttled=frozenset({text}), clocks={text: 1.0})
    before = [
        session(n, identity=named, name=text, created_at=text, health=Health(clocks={text: 2.0})) for n in range(1, 11)
    ]
    made = [
        checked(session(identity=named, name=text)),
        checked(session(identity=named, name=f"{text}.json", health=health), before),
        checked(session(slower=0.2, identity=named, name=text), before),
        checked(session(identity=named), metric=text),
    ]
    return [replace(answer, warnings=(text,)) for answer in made]


def of_pairs(text: str) -> list[PairedCheck]:
    return [replace(in_turns(slower), commands=(text, text), warnings=(text,)) for slower in (0.0, 0.1)]
