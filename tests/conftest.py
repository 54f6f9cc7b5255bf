"""Shared fixtures: where the corpus is, and how hard hypothesis works."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "suite",
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("stress", parent=settings.get_profile("suite"), max_examples=1500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # the command runs hundreds of times: it is compiled once

DATA = Path(__file__).parent / "data"
GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real dumps, which is no part of this repository; tests that want it skip without it."""
    stated = os.environ.get("DIAGNOSE_CORPUS")
    found = Path(stated) if stated else Path(__file__).parents[2] / "shared" / "corpus"
    if not (found / "MANIFEST.tsv").is_file():
        pytest.skip("the corpus of real dumps is not here (DIAGNOSE_CORPUS)")
    return found
