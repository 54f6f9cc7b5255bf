"""The gate against sessions that are known: what fails, what passes, and what cannot be told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heuristics.regression.gate import check, confirmed
from heuristics.regression.likeness import LENIENT, TRAITS
from heuristics.regression.outcome import Outcome, Reason, Role, Why
from heuristics.regression.policy import FEWEST_SESSIONS, Policy
from heuristics.regression.session import Health
from heuristics.vocabulary import Cause, Regime
from tests.heuristics.regression.made import NOISE, changed, nights, session

POLICY = Policy()


def told(current: Any, sessions: Any, **options: Any) -> tuple[Outcome, tuple[Why, ...]]:
    found = check(current, sessions, Policy(**options))
    return found.outcome, found.why


def test_a_night_like_the_others_passes() -> None:
    found = check(session(slower=0.02), nights(), POLICY)
    assert (found.outcome, found.why, found.outcome.exit_code) == (Outcome.PASS, (Why.UNCHANGED,), 0)
    primary = found.comparisons[0]
    assert primary.metric.name == "time_per_output_token_s"
    assert primary.role is Role.GATE
    assert primary.sessions == 10
    assert primary.low is not None
    assert primary.high is not None
    assert primary.current is not None
    assert primary.low < primary.current < primary.high
    assert primary.change == pytest.approx(0.02, abs=0.02)


def test_a_slower_night_fails_and_says_by_how_much() -> None:
    found = check(session(slower=0.12), nights(), POLICY)
    assert (found.outcome, found.outcome.exit_code) == (Outcome.REGRESSION, 1)
    assert found.why == (Why.SLOWER, Why.FARTHER_FROM_ROOF)
    assert found.comparisons[0].change == pytest.approx(0.12, abs=0.01)


def test_a_faster_night_is_an_improvement() -> None:
    assert told(session(slower=-0.12), nights()) == (Outcome.IMPROVEMENT, (Why.FASTER,))


def test_a_small_change_never_fails_however_quiet_the_nights_were() -> None:
    still = nights(12, spread=0.0)
    assert told(session(slower=0.029), still)[0] is Outcome.PASS
    assert told(session(slower=0.06), still)[0] is Outcome.REGRESSION


@given(st.integers(0, FEWEST_SESSIONS - 1), st.floats(-0.9, 10.0))
def test_fewer_than_eight_sessions_never_fail(count: int, slower: float) -> None:
    current = session(slower=slower, regime=Regime.LATENCY, cause=Cause.HOST)
    outcome, why = told(current, nights(count))
    assert outcome is Outcome.CANNOT_TELL
    assert why == (Why.TOO_FEW_SESSIONS,)


@pytest.mark.parametrize("trait", list(TRAITS))
def test_unlike_sessions_are_not_compared(trait: str) -> None:
    current = session(slower=0.5, identity={trait: "another"})
    found = check(current, nights(), POLICY)
    assert (found.outcome, found.why) == (Outcome.CANNOT_TELL, (Why.UNLIKE,))
    assert [d.trait for left in found.left_out for d in left.differences] == [trait]
    across = check(current, nights(), Policy(across=frozenset({trait})))
    assert across.outcome is Outcome.REGRESSION


@pytest.mark.parametrize("trait", [t for t in TRAITS if t != "parallelism"])
def test_what_one_side_does_not_state(trait: str) -> None:
    """A device that is not known may be any; a driver that is not stated is no other one."""
    outcome, _ = told(session(slower=0.5, identity={trait: None}), nights())
    assert outcome is (Outcome.REGRESSION if trait in LENIENT else Outcome.CANNOT_TELL)


def test_the_nearest_of_the_unlike_sessions_are_told() -> None:
    """An upgraded engine, beside many sessions of another workload."""
    upgraded = session(identity={"engine_version": "0.33.0"})
    others = [session(f"other {i}", identity={"workload": "prefill"}) for i in range(20)]
    found = check(upgraded, [*nights(), *others], POLICY)
    assert [d.trait for d in found.nearly_alike] == ["engine_version"]


def test_another_part_is_told_once() -> None:
    other = {"gpu": "NVIDIA A100", "devices": "1 x NVIDIA A100"}
    found = check(session(slower=0.5, identity=other), nights(), POLICY)
    assert [d.trait for d in found.nearly_alike] == ["gpu"]
    assert told(session(slower=0.5, identity=other), nights(), across=frozenset({"gpu"}))[0] is Outcome.REGRESSION


def test_sessions_without_any_speed_say_so_from_the_first_night_on() -> None:
    bare = dict.fromkeys(("time_per_output_token_s", "tokens_per_s"))
    for count in (0, 3, 10):
        assert told(session(measured=bare), nights(count, measured=bare))[1] == (Why.MISSING_METRIC,)


def test_some_unlike_ones_are_left_out_and_counted() -> None:
    mixed = nights(9) + nights(4, identity={"gpu": "NVIDIA A100"})
    mixed = [s if i < 9 else session(f"other {i}", 1.0, identity={"gpu": "NVIDIA A100"}) for i, s in enumerate(mixed)]
    found = check(session(), mixed, POLICY)
    assert found.outcome is Outcome.PASS
    assert len(found.sessions) == 9
    assert [left.count for left in found.left_out] == [4]


@pytest.mark.parametrize("where", ["regime", "cause"])
def test_a_flip_fails_where_both_are_sure(where: str) -> None:
    other: dict[str, Any] = (
        {"regime": Regime.LATENCY, "cause": Cause.HOST} if where == "regime" else {"cause": Cause.KV_CACHE}
    )
    flipped = Why.REGIME_FLIP if where == "regime" else Why.CAUSE_FLIP
    assert told(session(**other), nights()) == (Outcome.REGRESSION, (flipped,))
    assert told(session(confidence=0.7, **other), nights())[0] is Outcome.PASS
    assert told(session(**other), nights(confidence=0.7))[0] is Outcome.PASS
    assert told(session(**other), nights(), flips_gate=False)[0] is Outcome.PASS


def test_no_flip_to_a_regime_that_was_seen_before_or_from_one_that_never_settled() -> None:
    latency: dict[str, Any] = {"regime": Regime.LATENCY, "cause": Cause.HOST}
    assert told(session(**latency), changed(nights(), [3], **latency))[0] is Outcome.PASS
    compute: dict[str, Any] = {"regime": Regime.COMPUTE, "cause": Cause.TENSOR}
    assert told(session(**latency), changed(nights(), [1, 4, 7], **compute))[0] is Outcome.PASS


def test_a_verdict_that_names_no_regime_is_no_flip() -> None:
    assert told(session(regime=Regime.INCONCLUSIVE, cause=None, confidence=0.0), nights())[0] is Outcome.PASS


def test_what_was_not_judged_or_stood_still_is_no_pass() -> None:
    unjudged = session(regime=None, cause=None, confidence=0.0)
    assert told(unjudged, nights()) == (Outcome.CANNOT_TELL, (Why.NO_VERDICT,))
    stalled = session(regime=Regime.INCONCLUSIVE, cause=None, limits=["stalled"])
    assert told(stalled, nights()) == (Outcome.CANNOT_TELL, (Why.STALLED,))


def test_idle_sessions_tell_nothing() -> None:
    assert told(session(slower=0.5, regime=Regime.IDLE, cause=None), nights()) == (
        Outcome.CANNOT_TELL,
        (Why.NO_WORK,),
    )


SICK = [
    Health(throttled=frozenset({"thermal"})),
    Health(clocks={"sm_hz": 1.4e9}),
    Health(power_limit_w=500.0),
    Health(other_processes=2),
    Health(other_busy_cores=3.0),
    Health(wait_fraction=0.5),
]
WELL = Health(
    clocks={"sm_hz": 1.98e9}, power_limit_w=700.0, other_processes=0, other_busy_cores=0.2, wait_fraction=0.02
)


@pytest.mark.parametrize("health", SICK, ids=str)
@pytest.mark.parametrize("slower", [0.0, 0.5])
def test_a_sick_host_is_neither_a_regression_nor_a_pass(health: Health, slower: float) -> None:
    found = check(session(slower=slower, health=health), nights(health=WELL), POLICY)
    assert (found.outcome, found.why) == (Outcome.CANNOT_TELL, (Why.SICK_HOST,))
    assert len(found.guards) == 1
    allowed = check(session(slower=slower, health=health), nights(health=WELL), Policy(allow_noisy=True))
    assert allowed.outcome is (Outcome.REGRESSION if slower else Outcome.PASS)


def test_others_on_a_large_host_and_on_one_that_nobody_looked_at() -> None:
    """A few of many cores more are no sickness, nor is work of others that was never counted before."""
    large = Health(other_busy_cores=5.0, cores=64.0)
    busier = Health(other_busy_cores=9.0, cores=64.0)
    assert told(session(health=busier), nights(health=large))[0] is Outcome.PASS
    assert told(session(health=busier), nights())[0] is Outcome.PASS


def test_throttling_that_is_usual_is_no_sickness() -> None:
    """Matrix products hold an H100 at its power cap every night."""
    capped = Health(throttled=frozenset({"power_cap"}))
    assert told(session(slower=0.5, health=capped), nights(health=capped))[0] is Outcome.REGRESSION


def test_sick_sessions_of_the_baseline_do_not_count() -> None:
    sick = changed(nights(10), [2], slower=0.4, health=Health(throttled=frozenset({"thermal"})))
    found = check(session(slower=0.12), sick, POLICY)
    assert found.outcome is Outcome.REGRESSION
    assert len(found.sessions) == 9


def test_noise_that_hides_a_slow_down_is_told() -> None:
    found = check(session(slower=0.1), nights(spread=0.1), POLICY)
    assert (found.outcome, found.why) == (Outcome.CANNOT_TELL, (Why.TOO_NOISY,))
    assert found.comparisons[0].visible is not None
    assert found.comparisons[0].visible > POLICY.resolution
    assert told(session(slower=0.1), nights(spread=0.1), resolution=2.0)[0] is Outcome.PASS


def test_a_missing_metric_is_no_pass() -> None:
    current = session(measured={"time_per_output_token_s": None})
    assert told(current, nights()) == (Outcome.CANNOT_TELL, (Why.MISSING_METRIC,))
    asked = check(current, nights(), Policy(metric="tokens_per_s"))
    assert asked.outcome is Outcome.PASS
    assert asked.primary is not None
    assert asked.primary.name == "tokens_per_s"


def test_what_the_sessions_have_gates() -> None:
    found = check(session(slower=0.2), nights(measured={"time_per_output_token_s": None}), POLICY)
    assert found.outcome is Outcome.REGRESSION
    assert found.primary is not None
    assert found.primary.name == "tokens_per_s"


def test_other_metrics_are_told_and_do_not_fail() -> None:
    found = check(session(measured={"time_to_first_token_s": 0.6}), nights(), POLICY)
    assert found.outcome is Outcome.PASS
    first = next(c for c in found.comparisons if c.metric.name == "time_to_first_token_s")
    assert (first.role, first.outcome) == (Role.REPORT, Outcome.REGRESSION)
    assert first.p_holm is not None
    assert first.p is not None
    assert first.p_holm >= first.p


def test_moving_away_from_the_roof_fails_at_the_same_speed() -> None:
    """The weights were halved, and the step takes as long as before."""
    current = session(measured={"bandwidth_fraction": 0.3})
    assert told(current, nights()) == (Outcome.REGRESSION, (Why.FARTHER_FROM_ROOF,))
    assert told(current, nights(), roof_gates=False)[0] is Outcome.PASS


def test_a_host_that_gets_slower_by_itself_is_no_regression_of_the_job() -> None:
    drifting = [session(f"night {i}", slower=0.02 * i, day=1 + i) for i in range(8)]
    found = check(session(slower=0.17), drifting, POLICY)
    assert found.outcome is not Outcome.REGRESSION
    assert found.comparisons[0].drift == pytest.approx(0.02, abs=0.005)
    assert told(session(slower=0.40), drifting)[0] is Outcome.REGRESSION


def test_what_is_there_twice_counts_once_and_the_current_one_not_at_all() -> None:
    one = nights(1) * 8
    assert told(session(slower=0.5), one)[1] == (Why.TOO_FEW_SESSIONS,)
    current = session("now", slower=0.12)
    found = check(current, [*nights(8), current], POLICY)
    assert found.outcome is Outcome.REGRESSION
    assert len(found.sessions) == 8


def test_the_newest_count() -> None:
    old = [session(f"old {i}", slower=0.5, day=1) for i in range(20)]
    new = [session(f"new {i}", day=2 + i) for i in range(10)]
    assert told(session(slower=0.2), [*new, *old], latest=10)[0] is Outcome.REGRESSION


def test_a_second_session_confirms_or_not() -> None:
    bad, good = (check(session(slower=x), nights(), POLICY) for x in (0.12, 0.0))
    assert confirmed(bad, bad).outcome is Outcome.REGRESSION
    found = confirmed(bad, good)
    assert (found.outcome, found.why) == (Outcome.PASS, (Why.UNCHANGED, Why.NOT_CONFIRMED))
    assert found.confirmed_by is good


@pytest.mark.parametrize("slower", [0.0, 0.5, -0.4])
def test_another_load_tells_nothing_of_the_speed(slower: float) -> None:
    found = check(session(slower=slower, batch=16.0), nights(), POLICY)
    assert (found.outcome, found.why) == (Outcome.CANNOT_TELL, (Why.OTHER_LOAD,))
    assert found.batch == pytest.approx((8.0, 16.0))
    assert check(session(batch=8.4), nights(), POLICY).batch is None


def test_another_load_that_changes_the_regime_fails() -> None:
    flipped = session(batch=128.0, regime=Regime.COMPUTE, cause=Cause.TENSOR)
    assert told(flipped, nights()) == (Outcome.REGRESSION, (Why.REGIME_FLIP,))


def test_a_load_that_always_varied_is_no_other_load() -> None:
    varied = [session(f"night {i}", batch=4.0 + i, day=1 + i) for i in range(10)]
    assert check(session(batch=12.0), varied, POLICY).batch is None


def test_sessions_from_before_a_step_that_lasted_do_not_count() -> None:
    """A job that got faster and stayed so: what it was before would hide that it gets slow again."""
    before = nights(10, spread=0.01)
    since = [session(f"since {i}", -0.1, spread=0.01, offset=NOISE[i], day=11 + i) for i in range(8)]
    found = check(session(), [*before, *since], POLICY)
    assert found.outcome is Outcome.REGRESSION
    assert len(found.sessions) == 8
    assert [left.reason for left in found.left_out] == [Reason.BEFORE_A_STEP]
    few = check(session(), [*before, *since[:4]], POLICY)
    assert (few.outcome, few.why) == (Outcome.CANNOT_TELL, (Why.TOO_FEW_SESSIONS,))


def test_a_host_that_is_held_from_its_first_night_on_is_as_usual() -> None:
    """An H100 under matrix products is at its power cap always, a desktop's GPU always draws the desktop."""
    held = Health(throttled=frozenset({"power_cap"}), other_processes=1)
    for count in range(9):
        assert check(session(health=held), nights(count, health=held), POLICY).guards == ()


def test_guards_are_not_worn_down_night_by_night() -> None:
    creeping = [session(f"night {i}", health=Health(other_busy_cores=0.1 * i), day=1 + i) for i in range(10)]
    assert told(session(health=Health(other_busy_cores=1.3)), creeping)[1] == (Why.SICK_HOST,)


def test_roofs_that_were_stated_anew_are_no_move_away_from_them() -> None:
    """Twice the peak is half the fraction, at the same speed."""
    roofs = {"bandwidth_bytes_per_s": 3.35e12, "flops_per_s": 989e12}
    doubled = {name: 2.0 * value for name, value in roofs.items()}
    current = session(measured={"bandwidth_fraction": 0.3}, roofs=doubled)
    assert told(current, nights(roofs=roofs))[0] is Outcome.PASS
    away = session(measured={"bandwidth_fraction": 0.3}, roofs=roofs)
    assert told(away, nights(roofs=roofs))[1] == (Why.FARTHER_FROM_ROOF,)


def test_a_faster_job_may_be_farther_from_its_roof() -> None:
    """Half the weights, and a step that takes 15 % less."""
    lighter = session(slower=-0.15, measured={"bandwidth_fraction": 0.36})
    assert told(lighter, nights()) == (Outcome.IMPROVEMENT, (Why.FASTER,))


def test_a_figure_that_all_nights_had_and_this_one_lacks_is_no_pass() -> None:
    without = session(measured={"bandwidth_fraction": None, "compute_fraction": None})
    assert told(without, nights()) == (Outcome.CANNOT_TELL, (Why.MISSING_METRIC,))


def test_weights_and_cache_of_nearly_the_same_bytes_are_no_flip() -> None:
    even = {"weight_bytes_per_step": 1.0e9, "kv_bytes_per_step": 1.1e9}
    torn = session(cause=Cause.KV_CACHE, bytes_per_step=even)
    assert told(torn, nights())[0] is Outcome.PASS
    clear = session(cause=Cause.KV_CACHE, bytes_per_step={**even, "kv_bytes_per_step": 3e9})
    assert told(clear, nights())[1] == (Why.CAUSE_FLIP,)


def test_sessions_without_the_metric_do_not_crowd_out_those_with_it() -> None:
    without = [session(f"w {i}", measured={"time_per_output_token_s": None}, day=20) for i in range(30)]
    assert told(session(slower=0.5), [*nights(12), *without])[0] is Outcome.REGRESSION


def test_a_metric_that_few_sessions_have_does_not_gate() -> None:
    bare: dict[str, Any] = {"measured": {"time_per_output_token_s": None, "step_s": 0.02}}
    sessions = [*nights(9, **bare), session("one", day=9)]
    found = check(session(measured={"time_per_output_token_s": None, "step_s": 0.02}), sessions, POLICY)
    assert found.primary is not None
    assert (found.primary.name, found.outcome) == ("step_s", Outcome.PASS)


@given(st.permutations(range(10)), st.floats(-0.3, 0.3))
def test_the_order_of_the_baselines_lines_changes_nothing(order: list[int], slower: float) -> None:
    made = nights()
    one, other = (check(session(slower=slower), s, POLICY) for s in (made, [made[i] for i in order]))
    assert (one.outcome, one.comparisons) == (other.outcome, other.comparisons)


@given(st.floats(1e-6, 1e6))
def test_units_change_nothing(factor: float) -> None:
    """Ten times the time everywhere is the same comparison."""

    def scaled(s: Any) -> Any:
        return session(
            s.name,
            day=int(s.created_at[8:10]),
            measured={
                "time_per_output_token_s": factor * s.figures["time_per_output_token_s"].value,
                "time_to_first_token_s": None,
                "tokens_per_s": None,
                "bandwidth_fraction": None,
                "compute_fraction": None,
            },
        )

    made = nights()
    one = check(scaled(session(slower=0.05)), [scaled(s) for s in made], Policy(roof_gates=False)).comparisons[0]
    other = check(session(slower=0.05), made, POLICY).comparisons[0]
    assert one.change == pytest.approx(other.change, rel=1e-6)
    assert one.p == pytest.approx(other.p, rel=1e-4)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_the_slower_the_likelier_to_fail(one: float, other: float) -> None:
    less, more = sorted((one, other))
    order = {Outcome.PASS: 0, Outcome.CANNOT_TELL: 0, Outcome.REGRESSION: 1}
    assert order[told(session(slower=less), nights())[0]] <= order[told(session(slower=more), nights())[0]]
