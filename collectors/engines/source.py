"""The engine as a live source: its own counters, and what it says of its slots, over its own socket."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from urllib.parse import SplitResult, urlsplit

from collectors.engines import about
from collectors.engines.http import Answer, Client, Refused
from collectors.engines.readings import CACHE_CONFIGS
from collectors.engines.shapes import Flag, Shape
from collectors.engines.table import ENGINES
from collectors.job import Job, listeners
from collectors.process.proc import Listener, Proc
from collectors.prometheus.series import SeriesReader
from collectors.record import Record, missing, record
from heuristics.errors import DiagnoseError

PERIOD_S = 1.0
RETRY_S = 5.0
"""Between looks for an engine that did not answer: it may still be loading, or have restarted."""
EVERYWHERE = ("0.0.0.0", "::")
"""Addresses that stand for all of a host's."""

MOST_SLOTS = 1024

EXAMPLE_URL = "--url http://127.0.0.1:8000/metrics"

ALWAYS = ("process_start_time_seconds", *CACHE_CONFIGS)


class EngineSource:
    """Reads one server. Where several sockets might be it, the first that answers as the engine does is kept."""

    name = "engine"
    period_s = PERIOD_S

    def __init__(self, job: Job, proc: Proc, *, url: str | None = None, credential: str | None = None) -> None:
        self._job, self._proc = job, proc
        self._given = url is not None
        self._shape = job.shape
        self._credential = credential
        self._tried_s = 0.0
        self._failing = False
        self._metrics = job.shape.metrics if job.shape is not None else None
        self._places = _given(url) if url else places(job, proc)
        if url:
            self._metrics = _path(url) or self._metrics or "/metrics"
            if self._shape is not None and self._shape.metrics not in (None, self._metrics):
                raise DiagnoseError(
                    f"{self._metrics} is not where {self._shape.engine} states its metrics without side effects",
                    hint=f"--url http://{_parsed(url).netloc}{self._shape.metrics}",
                )
        self._elsewhere = not url and not proc.same_network(job.root.pid)
        self._reader = SeriesReader(_wanted())
        self._client: Client | None = None
        self._silent: set[str] = set()
        self._told: set[str] = set()
        self.facts: dict[about.Fact, str | float] = {}

    def start(self) -> list[Record]:
        """Find the socket, and ask once for what does not change."""
        self._tried_s = time.monotonic()
        if self._shape is None and self._metrics is None:
            return [
                missing("engine", "an unknown program: its sockets are not asked", "--url http://HOST:PORT/metrics")
            ]
        if self._metrics is None and not self._state and not self._about:
            return [missing("engine", f"{self._named} states no metrics")]
        if not self._places:
            return [missing("engine", f"{self._named} has no listening socket that can be seen from here", _unseen())]
        refusals = []
        for host, port in self._places:
            client = Client(host, port, self._paths, self._credential)
            answered = [(path, client.get(path)) for path in (self._metrics, *self._state, *self._about) if path]
            if any(isinstance(answer, Answer) for _, answer in answered) and self._is_it(answered):
                self._client = client
                return self._begun(answered)
            client.close()
            refusals += [answer.reason for _, answer in answered if isinstance(answer, Refused)]
        reason = refusals[0] if refusals else "its answers are not those of the engine"
        where = "another network namespace" if self._elsewhere else f"port {self._places[0][1]}"
        return [missing("engine", f"{self._named} on {where}: {reason}", _unlock(reason))]

    def sample(self, t_s: float) -> list[Record]:
        """One scrape, and the slots where the engine has them."""
        if self._client is None:
            return self._again(t_s)
        found: list[Record] = []
        begun_s = time.monotonic()
        for path in (self._metrics, *self._state):
            if path is None or path in self._silent:
                continue
            asked_s = t_s + time.monotonic() - begun_s
            found += self._recorded(path, self._client.get(path), asked_s)
        return found

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()

    def _again(self, t_s: float) -> list[Record]:
        """Look once more, now and then, at what the job listens on by now."""
        if self._metrics is None or time.monotonic() - self._tried_s < RETRY_S:
            return []
        if not self._given:
            self._places = places(replace(self._job, listeners=tuple(listeners(self._job, self._proc))), self._proc)
        told = self.start()
        if self._client is None:
            return []
        return [record("found", t_s, source=self.name), *({**r, "t_s": t_s} for r in told)]

    @property
    def _named(self) -> str:
        return self._shape.engine if self._shape is not None else "the program"

    @property
    def _state(self) -> tuple[str, ...]:
        return self._shape.state if self._shape is not None else ()

    @property
    def _about(self) -> tuple[str, ...]:
        return self._shape.about if self._shape is not None else ()

    @property
    def _paths(self) -> frozenset[str]:
        return frozenset(path for path in (self._metrics, *self._state, *self._about) if path)

    def _is_it(self, answered: Iterable[tuple[str, Answer | Refused]]) -> bool:
        """Whether a metric, a slot or a fact was understood."""
        return any(
            isinstance(answer, Answer)
            and (
                (path == self._metrics and self._reader.read(answer.body))
                or (path in self._state and _slots(answer.body) is not None)
                or about.facts(path, answer.body)
            )
            for path, answer in answered
        )

    def _begun(self, answered: Sequence[tuple[str, Answer | Refused]]) -> list[Record]:
        found: list[Record] = []
        for path, answer in answered:
            if isinstance(answer, Answer) and path in self._about:
                for fact, value in about.facts(path, answer.body).items():
                    self.facts.setdefault(fact, value)
            elif path == self._metrics and isinstance(answer, Refused) and answer.status is not None:
                self._silent.add(path)
                found.append(missing("metrics", f"{self._named}: {path} {answer.reason}", _switch(self._shape, answer)))
            elif path in self._state and isinstance(answer, Refused) and answer.status is not None:
                self._silent.add(path)
        return found

    def _recorded(self, path: str, answer: Answer | Refused, t_s: float) -> list[Record]:
        if isinstance(answer, Refused):
            known, self._failing = self._failing, True
            if known and answer.reason in self._told:
                return []
            self._told.add(answer.reason)
            return [missing(self.name, f"{self._named}: {path} {answer.reason}", _unlock(answer.reason), t_s)]
        back = [record("found", t_s, source=self.name)] if self._failing else []
        self._failing = False
        took_s = answer.answered_s - answer.asked_s
        at_s = t_s + 0.5 * took_s  # the server looked at its counters somewhere in between
        if path == self._metrics:
            series = self._reader.read(answer.body)
            if not series:
                return back
            return [*back, record("scrape", at_s, took_s=took_s, samples=[list(sample) for sample in series])]
        slots = _slots(answer.body)
        return back if slots is None else [*back, record("slots", at_s, took_s=took_s, slots=slots)]


def _wanted() -> frozenset[str]:
    names = {name for engine in ENGINES for known in engine.metrics.values() for name in known}
    return frozenset(names | set(ALWAYS))


FEW = 2
"""Sockets of a serving process of which one is surely its HTTP: more are for others to meet."""


def places(job: Job, proc: Proc) -> list[tuple[str, int]]:
    """Addresses to try: the stated port and no other, else the engine's usual one, else the few that there are.

    Other sockets may be where workers meet, and are not asked.
    """
    if job.shape is None:
        return []
    stated = job.flags.get(Flag.PORT, "")
    if stated.isdecimal():
        chosen = [s for s in job.listeners if s.port == int(stated)]
    else:
        usual = [s for s in job.listeners if s.port == job.shape.default_port]
        chosen = usual or (list(job.listeners) if len(job.listeners) <= FEW else [])
    if proc.same_network(job.root.pid):
        return [(_reachable(s), s.port) for s in chosen]
    inside = proc.addresses(job.root.pid)
    return [(address, s.port) for s in chosen if s.address in EVERYWHERE for address in inside[:2]]


def _reachable(listener: Listener) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(listener.address, listener.address)


def _parsed(url: str) -> SplitResult:
    """An address as the user states it.

    Raises:
        DiagnoseError: it is none.
    """
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        usable = parts.hostname is not None and parts.scheme in ("", "http") and parts.port != 0
    except ValueError as error:
        raise DiagnoseError(f"{url!r} is no address: {error}", hint=EXAMPLE_URL) from error
    if not usable:
        raise DiagnoseError(f"{url!r} is no http address", hint=EXAMPLE_URL)
    return parts


def _given(url: str) -> list[tuple[str, int]]:
    parts = _parsed(url)
    return [(parts.hostname or "", parts.port or 80)]


def _path(url: str) -> str | None:
    path = _parsed(url).path
    return path if path not in ("", "/") else None


def _slots(body: bytes) -> list[dict[str, float | bool]] | None:
    """llama.cpp's slots: number, task, whether it runs, and how many tokens it has generated. Texts are dropped."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, list) or not all(isinstance(slot, dict) for slot in answer):
        return None
    found: list[dict[str, float | bool]] = []
    for slot in answer[:MOST_SLOTS]:
        if "is_processing" not in slot:
            return None
        following = slot.get("next_token")
        token = following[0] if isinstance(following, list) and following else following
        decoded = token.get("n_decoded") if isinstance(token, dict) else None
        described: dict[str, float | bool] = {"running": bool(slot["is_processing"])}
        stated = ("id", "id"), ("task", "id_task"), ("context", "n_prompt_tokens")
        for name, value in (("decoded", decoded), *((ours, slot.get(theirs)) for ours, theirs in stated)):
            if isinstance(value, int) and not isinstance(value, bool):
                described[name] = value
        found.append(described)
    return found


def _switch(shape: Shape | None, answer: Refused) -> str | None:
    """The engine's own switch for its metrics."""
    if answer.status in (401, 403):
        return "pass the key's variable: --api-key-env NAME"
    if shape is None:
        return None
    return {"llama.cpp": "llama-server --metrics", "SGLang": "--enable-metrics"}.get(shape.engine)


def _unlock(reason: str) -> str | None:
    if "credential" in reason:
        return "--api-key-env NAME, the environment variable that holds the key"
    return "--url http://HOST:PORT/metrics, where it can be reached from here"


def _unseen() -> str:
    return "run as the job's user or as root, or give --url http://HOST:PORT/metrics"
