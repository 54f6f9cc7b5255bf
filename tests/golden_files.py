"""Whole outputs compared with files under ``tests/golden``. ``DIAGNOSE_UPDATE_GOLDEN=1`` writes them anew."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from diagnose.result import Result
from heuristics.verdict import Diagnosis
from reports import as_json, as_markdown, as_text

FOLDER = Path(__file__).parent / "golden"

FORMATS = {"txt": as_text.render, "json": as_json.render, "md": as_markdown.render}


def settled(result: Result) -> Diagnosis:
    """The diagnosis without what differs from run to run."""
    files = tuple(replace(file, fingerprint="0" * 32) for file in result.diagnosis.files)
    return replace(result.diagnosis, created_at="2026-01-01T00:00:00+00:00", tool_version="0.0.0", files=files)


def compare(name: str, suffix: str, diagnosis: Diagnosis) -> None:
    """Assert that the report equals the stored one, character by character."""
    compare_text(name, suffix, FORMATS[suffix](diagnosis))


def compare_text(name: str, suffix: str, text: str) -> None:
    """The same of any text."""
    stored = FOLDER / f"{name}.{suffix}"
    if os.environ.get("DIAGNOSE_UPDATE_GOLDEN"):
        stored.write_text(text, encoding="utf-8")
    assert text == stored.read_text(encoding="utf-8")
