"""What moved between two verdicts of one job: time, where it went, and what was counted that fits.

Everything is read from the verdicts' JSON, which others may have written or cut: what makes no sense is left out.
"""

from __future__ import annotations

from heuristics.regression.circumstances import LOAD, WORK, apart, circumstances, measured_apart
from heuristics.regression.levels import levels_of
from heuristics.regression.loose import Json, fraction, mapping, numbers
from heuristics.regression.metrics import KERNEL_TIME, METRICS, ROOF
from heuristics.regression.moved import Change, Moved
from heuristics.regression.noise import relative_noise
from heuristics.regression.parts import Noise, part_of, phases_of, points, relative
from heuristics.regression.reasons import reasons, weighs
from heuristics.regression.row_moves import kernels_of, operations_of
from heuristics.regression.session import Session

OTHER_LOAD = 0.2
"""A batch or context that differs by more than this part is another load."""

_ROOFS = (
    ("bandwidth_fraction", "peak bandwidth used"),
    ("compute_fraction", "peak arithmetic used"),
)


def difference(before: Session, after: Session) -> Moved:
    """The comparison of two sessions, by their verdicts' JSON."""
    one, other = _settled(before), _settled(after)
    noise = _noise(before, after)
    whole = part_of(one, other, noise)
    phases = phases_of(one, other, whole, noise)
    kernels, operations = kernels_of(one, other), operations_of(one, other)
    around = circumstances(before, after)
    fitting = reasons(one, other, whole, phases, kernels, around)
    levels, levels_by = levels_of(one, other)
    return Moved(
        before=before.name,
        after=after.name,
        same_data=before.data == after.data,
        whole=whole,
        apart=apart(before, after),
        measured_apart=measured_apart(before, after),
        other_load=_other_load(one, other),
        host_wait=_host_wait(one, other),
        figures=_figures(before, after, noise, without=() if kernels is None else (KERNEL_TIME.name,)),
        roofs=_roofs(one, other, noise),
        phases=phases,
        kernels=kernels,
        operations=operations,
        levels=levels,
        levels_by=levels_by,
        circumstances=tuple(c for c in around if WORK.get(c.name) not in {reason.kind for reason in fitting}),
        reasons=fitting,
    )


def _settled(session: Session) -> Json:
    """The verdict, with medians over windows in place of what was measured over the whole, as the gate takes them."""
    verdict = session.verdict
    medians = {name: figure.value for name, figure in session.figures.items() if figure.windows and name != ROOF}
    return {**verdict, "measured": {**mapping(verdict, "measured"), **medians}}


def _noise(before: Session, after: Session) -> Noise:
    def of(name: str) -> float:
        windows = [f.windows if (f := s.figures.get(name)) is not None else () for s in (before, after)]
        return relative_noise(*windows)

    return of


def _figures(before: Session, after: Session, noise: Noise, without: tuple[str, ...]) -> tuple[Change, ...]:
    """The metrics that both have, in the reports' order; kernel time is told with the kernels."""
    found = []
    for metric in METRICS:
        one, other = before.figure(metric.name), after.figure(metric.name)
        if one is not None and other is not None and metric.name not in (ROOF, *without):
            found.append(relative(metric.name, metric.label, metric.unit, one, other, noise(metric.name)))
    return tuple(found)


def _host_wait(before: Json, after: Json) -> Change | None:
    told = [fraction(mapping(side, "measured").get("host_wait_fraction")) for side in (before, after)]
    return None if None in told else points("host_wait_fraction", "waiting for a CPU", *told)


def _roofs(before: Json, after: Json, noise: Noise) -> tuple[Change, ...]:
    figures = numbers(mapping(before, "measured")), numbers(mapping(after, "measured"))
    return tuple(
        relative(name, label, "percent", figures[0][name], figures[1][name], noise(name))
        for name, label in _ROOFS
        if name in figures[0] and name in figures[1]
    )


def _other_load(before: Json, after: Json) -> tuple[Change, ...]:
    """A longer context is more load only where the cache is much of what a step reads."""
    figures = numbers(mapping(before, "measured")), numbers(mapping(after, "measured"))
    found = [
        relative(name, LOAD[name][0], LOAD[name][1], figures[0][name], figures[1][name], OTHER_LOAD)
        for name in ("batch", "context_tokens")
        if name in figures[0] and name in figures[1] and (name == "batch" or weighs("kv_bytes_per_step", figures))
    ]
    return tuple(change for change in found if change.changed)
