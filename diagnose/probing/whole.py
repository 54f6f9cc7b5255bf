"""From the batches of a probe to one diagnosis, and what to mind about how they were measured."""

from __future__ import annotations

from collectors.probe.watchers import watched_by
from diagnose import __version__
from diagnose.clock import now_text
from diagnose.probing.arguments import Model
from diagnose.probing.cases import ENGINE, Measured, samples_by_round, workload_of
from heuristics.advice.actions import advise
from heuristics.assemble import Given
from heuristics.probed import Probe, ProbedBatch
from heuristics.verdict import Diagnosis


def diagnosis_of(measured: Measured, rows: tuple[ProbedBatch, ...], known: Model, given: Given) -> Diagnosis:
    """The diagnosis of the batch in question, with all of them beside it."""
    whole = next(row.judgement for row in rows if row.batch == measured.batch)
    counted = measured.counts[measured.batch]
    advice, withheld = advise(whole)
    return Diagnosis(
        kind="process",
        whole=whole,
        engine=ENGINE,
        model=known.name,
        workload=workload_of(measured),
        machine=measured.machine,
        clocks=measured.clocks,
        samples=samples_by_round(measured, given, whole),
        window_s=sum(g.wall_s for t in measured.timings for g in t.groups),
        devices=(whole,),
        advice=advice,
        withheld=withheld,
        probe=Probe(
            phase=measured.phase,
            device=measured.device.name or "unknown device",
            batch=measured.batch,
            batches=rows,
            threads=measured.threads,
            work=counted.how if counted.operations else "model" if known.shape is not None else None,
        ),
        warnings=tuple(dict.fromkeys([*notes_on(measured), *whole.warnings])),
        tool_version=__version__,
        created_at=now_text(),
    )


def notes_on(measured: Measured) -> list[str]:
    """What to mind about the measuring."""
    found = []
    watcher = watched_by()
    if watcher is not None:
        found.append(
            f"a profiler is in this process ({watcher}): its times are not the step's; take the verdict from its export"
        )
    unsteady = [str(t.batch) for t in measured.timings if not t.steady]
    if unsteady:
        found.append(f"steps still became faster when warming up ended, at batch {', '.join(unsteady)}: give warmup=")
    disturbed = [str(t.batch) for t in measured.timings if t.disturbed]
    if disturbed:
        found.append(
            f"others used the processors in most rounds of batch {', '.join(disturbed)}: those times may be too long"
        )
    reasons = [t.refusal for t in measured.timings if t.refusal]
    if reasons:
        found.append(f"no CUDA graph, the step is judged as it is: {reasons[0]}")
    lacking = {c.reason for c in measured.counts.values() if c.reason and not (c.flops and c.bytes)}
    found += [f"FLOPs and bytes: {reason}" for reason in sorted(lacking)]
    if measured.window is not None and measured.window.reason:
        found.append(measured.window.reason)
    return found
