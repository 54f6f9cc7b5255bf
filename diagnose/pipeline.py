"""Files in, one diagnosis out: read every dump once, put together what belongs together, judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from collectors.dump import Contents, Dump, Interrupt, Progress, fingerprint
from collectors.readers import read
from collectors.watched import Watched, Window
from diagnose import __version__
from diagnose.clock import now_text
from heuristics.advice.actions import advise
from heuristics.assemble import Given
from heuristics.clocks import clocks
from heuristics.diagnosis import judge_devices, judge_phases, slowest_device, whole_of, with_phase_limits
from heuristics.errors import UnreadableDump
from heuristics.observations import Host, KernelProfile, Observation, Serving
from heuristics.samples import samples_of, samples_of_steps
from heuristics.verdict import Diagnosis, Judgement, SourceFile
from heuristics.vocabulary import Regime

GGUF = ".gguf"
"""What llama.cpp leaves at the end of a model's name."""


def diagnose_files(
    paths: Sequence[str],
    given: Given,
    *,
    interval_s: float | None = None,
    progress: Progress | None = None,
    interrupt: Interrupt | None = None,
) -> Diagnosis:
    """The diagnosis of all files together.

    A file given twice counts once. A file that is no dump fails the whole only when no other file is one.

    Raises:
        UnreadableDump: a file is missing, or none of them is usable.
    """
    files: list[SourceFile] = []
    contents: list[Contents] = []
    warnings: list[str] = []
    failures: list[UnreadableDump] = []
    distinct = _once(paths)
    for path, mark in distinct.items():
        dump = Dump(path=path, progress=progress, interrupt=interrupt or Interrupt())
        try:
            found = read(dump)
        except UnreadableDump as error:
            failures.append(error)
            continue
        finally:
            dump.close()
        files.append(SourceFile(path=path, kind=found.kind, fingerprint=mark))
        contents.append(found)
        several = len(distinct) > 1
        warnings += [f"{path}: {text}" if several else text for text in found.warnings]
    if failures and not contents:
        raise failures[0]
    warnings += [f"{error}; it was left out" for error in failures]
    return _judged(contents, given, kind="dump", files=files, warnings=warnings, interval_s=interval_s)


def diagnose_watched(watched: Watched, given: Given) -> Diagnosis:
    """The diagnosis of a job that was watched."""
    return _judged([watched], given, kind="process", warnings=list(watched.warnings))


def _judged(
    contents: Sequence[Contents],
    stated: Given,
    *,
    kind: str,
    warnings: Sequence[str],
    files: Sequence[SourceFile] = (),
    interval_s: float | None = None,
) -> Diagnosis:
    observations, more, short = _observations(contents, interval_s)
    watched = next((c for c in contents if isinstance(c, Watched)), None)
    given = stated if watched is None else _completed(stated, watched)
    subject = watched.subject if watched is not None else None
    machine = watched.machine if watched is not None else None
    devices = judge_devices(observations, given)
    phases = judge_phases(observations, given)
    whole = whole_of(devices)
    if subject is not None:
        whole = with_phase_limits(whole, phases)
    advice, withheld = advise(whole, phases)
    served = next((o.payload for o in observations if isinstance(o.payload, Serving) and o.phase is None), None)
    return Diagnosis(
        kind=kind,
        whole=whole,
        subject=subject,
        machine=machine,
        clocks=clocks(devices),
        files=tuple(files),
        engine=(subject.engine if subject is not None else None) or (served.engine if served is not None else None),
        model=(subject.model if subject is not None else None) or _model(served, given),
        window_s=(subject.window_s if subject is not None else None) or _window_s(observations, whole),
        idle_fraction=served.idle_fraction if served is not None else None,
        phases=phases,
        devices=tuple(devices),
        advice=advice,
        withheld=withheld,
        samples={**samples_of(short, given, devices), **samples_of_steps(whole.timeline)},
        slowest_device=slowest_device(devices, ranks=given.tensor_parallel > 1),
        warnings=tuple(
            dict.fromkeys([*warnings, *more, *whole.warnings, *_idle_devices(devices), *_unlike(stated, watched)])
        ),
        tool_version=__version__,
        created_at=now_text(),
    )


def _unlike(given: Given, watched: Watched | None) -> list[str]:
    """What the user states against what was seen."""
    if watched is None:
        return []
    found = []
    if given.part is not None and any(isinstance(o.payload, Host) and o.payload.computes for o in watched.observations):
        found.append(f"the job holds no GPU: it runs on the host's CPUs, and the roofs are those of {given.part.name}")
    stored, model = watched.subject.stored_bytes, given.model or watched.model
    served = (watched.subject.model or "").removesuffix(GGUF)
    if stored and model is not None and model.name and served and model.name.removesuffix(GGUF) != served:
        found.append(f"the model given is {model.name}, the engine serves {watched.subject.model}")
    return found


def _completed(given: Given, watched: Watched) -> Given:
    """What the user states, and for the rest what the job itself showed."""
    parallel = watched.subject.parallelism
    return replace(
        given,
        model=given.model or watched.model,
        dtype=given.dtype or watched.dtype,
        roofs=given.roofs or watched.roofs,
        tensor_parallel=given.tensor_parallel if given.tensor_parallel > 1 else parallel.get("tp", 1),
        pipeline_parallel=parallel.get("pp", 1),
        expert_parallel=parallel.get("ep", 1),
        data_parallel=parallel.get("dp", 1),
    )


def _once(paths: Sequence[str]) -> dict[str, str | None]:
    """Paths and their fingerprints, without those whose content was given already."""
    found: dict[str, str | None] = {}
    seen: set[str] = set()
    for path in paths:
        mark = fingerprint(path)
        if (mark or path) not in seen:
            seen.add(mark or path)
            found[path] = mark
    return found


def _observations(
    contents: Sequence[Contents], interval_s: float | None
) -> tuple[list[Observation], list[str], tuple[Window, ...]]:
    """Observations of every dump, and over short times; snapshots only once all of them are there."""
    found = [o for c in contents for o in c.observations]
    short = tuple(window for c in contents if isinstance(c, Watched) for window in c.windows)
    snapshots = [s for c in contents for s in getattr(c, "snapshots", ())]
    if not snapshots:
        return found, [], short
    from collectors.engines import windows
    from collectors.engines.spans import spans
    from collectors.prometheus import dcgm
    from collectors.windowed import windowed

    targets = windows.targets(snapshots, interval_s)
    served, warnings = windows.described(targets)
    every = [*found, *dcgm.observations(snapshots), *served]
    return every, warnings, short or windowed(spans(targets), every, ())


def _model(served: Serving | None, given: Given) -> str | None:
    stated = served.model if served is not None else None
    return stated or (given.model.name if given.model is not None else None)


def _window_s(observations: Sequence[Observation], whole: Judgement) -> float | None:
    """The time judged: of the timeline, else between snapshots, else the kernels' own."""
    if whole.timeline is not None:
        return whole.timeline.window_s
    between = [
        o.payload.window_s
        for o in observations
        if isinstance(o.payload, Serving) and o.phase is None and o.payload.window_s
    ]
    if between:
        return max(between)
    if whole.profile is not None and any(isinstance(o.payload, KernelProfile) for o in observations):
        return whole.measured.get("kernel_time_s")
    return None


def _idle_devices(devices: Sequence[Judgement]) -> list[str]:
    idle = [d for d in devices if d.verdict is not None and d.verdict.regime is Regime.IDLE and d.device is not None]
    if not idle or len(idle) == len(devices):
        return []
    listed = ", ".join(str(d.device.index) for d in idle if d.device is not None)
    return [f"idle throughout and left out of the whole: device {listed}"]
