"""Level by level: what a sweep or a probe measured at the same load before and after."""

from __future__ import annotations

from heuristics.regression.loose import Json, items, mapping, positive, text
from heuristics.regression.moved import Answer, LevelMove
from heuristics.regression.noise import ALIKE
from heuristics.regression.parts import answer_of, one_of, relative
from heuristics.vocabulary import Cause, Regime


def levels_of(before: Json, after: Json) -> tuple[tuple[LevelMove, ...], str]:
    """Levels that both sides have, and what tells them apart; none where neither a sweep nor a probe is on both."""
    for where, within, key, word in (
        ("sweep", "levels", "at_once", "requests at once"),
        ("probe", "batches", "batch", "batch"),
    ):
        sides = [_by(mapping(side, where), within, key) for side in (before, after)]
        found = tuple(_move(name, one, sides[1][name]) for name, one in sides[0].items() if name in sides[1])
        if found:
            return found, word
    return (), ""


def _by(of: Json, within: str, key: str) -> dict[str, Json]:
    """The first of each name; levels that ended before their time say nothing."""
    found: dict[str, Json] = {}
    for level in items(of, within):
        name = positive(level.get(key))
        if name is not None and level.get("complete") is not False:
            found.setdefault(f"{name:g}", level)
    return found


def _move(name: str, before: Json, after: Json) -> LevelMove:
    def figure(field: str, label: str, unit: str) -> tuple[str, str, str, float | None, float | None, float]:
        return field, label, unit, positive(before.get(field)), positive(after.get(field)), ALIKE

    return LevelMove(
        name=name,
        step=relative(*figure("step_s", "step time", "seconds")),
        tokens_per_s=relative(*figure("tokens_per_s", "tokens/s", "number")),
        before=_answer(before),
        after=_answer(after),
    )


def _answer(level: Json) -> Answer:
    """A sweep's level has a verdict, a probe's batch has its words in the row itself."""
    if text(level.get("regime")) is None:
        return answer_of(level)
    return Answer(
        regime=one_of(Regime, level.get("regime")),
        cause=one_of(Cause, level.get("cause")),
        confidence=positive(level.get("confidence")),
    )
