"""The JSON of verdicts and checks as outside readers rely on it, as JSON Schema. Fields may be added, never renamed."""

from __future__ import annotations

from typing import Any

from heuristics.advice.advice import Action
from heuristics.regression.likeness import TRAITS
from heuristics.regression.metrics import METRICS, Better
from heuristics.regression.outcome import Outcome, Role, Why
from heuristics.vocabulary import Cause, Limit, Regime, Share

Schema = dict[str, Any]

FRACTION: Schema = {"type": "number", "minimum": 0, "maximum": 1}
NUMBER: Schema = {"type": "number"}
POSITIVE: Schema = {"type": "number", "exclusiveMinimum": 0}
TEXT: Schema = {"type": "string", "minLength": 1}


def one_of(kind: Any) -> Schema:
    return {"enum": [member.value for member in kind]}


def nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def record(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {"type": "object", "required": list(required), "properties": required | (optional or {})}


def listed(items: Schema) -> Schema:
    return {"type": "array", "items": items}


SHARE_NAMES = [share.value for share in Share]
SHARES = record(dict.fromkeys(SHARE_NAMES, FRACTION))

VERDICT = record(
    {
        "regime": one_of(Regime),
        "cause": nullable(one_of(Cause)),
        "confidence": FRACTION,
        "shares": nullable(SHARES),
        "limits": listed(one_of(Limit)),
    }
)

BOUND: Schema = {
    "anyOf": [
        record(
            {
                "share": one_of(Share),
                "relation": {"enum": ["at_most", "at_least"]},
                "value": FRACTION,
                "width": POSITIVE,
            }
        ),
        record(
            {
                "share": one_of(Share),
                "to": one_of(Share),
                "relation": {"const": "ratio"},
                "value": {"type": "number", "minimum": 0},
                "width": POSITIVE,
            }
        ),
    ]
}

EVIDENCE: Schema = {
    "anyOf": [
        record(
            {
                "signal": TEXT,
                "source": TEXT,
                "bounds": listed(BOUND),
                "measured": {"type": "object", "additionalProperties": NUMBER},
                "text": TEXT,
            }
        ),
        record({"signal": TEXT, "abstained": TEXT}),
    ]
}

ROOFS = record(
    {
        "dtype": TEXT,
        "source": TEXT,
        "achievable": record({"bandwidth_bytes_per_s": nullable(POSITIVE), "flops_per_s": nullable(POSITIVE)}),
    },
    {"bandwidth_bytes_per_s": POSITIVE, "flops_per_s": POSITIVE, "ridge_flops_per_byte": POSITIVE},
)

MEASURED: Schema = {
    "type": "object",
    "additionalProperties": NUMBER,
    "properties": {
        "bandwidth_fraction": {"type": "number", "minimum": 0},
        "compute_fraction": {"type": "number", "minimum": 0},
        "busy_fraction": FRACTION,
    },
}

SAMPLES: Schema = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": 20,
    "additionalProperties": {
        "type": "array",
        "items": {"type": "number", "minimum": 0},
        "minItems": 1,
        "maxItems": 1000,
    },
}

ENVIRONMENT = record(
    {},
    {
        "gpu": TEXT,
        "driver": TEXT,
        "engine_version": TEXT,
        "dtype": TEXT,
        "clocks": record({}, {"sm_hz": POSITIVE, "memory_hz": POSITIVE}),
        "power_limit_w": POSITIVE,
        "other_processes": {"type": "integer", "minimum": 1},
        "throttled": listed({"enum": ["power_cap", "thermal"]}),
        "host": record(
            {},
            {
                "processor": TEXT,
                "cores": POSITIVE,
                "machine": {"type": "string", "pattern": "^[0-9a-f]{12}$"},
                "other_busy_cores": {"type": "number", "minimum": 0},
            },
        ),
    },
)

OPERATION = record(
    {
        "name": TEXT,
        "flops": nullable(NUMBER),
        "bytes": nullable(NUMBER),
        "intensity": nullable(NUMBER),
        "regime": nullable(one_of(Share)),
        "time_share": nullable(FRACTION),
    },
    {"level": {"enum": ["kernel", "operation"]}, "ncu_rule": record({"label": TEXT, "regime": TEXT})},
)

INTERVAL = record({"value": NUMBER, "low": NUMBER, "high": NUMBER})
SHARE_INTERVAL = record({"value": FRACTION, "low": FRACTION, "high": FRACTION})

BATCH_DOUBLING = record(
    {
        "levels": listed(
            record(
                {
                    "batch": POSITIVE,
                    "step_s": POSITIVE,
                    "tokens_per_s": POSITIVE,
                    "windows": {"type": "integer", "minimum": 1},
                    "capped": {"type": "boolean"},
                    "gain_per_doubling": nullable(INTERVAL),
                    "fixed_share": nullable(SHARE_INTERVAL),
                },
                {"unsettled": TEXT, "kv_share": FRACTION},
            )
        ),
        "parts": nullable(
            record(
                {
                    "fixed_s": INTERVAL,
                    "marginal_s": INTERVAL,
                    "elasticity": INTERVAL,
                    "knee_batch": nullable(INTERVAL),
                    "knee_reason": nullable(TEXT),
                    "switches": listed(record({"below_batch": POSITIVE, "above_batch": POSITIVE, "factor": INTERVAL})),
                    "scatter": nullable(NUMBER),
                    "misfit": NUMBER,
                }
            )
        ),
        "reason": nullable(TEXT),
        "cap_batch": nullable(POSITIVE),
        "outliers": {"type": "integer", "minimum": 0},
    }
)

DEVICE = record({"vendor": TEXT}, {"index": {"type": "integer"}, "name": TEXT, "uuid": TEXT})

ADVICE = record(
    {
        "action": one_of(Action),
        "text": TEXT,
        "why": TEXT,
        "assumptions": listed(TEXT),
        "figures": {"type": "object", "additionalProperties": NUMBER},
    },
    {
        "predicted_speedup": {"type": "number", "minimum": 1},
        "predicted_speedup_range": {"type": "array", "items": POSITIVE, "minItems": 2, "maxItems": 2},
        "then_bound_by": one_of(Share),
        "phase": {"enum": ["prefill", "decode"]},
        "devices_factor": POSITIVE,
    },
)

VERDICT_JSON = record(
    {
        "schema": {"const": "diagnose.verdict/1"},
        "tool_version": TEXT,
        "created_at": {"type": "string", "format": "date-time"},
        "subject": record(
            {
                "kind": {"enum": ["process", "dump", "numbers"]},
                "files": listed(record({"path": TEXT, "kind": TEXT}, {"fingerprint": TEXT})),
                "devices": listed(record({}, DEVICE["properties"])),
            },
            {"workload": TEXT},
        ),
        "window_s": nullable(NUMBER),
        "verdict": nullable(VERDICT),
        "phases": {
            "type": "object",
            "propertyNames": {"enum": ["prefill", "decode"]},
            "additionalProperties": record({"verdict": VERDICT}, {"time_fraction": FRACTION}),
        },
        "roofs": nullable(ROOFS),
        "measured": MEASURED,
        "environment": ENVIRONMENT,
        "evidence": listed(EVIDENCE),
        "operations": listed(OPERATION),
        "headroom": {
            "type": "object",
            "properties": {"batch_crossover_reason": nullable(TEXT)},
            "additionalProperties": nullable({"type": "number", "minimum": 1}),
            "if": {"properties": {"batch_crossover": {"const": None}}, "required": ["batch_crossover"]},
            "then": {"properties": {"batch_crossover_reason": TEXT}, "required": ["batch_crossover_reason"]},
        },
        "advice": {"maxItems": 5} | listed(ADVICE),
        "advice_withheld": listed(record({"action": one_of(Action), "reason": TEXT})),
        "next_measurement": nullable(TEXT),
        "warnings": listed(TEXT),
    },
    {
        "batch_doubling": BATCH_DOUBLING,
        "samples": SAMPLES,
        "devices": listed(
            record({"index": {"type": "integer"}, "verdict": VERDICT, "roofs": nullable(ROOFS), "measured": MEASURED})
        ),
    },
)

INTEGER: Schema = {"type": "integer", "minimum": 0}
CHANGE: Schema = {"type": "number", "exclusiveMinimum": -1}
METRIC_NAME: Schema = {"enum": [*(metric.name for metric in METRICS), "wall_s"]}

_JUDGED: dict[str, Schema] = {
    "name": METRIC_NAME,
    "better": one_of(Better),
    "role": one_of(Role),
    "outcome": one_of(Outcome),
    "why": one_of(Why),
    "current": nullable(POSITIVE),
    "baseline": nullable(POSITIVE),
    "change": nullable(CHANGE),
    "spread": nullable(NUMBER),
    "p": nullable(FRACTION),
}

SAID = {
    "regime": nullable(one_of(Regime)),
    "cause": nullable(one_of(Cause)),
    "confidence": FRACTION,
}

FLIP = record(
    {
        "why": {"enum": ["regime_flip", "cause_flip"]},
        "baseline": TEXT,
        "current": TEXT,
        "baseline_confidence": FRACTION,
        "current_confidence": FRACTION,
        "agreeing": INTEGER,
        "sessions": INTEGER,
    }
)

DIFFERENCE = record({"trait": {"enum": list(TRAITS)}, "baseline": nullable(TEXT), "current": nullable(TEXT)})
BATCH = nullable(record({"baseline": POSITIVE, "current": POSITIVE}))

_ANSWERED: dict[str, Schema] = {
    "schema": {"const": "diagnose.check/1"},
    "outcome": one_of(Outcome),
    "exit_code": {"enum": [0, 1, 3]},
    "why": {"minItems": 1} | listed(one_of(Why)),
    "primary": nullable(METRIC_NAME),
    "next": listed(record({"text": TEXT, "command": nullable(TEXT)})),
    "confirmed_by": nullable({"$ref": "#"}),
    "warnings": listed(TEXT),
}

_SESSIONS: dict[str, Schema] = {
    "kind": {"const": "sessions"},
    "metrics": listed(
        record(
            _JUDGED
            | {
                "sessions": INTEGER,
                "expected_low": nullable(POSITIVE),
                "expected_high": nullable(POSITIVE),
                "p_holm": nullable(FRACTION),
                "floor": nullable(POSITIVE),
                "visible": nullable(POSITIVE),
                "drift": nullable(NUMBER),
                "windows": INTEGER,
                "within": nullable(NUMBER),
            }
        )
    ),
    "regime": record(
        {
            "baseline": nullable(record(SAID | {"agreeing": INTEGER, "sessions": INTEGER})),
            "current": record(SAID),
            "flip": nullable(FLIP),
        }
    ),
    "batch": BATCH,
    "guards": listed(
        record(
            {
                "name": TEXT,
                "current": {"type": ["number", "string"]},
                "baseline": {"type": ["number", "string", "null"]},
            }
        )
    ),
    "left_out": listed(
        record(
            {
                "count": {"type": "integer", "minimum": 1},
                "reason": TEXT,
                "differences": listed(DIFFERENCE),
            }
        )
    ),
    "sessions": listed(record({"name": TEXT, "created_at": nullable(TEXT)})),
    "current": record(
        {"name": TEXT, "created_at": nullable(TEXT)}
        | dict.fromkeys(("workload", "model", "gpu"), nullable(TEXT))
        | SAID
    ),
    "policy": record(
        {
            "min_effect": POSITIVE,
            "confidence": FRACTION,
            "resolution": POSITIVE,
            "sessions": INTEGER,
            "latest": INTEGER,
            "metric": nullable(TEXT),
            "roof_gates": {"type": "boolean"},
            "flips_gate": {"type": "boolean"},
            "flip_confidence": FRACTION,
            "across": listed({"enum": list(TRAITS)}),
            "allow_noisy": {"type": "boolean"},
        }
    ),
}

_PAIRED: dict[str, Schema] = {
    "kind": {"const": "paired"},
    "metrics": {"minItems": 1, "maxItems": 2}
    | listed(record(_JUDGED | {"pairs": INTEGER, "change_low": nullable(CHANGE), "change_high": nullable(CHANGE)})),
    "regime": record({"flip": nullable(FLIP)}),
    "unlike": listed(DIFFERENCE),
    "batch": BATCH,
    "pairs": listed(record({"a": POSITIVE, "b": POSITIVE})),
    "commands": nullable(record({"a": TEXT, "b": TEXT})),
    "policy": record(
        {
            "pairs": INTEGER,
            "min_effect": POSITIVE,
            "confidence": FRACTION,
            "resolution": POSITIVE,
            "flip_confidence": FRACTION,
            "flips_gate": {"type": "boolean"},
            "roof_gates": {"type": "boolean"},
        }
    ),
}


def closed(schema: Schema) -> Schema:
    """No field beyond those that are listed: a new one must be told here."""
    return schema | {"additionalProperties": False}


_BESIDE: dict[str, Schema] = {
    "tool_version": TEXT,
    "created_at": {"type": "string", "format": "date-time"},
    "added_to": nullable(TEXT),
    "difference": nullable({"type": "object"}),
}
"""What the command adds."""

CHECK_JSON: Schema = {
    "anyOf": [closed(record(_ANSWERED | of_kind, _BESIDE)) for of_kind in (_SESSIONS, _PAIRED)],
}
