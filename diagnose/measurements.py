"""A table of measurements, one a row, and a verdict on each."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diagnose.curves import Curve, curves
from diagnose.numbers import diagnose_numbers
from diagnose.result import Result
from diagnose.stated import NAMES, Options
from heuristics.errors import DiagnoseError, UnreadableDump

if TYPE_CHECKING:
    import pandas

COLUMNS = (*NAMES, "gpu")
MOST_BYTES = 1 << 26
MOST_ROWS = 100_000
_HINT = "a first line like gpu,params,batch,context,tokens_per_s, and a measurement a line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of the table by its line in the file: a result, or why there is none."""

    number: int
    label: str
    result: Result | None = None
    skipped: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """Verdicts on a table of measurements, in its order. ``str()`` is one line each, and below them the curves.

    ``curves`` are of rows that differ in nothing but their batch and context, over three doublings or more.
    """

    path: str
    lines: tuple[Line, ...]
    curves: tuple[Curve, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """``{"schema", "verdicts": [{line, label, verdict: ...}], "skipped": [{line, label, reason}], "curves",
        "warnings"}``.
        """
        return {
            "schema": "diagnose.verdicts/1",
            "verdicts": [
                {"line": line.number, "label": line.label, **line.result.to_dict()}
                for line in self.lines
                if line.result is not None
            ],
            "skipped": [
                {"line": line.number, "label": line.label, "reason": line.skipped}
                for line in self.lines
                if line.skipped is not None
            ],
            "curves": self.curves_to_dicts(),
            "warnings": list(self.warnings),
        }

    def curves_to_dicts(self) -> list[dict[str, Any]]:
        """``[{"label", "lines", "batch_doubling"}]``, the last as in a verdict."""
        from reports.batch_json import doubling_of

        return [
            {"label": curve.label, "lines": list(curve.lines), "batch_doubling": doubling_of(curve.fit)}
            for curve in self.curves
        ]

    def to_frame(self) -> pandas.DataFrame:
        """A row a measurement: line, label, regime, cause, confidence, shares, fractions of both peaks."""
        import pandas as pd

        return pd.DataFrame([_flat(line) for line in self.lines if line.result is not None])

    def __str__(self) -> str:
        from reports.batch_text import section
        from reports.roofline_text import lines_of

        rows = [(x.number, x.label, x.result.diagnosis if x.result else None, x.skipped) for x in self.lines]
        return lines_of(rows) + "".join(section(curve.label, curve.lines, curve.fit) for curve in self.curves)

    def to_markdown(self) -> str:
        """A table of verdicts, and the curves as they are drawn in the text."""
        from reports.as_markdown import verdicts
        from reports.batch_text import section

        rows = [(x.label, x.result.diagnosis if x.result else None, x.skipped) for x in self.lines]
        drawn = [section(curve.label, curve.lines, curve.fit).strip("\n") for curve in self.curves]
        return verdicts(rows) + "".join(f"\n```\n{text}\n```\n" for text in drawn)


def _flat(line: Line) -> dict[str, Any]:
    assert line.result is not None
    found = line.result.to_dict()
    verdict, measured = found["verdict"] or {}, found["measured"]
    shares = verdict.get("shares") or {}
    return {
        "line": line.number,
        "label": line.label,
        "regime": verdict.get("regime"),
        "cause": verdict.get("cause"),
        "confidence": verdict.get("confidence"),
        **{share: shares.get(share) for share in ("memory", "compute", "latency")},
        "bandwidth_fraction": measured.get("bandwidth_fraction"),
        "compute_fraction": measured.get("compute_fraction"),
    }


def measurements(path: str, usual: Options, gpus: Sequence[str], prices: Sequence[str]) -> Measurements:
    """A verdict on every row; ``usual`` and ``gpus`` stand where a row says nothing. Rows of no use are named.

    Raises:
        UnreadableDump: no such file, no table of measurements, or no usable row in it.
    """
    if prices:
        raise DiagnoseError("prices rank devices, and a table is of measurements", hint="leave --price or --csv out")
    found, unknown = [], []
    for number, row, blank in _rows(path):
        unknown += [name for name in row if name not in COLUMNS and name != "label"]
        found.append(_line(number, row, blank, usual, gpus))
    if not found:
        raise UnreadableDump(path, "no measurement in it", hint=_HINT)
    if all(line.result is None for line in found):
        raise UnreadableDump(path, str(found[0].skipped), line=found[0].number, hint=_HINT)
    told = ", ".join(dict.fromkeys(unknown))
    warnings = (f"columns that are no options were not read: {told}",) if unknown else ()
    judged = [(line.number, line.result.diagnosis) for line in found if line.result is not None]
    return Measurements(path=path, lines=tuple(found), curves=curves(judged), warnings=warnings)


def _rows(path: str) -> Iterator[tuple[int, dict[str, str], frozenset[str]]]:
    """Rows by their line, each with the cells that are filled under the names of options, and the other names."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as stream:
            text = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise UnreadableDump(path, error.strerror or str(error), hint="check the path") from error
    except ValueError as error:
        raise UnreadableDump(path, "not text", hint=_HINT) from error
    if len(text) > MOST_BYTES:
        raise UnreadableDump(path, "larger than a table of measurements would be", hint=_HINT)
    reader = csv.reader(text.splitlines())
    try:
        heads = [head.strip().lstrip("-").lower().replace("-", "_") for head in next(reader, [])]
        if not set(heads) & set(COLUMNS):
            raise UnreadableDump(path, "its first line names no option", line=1, hint=_HINT)
        for count, cells in enumerate(reader):
            if count >= MOST_ROWS:
                raise UnreadableDump(path, f"more than {MOST_ROWS:,} rows", hint="split the table")
            row = {h: cell.strip() for h, cell in zip(heads, cells, strict=False) if h and cell.strip()}
            if row:
                yield reader.line_num, row, frozenset(heads) - set(row)
    except csv.Error as error:
        raise UnreadableDump(path, str(error), line=reader.line_num, hint=_HINT) from error


def _line(number: int, row: dict[str, str], blank: frozenset[str], usual: Options, gpus: Sequence[str]) -> Line:
    label = row.get("label") or f"line {number}"
    options = replace(usual, **{name: value for name, value in row.items() if name in NAMES})
    try:
        if not options.given("tokens_per_s", "step_ms"):
            raise DiagnoseError("no tokens_per_s and no step_ms")
        if "batch" in blank and usual.batch is None:
            raise DiagnoseError("no batch, in a table of batches")
        named = [row["gpu"]] if "gpu" in row else list(gpus)
        return Line(number=number, label=label, result=Result(diagnose_numbers(options, named)))
    except DiagnoseError as error:
        return Line(number=number, label=label, skipped=str(error))
