"""Tests whose time goes by in waiting or in other processes, side by side."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

PATIENCE_S = 300.0

Begun = dict[str, Future[None]]


class SideBySide:
    """Decorates tests of one module that take a ``folder`` of their own, and parameters, but no fixtures.

    With the first of them all that were asked for begin, ``at_once`` together, in threads; each test then waits for its
    own, and fails as it does. The module has a fixture ``begun`` that gives what ``begun`` yields.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._bodies: dict[str, Callable[..., None]] = {}

    def __call__(self, body: Callable[..., None]) -> Callable[..., None]:
        name = body.__name__
        self._bodies[name] = body

        def test(request: pytest.FixtureRequest, begun: Begun, **_: Any) -> None:
            begun[request.node.name].result(PATIENCE_S)

        taken = [p for p in inspect.signature(test).parameters.values() if p.kind is not p.VAR_KEYWORD]
        stated = [p for p in inspect.signature(body).parameters.values() if p.name != "folder"]
        test.__signature__ = inspect.Signature([*taken, *stated])  # type: ignore[attr-defined]
        test.__name__, test.__qualname__, test.__module__, test.__doc__ = name, name, body.__module__, body.__doc__
        return test

    @contextmanager
    def begun(self, request: pytest.FixtureRequest, folders: pytest.TempPathFactory) -> Iterator[Begun]:
        """Of the tests of this session by name; ends with the last of them."""
        with ThreadPoolExecutor(self._at_once) as pool:
            yield {
                item.name: pool.submit(
                    self._bodies[item.originalname], folder=folders.mktemp(item.originalname), **_parameters(item)
                )
                for item in request.session.items
                if isinstance(item, pytest.Function) and item.path == request.path and item.originalname in self._bodies
            }


def _parameters(item: pytest.Function) -> dict[str, Any]:
    called = getattr(item, "callspec", None)
    return dict(called.params) if called is not None else {}
