"""Whose process answers at an address of this machine."""

from __future__ import annotations

import os

from collectors.load.address import Address
from collectors.process.proc import Proc

OTHER_NAMES = frozenset({"0.0.0.0", "::", "127.0.0.1", "::1"})
"""What a server on this machine's loopback is bound to; one on another address is another server."""


def pid_at(address: Address, proc: Proc) -> int | None:
    """The process that listens there; None where that cannot be seen, or it is ourselves."""
    if not address.loopback:
        return None
    import psutil

    own = os.getpid()
    for pid in sorted(psutil.pids()):
        if pid == own or not proc.same_network(pid):
            continue
        for listener in proc.listeners([pid]):
            if listener.port == address.port and (listener.address in OTHER_NAMES or listener.address == address.host):
                return pid
    return None
