"""The verdict as JSON, schema ``diagnose.verdict/1``: fields may be added, never renamed under this number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from heuristics.claims import Bound, RatioBound
from heuristics.operations import Phase
from heuristics.roofs import Device, Roofs
from heuristics.rows import Level, Row, rows
from heuristics.subject import Machine, Subject
from heuristics.verdict import Diagnosis, Judgement, PhaseJudgement, Verdict, WeighedEvidence
from heuristics.vocabulary import Relation
from reports import sweep_json
from reports.advice_json import advice_of
from reports.batch_json import doubling_of
from reports.probe_json import probe_of
from reports.ranking_json import ranking_of
from reports.roofline_json import candidates_of, forecast_of, headroom_of
from reports.words import filled, rounded

SCHEMA = "diagnose.verdict/1"

MOST_ROWS = 50

Json = dict[str, Any]


def render(diagnosis: Diagnosis) -> str:
    """One indented JSON object and a line end."""
    return json.dumps(to_dict(diagnosis), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_dict(diagnosis: Diagnosis) -> Json:
    """The verdict as plain dicts, lists, strings, numbers and None."""
    whole = diagnosis.whole
    found: Json = {
        "schema": SCHEMA,
        "tool_version": diagnosis.tool_version,
        "created_at": diagnosis.created_at,
        "subject": _subject(diagnosis),
        "window_s": rounded(diagnosis.window_s),
        **({"provisional": True} if diagnosis.provisional else {}),
        "verdict": _verdict(whole.verdict),
        "phases": _phases(diagnosis.phases),
    }
    if diagnosis.idle_fraction is not None:
        found["idle_fraction"] = rounded(diagnosis.idle_fraction)
    if len(diagnosis.devices) > 1:
        found["devices"] = [
            {
                "index": d.device.index if d.device is not None else None,
                "verdict": _verdict(d.verdict),
                "roofs": _roofs(d.roofs),
                "measured": _measured(d),
                "evidence": _evidence(d),
            }
            for d in diagnosis.devices
        ]
        found["evidence_of_device"] = whole.witness
        found["slowest_device"] = diagnosis.slowest_device
    found |= {
        "roofs": _roofs(whole.roofs),
        "measured": _measured(whole),
        **_samples(diagnosis),
        "environment": _environment(diagnosis),
        **_watching(diagnosis.subject),
        "evidence": _evidence(whole),
        "operations": _operations(whole),
        "headroom": {name: rounded(value) for name, value in whole.headroom.items()} | headroom_of(diagnosis.forecast),
        **advice_of(diagnosis),
        "next_measurement": whole.next_measurement,
        "warnings": list(diagnosis.warnings),
    }
    if diagnosis.probe is not None:
        found["probe"] = probe_of(diagnosis.probe)
    if diagnosis.batch_fit is not None:
        found["batch_doubling"] = doubling_of(diagnosis.batch_fit)
    if diagnosis.forecast is not None:
        found["roofline"] = forecast_of(diagnosis.forecast)
    if diagnosis.sweep is not None:
        found["sweep"] = sweep_json.sweep_of(diagnosis.sweep, _verdict, _phases)
    if diagnosis.candidates:
        found["candidates"] = candidates_of(diagnosis.candidates)
    if diagnosis.ranking is not None:
        found["ranking"] = ranking_of(diagnosis.ranking)
    return found


def _phases(phases: Mapping[Phase, PhaseJudgement]) -> Json:
    return {
        phase.value: _without_none(
            {
                "verdict": _verdict(part.judgement.verdict),
                "time_fraction": rounded(part.time_fraction),
                "measured": _measured(part.judgement),
                "evidence": _evidence(part.judgement),
            }
        )
        for phase, part in sorted(phases.items(), key=_prefill_first)
    }


def _watching(subject: Subject | None) -> Json:
    """What of a live job was read and what was not, what happened to it meanwhile, and what looking took."""
    if subject is None:
        return {}
    return {
        "sources": list(subject.sources),
        "missing": [
            _without_none({"source": m.source, "reason": m.reason, "unlock": m.unlock}) for m in subject.missing
        ],
        "events": list(subject.events),
        "overhead": {
            "cpu_fraction": rounded(subject.cpu_fraction),
            "start_cpu_s": rounded(subject.start_cpu_s),
            "rss_bytes": rounded(subject.rss_bytes),
        },
    }


def _prefill_first(item: tuple[Phase, object]) -> bool:
    return item[0] is Phase.DECODE


def _subject(diagnosis: Diagnosis) -> Json:
    devices = [d.device for d in diagnosis.devices if d.device is not None]
    watched = diagnosis.subject
    return _without_none(
        {
            "kind": diagnosis.kind,
            "pid": watched.pid if watched is not None else None,
            "parallelism": dict(watched.parallelism) or None if watched is not None else None,
            "engine": diagnosis.engine,
            "model": diagnosis.model,
            "stored_bytes": rounded(watched.stored_bytes) if watched is not None else None,
            "parameters": rounded(watched.parameters) if watched is not None else None,
            "workload": diagnosis.workload,
            "files": [
                _without_none({"path": f.path, "kind": f.kind, "fingerprint": f.fingerprint}) for f in diagnosis.files
            ],
            "devices": [_device(d) for d in devices if d.index is not None or d.name is not None],
        }
    )


def _device(device: Device) -> Json:
    return _without_none(
        {
            "index": device.index,
            "uuid": device.uuid,
            "name": device.name,
            "vendor": device.vendor,
            "memory_bytes": rounded(device.memory_bytes),
            "mig_profile": device.mig_profile,
        }
    )


def _verdict(verdict: Verdict | None) -> Json | None:
    if verdict is None:
        return None
    shares = verdict.shares
    return {
        "regime": verdict.regime.value,
        "cause": verdict.cause.value if verdict.cause is not None else None,
        "confidence": rounded(verdict.confidence),
        "shares": None if shares is None else {share.value: rounded(value) for share, value in shares.items()},
        "limits": [limit.value for limit in verdict.limits],
    }


def _roofs(roofs: Roofs | None) -> Json | None:
    if roofs is None:
        return None

    def achievable(peak: float | None, ceiling: float) -> float | None:
        return None if peak is None else rounded(peak * ceiling)

    return _without_none(
        {
            "bandwidth_bytes_per_s": rounded(roofs.bandwidth_bytes_per_s),
            "flops_per_s": rounded(roofs.flops_per_s),
            "ridge_flops_per_byte": rounded(roofs.ridge_flops_per_byte),
            "dtype": roofs.dtype.value,
            "source": roofs.source,
            "unknown": roofs.unknown,
        }
    ) | {
        "achievable": {
            "bandwidth_bytes_per_s": achievable(roofs.bandwidth_bytes_per_s, roofs.bandwidth_ceiling),
            "flops_per_s": achievable(roofs.flops_per_s, roofs.arithmetic_ceiling),
        }
    }


def _measured(judgement: Judgement) -> Json:
    return {name: rounded(value) for name, value in sorted(judgement.measured.items())}


def _samples(diagnosis: Diagnosis) -> Json:
    """Values over short times by their figure, where there are any."""
    found = {name: [rounded(value) for value in values] for name, values in diagnosis.samples.items()}
    return {"samples": found} if found else {}


def _environment(diagnosis: Diagnosis) -> Json:
    whole = diagnosis.whole
    names = [d.device.name for d in diagnosis.devices if d.device is not None and d.device.name]
    limits = [limit.value for limit in whole.verdict.limits] if whole.verdict is not None else []
    caps = [d.device.power_limit_w for d in diagnosis.devices if d.device is not None and d.device.power_limit_w]
    return _without_none(
        {
            "gpu": names[0] if names else None,
            "driver": diagnosis.subject.driver if diagnosis.subject is not None else None,
            "engine_version": diagnosis.subject.engine_version if diagnosis.subject is not None else None,
            "dtype": whole.roofs.dtype.value if whole.roofs is not None else None,
            "clocks": {name: rounded(value) for name, value in diagnosis.clocks.items()} or None,
            "power_limit_w": rounded(next(iter(caps), None)),
            "other_processes": _others(diagnosis),
            "throttled": [limit for limit in limits if limit in ("power_cap", "thermal")] or None,
            "host": _host(diagnosis.machine),
        }
    )


def _host(machine: Machine | None) -> Json | None:
    if machine is None:
        return None
    return _without_none(
        {
            "processor": machine.processor,
            "cores": rounded(machine.cores),
            "machine": machine.mark,
            "other_busy_cores": rounded(machine.other_busy_cores),
        }
    )


def _others(diagnosis: Diagnosis) -> int | None:
    """Processes of others on the busiest shared device."""
    counts = [int(d.measured["other_processes"]) for d in diagnosis.devices if "other_processes" in d.measured]
    return max(counts, default=None)


def _evidence(judgement: Judgement) -> list[Json]:
    weighed = [_weighed(item) for item in judgement.evidence]
    return weighed + [{"signal": a.signal, "abstained": a.reason} for a in judgement.abstained]


def _weighed(item: WeighedEvidence) -> Json:
    evidence = item.evidence
    return {
        "signal": evidence.signal,
        "source": evidence.source,
        "bounds": [_bound(b) for b in item.bounds],
        "measured": {name: rounded(value) for name, value in evidence.measured.items()},
        "text": filled(evidence.sentence, evidence.measured),
    }


def _bound(bound: Bound | RatioBound) -> Json:
    if isinstance(bound, RatioBound):
        return {
            "share": bound.share.value,
            "to": bound.to.value,
            "relation": Relation.RATIO.value,
            "value": rounded(bound.value),
            "width": rounded(bound.width),
        }
    return {
        "share": bound.share.value,
        "relation": bound.relation.value,
        "value": rounded(bound.value),
        "width": rounded(bound.width),
    }


def _operations(judgement: Judgement) -> list[Json]:
    """The longest of each level; time shares add up to 1 within a level, not over both."""
    every = rows(judgement)
    return [_row(row) for level in Level for row in [r for r in every if r.level is level][:MOST_ROWS]]


def _row(row: Row) -> Json:
    rule = row.ncu_rule
    return {
        "level": row.level.value,
        "name": row.name,
        "flops": rounded(row.flops),
        "bytes": rounded(row.bytes),
        "intensity": rounded(row.intensity_flops_per_byte),
        "regime": row.regime.value if row.regime is not None else None,
        "time_share": rounded(row.time_share),
    } | _without_none(
        {
            "time_s": rounded(row.time_s),
            "launches": row.launches,
            "class": row.kind.value if row.kind is not None else None,
            "cause": row.cause.value if row.cause is not None else None,
            "memory_throughput": rounded(row.memory_throughput),
            "compute_throughput": rounded(row.compute_throughput),
            "dram_throughput": rounded(row.dram_throughput),
            "blocks_per_sm": rounded(row.blocks_per_sm),
            "waves_per_sm": rounded(row.waves_per_sm),
            "ncu_rule": None
            if rule is None
            else {"label": rule.label, "regime": rule.regime.value if rule.regime is not None else "balanced"},
        }
    )


def _without_none(fields: Mapping[str, Any]) -> Json:
    return {name: value for name, value in fields.items() if value is not None}
