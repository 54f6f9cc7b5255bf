"""Ctrl-C: the first one ends the reading or watching and judges what there is, the second one quits."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collectors.dump import Interrupt


@contextmanager
def first_judges() -> Iterator[Interrupt]:
    """An interrupt that Ctrl-C, and a polite request to end, sets."""
    from collectors.dump import Interrupt

    interrupt = Interrupt()

    def stop(number: int, frame: FrameType | None) -> None:
        if interrupt.requested:
            raise KeyboardInterrupt
        interrupt.requested = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
