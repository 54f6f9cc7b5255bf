"""Damaged and mistaken dumps of every family: a result with a warning, or one clear error; never anything else.

A dump that lost something may be judged less surely, or not at all, but never surely otherwise.
"""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.diagnose.outcomes import Outcome, analysed
from tests.make.families import FAMILIES, sound

Judge = Callable[[bytes, str], Outcome]
Undamaged = Callable[[str], Outcome]

TEXTS = [family for family in FAMILIES if family != "nsys"]
NUMBER = re.compile(rb"(?<![\w.])-?\d[\d,.]*(?![\w.])")

WORDS = ["nan", "1e400", "1e308", "-1", "abc", "", "9" * 30]
"""What may stand where a number belongs."""
PLACES = 2
CUTS = 7

families = pytest.mark.parametrize("family", FAMILIES)
texts = pytest.mark.parametrize("family", TEXTS)
warning = pytest.mark.parametrize("family", [family for family in TEXTS if family != "key_averages"])


@cache
def whole(family: str) -> bytes:
    return sound(family)


def name_of(family: str) -> str:
    return FAMILIES[family][0]


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """Analyses content under a file name, in a folder of its own."""

    def judged(content: bytes, name: str) -> Outcome:
        path = tmp_path / name
        path.write_bytes(content)
        return analysed(path)

    return judged


@pytest.fixture(scope="module")
def undamaged(tmp_path_factory: pytest.TempPathFactory) -> Undamaged:
    """The result of a family's undamaged dump."""

    @cache
    def judged(family: str) -> Outcome:
        path = tmp_path_factory.mktemp("undamaged") / name_of(family)
        path.write_bytes(whole(family))
        return analysed(path)

    return judged


def same(one: Outcome, other: Outcome) -> bool:
    """Whether two results differ in nothing but when, from which files and by which evidence they were made."""

    assert one.result is not None, one.wrong
    assert other.result is not None, other.wrong
    kept = ("verdict", "window_s", "roofs", "measured", "operations", "headroom", "warnings")
    return all(one.result[key] == other.result[key] for key in kept)


# --- content of nothing


@families
@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b" \n\n\t\n", "is of no kind that is known", id="blank"),
        pytest.param(random.Random(3).randbytes(5000), "is binary and of no kind", id="junk"),
        pytest.param(b"\0" * 5000, "is binary and of no kind", id="zeros"),
        pytest.param(b'{"a": 1}', 'is JSON without "traceEvents"', id="JSON in a line"),
        pytest.param(b'{"traceEvents": []}', "the trace holds no events", id="no events"),
    ],
)
def test_nothing_is_refused_whatever_it_is_called(family: str, content: bytes, why: str, judge: Judge) -> None:
    assert why in judge(content, name_of(family)).wrong


@families
def test_a_name_says_nothing_of_the_content(family: str, judge: Judge, undamaged: Undamaged) -> None:
    plain = undamaged(family)
    for name in ("dump", "trace.json", "a.csv", "a.prom", "run.sqlite", "a.json.gz"):
        assert same(judge(whole(family), name), plain)


# --- the beginning, the middle and the end


@families
def test_a_truncated_dump_is_judged_by_what_is_there_or_refused(
    family: str, judge: Judge, undamaged: Undamaged
) -> None:
    content, plain = whole(family), undamaged(family)
    for kept in range(1, CUTS):
        found = judge(content[: len(content) * kept // CUTS], name_of(family))
        assert found.sure_of in (None, plain.sure_of)


def test_a_database_that_ends_early_is_said_to_be_damaged(judge: Judge) -> None:
    content = whole("nsys")
    for kept in range(1, CUTS):
        said = judge(content[: len(content) * kept // CUTS], "run.sqlite").said
        assert "the database is damaged" in said or "the file is truncated" in said
    lost = judge(content[: len(content) * 15 // 16], "run.sqlite")
    assert lost.warnings == ["a part of the database is missing: the file is truncated"]


@pytest.mark.parametrize(
    ("family", "says"),
    [
        ("ncu details", "damaged and was left out"),
        ("ncu raw", "damaged and was left out"),
        ("kern_sum", "damaged and was left out"),
        ("dmon", "does not fit the header"),
        ("query", "does not fit the header"),
        ("engine", "without a number was left out"),
    ],
)
def test_a_last_line_that_is_cut_is_warned_of(family: str, says: str, judge: Judge) -> None:
    content = whole(family).rstrip()
    last = content.rindex(b"\n") + 1
    found = judge(content[: last + (len(content) - last) // 2], name_of(family))
    assert found.result is not None
    assert says in found.said


@texts
@pytest.mark.parametrize("at", ["before", "behind"])
def test_nul_bytes_around_a_text_change_nothing(family: str, at: str, judge: Judge, undamaged: Undamaged) -> None:
    """A machine that crashed leaves a log that ends, or begins, in zeros."""
    zeros = b"\0" * 70_000
    content = zeros + whole(family) if at == "before" else whole(family) + zeros
    assert same(judge(content, name_of(family)), undamaged(family))


@families
def test_junk_in_the_middle_is_passed_over_or_refused(family: str, judge: Judge, undamaged: Undamaged) -> None:
    content, plain = whole(family), undamaged(family)
    for seed in range(3):
        junk = random.Random(seed).randbytes(300)
        at = len(content) * (seed + 1) // 4
        assert judge(content[:at] + junk + content[at:], name_of(family)).sure_of in (None, plain.sure_of)


@texts
def test_line_ends_of_another_system_change_nothing(family: str, judge: Judge, undamaged: Undamaged) -> None:
    content = whole(family).replace(b"\n", b"\r\n")
    assert same(judge(content, name_of(family)), undamaged(family))


# --- numbers


@texts
@pytest.mark.parametrize("word", WORDS, ids=lambda word: word[:10] or "nothing")
def test_a_word_where_a_number_belongs_makes_nobody_sure(
    family: str, word: str, judge: Judge, undamaged: Undamaged
) -> None:
    content, plain = whole(family), undamaged(family)
    numbers = list(NUMBER.finditer(content))
    for found in random.Random(word).sample(numbers, PLACES):
        damaged = content[: found.start()] + word.encode() + content[found.end() :]
        outcome = judge(damaged, name_of(family))
        assert outcome.sure_of in (None, plain.sure_of), content[found.start() - 60 : found.end() + 9]


@texts
@pytest.mark.parametrize("word", [word for word in WORDS if word != "1e308"], ids=lambda word: word[:10] or "nothing")
def test_words_instead_of_all_numbers_make_nobody_sure(family: str, word: str, judge: Judge) -> None:
    assert judge(NUMBER.sub(word.encode(), whole(family)), name_of(family)).sure_of is None


def test_one_impossible_ratio_does_not_turn_the_others_into_percentages(judge: Judge, undamaged: Undamaged) -> None:
    content, plain = whole("dcgm"), undamaged("dcgm")
    for ratio in (b" 0.88\n", b" 0.07\n", b" 0.74\n"):
        for wrong in (b" 3.0\n", b" 140737488355328.0\n", b" 1e300\n"):
            assert judge(content.replace(ratio, wrong, 1), "a.prom").sure_of in (None, plain.sure_of)


# --- things twice


@families
def test_the_same_file_twice_changes_nothing(family: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(whole(family))
    assert same(analysed(tmp_path / "a", tmp_path / "b"), analysed(tmp_path / "a"))


@texts
def test_a_file_appended_to_itself_is_judged_alike(family: str, judge: Judge, undamaged: Undamaged) -> None:
    """Every id, series and timestamp in it is there twice."""
    plain = undamaged(family)
    assert judge(whole(family) * 2, name_of(family)).regime == plain.regime


# --- gzip


@texts
def test_a_packed_dump_is_the_same_dump(family: str, judge: Judge, undamaged: Undamaged) -> None:
    assert same(judge(gzip.compress(whole(family)), "dump.gz"), undamaged(family))


def test_a_packed_database_is_to_be_unpacked_first(judge: Judge) -> None:
    found = judge(gzip.compress(whole("nsys")), "run.sqlite.gz")
    assert "a database cannot be read compressed" in found.wrong
    assert found.hint == "decompress it first"


@warning
def test_truncated_gzip_is_warned_of_or_refused(family: str, judge: Judge, undamaged: Undamaged) -> None:
    packed = gzip.compress(whole(family), mtime=0)
    plain = undamaged(family)
    for kept in range(1, CUTS):
        found = judge(packed[: len(packed) * kept // CUTS], "dump.gz")
        assert found.sure_of in (None, plain.sure_of)
        assert found.result is None or "the gzip data end early: the file is truncated" in found.said


@warning
def test_junk_behind_gzip_is_warned_of_and_changes_nothing_else(
    family: str, judge: Judge, undamaged: Undamaged
) -> None:
    found = judge(gzip.compress(whole(family)) + b"junk, not gzip", "dump.gz")
    assert "what follows the gzip data is none and was left out" in found.warnings
    assert found.regime == undamaged(family).regime


def test_gzip_within_gzip_is_refused(judge: Judge) -> None:
    assert "is binary" in judge(gzip.compress(gzip.compress(whole("dmon"))), "dump.gz.gz").wrong
