"""What a server understands: its model, completions or chat, which options, and how many tokens a prompt has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from collectors.load.exchange import Exchange, Failure, Peer, stream
from collectors.load.plan import TRIED, Account, Plan
from collectors.load.prompts import Prompts

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
MODELS = "/v1/models"
TRIAL_TOKENS = 16
"""Of the answers that only show what the server understands."""
ABSENT = frozenset({404, 405, 501})
UNUSABLE = frozenset({400, 422})
"""Answers to a request with an option that the server does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """How to ask. ``extras``: the engine's own options, which a strict server refuses, are sent along."""

    peer: Peer
    model: str
    path: str = COMPLETIONS
    extras: bool = True

    def body(self, prompt: str, tokens: int) -> dict[str, Any]:
        """A request for so many tokens, no fewer where the engine can be told so."""
        asked: dict[str, Any] = {"model": self.model, "max_tokens": tokens, "stream": True}
        asked["stream_options"] = {"include_usage": True}
        if self.path == CHAT:
            asked["messages"] = [{"role": "user", "content": prompt}]
        else:
            asked["prompt"] = prompt
        return asked | ({"ignore_eos": True} if self.extras else {})


Seen = Callable[[Exchange], None]


def unseen(_: Exchange) -> None:
    """Of requests that are not part of the load."""


async def found(
    peer: Peer, plan: Plan, account: Account, prompts: Prompts, *, served: str
) -> tuple[Endpoint, Exchange] | Failure:
    """An endpoint that answers, and its answer to the last of at most ``TRIED`` requests."""
    endpoint = Endpoint(peer=peer, model=served)
    for _ in range(TRIED):
        if not account.take():
            return Failure(reason=f"{account.spent} was reached before the load began")
        answer = await asked(endpoint, plan, prompts, unseen, tokens=min(TRIAL_TOKENS, plan.output_tokens))
        account.settle(tokens_of(answer, plan))
        failure = answer.failure
        if failure is None:
            counted = answer.usage.prompt_tokens
            if counted is not None:
                prompts.learn(counted)
            return endpoint, answer
        other = _otherwise(endpoint, failure)
        if other is None:
            return failure
        endpoint = other
    return failure or Failure(reason="does not answer")


def _otherwise(endpoint: Endpoint, failure: Failure) -> Endpoint | None:
    """How else to ask after such a failure; None where there is nothing else to try."""
    if failure.status in ABSENT and endpoint.path == COMPLETIONS:
        return replace(endpoint, path=CHAT)
    if failure.status in UNUSABLE and endpoint.extras:
        return replace(endpoint, extras=False)
    if failure.status in UNUSABLE and endpoint.path == COMPLETIONS:
        return replace(endpoint, path=CHAT)
    return None


async def asked(endpoint: Endpoint, plan: Plan, prompts: Prompts, seen: Seen, *, tokens: int | None = None) -> Exchange:
    """One request of the plan's lengths, or for fewer tokens."""
    wanted = plan.output_tokens if tokens is None else tokens
    return await stream(
        endpoint.peer,
        endpoint.path,
        endpoint.body(prompts.next(), wanted),
        tokens=wanted,
        timeout_s=plan.timeout_s,
        seen=seen,
    )


def tokens_of(exchange: Exchange, plan: Plan) -> int:
    """What a request took: as counted, else what was asked of the prompt and the events that came."""
    prompt, output = exchange.usage.prompt_tokens, exchange.usage.output_tokens
    sent = plan.prompt_tokens if exchange.sent_s else 0
    return (sent if prompt is None else prompt) + (len(exchange.token_s) if output is None else output)
