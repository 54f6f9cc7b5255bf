"""What moved between two verdicts as JSON, schema ``diagnose.diff/1``: fields may be added, never renamed under it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from heuristics.regression.likeness import Difference
from heuristics.regression.moved import (
    Answer,
    Change,
    Circumstance,
    LevelMove,
    Moved,
    Part,
    PhaseMove,
    Reason,
    RowMove,
    Rows,
)
from reports.diff_told import headline, notes
from reports.diff_words import reason_text
from reports.words import rounded

SCHEMA = "diagnose.diff/1"

Json = dict[str, Any]


def render(moved: Moved, tool_version: str) -> str:
    """One indented JSON object and a line end."""
    return json.dumps(to_dict(moved, tool_version), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_dict(moved: Moved, tool_version: str) -> Json:
    """The comparison as plain dicts, lists, strings, numbers and None."""
    return {
        "schema": SCHEMA,
        "tool_version": tool_version,
        "before": {"name": _text(moved.before), **_answer(moved.whole.before)},
        "after": {"name": _text(moved.after), **_answer(moved.whole.after)},
        "summary": headline(moved),
        "same_measurement": moved.same_data,
        "same_job": not moved.apart,
        "nothing_moved": moved.nothing,
        "apart": [_difference(d) for d in moved.apart],
        "measured_apart": None if moved.measured_apart is None else _difference(moved.measured_apart),
        "other_load": [_change(c) for c in moved.other_load],
        **_part(moved.whole),
        "phases": {phase.name: _phase(phase) for phase in moved.phases},
        "figures": [_change(c) for c in moved.figures],
        "roofs": [_change(c) for c in moved.roofs],
        "kernels": _rows(moved.kernels),
        "operations": _rows(moved.operations),
        "levels": [_level(level, moved.levels_by) for level in moved.levels],
        "circumstances": [_circumstance(c) for c in moved.circumstances],
        "reasons": [_reason(r) for r in moved.reasons],
        "notes": notes(moved),
    }


def _part(part: Part) -> Json:
    return {
        "basis": part.basis.value if part.basis is not None else None,
        "time": None if part.time is None else _change(part.time),
        "split": [_change(c) for c in part.split],
        "split_certainty": part.certainty.value,
        "device": [_change(c) for c in part.device],
        "regime_flip": part.regime_flip,
        "cause_flip": part.cause_flip,
    }


def _phase(phase: PhaseMove) -> Json:
    return {
        "before": _answer(phase.part.before),
        "after": _answer(phase.part.after),
        "time_fraction": None if phase.time_fraction is None else _change(phase.time_fraction),
        "time_recorded": None if phase.time is None else _change(phase.time),
        **_part(phase.part),
    }


def _answer(answer: Answer) -> Json:
    return {
        "regime": answer.regime.value if answer.regime is not None else None,
        "cause": answer.cause.value if answer.cause is not None else None,
        "confidence": rounded(answer.confidence),
        "limits": [_text(limit) for limit in answer.limits],
    }


def _change(change: Change) -> Json:
    return {
        "name": change.name,
        "unit": change.unit,
        "before": rounded(change.before),
        "after": rounded(change.after),
        "change": rounded(change.by),
        "relative": rounded(change.relative),
        "noise": rounded(change.noise),
        "unchanged": change.unchanged,
    }


def _difference(difference: Difference) -> Json:
    return {
        "trait": difference.trait,
        "before": _text(difference.baseline or ""),
        "after": _text(difference.current or ""),
    }


def _rows(rows: Rows | None) -> Json | None:
    if rows is None:
        return None
    return {
        "measure": rows.measure.value,
        "total": _change(rows.total),
        "moved": [_row(row) for row in rows.rows],
        "rest": {"rows": rows.rest_count, "change_s": rounded(rows.rest_s)},
        "by_class": [_row(row) for row in rows.kinds],
    }


def _row(row: RowMove) -> Json:
    return {
        "name": _text(row.name),
        "class": None if row.kind is None else _text(row.kind),
        "presence": row.presence.value,
        "before_s": rounded(row.before_s),
        "after_s": rounded(row.after_s),
        "change_s": rounded(row.moved_s),
        "before_launches": rounded(row.before_launches),
        "after_launches": rounded(row.after_launches),
    }


def _level(level: LevelMove, by: str) -> Json:
    return {
        "by": by,
        "level": level.name,
        "step": _change(level.step),
        "tokens_per_s": _change(level.tokens_per_s),
        "before": _answer(level.before),
        "after": _answer(level.after),
    }


def _circumstance(circumstance: Circumstance) -> Json:
    return {
        "name": _text(circumstance.name),
        "group": circumstance.group.value,
        "unit": circumstance.unit,
        "before": _value(circumstance.before),
        "after": _value(circumstance.after),
    }


def _reason(reason: Reason) -> Json:
    return {
        "kind": reason.kind.value,
        "share": reason.share.value if reason.share is not None else None,
        "subject": None if reason.subject is None else _text(reason.subject),
        "figures": _figures(reason.figures),
        "text": reason_text(reason),
    }


def _figures(figures: Mapping[str, float]) -> Json:
    return {name: rounded(value) for name, value in figures.items() if name != "due_size"}


def _value(value: float | str) -> float | int | str | None:
    return _text(value) if isinstance(value, str) else rounded(value)


def _text(text: str) -> str:
    """Half a character pair, which no encoding holds, becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")
