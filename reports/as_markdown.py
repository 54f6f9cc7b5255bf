"""The verdict as Markdown, for an issue or a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heuristics.kernel_class import short_name
from heuristics.rows import Level, Row, rows
from heuristics.simplex import SHARES
from heuristics.sweep import Sweep
from heuristics.verdict import Diagnosis, Verdict
from reports import sweep_text
from reports.advice_text import HEAD, cells
from reports.advice_text import title as advice_title
from reports.as_text import MOST_ROWS, WIDEST, distance, job_facts, missing_facts, of_device, time_split
from reports.batch_text import doubling
from reports.markdown import table
from reports.probe_text import table as probe_table
from reports.probe_text import title as probe_title
from reports.ranking_text import sections as ranking_sections
from reports.roofline_text import headline, sections
from reports.words import conclusion, count, filled, number, percent


def render(diagnosis: Diagnosis) -> str:
    """A heading, the budget, evidence, kernels and warnings."""
    whole = diagnosis.whole
    verdict = whole.verdict
    forecast = diagnosis.forecast
    title = headline(forecast)[0] if verdict is None and forecast is not None else _title(verdict)
    parts = [f"## {title}", "", *_beneath(diagnosis)]
    if diagnosis.sweep is not None:
        parts = [*_swept(diagnosis.sweep), f"### All levels together: {title}", "", *_beneath(diagnosis)]
    if verdict is not None and verdict.shares is not None:
        parts += table(
            ["", *(share.value for share in SHARES), "regime", "confidence"],
            [["whole", *_cells(verdict)]]
            + [
                [phase.value, *_cells(part.judgement.verdict)]
                for phase, part in diagnosis.phases.items()
                if part.judgement.verdict is not None
            ]
            + [
                [f"device {d.device.index}", *_cells(d.verdict)]
                for d in diagnosis.devices
                if len(diagnosis.devices) > 1 and d.device is not None and d.verdict is not None
            ],
        )
    if diagnosis.advice:
        parts += [f"### {advice_title(diagnosis)}", "", *table(list(HEAD), cells(diagnosis))]
    for title, told in (("Job", job_facts(diagnosis)), ("Not read", missing_facts(diagnosis))):
        if told:
            parts += [f"### {title}", "", *(f"- {fact}" for fact in told), ""]
    for title, lines in _drawn(diagnosis):
        parts += [f"### {title}", "", "```", *(line[2:] for line in lines), "```", ""] if lines else []
    if whole.evidence:
        parts += [f"### Evidence{of_device(whole)}", ""]
        for item in whole.evidence:
            text = filled(item.evidence.sentence, item.evidence.measured)
            parts.append(f"- **{item.evidence.signal}**: {text}{conclusion(item.bounds)}")
        parts.append("")
    every = rows(whole)
    for title, level in (("Kernels", Level.KERNEL), ("Operations", Level.OPERATION)):
        listed = [row for row in every if row.level is level][:MOST_ROWS]
        if listed and forecast is None:
            parts += [f"### {title}{of_device(whole)}", "", *_listed(listed)]
    if diagnosis.warnings:
        parts += ["### Mind", "", *(f"- {warning}" for warning in diagnosis.warnings), ""]
    parts.append(f"_diagnose {diagnosis.tool_version}, {diagnosis.created_at}_")
    return "\n".join(parts) + "\n"


def _swept(sweep: Sweep) -> list[str]:
    """The answer of a sweep as the title, and a table of its levels with the verdicts on each."""
    first, *more = sweep_text.headline(sweep)
    body = []
    for level in sweep.levels:
        told = [
            "" if verdict is None else f"{verdict.regime.value} {percent(verdict.confidence)}"
            for _, verdict in sweep_text.parts(level)
        ]
        body.append([*sweep_text.cells(level), *told])
    return [
        f"## {first}",
        "",
        *(line for text in more for line in (text, "")),
        *(f"- {fact}" for fact in sweep_text.facts(sweep)),
        "",
        *table([*sweep_text.HEAD, "decode", "prefill", "together"], body),
    ]


def verdicts(rows: Sequence[tuple[str, Diagnosis | None, str | None]]) -> str:
    """A row a measurement, of (label, diagnosis or None, why it was skipped)."""
    head = ["", *(share.value for share in SHARES), "regime", "confidence", "tokens/s"]
    body = []
    for label, diagnosis, skipped in rows:
        if diagnosis is None:
            body.append([label, "", "", "", f"skipped: {skipped}", "", ""])
            continue
        speed = diagnosis.whole.measured.get("tokens_per_s")
        body.append([label, *_cells(diagnosis.whole.verdict), "" if speed is None else number(speed)])
    return "\n".join(table(head, body))


def _drawn(diagnosis: Diagnosis) -> Iterator[tuple[str, list[str]]]:
    """Sections that are drawn as in the text: columns and plots."""
    if diagnosis.probe is not None:
        yield probe_title(diagnosis.probe), probe_table(diagnosis.probe)
    if diagnosis.forecast is not None:
        yield from sections(diagnosis.forecast, diagnosis.candidates, WIDEST)
        yield from ranking_sections(diagnosis.ranking, WIDEST)
    yield "Batch doubling", doubling(diagnosis.batch_fit, WIDEST)


def _beneath(diagnosis: Diagnosis) -> list[str]:
    """How the time splits, where it was watched, and how far it is to the roof: a paragraph each."""
    if diagnosis.whole.verdict is None and diagnosis.forecast is not None:
        told = headline(diagnosis.forecast)[1:]
    else:
        told = [time_split(diagnosis), distance(diagnosis.whole)]
    return [line for text in told if text for line in (text, "")]


def _listed(listed: Sequence[Row]) -> list[str]:
    """A table of rows, with the columns that any of them fills."""
    columns: dict[str, list[str]] = {
        "time": [percent(r.time_share) if r.time_share is not None else "" for r in listed],
        "launches": [count(r.launches) if r.launches is not None else "" for r in listed],
        "regime": [r.regime.value if r.regime is not None else "" for r in listed],
        "cause": [r.cause.value if r.cause is not None else "" for r in listed],
        "class": [r.kind.value if r.kind is not None else "" for r in listed],
        "ncu's own rule": [r.ncu_rule.label if r.ncu_rule is not None else "" for r in listed],
        "name": [f"`{short_name(r.name)}`" for r in listed],
    }
    filled_columns = {head: cells for head, cells in columns.items() if any(cells)}
    return table(list(filled_columns), [list(row) for row in zip(*filled_columns.values(), strict=True)])


def _title(verdict: Verdict | None) -> str:
    if verdict is None:
        return "Nothing was measured"
    cause = f", {verdict.cause.value}" if verdict.cause is not None else ""
    return f"{verdict.regime.value}{cause} ({percent(verdict.confidence)} confidence)"


def _cells(verdict: Verdict | None) -> list[str]:
    if verdict is None:
        return [""] * 5
    shares = [percent(verdict.shares[s]) if verdict.shares is not None else "" for s in SHARES]
    return [*shares, verdict.regime.value, percent(verdict.confidence)]
