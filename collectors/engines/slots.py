"""llama.cpp's slots as counters: what its metrics count only when a request ends, counted while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LIVE_TOKENS = "llamacpp_slots:generated_total"
SLOTS_RUNNING = "llamacpp_slots:running"
SLOTS_STEPS = "llamacpp_slots:steps_total"
SLOTS_CONTEXT = "llamacpp_slots:context_tokens"
"""Series made of the slots, named apart from the server's own."""

COUNTER = "llamacpp:tokens_predicted_total"


@dataclass(slots=True)
class SlotCounter:
    """Counters kept over successive reads of ``/slots``."""

    before: dict[int, tuple[Any, float]] = field(default_factory=dict)
    tokens: float = 0.0
    steps: float = 0.0
    begun: bool = False
    ended: float | None = None
    lossy: bool = False
    """Requests ended between two reads and no counter of the server says with how many tokens."""

    def series(
        self, slots: Sequence[Mapping[str, Any]], ended_tokens: float | None
    ) -> list[tuple[str, dict[str, str], float]]:
        """The series of one read. ``ended_tokens``: the server's own counter, which grows as requests end.

        With it, tokens so far are those of ended requests and of running ones, exactly. Without it they are added
        up from read to read, and what a request generated between the last read and its end is lost.
        """
        running = [slot for slot in slots if slot.get("running")]
        current = {int(s.get("id", n)): (s.get("task"), float(s.get("decoded", 0.0))) for n, s in enumerate(running)}
        gained = [self._gained(slot, *now) for slot, now in current.items()]
        self.lossy = self.lossy or any(self.before[slot][0] != current.get(slot, (None,))[0] for slot in self.before)
        self.tokens += sum(gained)
        self.steps += max(gained, default=0.0)
        live = self.tokens
        if ended_tokens is not None:
            live = (
                ended_tokens + sum(decoded for _, decoded in current.values()) + self._unsettled(current, ended_tokens)
            )
        self.before, self.begun = current, True
        found: list[tuple[str, dict[str, str], float]] = [
            (LIVE_TOKENS, {}, live),
            (SLOTS_RUNNING, {}, float(len(running))),
            (SLOTS_CONTEXT, {}, sum(float(slot.get("context", 0.0)) for slot in running)),
        ]
        return found if ended_tokens is not None else [*found, (SLOTS_STEPS, {}, self.steps)]

    def _gained(self, slot: int, task: Any, decoded: float) -> float:
        """Tokens since the last read; all of them where another request has the slot now, none at the first read."""
        if not self.begun:
            return 0.0
        known = self.before.get(slot)
        if known is None or known[0] != task or decoded < known[1]:
            return decoded
        return decoded - known[1]

    def _unsettled(self, current: Mapping[int, tuple[Any, float]], ended_tokens: float) -> float:
        """Tokens of requests that are gone from their slots and not yet in the counter, which was read before."""
        gone = sum(
            decoded for slot, (task, decoded) in self.before.items() if current.get(slot, (None, 0.0))[0] != task
        )
        told = ended_tokens - (self.ended if self.ended is not None else ended_tokens)
        self.ended = ended_tokens
        return max(0.0, gone - told)
