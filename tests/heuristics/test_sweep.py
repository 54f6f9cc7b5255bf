"""The fastest level of a sweep, and why nothing speaks for more at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heuristics.sweep import ALIKE, Sweep, SweepLevel, settled


def level(offered: int, tokens_per_s: float, *, batch: float | None = None, complete: bool = True) -> SweepLevel:
    """A level whose requests ran together unless a batch is stated."""
    return SweepLevel(
        offered=offered,
        window_s=8.0,
        requests=offered,
        failed=0,
        tokens_per_s=tokens_per_s,
        prompt_tokens_per_s=0.0,
        tokens_per_event=1.0,
        batch=float(offered) if batch is None else batch,
        complete=complete,
    )


def sweep(*levels: SweepLevel) -> Sweep:
    return Sweep(
        target="http://127.0.0.1:8000",
        levels=levels,
        prompt_tokens=64.0,
        output_tokens=128.0,
        requests=1,
        tokens=1,
        wall_s=1.0,
        client_cpu_s=0.1,
    )


@given(st.lists(st.tuples(st.floats(1.0, 1e5), st.booleans()), min_size=1, max_size=8))
def test_no_whole_level_is_clearly_faster_than_the_fastest(seen: list[tuple[float, bool]]) -> None:
    found = sweep(*(level(2**i, speed, complete=whole) for i, (speed, whole) in enumerate(seen)))
    whole = [x for x in found.levels if x.complete] or list(found.levels)
    assert found.fastest in whole
    assert found.fastest.tokens_per_s >= ALIKE * max(x.tokens_per_s for x in whole)
    assert all(x.tokens_per_s < found.fastest.tokens_per_s / ALIKE for x in whole)
    if found.enough is None:
        assert found.fastest is found.levels[-1]
        assert found.fastest.complete


def test_a_level_that_was_cut_short_is_not_the_fastest() -> None:
    found = sweep(level(1, 100.0), level(2, 500.0, complete=False))
    assert found.fastest.offered == 1
    assert "before its time" in (found.enough or "")


@pytest.mark.parametrize(
    ("levels", "says"),
    [
        ((level(1, 100.0), level(2, 190.0)), None),
        ((level(1, 100.0), level(2, 105.0)), "1 at once came within 10 %"),
        ((level(1, 100.0), level(4, 190.0, batch=2.0)), "of 4 requests at once 2 ran together"),
    ],
)
def test_more_at_once_than_was_swept(levels: tuple[SweepLevel, ...], says: str | None) -> None:
    found = sweep(*levels)
    assert found.enough is None if says is None else says in (found.enough or "")
    assert replace(found, stopped="interrupted").enough is not None


@pytest.mark.parametrize(
    ("levels", "says"),
    [
        ([(1, 1.0, 100.0), (2, 2.0, 190.0), (4, 2.0, 195.0)], "of 4 requests at once 2 ran together, and throughput"),
        ([(1, 1.0, 100.0), (2, 2.0, 150.0), (4, 2.0, 195.0)], "of 4 requests at once 2 ran together, no more than"),
        ([(2, 2.0, 190.0), (8, 4.0, 380.0)], None),
        ([(4, 2.0, 190.0)], None),
        ([(1, 1.0, 100.0), (2, 2.0, 103.0), (4, 4.0, 106.0)], "less than 5 % over two levels"),
        ([(1, 1.0, 100.0), (2, None, 190.0), (4, None, 370.0)], None),
        ([(1, 1.0, 100.0), (2, None, 150.0), (4, 2.0, 195.0)], None),
    ],
)
def test_a_load_that_shows_nothing_new_ends(levels: list[tuple[int, float | None, float]], says: str | None) -> None:
    """Throughput wavers on a busy machine; a batch that has not grown is enough to know."""
    found = settled(levels)
    assert found is None if says is None else says in (found or "")
