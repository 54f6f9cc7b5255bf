"""From a URL or a pid to the server that is to be loaded, and to how it is watched meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from collectors.engines.shapes import Shape
from collectors.engines.source import places
from collectors.job import find
from collectors.load.address import Address, address_of
from collectors.load.listener import pid_at
from collectors.process.proc import Proc
from collectors.record import Record
from diagnose.elsewhere import Elsewhere, shape_of_owner
from diagnose.live import LiveJob, Look
from heuristics.errors import DiagnoseError, NoSuchProcess, NotPermitted, SeveralJobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The server. ``pid``: one of its processes, None where none can be seen. ``named``: the user named the process."""

    address: Address
    pid: int | None = None
    named: bool = False


def target_of(text: str) -> Target:
    """What the user means.

    Raises:
        DiagnoseError: it is neither a process nor an address, or the process listens nowhere.
        NoSuchProcess, NotPermitted, SeveralJobs: as for ``attach``.
    """
    proc = Proc()
    if not text.strip().isdecimal():
        address = address_of(text.strip())
        return Target(address=address, pid=pid_at(address, proc))
    from diagnose.api import process_number

    pid = process_number(text, "sweep")
    job = find(pid, proc, command="sweep")
    found = places(job, proc)
    if not found and job.shape is None and len(job.listeners) == 1:
        found = [("127.0.0.1", job.listeners[0].port)]
    if not found:
        raise DiagnoseError(
            f"where process {pid} answers cannot be seen from here", hint="diagnose sweep http://127.0.0.1:PORT"
        )
    host, port = found[0]
    return Target(address=Address(scheme="http", host=host, port=port), pid=pid, named=True)


def check_consent(target: Target, *, yes: bool) -> None:
    """Loading somebody else's machine needs a word.

    Raises:
        DiagnoseError: the server is not on this machine, and nobody said yes.
    """
    if not (yes or target.named or target.address.loopback):
        raise DiagnoseError(
            f"{target.address.netloc} is not this machine: a load is sent there only if you say so",
            hint="add --yes, if the server is yours to load; --dry-run shows what would be sent",
        )


def withheld(target: Target, look: Look) -> tuple[Look, str | None]:
    """How to look, without the key where the metrics are another server's, and then the words that say so.

    Raises:
        DiagnoseError: the address of the metrics makes no sense.
    """
    if look.url is None:
        return look, None
    metrics = address_of(look.url)
    if look.credential is None or metrics.same_server(target.address):
        return look, None
    at = f"{target.address.scheme}://{target.address.netloc}"
    return replace(look, credential=None), f"The key goes to {at} alone, not to the metrics of {metrics.netloc}"


def watcher(target: Target, look: Look, owner: str | None, sink: Callable[[Record], None]) -> LiveJob | Elsewhere:
    """What observes the server meanwhile: as much as ``attach`` does where its process can be seen."""
    shape = shape_of_owner(owner)
    url = look.url or _metrics(target.address, shape)
    if target.pid is not None:
        try:
            job = LiveJob(target.pid, look, sink)
            return (
                job if job.job.shape is not None or url is None else LiveJob(target.pid, replace(look, url=url), sink)
            )
        except (NoSuchProcess, NotPermitted, SeveralJobs):
            if target.named:
                raise
    return Elsewhere(shape, url, look.credential, sink)


def _metrics(address: Address, shape: Shape | None) -> str | None:
    """Where an engine that named itself has its metrics; none over TLS, which the reader of metrics does not speak."""
    if shape is None or shape.metrics is None or address.scheme != "http":
        return None
    return f"http://{address.netloc}{shape.metrics}"
