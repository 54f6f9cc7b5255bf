"""The figures of a case under their field names, and how far they are from the roofs."""

from __future__ import annotations

import numpy as np

from heuristics.arrays import median
from heuristics.case import Case
from heuristics.operations import Phase
from heuristics.roofs import Roofs
from heuristics.signals.bandwidth_saturation import bytes_per_s, bytes_per_step, cached
from heuristics.signals.compute_saturation import flops_per_s, flops_per_step
from heuristics.signals.kernel_speed_of_light import dram_fractions, kernel_fractions, mean, timed, weight_of
from heuristics.simplex import ARITHMETIC_CEILING, BANDWIDTH_CEILING


def measured(case: Case) -> dict[str, float]:
    """Figures that were measured, SI units; fractions are of the peak. What was not measured is absent."""
    found: dict[str, float | None] = {}
    if case.serving is not None:
        serving = case.serving
        found |= {
            "tokens_per_s": serving.tokens_per_s,
            "prompt_tokens_per_s": serving.prompt_tokens_per_s,
            "steps_per_s": serving.steps_per_s,
            "step_s": serving.step_s,
            "batch": serving.batch,
            "context_tokens": case.load.context_tokens if case.load is not None and case.load.context_tokens else None,
            "time_per_output_token_s": time_per_output_token_s(case),
            "time_to_first_token_s": serving.time_to_first_token_s,
            "kv_cache_usage": serving.kv_cache_usage,
            "requests_running": serving.requests_running,
            "requests_waiting": serving.requests_waiting,
            "preemptions": serving.preemptions or None,
            "accepted_per_draft": serving.accepted_tokens / serving.drafts
            if serving.accepted_tokens is not None and serving.drafts
            else None,
            "bytes_per_step": bytes_per_step(case),
            "flops_per_step": flops_per_step(case),
        }
    if case.board is not None:
        found |= {
            "energy_j": case.board.energy_j,
            "joules_per_token": _joules_per_token(case),
            "other_processes": case.board.other_processes or None,
            "memory_used_bytes": case.board.memory_used_bytes,
        }
    if case.host is not None:
        found |= {
            "host_busy_cores": case.host.busy_cores,
            "host_asleep_fraction": case.host.asleep_fraction,
            "host_wait_fraction": case.host.wait_fraction,
            "host_throttled_fraction": case.host.throttled_fraction,
            "host_read_bytes_per_s": case.host.read_bytes_per_s,
        }
    if case.operations:
        found["weight_bytes_per_step"] = sum(op.weight_bytes for op in case.operations)
        found["kv_bytes_per_step"] = sum(op.kv_bytes for op in case.operations)
    if case.activity is not None:
        found |= {
            "sm_active_fraction": case.activity.sm_active,
            "dram_active_fraction": case.activity.dram_active,
            "tensor_active_fraction": case.activity.tensor_active,
        }
    if case.samples is not None:
        stated = case.samples.sm[~np.isnan(case.samples.sm)]
        found["sm_time_fraction"] = float(stated.mean()) if stated.size else None
        power = case.samples.power_w[~np.isnan(case.samples.power_w)]
        found["power_w"] = float(power.mean()) if power.size else None
    if case.timeline is not None and case.timeline.window_s > 0:
        timeline = case.timeline
        steps = timeline.step_s
        found |= {
            "kernels": float(timeline.launches),
            "kernel_time_s": sum(k.total_s for k in timeline.kernels),
            "busy_fraction": timeline.busy_s / timeline.window_s if timeline.gaps_known else None,
            "launch_delay_s": timeline.launch_delay_s,
            "communication_fraction": timeline.communication_s / timeline.window_s or None,
            "transfer_fraction": timeline.transfer_s / timeline.window_s or None,
            "host_gap_fraction": None if timeline.host_gap_s is None else timeline.host_gap_s / timeline.window_s,
            "steps": float(len(steps)) if steps else None,
        }
        if steps:
            found["step_s"] = median(np.array(steps))
    if case.profile is not None:
        found["kernels"] = float(case.profile.launches.sum())
        if timed(case.profile):
            found["kernel_time_s"] = float(weight_of(case.profile).sum())
    found |= _fractions(case)
    return {name: value for name, value in found.items() if value is not None}


def time_per_output_token_s(case: Case) -> float | None:
    """Between two tokens of a sequence: as the engine states it, else, of decode, by how long a step takes.

    A step gives each sequence in it one token, and with speculative decoding those of the draft that were accepted.
    Steps that take in prompts beside it count as well, since the other sequences wait for them.
    """
    serving = case.serving
    if serving is None:
        return None
    decodes = case.load is not None and case.load.phase is Phase.DECODE and serving.generation_tokens != 0.0
    if serving.time_per_output_token_s is not None or serving.step_s is None or not decodes:
        return serving.time_per_output_token_s
    accepted = serving.accepted_tokens / serving.drafts if serving.accepted_tokens and serving.drafts else 0.0
    return serving.step_s / (1.0 + accepted)


SAME_TIME = 0.8
"""Windows that cover each other to this part are the same time."""


def _joules_per_token(case: Case) -> float | None:
    """Power over the rate of tokens; not where others share the board, or where the two were not seen together."""
    board, serving = case.board, case.serving
    if board is None or serving is None or not board.energy_j or not serving.tokens_per_s or not serving.window_s:
        return None
    shorter, longer = sorted((board.window_s, serving.window_s))
    if board.other_processes or shorter < SAME_TIME * longer:
        return None
    return board.energy_j / board.window_s / serving.tokens_per_s


def _fractions(case: Case) -> dict[str, float | None]:
    """The best statement of both resources' use, as fractions of the peak."""
    bandwidth = compute = None
    if case.profile is not None:
        dram = dram_fractions(case, case.profile)
        _, sm, _ = kernel_fractions(case, case.profile, dram)
        weight = weight_of(case.profile)
        bandwidth = mean(dram, weight)
        compute = mean(sm, weight)
    roofs = case.roofs
    if (
        roofs is not None
        and roofs.bandwidth_bytes_per_s
        and (needed := bytes_per_s(case)) is not None
        and not cached(case)
    ):
        bandwidth = needed / roofs.bandwidth_bytes_per_s
    if roofs is not None and roofs.flops_per_s and (useful := flops_per_s(case)) is not None:
        compute = useful / roofs.flops_per_s
    if case.activity is not None and not (case.shared and case.operations):
        pipes = (
            case.activity.tensor_active,
            case.activity.fp32_active,
            case.activity.fp16_active,
            case.activity.integer_active,
        )
        stated = [p for p in pipes if p is not None]
        bandwidth = case.activity.dram_active if case.activity.dram_active is not None else bandwidth
        compute = max(stated) if stated else compute
    return {"bandwidth_fraction": bandwidth, "compute_fraction": compute}


def headroom(found: dict[str, float], roofs: Roofs | None) -> dict[str, float]:
    """Factors of at least 1 from the measured use to the achievable roofs."""
    bandwidth_ceiling = roofs.bandwidth_ceiling if roofs is not None else BANDWIDTH_CEILING.mean
    arithmetic_ceiling = roofs.arithmetic_ceiling if roofs is not None else ARITHMETIC_CEILING.mean
    pairs = (
        ("to_bandwidth_roof", found.get("bandwidth_fraction"), bandwidth_ceiling),
        ("to_compute_roof", found.get("compute_fraction"), arithmetic_ceiling),
    )
    unknown = {"to_compute_roof"} if roofs is not None and roofs.unproven else set()
    return {
        name: max(1.0, ceiling / used)
        for name, used, ceiling in pairs
        if used is not None and used > 0.0 and name not in unknown
    }
