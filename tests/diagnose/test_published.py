"""Measurements that others published, asked through ``roofline`` row by row. What each table is: docs/roofline.md."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from diagnose import Measurements, roofline

TABLE = Path(__file__).parents[1] / "data" / "published" / "decode.csv"
CONFIDENT = 0.80
ROWS = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()))


@pytest.fixture(scope="module")
def verdicts() -> list[dict[str, Any]]:
    found = roofline(csv=TABLE)
    assert isinstance(found, Measurements)
    told = found.to_dict()
    assert told["skipped"] == []
    return list(told["verdicts"])


def publisher_counts_more(row: dict[str, str]) -> float:
    """Bytes a device that a step need not stream, which the row's publisher counts: stated in the table.

    An embedding in BF16 of which a step gathers one row, and a head that every device keeps whole.
    """
    counted = row["publisher_counts_whole"].split()
    if not counted:
        return 0.0
    elements = float(row["vocab_size"]) * float(row["hidden_size"])
    split = float(row["tensor_parallel"])
    head = elements * float(row["weight_bits"]) / 8.0 * (1.0 - 1.0 / split)
    return elements * 2.0 * ("embedding" in counted) + head * ("head" in counted)


def test_the_table_has_rows_of_every_family() -> None:
    assert len(ROWS) >= 60
    assert len({row["source"] for row in ROWS}) >= 6
    assert any(row["experts"] for row in ROWS)
    assert any(float(row["tensor_parallel"] or 1) > 1 for row in ROWS)
    assert any(float(row["weight_bits"]) < 16 for row in ROWS)
    assert any(float(row["batch"] or 1) > 1 for row in ROWS)


def test_no_measured_row_beats_the_roof(verdicts: list[dict[str, Any]]) -> None:
    assert len(verdicts) == len(ROWS)
    beaten = {
        found["label"]: found["roofline"]["at_roof"]["step_s"] / found["measured"]["step_s"]
        for found in verdicts
        if found["roofline"]["at_roof"]["step_s"] > found["measured"]["step_s"]
    }
    assert beaten == {}


def test_bandwidth_is_the_publishers_within_two_percent(verdicts: list[dict[str, Any]]) -> None:
    apart = {}
    for row, found in zip(ROWS, verdicts, strict=True):
        if row["publisher_gb_s"]:
            moved = found["measured"]["bytes_per_step"] + publisher_counts_more(row)
            ours = moved * found["measured"]["steps_per_s"] / 1e9
            apart[f"{row['source']} {row['label']}"] = ours / float(row["publisher_gb_s"]) - 1.0
    assert len(apart) >= 20
    assert {name: off for name, off in apart.items() if abs(off) > 0.02} == {}


def test_a_confident_label_contradicts_the_publisher_only_far_below_both_roofs(verdicts: list[dict[str, Any]]) -> None:
    """One table says that all of it is memory-bound; two of its rows move 65 GB/s by its own arithmetic, of 2039."""
    said = [(row, found) for row, found in zip(ROWS, verdicts, strict=True) if row["says"]]
    against = {
        row["label"]: found["measured"]["bandwidth_fraction"]
        for row, found in said
        if found["verdict"]["confidence"] >= CONFIDENT and found["verdict"]["regime"] != row["says"]
    }
    assert len(said) == 8
    assert set(against) == {"Llama-2-7B int8dq", "Llama-3-8B int8dq"}
    assert max(against.values()) < 0.04
