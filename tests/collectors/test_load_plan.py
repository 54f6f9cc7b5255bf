"""What may be sent: addresses, plans, limits, prompts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.load.address import address_of
from collectors.load.plan import FAILURES, Account, Plan, batches_of
from collectors.load.prompts import Prompts
from heuristics.errors import DiagnoseError
from heuristics.sweep import settled


@pytest.mark.parametrize(
    ("typed", "base", "loopback"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000", True),
        ("localhost:8000/v1", "http://localhost:8000", True),
        ("http://[::1]:80/v1/completions", "http://[::1]:80", True),
        ("https://host.example/api/v1/", "https://host.example:443/api", False),
        ("http://127.evil.example:80", "http://127.evil.example:80", False),
        ("HTTP://10.0.0.7:8000/metrics", "http://10.0.0.7:8000", False),
    ],
)
def test_addresses_as_people_paste_them(typed: str, base: str, loopback: bool) -> None:
    found = address_of(typed)
    assert found.base == base
    assert found.loopback is loopback


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ftp://host",
        "http://",
        "http://host:0",
        "http://host:99999",
        "http://u:p@host",
        "http://a b/",
        "http://h/\r\nX: y",
    ],
)
def test_what_is_no_address(typed: str) -> None:
    with pytest.raises(DiagnoseError) as caught:
        address_of(typed)
    assert caught.value.hint


def test_batches() -> None:
    assert batches_of("1, 2,8") == (1, 2, 8)
    assert batches_of([1, 4]) == (1, 4)
    for wrong in ("", "1,,2", "a", "-1", "1.5", "9" * 20):
        with pytest.raises(DiagnoseError):
            batches_of(wrong)
    for wrong_plan in (Plan(batches=(2, 1)), Plan(batches=(0, 1)), Plan(batches=(2000,)), Plan(max_requests=1)):
        with pytest.raises(DiagnoseError):
            wrong_plan.checked()
    with pytest.raises(DiagnoseError, match="no room"):
        Plan(max_tokens=100).checked()


@given(
    most=st.integers(2, 200),
    tokens=st.integers(400, 40_000),
    took=st.lists(st.integers(0, 192), max_size=300),
)
def test_no_limit_is_ever_passed(most: int, tokens: int, took: list[int]) -> None:
    plan = Plan(max_requests=most, max_tokens=tokens)
    account = Account(plan)
    for one in took:
        if not account.take():
            break
        assert account.requests <= most
        assert account.tokens <= tokens
        account.settle(one)
    while account.take():
        assert account.requests <= most
        assert account.tokens <= tokens
    assert account.spent is not None


def test_failures_end_it() -> None:
    account = Account(Plan())
    for _ in range(FAILURES):
        assert account.take()
        account.fail("HTTP 500")
    assert not account.take()
    assert "HTTP 500 (5x)" in str(account.spent)
    other = Account(Plan())
    other.fail("HTTP 429", final=True)
    assert not other.take()


def test_prompts_share_no_beginning_and_learn_their_length() -> None:
    prompts = Prompts(64, seed=1)
    prompts.learn(128)
    assert prompts.words == 32
    assert prompts.expected_tokens == 64.0
    many = [prompts.next() for _ in range(500)]
    assert {len(text.split()) for text in many} == {32}
    assert len({" ".join(text.split()[:8]) for text in many}) == len(many)
    assert Prompts(64, seed=2).next() != Prompts(64, seed=3).next()
    prompts.learn(0)
    assert prompts.words == 32


def test_the_statement_says_what_is_sent_at_most() -> None:
    said = " ".join(Plan(max_requests=77, max_tokens=5000, max_seconds=12).statement("http://x/v1", credential=True))
    for part in ("http://x/v1", "77 requests", "5,000 tokens", "12 s", "key that you named", "64 prompt", "128 output"):
        assert part in said
    assert "No key is sent" in " ".join(Plan().statement("http://x/v1", credential=False))


def test_when_more_at_once_shows_nothing_new() -> None:
    assert settled([(1, 1.0, 10.0)]) is None
    assert settled([(1, 1.0, 10.0), (2, 2.0, 20.0), (4, 4.0, 40.0)]) is None
    assert settled([(4, 4.0, 40.0), (8, 4.0, 41.0)]) is not None, "capped, and no faster"
    assert settled([(4, 4.0, 40.0), (8, 8.0, 41.0)]) is None, "one flat level may be a switch of kernels"
    assert settled([(4, 4.0, 40.0), (8, 8.0, 41.0), (16, 16.0, 42.0)]) is not None
    assert settled([(4, None, 40.0), (8, None, 41.0)]) is None
