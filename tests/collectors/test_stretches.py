"""Stretches between scrapes of made-up servers: which had work, what steps and prompts cost, what slots count."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.engines import windows
from collectors.engines.slots import COUNTER, LIVE_TOKENS, SLOTS_RUNNING, SLOTS_STEPS, SlotCounter
from collectors.engines.stretches import Stretch, curve, frozen_s, phases, stretches
from collectors.engines.table import ENGINES, LLAMA_CPP, VLLM, Engine
from collectors.prometheus.exposition import Sample, Snapshot
from heuristics.observations import LoadCurve, Serving
from heuristics.operations import Phase
from tests.make import engines
from tests.make.engines import IDLE, State

FIRST_S = 100.0


def shot(t_s: float, samples: list[tuple[str, dict[str, str], float]]) -> Snapshot:
    return Snapshot(source="x", samples=tuple(Sample(*s) for s in samples), taken_at_s=FIRST_S + t_s)


def scrape(t_s: float, state: State, write: Callable[[State], list[str]] = engines.vllm) -> Snapshot:
    """A page as it would be read."""
    from collectors.engines.source import _wanted
    from collectors.prometheus.series import SeriesReader

    return shot(t_s, SeriesReader(_wanted()).read("\n".join(write(state)).encode()))


def served(run: list[Snapshot]) -> tuple[Serving, dict[Phase, Serving], LoadCurve | None]:
    """What windows make of a run: the whole, its phases, its curve."""
    found, warnings = windows.observations(run)
    assert warnings == []
    (whole,) = (o.payload for o in found if isinstance(o.payload, Serving) and o.phase is None)
    parts = {o.phase: o.payload for o in found if isinstance(o.payload, Serving) and o.phase is not None}
    return whole, parts, next((o.payload for o in found if isinstance(o.payload, LoadCurve)), None)


# --- full, idle, frozen


def test_work_throughout() -> None:
    run = [scrape(float(n), State().later(float(n) or 1e-9)) for n in range(6)]
    pieces = stretches(VLLM, run)
    assert len(pieces) == 5
    assert all(p.full and p.moved and not p.idle for p in pieces)
    assert [p.steps for p in pieces] == pytest.approx([50.0] * 5)
    assert [p.batch for p in pieces] == pytest.approx([8.0] * 5)
    whole, parts, _ = served(run)
    assert whole.least_work == 1.0
    assert whole.idle_fraction == 0.0
    assert whole.frozen_s == 0.0
    assert whole.step_s == pytest.approx(0.02)
    assert set(parts) == {Phase.DECODE}


def test_work_for_a_third_of_the_time() -> None:
    busy = [State().later(float(n) or 1e-9) for n in range(4)]
    idle = [busy[-1].later(1e-9, running=0.0)] * 6
    run = [scrape(float(n), state) for n, state in enumerate([*busy, *idle])]
    whole, _, _ = served(run)
    assert whole.idle_fraction == pytest.approx(5 / 9)
    assert whole.least_work == pytest.approx(3 / 9)
    assert not whole.busy
    assert whole.tokens_per_s == pytest.approx(400.0 * 3 / 9)
    assert whole.step_s == pytest.approx(0.02)


def test_nothing_to_do() -> None:
    whole, parts, varied = served([scrape(float(n), IDLE) for n in range(5)])
    assert whole.idle_fraction == 1.0
    assert whole.least_work == 0.0
    assert whole.frozen_s == 0.0
    assert parts == {}
    assert varied is None


@pytest.mark.parametrize("still", [0, 1, 3, 6])
def test_counters_that_stand_still_at_the_end(still: int) -> None:
    moving = [State().later(float(n) or 1e-9) for n in range(4)]
    run = [scrape(float(n), state) for n, state in enumerate([*moving, *[moving[-1]] * still])]
    assert served(run)[0].frozen_s == pytest.approx(float(still))


def test_a_pause_in_the_middle_is_no_freeze() -> None:
    states = [State().later(float(n) or 1e-9) for n in range(3)]
    states += [states[-1]] * 3 + [states[-1].later(1.0)]
    assert served([scrape(float(n), state) for n, state in enumerate(states)])[0].frozen_s == 0.0


def piece(**fields: Any) -> Stretch:
    base: dict[str, Any] = {
        "window_s": 1.0,
        "full": True,
        "idle": False,
        "moved": True,
        "steps": 50.0,
        "generated": 400.0,
        "prompt": 0.0,
        "batch": 8.0,
        "prefill_s": None,
        "context_tokens": None,
    }
    return Stretch(**(base | fields))


def test_idleness_is_no_freeze() -> None:
    assert frozen_s([piece(moved=False, full=False, idle=True)] * 5) == 0.0
    assert frozen_s([piece(), piece(moved=False), piece(moved=False, window_s=0.5)]) == 1.5
    assert frozen_s([]) == 0.0


def test_two_scrapes_have_no_stretches() -> None:
    run = [scrape(0.0, State()), scrape(1.0, State().later(1.0))]
    assert stretches(VLLM, run) == []
    assert served(run)[0].least_work is None


def test_scrapes_without_times_have_none() -> None:
    run = [Snapshot(source="x", samples=scrape(0.0, State()).samples) for _ in range(4)]
    assert stretches(VLLM, run) == []


def test_two_scrapes_of_one_moment() -> None:
    states = [State(), State().later(1.0), State().later(1.0), State().later(2.0)]
    pieces = stretches(VLLM, [scrape(t, s) for t, s in zip([0.0, 1.0, 1.0, 2.0], states, strict=True)])
    assert sum(p.window_s for p in pieces) == pytest.approx(2.0)


@given(cuts=st.lists(st.floats(0.2, 3.0), min_size=2, max_size=8), step_s=st.sampled_from([0.001, 0.01, 0.05]))
def test_parts_add_up_to_the_whole(cuts: list[float], step_s: float) -> None:
    state, t_s, run = State(), 0.0, [scrape(0.0, State())]
    for cut in cuts:
        state, t_s = state.later(cut, step_s=step_s), t_s + cut
        run.append(scrape(t_s, state))
    pieces = stretches(VLLM, run)
    whole, _, _ = served(run)
    assert sum(p.window_s for p in pieces) == pytest.approx(t_s)
    assert sum(p.generated for p in pieces) == pytest.approx(whole.generation_tokens)
    assert sum(p.steps or 0.0 for p in pieces) == pytest.approx(whole.steps)


def test_every_engine_has_stretches() -> None:
    writers: dict[str, Callable[[State], list[str]]] = {
        "vLLM": engines.vllm,
        "SGLang": engines.sglang,
        "TGI": engines.tgi,
        "llama.cpp": engines.llama_cpp,
        "LMDeploy": engines.lmdeploy,
    }
    for engine in ENGINES:
        if engine.name in writers:
            begun = State(busy_slots=240_000.0)
            run = [scrape(float(n), begun.later(float(n) or 1e-9), writers[engine.name]) for n in range(4)]
            pieces = stretches(engine, run)
            assert [p.steps for p in pieces] == pytest.approx([50.0] * 3), engine.name
            assert all(p.full for p in pieces), engine.name


# --- phases


def mixed(count: int, *, step_s: float, token_s: float, seed: int = 1) -> list[Snapshot]:
    """A server that decodes, and takes prompts in between, which take their time."""
    chance = random.Random(seed)
    state, t_s, run = State(), 0.0, [scrape(0.0, State())]
    for n in range(count):
        prompt = 0.0 if n % 3 else chance.uniform(500, 4000)
        steps = chance.randrange(20, 60)
        seconds = steps * step_s
        state = state.later(
            seconds, step_s=step_s, prompt_tokens=prompt, step_tokens=8.0 * steps + prompt, firsts=prompt / 500.0
        )
        t_s += seconds + prompt * token_s
        run.append(scrape(t_s, state))
    return run


@pytest.mark.parametrize("token_s", [5e-5, 2e-4, 1e-3])
def test_prompts_and_steps_are_told_apart(token_s: float) -> None:
    run = mixed(20, step_s=0.02, token_s=token_s)
    whole, parts, _ = served(run)
    assert set(parts) == {Phase.PREFILL, Phase.DECODE}
    assert parts[Phase.DECODE].step_s == pytest.approx(0.02, rel=0.01)
    assert parts[Phase.PREFILL].prompt_tokens_per_s == pytest.approx(1.0 / token_s, rel=0.01)
    assert whole.window_s is not None
    both = sum(part.window_s or 0.0 for part in parts.values())
    assert both == pytest.approx(whole.window_s, rel=1e-6)
    assert parts[Phase.DECODE].batch == pytest.approx(8.0)


def test_without_prompts_all_is_decoding() -> None:
    whole, parts, _ = served([scrape(float(n), State().later(float(n) or 1e-9)) for n in range(6)])
    assert set(parts) == {Phase.DECODE}
    assert parts[Phase.DECODE].window_s == pytest.approx(whole.window_s)


def test_prompts_always_in_the_same_proportion_cannot_be_told_apart() -> None:
    state, run = State(), [scrape(0.0, State())]
    for n in range(8):
        state = state.later(1.0, prompt_tokens=1000.0)
        run.append(scrape(1.2 * (n + 1), state))
    assert served(run)[1] == {}


def test_phases_without_steps() -> None:
    assert phases(Serving(engine="x", window_s=5.0), [piece(steps=None)] * 5) == []
    assert phases(Serving(engine="x", window_s=None), [piece()] * 5) == []
    assert phases(Serving(engine="x", window_s=5.0), []) == []


# --- the batch varies


def test_a_varying_batch_gives_a_curve() -> None:
    state, t_s, run = State(busy_slots=240_000.0), 0.0, [scrape(0.0, State(busy_slots=240_000.0))]
    for batch in (1.0, 2.0, 4.0, 8.0, 16.0):
        state = state.later(1.0, step_s=0.02, batch=batch, running=batch)
        t_s += 1.0
        run.append(scrape(t_s, state))
    varied = served(run)[2]
    assert varied is not None
    assert list(varied.batch) == pytest.approx([1.0, 2.0, 4.0, 8.0, 16.0])
    assert list(varied.step_s) == pytest.approx([0.02] * 5)


def test_stretches_with_prompts_or_few_steps_are_no_points() -> None:
    whole = Serving(engine="x", window_s=9.0)
    assert curve(whole, [piece()] * 3) is None
    assert curve(whole, [piece(prompt=5.0)] * 9) is None
    assert curve(whole, [piece(steps=2.0)] * 9) is None
    assert curve(whole, [piece(full=False)] * 9) is None
    found = curve(whole, [*[piece()] * 4, piece(prompt=5.0), piece(batch=None)])
    assert found is not None
    assert found.batch.size == 4
    assert found.capped is not None
    assert not found.capped.any()


def test_a_full_cache_with_requests_waiting_caps_the_batch() -> None:
    state, run = State(), []
    for n, (usage, waiting) in enumerate([(0.5, 0.0), (0.5, 3.0), (0.99, 0.0), (0.99, 3.0), (0.99, 3.0)]):
        state = state.later(1.0, kv_usage=usage, waiting=waiting)
        run.append(scrape(float(n), state))
    assert [p.capped for p in stretches(VLLM, run)] == [False, False, True, True]


# --- slots of a made-up llama.cpp server


@dataclass
class Server:
    """So many slots; every step gives each running one a token; requests end and others begin, some within a read."""

    slots: int
    longest: int
    chance: random.Random
    steps: int = 0
    generated: int = 0
    ended: int = 0
    tasks: int = 0
    running: dict[int, list[int]] = field(default_factory=dict)
    """By slot: task, tokens so far, tokens wanted."""

    def work(self, steps: int, load: float) -> None:
        for _ in range(steps):
            for slot in range(self.slots):
                if slot not in self.running and self.chance.random() < load:
                    self.tasks += 1
                    self.running[slot] = [self.tasks, 0, self.chance.randrange(1, self.longest)]
            self.steps += bool(self.running)
            for slot, request in list(self.running.items()):
                request[1] += 1
                self.generated += 1
                if request[1] >= request[2]:
                    self.ended += request[1]
                    del self.running[slot]

    def read(self) -> list[dict[str, Any]]:
        """As recorded: idle slots still show their last request."""
        return [
            {"id": n, "task": self.running[n][0], "running": True, "decoded": self.running[n][1]}
            if n in self.running
            else {"id": n, "task": 1, "running": False, "decoded": 77}
            for n in range(self.slots)
        ]


def reads(server: Server, count: int, *, most_steps: int, load: float) -> Iterator[list[dict[str, Any]]]:
    for _ in range(count):
        yield server.read()
        server.work(server.chance.randrange(1, most_steps), load)


def live(series: list[tuple[str, dict[str, str], float]], name: str) -> float:
    return next(value for known, _, value in series if known == name)


@given(
    seed=st.integers(0, 10_000),
    slots=st.integers(1, 8),
    longest=st.integers(2, 200),
    most_steps=st.integers(2, 80),
    load=st.sampled_from([0.02, 0.3, 1.0]),
)
def test_with_the_servers_counter_slots_count_exactly(
    seed: int, slots: int, longest: int, most_steps: int, load: float
) -> None:
    server = Server(slots, longest, random.Random(seed))
    server.work(10, load)
    counter, first = SlotCounter(), None
    for read in reads(server, 15, most_steps=most_steps, load=load):
        found = counter.series(read, float(server.ended))
        first = (live(found, LIVE_TOKENS), server.generated) if first is None else first
        assert live(found, LIVE_TOKENS) - first[0] == server.generated - first[1]
        assert live(found, SLOTS_RUNNING) == len(server.running)
        assert SLOTS_STEPS not in {name for name, _, _ in found}


@given(
    seed=st.integers(0, 10_000),
    slots=st.integers(1, 8),
    longest=st.integers(2, 200),
    most_steps=st.integers(2, 80),
    load=st.sampled_from([0.02, 0.3, 1.0]),
)
def test_without_it_they_never_count_too_much_and_say_when_too_little(
    seed: int, slots: int, longest: int, most_steps: int, load: float
) -> None:
    server = Server(slots, longest, random.Random(seed))
    server.work(10, load)
    counter, before = SlotCounter(), 0.0
    begun: tuple[int, int] | None = None
    for read in reads(server, 15, most_steps=most_steps, load=load):
        found = counter.series(read, None)
        begun = (server.generated, server.steps) if begun is None else begun
        tokens = live(found, LIVE_TOKENS)
        assert before <= tokens <= server.generated - begun[0]
        assert live(found, SLOTS_STEPS) <= server.steps - begun[1]
        before = tokens
        if not counter.lossy:
            assert tokens == server.generated - begun[0] or server.tasks > len(server.running)


def test_requests_that_go_on_are_counted_exactly_without_any_counter() -> None:
    server = Server(4, 10**9, random.Random(1))
    server.work(5, 1.0)
    counter, begun = SlotCounter(), server.generated
    for read in reads(server, 10, most_steps=30, load=1.0):
        assert live(counter.series(read, None), LIVE_TOKENS) == server.generated - begun
    assert not counter.lossy


def test_a_request_that_begins_and_is_seen_is_counted_from_its_beginning() -> None:
    counter = SlotCounter()
    counter.series([{"id": 0, "running": False}], None)
    found = counter.series([{"id": 0, "task": 5, "running": True, "decoded": 12}], None)
    assert live(found, LIVE_TOKENS) == 12.0


def test_another_request_in_the_same_slot() -> None:
    counter = SlotCounter()
    counter.series([{"id": 0, "task": 1, "running": True, "decoded": 50}], None)
    found = counter.series([{"id": 0, "task": 2, "running": True, "decoded": 60}], None)
    assert live(found, LIVE_TOKENS) == 60.0
    assert counter.lossy


def slots_run(with_counter: bool) -> list[Snapshot]:
    """Four slots that generate 30 tokens a second each, read once a second, with requests that end in between."""
    server = Server(4, 100, random.Random(3))
    server.work(5, 1.0)
    counter, run = SlotCounter(), []
    for n in range(10):
        plain = [(COUNTER, {}, float(server.ended)), ("llamacpp:requests_processing", {}, float(len(server.running)))]
        plain += [("llamacpp:n_decode_total", {}, float(server.steps))]
        made = counter.series(server.read(), float(server.ended) if with_counter else None)
        run.append(shot(float(n), [*(plain if with_counter else []), *made]))
        server.work(30, 1.0)
    return run


def test_slots_and_metrics_give_a_window() -> None:
    whole, _, _ = served(slots_run(with_counter=True))
    assert whole.engine == "llama.cpp"
    assert whole.tokens_per_s == pytest.approx(120.0, rel=0.02)
    assert whole.batch == pytest.approx(4.0, rel=0.02)
    assert whole.steps_per_s == pytest.approx(30.0, rel=0.02)
    assert whole.least_work == 1.0


def test_slots_alone_give_a_window() -> None:
    whole, _, _ = served(slots_run(with_counter=False))
    assert whole.engine == "llama.cpp"
    assert 60.0 < (whole.tokens_per_s or 0.0) <= 120.0
    assert whole.requests_running == pytest.approx(4.0, abs=1.0)


def test_series_of_slots_are_the_engines() -> None:
    engine: Engine = LLAMA_CPP
    assert all(name.startswith(engine.prefixes) for name in (LIVE_TOKENS, SLOTS_RUNNING, SLOTS_STEPS))


def test_a_request_that_ends_between_the_two_reads_of_one_look() -> None:
    """The server answers between steps: metrics first, slots a step later."""
    server = Server(4, 60, random.Random(7))
    server.work(5, 1.0)
    counter, found, generated = SlotCounter(), [], []
    for _ in range(60):
        ended = float(server.ended)
        server.work(1, 1.0)
        found.append(live(counter.series(server.read(), ended), LIVE_TOKENS))
        generated.append(server.generated)
        server.work(10, 1.0)
    assert found == sorted(found)
    for counted, true in zip(found, generated, strict=True):
        assert abs((counted - found[0]) - (true - generated[0])) <= 4.0 * 11.0
