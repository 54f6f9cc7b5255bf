"""The verdict's JSON as outside readers rely on it, as a JSON Schema. Fields may be added, never renamed."""

from __future__ import annotations

from typing import Any

from heuristics.advice.advice import Action
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
