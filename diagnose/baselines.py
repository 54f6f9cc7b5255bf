"""A baseline from Python: add sessions, list them, see how they went over time, and prune."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from os import PathLike, fspath
from typing import Any, cast

from collectors.baseline import store
from collectors.baseline.lines import Flaw, Line
from diagnose.baseline_results import Added, History, Listing, Pruned
from diagnose.clock import now_text
from diagnose.given import Path, metric_asked
from diagnose.sessions import Source, settled, verdict_of, workload_named
from heuristics.errors import DiagnoseError
from heuristics.regression.session import Session, distinct
from reports.history_words import Files


class Baseline:
    """Sessions that are kept in a folder, one verdict a line.

    >>> baseline = Baseline("baselines/")
    >>> baseline.add("verdict.json", workload="chat")
    >>> print(baseline.history())
    """

    def __init__(self, directory: Path) -> None:
        self.directory = fspath(directory)

    def add(self, sources: Source | Iterable[Source], workload: str | None = None, **analyze_options: Any) -> Added:
        """Add sessions: verdicts' files, dumps (which ``analyze`` judges), results, or verdicts as dicts.

        All are read before any is written. The folder is made where there is none.

        Args:
            sources: one or several; a file's path may be ``-`` for standard input.
            workload: what the user calls what was run; sessions of other names are never compared.
            analyze_options: those of ``analyze``, for dumps.

        Raises:
            UnreadableDump: a file is missing, or neither a verdict nor a dump.
            DiagnoseError: a verdict is no session (nothing measured, provisional, idle), or the folder cannot be
                written.
        """
        single = isinstance(sources, str | PathLike | Mapping) or hasattr(sources, "to_dict")
        listed: list[Any] = [sources] if single else list(cast(Iterable[Source], sources))
        workload = workload_named(workload)
        verdicts = [settled(verdict_of(s, **analyze_options), _name(s)) for s in listed]
        if not verdicts:
            raise DiagnoseError("no file given", hint="diagnose baseline add verdict.json --baseline DIR")
        now = now_text()
        items = [store.append(self.directory, v, workload=workload, added_at=now) for v in verdicts]
        return Added(directory=self.directory, items=tuple(items))

    def list(self) -> Listing:
        """The groups of alike sessions, without looking for changes.

        Raises:
            DiagnoseError: the folder cannot be read.
        """
        from heuristics.regression.history import history

        sessions, files = self._read()
        return Listing(groups=tuple(history(sessions, changes=False)), files=files)

    def history(self, workload: str | None = None, metric: str | None = None) -> History:
        """How the sessions went over time, of all workloads or one, with all metrics or one.

        Raises:
            DiagnoseError: the folder cannot be read, or there is no such workload or metric.
        """
        from heuristics.regression.history import history

        wanted = None if metric is None else metric_asked(metric)
        workload = workload_named(workload)
        sessions, files = self._read()
        _check_workload(sessions, workload)
        return History(groups=tuple(history(sessions, workload=workload, metric=wanted)), files=files)

    def prune(
        self,
        keep: int | str | None = None,
        before: str | datetime | None = None,
        workload: str | None = None,
        dry_run: bool = False,
    ) -> Pruned:
        """Remove old sessions. Lines that cannot be read stay as they are.

        Args:
            keep: so many stay of each group of alike sessions, the newest.
            before: only sessions from before this ISO date or time go; those without a date stay. Without a zone it is
                UTC.
            workload: only sessions of this one go.
            dry_run: nothing is removed, and what would be is returned.

        Raises:
            DiagnoseError: neither ``keep`` nor ``before`` is given or makes sense, or a file cannot be replaced.
        """
        from heuristics.regression.history import grouped

        if keep is None and before is None:
            raise DiagnoseError("nothing says which sessions are old", hint="--keep 60, or --before 2026-01-31")
        most, limit = _count(keep), _date(before)
        workload = workload_named(workload)

        def drop(lines: list[Line]) -> list[Line]:
            sessions = [line.session for line in lines if line.session is not None]
            _check_workload(sessions, workload)
            old = set()
            for group in grouped(distinct(sessions)):
                for session in group if most is None else group[:-most]:
                    wanted = workload is None or session.identity.get("workload") == workload
                    if wanted and (limit is None or _earlier(session, limit)):
                        old.add(session.key)
            return [line for line in lines if line.session is not None and line.session.key in old]

        gone = store.prune(self.directory, drop, dry_run=dry_run)
        left = len(distinct(store.read(self.directory).sessions))
        if dry_run:
            left -= len({line.session.key for line in gone if line.session is not None})
        return Pruned(directory=self.directory, lines=tuple(gone), left=left, dry_run=dry_run)

    def _read(self) -> tuple[Sequence[Session], Files]:
        kept = store.read(self.directory)
        sessions = distinct(kept.sessions)
        files = Files(
            directory=self.directory,
            sessions=len(sessions),
            damaged=len(kept.flawed(Flaw.DAMAGED)),
            newer=len(kept.flawed(Flaw.NEWER)),
            twice=len(kept.sessions) - len(sessions),
        )
        return sessions, files


def _name(source: Source) -> str:
    return fspath(source) if isinstance(source, str | PathLike) else "the verdict"


def _check_workload(sessions: Iterable[Session], workload: str | None) -> None:
    known = sorted({name for s in sessions if (name := s.identity.get("workload"))})
    if workload is not None and workload not in known:
        told = f"one of {', '.join(known)}" if known else "no session has a name; leave --workload out"
        raise DiagnoseError(f"no workload named {workload!r}", hint=told)


def _count(keep: int | str | None) -> int | None:
    if keep is None:
        return None
    try:
        count = int(keep)
    except ValueError as error:
        raise DiagnoseError(f"keep must be a whole number, not {keep!r}", hint="--keep 60") from error
    if count < 1:
        raise DiagnoseError(f"keep must be 1 or more, not {count}", hint="--keep 60; or remove the folder's files")
    return count


def _date(before: str | datetime | None) -> datetime | None:
    if before is None or isinstance(before, datetime):
        return before if before is None or before.tzinfo else before.replace(tzinfo=UTC)
    found = _moment(before)
    if found is None:
        raise DiagnoseError(f"before must be a date, not {before!r}", hint="--before 2026-01-31")
    return found


def _earlier(session: Session, limit: datetime) -> bool:
    when = _moment(session.created_at or "")
    return when is not None and when < limit


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
