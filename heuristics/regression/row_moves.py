"""Kernels and operations by name: what each took before and what it takes now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from heuristics.regression.loose import Json, items, mapping, number, positive, text
from heuristics.regression.moved import Change, Measure, Presence, RowMove, Rows
from heuristics.regression.noise import ALIKE

MOST = 10
"""Rows told one by one."""

LISTED = 50
"""Rows of a level that a verdict holds at most: beyond them a row may be there without being told."""

KERNEL, OPERATION = "kernel", "operation"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    seconds: float
    launches: float | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """Rows by name, and all time of the level. ``full``: the list may have been cut."""

    rows: Mapping[str, _Row]
    full: bool
    total_s: float

    @property
    def unlisted_at_most_s(self) -> float:
        return min((row.seconds for row in self.rows.values()), default=0.0) if self.full else 0.0


def kernels_of(before: Json, after: Json) -> Rows | None:
    """Kernels, a step where both recordings know their steps; None where a side has none."""
    return _moves(before, after, KERNEL, _measured_rows)


def operations_of(before: Json, after: Json) -> Rows | None:
    """Operations by the time they were seen to take, else by what the achievable roofs allow for them."""
    return _moves(before, after, OPERATION, _measured_rows) or _moves(before, after, OPERATION, _roof_rows)


def _moves(before: Json, after: Json, level: str, rows_of: Callable[[Json, str], dict[str, _Row]]) -> Rows | None:
    steps = [positive(mapping(side, "measured").get("steps")) for side in (before, after)]
    roof = rows_of is _roof_rows
    per = [s or 1.0 for s in steps] if None not in steps and not roof else [1.0, 1.0]
    measure = Measure.ROOF if roof else Measure.STEP if None not in steps else Measure.RECORDING
    sides = [_side(side, level, rows_of(side, level), p) for side, p in zip((before, after), per, strict=True)]
    if not sides[0].rows or not sides[1].rows:
        return None
    total = Change(
        name=level,
        label=f"all {level}s",
        unit="seconds",
        before=sides[0].total_s,
        after=sides[1].total_s,
        noise=ALIKE * max(sides[0].total_s, sides[1].total_s),
    )
    moves = [_move(name, sides[0], sides[1]) for name in {**sides[0].rows, **sides[1].rows}]
    moves.sort(key=lambda move: (-abs(move.moved_s), move.name))
    shown = [move for move in moves if abs(move.moved_s) > total.noise or _relaunched(move, total.noise)][:MOST]
    return Rows(
        measure=measure,
        total=total,
        rows=tuple(shown),
        rest_s=(total.by or 0.0) - sum(move.moved_s for move in shown),
        rest_count=len(moves) - len(shown),
        common=len(sides[0].rows.keys() & sides[1].rows.keys()),
        kinds=_kinds(sides[0], sides[1], total.noise),
    )


def _relaunched(move: RowMove, noise: float) -> bool:
    """New and gone rows are told however short they are, unless they are next to nothing."""
    return move.presence in (Presence.NEW, Presence.GONE) and abs(move.moved_s) > 0.1 * noise


def _side(of: Json, level: str, rows: dict[str, _Row], steps: float) -> _Side:
    listed = sum(1 for row in items(of, "operations") if row.get("level") == level)
    a_step = {
        name: _Row(
            seconds=row.seconds / steps,
            launches=None if row.launches is None else row.launches / steps,
            kind=row.kind,
        )
        for name, row in rows.items()
    }
    known = sum(row.seconds for row in a_step.values())
    stated = positive(mapping(of, "measured").get("kernel_time_s")) if level == KERNEL else None
    total = max(known, (stated or 0.0) / steps)
    return _Side(rows=a_step, full=listed >= LISTED, total_s=total)


def _measured_rows(of: Json, level: str) -> dict[str, _Row]:
    """By name; names that stand there twice together."""
    found: dict[str, _Row] = {}
    for row in items(of, "operations"):
        name, seconds = text(row.get("name")), positive(row.get("time_s"))
        if row.get("level") == level and name is not None and seconds is not None:
            _add(
                found, name, _Row(seconds=seconds, launches=positive(row.get("launches")), kind=text(row.get("class")))
            )
    return found


def _roof_rows(of: Json, level: str) -> dict[str, _Row]:
    """What the longer of bytes and FLOPs takes at the achievable roof, an operation."""
    roofs = mapping(mapping(of, "roofs"), "achievable")
    bandwidth, peak = positive(roofs.get("bandwidth_bytes_per_s")), positive(roofs.get("flops_per_s"))
    found: dict[str, _Row] = {}
    for row in items(of, "operations") if bandwidth is not None and peak is not None else ():
        name, moved, flops = text(row.get("name")), number(row.get("bytes")), number(row.get("flops"))
        if row.get("level") == level and name is not None and moved is not None and flops is not None:
            seconds = positive(max(moved / (bandwidth or 1.0), flops / (peak or 1.0)))
            if seconds is not None:
                _add(found, name, _Row(seconds=seconds))
    return found


def _add(found: dict[str, _Row], name: str, row: _Row) -> None:
    known = found.get(name)
    if known is None:
        found[name] = row
        return
    launches = [n for n in (known.launches, row.launches) if n is not None]
    found[name] = _Row(seconds=known.seconds + row.seconds, launches=sum(launches) or None, kind=known.kind or row.kind)


def _move(name: str, before: _Side, after: _Side) -> RowMove:
    one, other = before.rows.get(name), after.rows.get(name)
    presence = Presence.BOTH
    moved = (other.seconds if other else 0.0) - (one.seconds if one else 0.0)
    if one is None:
        presence = Presence.UNLISTED_BEFORE if before.full else Presence.NEW
        moved -= min(moved, before.unlisted_at_most_s)
    elif other is None:
        presence = Presence.UNLISTED_AFTER if after.full else Presence.GONE
        moved += min(-moved, after.unlisted_at_most_s)
    return RowMove(
        name=name,
        kind=(one.kind if one else None) or (other.kind if other else None),
        presence=presence,
        moved_s=moved,
        before_s=one.seconds if one else None,
        after_s=other.seconds if other else None,
        before_launches=one.launches if one else None,
        after_launches=other.launches if other else None,
    )


def _kinds(before: _Side, after: _Side, noise: float) -> tuple[RowMove, ...]:
    """The same by class, where classes are told; those that moved."""
    sides = [_by_kind(side) for side in (before, after)]
    found = []
    for name in {**sides[0], **sides[1]}:
        move = _move(name, *(_Side(rows=side, full=False, total_s=0.0) for side in sides))
        if abs(move.moved_s) > noise:
            found.append(move)
    return tuple(sorted(found, key=lambda move: (-abs(move.moved_s), move.name)))


def _by_kind(side: _Side) -> dict[str, _Row]:
    found: dict[str, _Row] = {}
    for row in side.rows.values():
        if row.kind is not None:
            _add(found, row.kind, row)
    return found
