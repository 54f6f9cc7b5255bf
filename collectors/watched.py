"""What watching a job gave, whether it was just now or is read from a recording."""

from __future__ import annotations

from dataclasses import dataclass

from collectors.dump import Contents
from heuristics.model_shape import ModelShape
from heuristics.observations import Observation
from heuristics.roofs import Roofs
from heuristics.subject import Machine, Subject
from heuristics.vocabulary import Dtype

Window = tuple[Observation, ...]
"""What was observed over one short time, to be put together as what was observed over all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched(Contents):
    """What a recording holds beside its observations."""

    subject: Subject
    model: ModelShape | None = None
    dtype: Dtype | None = None
    roofs: Roofs | None = None
    machine: Machine | None = None
    windows: tuple[Window, ...] = ()
    """Short times, one after another, in which the job worked."""
