"""How often the gate is right, on nights made up: shifts between sessions, heavy tails, hosts that drift.

``python -m tests.heuristics.regression.simulation [NIGHTS]`` prints the table of docs/check.md. Sessions are
drawn, handed over as verdicts' figures, and the gate's answers counted; how they are drawn knows nothing of the gate.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from heuristics.regression.gate import check
from heuristics.regression.outcome import Outcome
from heuristics.regression.paired import compare_pairs
from heuristics.regression.policy import PairedPolicy, Policy
from heuristics.regression.session import Session, figures_of
from heuristics.vocabulary import Cause, Regime

WINDOWS = 10
WITHIN = 0.01
"""Noise of a window within its session."""

Draw = Callable[[np.random.Generator, int], "np.ndarray[tuple[int], np.dtype[np.float64]]"]


def normal(rng: np.random.Generator, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return rng.standard_normal(count)


def heavy(rng: np.random.Generator, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Student's t of three degrees of freedom, scaled to a deviation of one."""
    return rng.standard_t(3, count) / np.sqrt(3.0)


def drifting(rng: np.random.Generator, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A host whose speed wanders: each night keeps 0.6 of the last night's offset. Deviation one."""
    kept = 0.6
    offsets = np.empty(count)
    offsets[0] = rng.standard_normal()
    for night in range(1, count):
        offsets[night] = kept * offsets[night - 1] + np.sqrt(1.0 - kept**2) * rng.standard_normal()
    return offsets


def wandering(rng: np.random.Generator, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A host that never comes back: a random walk with some noise, of deviation one over the baseline."""
    walk = np.cumsum(rng.standard_normal(count)) * np.sqrt(0.75 / (count / 6))
    return walk + 0.5 * rng.standard_normal(count)


def trending(rng: np.random.Generator, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A host that gets slower night by night, as dust settles: over ten nights by two deviations, beside the noise."""
    return rng.standard_normal(count) * np.sqrt(0.75) + np.linspace(-1.0, 1.0, 10)[:count] * 0.87


def stepping(rng: np.random.Generator, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A job that got faster by seven deviations (a tenth, at 1.5 %) half way, and stayed so."""
    return rng.standard_normal(count) - 7.0 * (np.arange(count) >= count // 2)


HOSTS: dict[str, Draw] = {
    "normal": normal,
    "heavy tails": heavy,
    "drifting": drifting,
    "wandering": wandering,
    "trending": trending,
    "stepping": stepping,
}


@dataclass(frozen=True)
class Night:
    """One current session after ``sessions`` like ones; the current one is slower by ``slowdown``."""

    host: str
    spread: float
    sessions: int
    slowdown: float = 0.0

    def draw(self, rng: np.random.Generator) -> tuple[Session, list[Session]]:
        shifts = self.spread * HOSTS[self.host](rng, self.sessions + 1)
        made = [_session(rng, float(s), str(i), 0.0) for i, s in enumerate(shifts[:-1])]
        return _session(rng, float(shifts[-1]), "now", self.slowdown), made


def _session(rng: np.random.Generator, shift: float, name: str, slowdown: float) -> Session:
    """Time per token with its windows; the others follow it, each with some noise of its own."""
    step = 0.02 * np.exp(shift) * (1.0 + slowdown)
    windows = tuple(float(x) for x in step * np.exp(WITHIN * rng.standard_normal(WINDOWS)))
    own = np.exp(0.5 * WITHIN * rng.standard_normal(4))
    measured = {
        "time_to_first_token_s": float(0.2 * np.exp(shift) * (1.0 + slowdown) * own[0]),
        "tokens_per_s": float(8.0 / step * own[1]),
        "bandwidth_fraction": float(0.6 * 0.02 / step * own[2]),
        "busy_fraction": float(0.9 * own[3]),
    }
    return Session(
        name=name,
        created_at=f"2026-01-{len(name):02d}",
        data=name,
        identity={},
        figures=figures_of(measured, {"time_per_output_token_s": windows}),
        regime=Regime.MEMORY,
        cause=Cause.WEIGHTS,
        confidence=0.95,
    )


@dataclass(frozen=True)
class Rates:
    """Of so many nights, by outcome."""

    outcomes: tuple[Outcome, ...]

    def of(self, outcome: Outcome) -> float:
        return sum(o is outcome for o in self.outcomes) / len(self.outcomes)


def nights(night: Night, count: int, seed: int = 1, policy: Policy | None = None) -> Rates:
    rng = np.random.default_rng(seed)
    return Rates(tuple(check(*night.draw(rng), policy or Policy()).outcome for _ in range(count)))


@dataclass(frozen=True)
class Paired:
    """Two commands in turns on a host whose offset wanders from run to run."""

    host: str
    spread: float
    slowdown: float = 0.0
    within: float = WITHIN

    def draw(self, rng: np.random.Generator, pairs: int) -> tuple[list[float], list[float]]:
        """Times of A and of B, run as A B B A A B B A."""
        offset = self.spread * HOSTS[self.host](rng, 1)[0]
        wander = np.cumsum(0.1 * self.spread * rng.standard_normal(2 * pairs))
        noise = self.within * HOSTS["heavy tails" if self.host == "heavy tails" else "normal"](rng, 2 * pairs)
        log = offset + wander + noise
        a, b = [], []
        for pair in range(pairs):
            first, second = (float(x) for x in log[2 * pair : 2 * pair + 2])
            mine, other = (first, second) if pair % 2 == 0 else (second, first)
            a.append(float(np.exp(mine)))
            b.append(float(np.exp(other)) * (1.0 + self.slowdown))
        return a, b


def paired(run: Paired, count: int, seed: int = 1, policy: PairedPolicy | None = None) -> Rates:
    chosen = policy or PairedPolicy()
    rng = np.random.default_rng(seed)
    return Rates(tuple(compare_pairs(*run.draw(rng, chosen.pairs), chosen).outcome for _ in range(count)))


def table(count: int) -> list[str]:
    """The lines of the table, with rates in percent."""
    lines = [
        f"{count:,} nights a row; 10 windows a session, 1 % noise within a session",
        "",
        f"{'host':12} {'spread':>6} {'like':>4} {'slower':>6}   {'pass':>6} {'regr.':>6} {'impr.':>6} {'cannot':>6}",
    ]
    for host in HOSTS:
        for spread, sessions, slowdown in _CASES:
            if (host == "trending" and sessions > 9) or (host == "stepping" and (sessions < 20 or spread > 0.015)):
                continue
            found = nights(Night(host, spread, sessions, slowdown), count)
            lines.append(_row(host, spread, str(sessions), slowdown, found))
    lines += ["", "in pairs, ABBA, ten of each", ""]
    for host in ("normal", "heavy tails", "drifting"):
        for within in (0.01, 0.02):
            for slowdown in (0.0, 0.05, 0.10):
                found = paired(Paired(host, 0.03, slowdown, within), count)
                lines.append(_row(host, within, "10", slowdown, found))
    return lines


_CASES: Sequence[tuple[float, int, float]] = (
    (0.015, 7, 0.30),
    (0.015, 8, 0.0),
    (0.015, 8, 0.05),
    (0.015, 8, 0.10),
    (0.015, 20, 0.0),
    (0.015, 20, 0.05),
    (0.015, 20, 0.10),
    (0.03, 8, 0.0),
    (0.03, 8, 0.10),
    (0.03, 20, 0.0),
    (0.03, 20, 0.10),
    (0.08, 8, 0.0),
)


def _row(host: str, spread: float, sessions: str, slowdown: float, found: Rates) -> str:
    shown = (Outcome.PASS, Outcome.REGRESSION, Outcome.IMPROVEMENT, Outcome.CANNOT_TELL)
    cells = " ".join(f"{100.0 * found.of(o):6.2f}" for o in shown)
    return f"{host:12} {100.0 * spread:5.1f}% {sessions:>4} {100.0 * slowdown:5.0f}%   {cells}"


if __name__ == "__main__":
    print("\n".join(table(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)))
