"""A check as JSON, schema ``diagnose.check/1``: of one session against those before, or of two versions in turns."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from heuristics.regression.likeness import Difference
from heuristics.regression.outcome import Check, Comparison, Flip, Guard, LeftOut, Role
from heuristics.regression.paired import PairedCheck
from heuristics.regression.policy import PairedPolicy, Policy
from heuristics.regression.session import Session
from reports.check_next import FOLDER, next_steps
from reports.check_words import Answer, plain
from reports.words import rounded

SCHEMA = "diagnose.check/1"

Json = dict[str, Any]


def render(answer: Answer, *, baseline: str = FOLDER) -> str:
    """The object as text, with a final line end."""
    return written(to_dict(answer, baseline=baseline))


def written(found: Json) -> str:
    """Any JSON as it is printed. Halves of characters, which no file can hold, become question marks."""
    told = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False)
    return told.encode("utf-8", "replace").decode("utf-8") + "\n"


def to_dict(answer: Answer, *, baseline: str = FOLDER) -> Json:
    """The object as plain Python values; SI units, fractions, six digits. ``baseline``: the folder's name.

    What lacks is ``null``. Of a check that was confirmed, the fields are the first session's and ``confirmed_by`` has
    the second's; ``outcome`` is that of both.
    """
    paired = isinstance(answer, PairedCheck)
    head = {
        "schema": SCHEMA,
        "kind": "paired" if paired else "sessions",
        "outcome": answer.outcome.value,
        "exit_code": answer.outcome.exit_code,
        "why": [why.value for why in answer.why],
    }
    told = _paired(answer) if isinstance(answer, PairedCheck) else _sessions(answer)
    return (
        head
        | told
        | {
            "next": [{"text": plain(step.text), "command": step.command} for step in next_steps(answer, baseline)],
            "confirmed_by": None if answer.confirmed_by is None else to_dict(answer.confirmed_by, baseline=baseline),
            "warnings": list(answer.warnings),
        }
    )


def _sessions(check: Check) -> Json:
    return {
        "primary": check.primary.name if check.primary is not None else None,
        "metrics": [_metric(c) for c in check.comparisons],
        "regime": {
            "baseline": _usual(check.sessions),
            "current": _regime(check.current),
            "flip": _flip(check.flip),
        },
        "batch": _batch(check.batch),
        "guards": [_guard(guard) for guard in check.guards],
        "left_out": [_left_out(left) for left in check.left_out],
        "sessions": [{"name": s.name, "created_at": s.created_at} for s in check.sessions],
        "current": {
            "name": check.current.name,
            "created_at": check.current.created_at,
            **{trait: check.current.identity.get(trait) for trait in ("workload", "model", "gpu")},
            **_regime(check.current),
        },
        "policy": _policy(check.policy),
    }


def expectation(c: Comparison) -> Json:
    """What a metric came to beside what was expected of it, SI units; ``null`` where that is not known."""
    return {
        "current": rounded(c.current),
        "baseline": rounded(c.baseline),
        "change": rounded(c.change),
        "expected_low": rounded(c.low),
        "expected_high": rounded(c.high),
        "spread": rounded(c.spread),
        "p": rounded(c.p),
        "p_holm": rounded(c.p_holm),
    }


def _metric(c: Comparison) -> Json:
    return {
        "name": c.metric.name,
        "better": c.metric.better.value,
        "role": c.role.value,
        "outcome": c.outcome.value,
        "why": c.why.value,
        "sessions": c.sessions,
        **expectation(c),
        "floor": rounded(c.floor),
        "visible": rounded(c.visible),
        "drift": rounded(c.drift),
        "windows": c.windows,
        "within": rounded(c.within),
    }


def _paired(check: PairedCheck) -> Json:
    return {
        "primary": check.metric.name,
        "metrics": [
            _metric_of_pairs(check, Role.GATE),
            *([] if check.roof is None else [_metric_of_pairs(check.roof, _roof_role(check.policy))]),
        ],
        "regime": {"flip": _flip(check.flip)},
        "unlike": [_difference(d) for d in check.unlike],
        "batch": _batch(check.batch),
        "pairs": [{"a": rounded(a), "b": rounded(b)} for a, b in zip(check.a, check.b, strict=True)],
        "commands": None if check.commands is None else {"a": check.commands[0], "b": check.commands[1]},
        "policy": _paired_policy(check.policy),
    }


def _metric_of_pairs(check: PairedCheck, role: Role) -> Json:
    return {
        "name": check.metric.name,
        "better": check.metric.better.value,
        "role": role.value,
        "outcome": check.outcome.value,
        "why": check.why[0].value if check.why else None,
        "pairs": len(check.a),
        "current": rounded(median(check.b)) if check.b else None,
        "baseline": rounded(median(check.a)) if check.a else None,
        "change": rounded(check.change),
        "change_low": rounded(check.low),
        "change_high": rounded(check.high),
        "spread": rounded(check.spread),
        "p": rounded(check.p),
    }


def _roof_role(policy: PairedPolicy) -> Role:
    return Role.GATE if policy.roof_gates else Role.REPORT


def _regime(session: Session) -> Json:
    return {
        "regime": session.regime.value if session.regime is not None else None,
        "cause": session.cause.value if session.cause is not None else None,
        "confidence": rounded(session.confidence),
    }


def _usual(sessions: Sequence[Session]) -> Json | None:
    """What most of the sessions say, with the median of their confidences."""
    told = Counter((s.regime, s.cause) for s in sessions if s.regime is not None)
    if not told:
        return None
    (regime, cause), agreeing = told.most_common(1)[0]
    sure = median(s.confidence for s in sessions if (s.regime, s.cause) == (regime, cause))
    return {
        "regime": regime.value if regime is not None else None,
        "cause": cause.value if cause is not None else None,
        "confidence": rounded(sure),
        "agreeing": agreeing,
        "sessions": len(sessions),
    }


def _flip(flip: Flip | None) -> Json | None:
    if flip is None:
        return None
    return {
        "why": flip.why.value,
        "baseline": flip.baseline,
        "current": flip.current,
        "baseline_confidence": rounded(flip.baseline_confidence),
        "current_confidence": rounded(flip.current_confidence),
        "agreeing": flip.agreeing,
        "sessions": flip.sessions,
    }


def _guard(guard: Guard) -> Json:
    current, baseline = (v if isinstance(v, str) else rounded(v) for v in (guard.current, guard.baseline))
    return {"name": guard.name, "current": current, "baseline": baseline}


def _left_out(left: LeftOut) -> Json:
    return {
        "count": left.count,
        "reason": left.reason,
        "differences": [_difference(d) for d in left.differences],
    }


def _difference(apart: Difference) -> Json:
    return {"trait": apart.trait, "baseline": apart.baseline, "current": apart.current}


def _batch(batch: tuple[float, float] | None) -> Json | None:
    return None if batch is None else {"baseline": rounded(batch[0]), "current": rounded(batch[1])}


def _policy(policy: Policy) -> Json:
    return {
        "min_effect": policy.min_effect,
        "confidence": policy.confidence,
        "resolution": policy.resolution,
        "sessions": policy.sessions,
        "latest": policy.latest,
        "metric": policy.metric,
        "roof_gates": policy.roof_gates,
        "flips_gate": policy.flips_gate,
        "flip_confidence": policy.flip_confidence,
        "across": sorted(policy.across),
        "allow_noisy": policy.allow_noisy,
    }


def _paired_policy(policy: PairedPolicy) -> Json:
    return {
        "pairs": policy.pairs,
        "min_effect": policy.min_effect,
        "confidence": policy.confidence,
        "resolution": policy.resolution,
        "flip_confidence": policy.flip_confidence,
        "flips_gate": policy.flips_gate,
        "roof_gates": policy.roof_gates,
    }
