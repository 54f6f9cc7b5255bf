"""torch, imported when it is first used: the registry of workloads is read on machines that have none."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Lazily:
    """A module that is imported with its first attribute."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._name), name)


torch: Any = Lazily("torch")
