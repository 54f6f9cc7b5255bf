"""Tests whose time goes by in waiting, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE_S = 120.0

Body = Callable[[Path], None]


class SideBySide:
    """Decorates tests of one module that take nothing but a folder of their own.

    With the first of them all that were asked for begin, ``at_once`` together, in threads; each test then waits for its
    own, and fails as it does. The module has a fixture ``begun`` that gives what ``begun`` yields.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._bodies: dict[str, Body] = {}

    def __call__(self, body: Body) -> Callable[[dict[str, Future[None]]], None]:
        name = body.__name__
        self._bodies[name] = body

        def test(begun: dict[str, Future[None]]) -> None:
            begun[name].result(PATIENCE_S)

        test.__name__, test.__qualname__, test.__module__, test.__doc__ = name, name, body.__module__, body.__doc__
        return test

    @contextmanager
    def begun(
        self, request: pytest.FixtureRequest, folders: pytest.TempPathFactory
    ) -> Iterator[dict[str, Future[None]]]:
        """Of the tests of this session by name; ends with the last of them."""
        asked = {item.name for item in request.session.items if item.path == request.path}
        with ThreadPoolExecutor(self._at_once) as pool:
            yield {
                name: pool.submit(body, folders.mktemp(name, numbered=True))
                for name, body in self._bodies.items()
                if name in asked
            }
