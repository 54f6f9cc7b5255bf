"""What will be sent at most, said before anything is, and the account of what was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heuristics.errors import DiagnoseError

BATCHES = (1, 2, 4, 8, 16, 32, 64)
MOST_BATCH = 1024
LEVEL_S = 8.0
PROMPT_TOKENS, OUTPUT_TOKENS = 64, 128
MOST_REQUESTS, MOST_TOKENS, MOST_SECONDS = 2000, 400_000, 300.0
TIMEOUT_S = 60.0

FAILURES = 5
"""Failed requests after which no more is sent."""

TRIED = 4
"""Requests, one after another and before the load, that find out what the server understands, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The load: requests of fixed lengths, so many at once for so long, and its limits.

    ``level_s``: seconds measured at each of the ``batches``. ``timeout_s``: without a token until a request is given
    up. The limits hold for everything together.
    """

    batches: tuple[int, ...] = BATCHES
    level_s: float = LEVEL_S
    prompt_tokens: int = PROMPT_TOKENS
    output_tokens: int = OUTPUT_TOKENS
    max_requests: int = MOST_REQUESTS
    max_tokens: int = MOST_TOKENS
    max_seconds: float = MOST_SECONDS
    timeout_s: float = TIMEOUT_S

    @property
    def tokens_a_request(self) -> int:
        """Of prompt and answer together."""
        return self.prompt_tokens + self.output_tokens

    def checked(self) -> Plan:
        """Itself.

        Raises:
            DiagnoseError: its limits do not even let the first level begin.
        """
        if not self.batches or list(self.batches) != sorted(set(self.batches)) or self.batches[0] < 1:
            raise DiagnoseError("the batches must be different whole numbers that grow", hint="--batches 1,2,4,8")
        if self.batches[-1] > MOST_BATCH:
            raise DiagnoseError(f"more than {MOST_BATCH} at once is no polite load", hint="--batches 1,2,4,8,16,32,64")
        least = self.batches[0] + 1
        if self.max_requests < least or self.max_tokens < least * self.tokens_a_request:
            raise DiagnoseError(
                f"the limits leave no room for {least} requests of {self.tokens_a_request} tokens",
                hint=f"--max-requests {MOST_REQUESTS} --max-tokens {MOST_TOKENS}",
            )
        return self

    def workload(self, batches: Sequence[int]) -> str | None:
        """What was sent, by which two sweeps are alike: the levels that were measured whole; None without any."""
        if not batches:
            return None
        listed = ",".join(map(str, batches))
        return f"sweep {listed} x ({self.prompt_tokens} + {self.output_tokens} tokens)"

    def statement(self, target: str, *, credential: bool) -> list[str]:
        """What will be sent, in sentences."""
        levels = ", ".join(str(n) for n in self.batches)
        return [
            f"Load to be sent to {target}: streaming completions of about {self.prompt_tokens} prompt and "
            f"{self.output_tokens} output tokens,",
            f"{levels} at once, {self.level_s:g} s measured at each; a new request when one ends.",
            f"At most {self.max_requests:,} requests, {self.max_tokens:,} tokens and {self.max_seconds:g} s in all; "
            f"it ends at {FAILURES} failed requests. Ctrl-C ends it.",
            f"{'The key that you named is sent along' if credential else 'No key is sent'}; prompts are random words.",
        ]


class Account:
    """What was sent so far. Tokens of a request count in full when it is sent, and as counted when it has ended."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.requests = 0
        self.tokens = 0
        self.failures: dict[str, int] = {}
        self.refused: str | None = None
        """A failure after which no more is sent, whatever the number."""

    def take(self) -> bool:
        """Whether one more request may be sent; it then counts."""
        plan = self._plan
        if self.spent is not None:
            return False
        self.requests += 1
        self.tokens += plan.tokens_a_request
        return True

    def settle(self, tokens: int) -> None:
        """A request ended with so many tokens."""
        self.tokens += tokens - self._plan.tokens_a_request

    def fail(self, reason: str, *, final: bool = False) -> None:
        """A request failed."""
        self.failures[reason] = self.failures.get(reason, 0) + 1
        if final:
            self.refused = reason

    @property
    def spent(self) -> str | None:
        """Why no more may be sent; None while more may."""
        if self.refused is not None:
            return self.refused
        failed = sum(self.failures.values())
        if failed >= FAILURES:
            return f"{failed} requests failed: {told(self.failures)}"
        if self.requests >= self._plan.max_requests:
            return f"the limit of {self._plan.max_requests:,} requests (--max-requests)"
        if self.tokens + self._plan.tokens_a_request > self._plan.max_tokens:
            return f"the limit of {self._plan.max_tokens:,} tokens (--max-tokens)"
        return None


def told(failures: dict[str, int]) -> str:
    """Reasons with their numbers."""
    return "; ".join(f"{reason} ({count}x)" if count > 1 else reason for reason, count in failures.items())


def batches_of(text: str | Sequence[int]) -> tuple[int, ...]:
    """The levels as typed: ``1,2,4,8``.

    Raises:
        DiagnoseError: they are no whole numbers.
    """
    parts = text.split(",") if isinstance(text, str) else [str(n) for n in text]
    if not parts or not all(part.strip().isdecimal() and len(part.strip()) < 9 for part in parts):
        raise DiagnoseError(f"{text!r} is no list of whole numbers", hint="--batches 1,2,4,8")
    return tuple(int(part) for part in parts)
