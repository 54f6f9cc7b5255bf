"""What tests say about regimes: the fixture and the marker ``diagnose``. pytest loads it always: light to import."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from diagnose.expecting import Judged

NAME = "diagnose"
MARKER = (
    "diagnose(regime=None, cause=None, roof=None, confidence=0.6, workload=None): what the job that the fixture "
    "'diagnose' judges must be: its regime, its cause, the least fraction of a peak that it reaches, and how sure"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of ``diagnose`` in a group of their own."""
    group = parser.getgroup(NAME, "regimes and speeds of inference jobs")
    group.addoption(
        "--diagnose-baseline",
        metavar="DIR",
        default=None,
        help="compare with the sessions in this folder; ini: diagnose_baseline",
    )
    group.addoption(
        "--diagnose-update",
        action="store_true",
        help="add what passes to the baseline, so that later runs compare with it",
    )
    group.addoption(
        "--diagnose-strict",
        action="store_true",
        help="fail also where a comparison cannot tell, for want of like sessions",
    )
    parser.addini(
        "diagnose_baseline", "folder of the sessions to compare with, from the root of the project", default=""
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and refuse to keep sessions nowhere."""
    config.addinivalue_line("markers", MARKER)
    if config.getoption("--diagnose-update") and _folder(config) is None:
        raise pytest.UsageError("--diagnose-update needs --diagnose-baseline DIR")


@dataclass
class Diagnosing:
    """The fixture: called with a step function, dumps, a pid, or a verdict, it judges, and fails the test or not."""

    expected: dict[str, Any]
    baseline: str | None
    update: bool
    strict: bool
    node: str
    tell: Callable[[str], None]
    called: bool = False
    unnamed: int = 0
    """Calls so far that named no workload."""

    def __call__(
        self,
        source: Any,
        *,
        regime: str | None = None,
        cause: str | None = None,
        roof: float | None = None,
        confidence: float | None = None,
        workload: str | None = None,
        **options: Any,
    ) -> Judged:
        """Judge ``source`` and hold it against what is expected, here or by the marker, and against the baseline.

        Args:
            source: a callable is measured (``diagnose.probe``), a whole number is a pid (``attach``), paths are dumps,
                recordings or verdicts (``analyze``); a result or a verdict's dict is taken as it is.
            regime: ``memory``, ``compute`` or ``latency``. cause: as in the verdict's JSON.
            roof: the least fraction, of the peak that it is nearest to, that the job must reach.
            confidence: the least one of the regime, 0.6 unless stated.
            workload: under which its sessions are kept; the test's own name unless stated, with the call's number from
                the second call on.
            options: those of ``probe``, ``attach`` or ``analyze``.
        """
        from diagnose.expecting import Expected, judge
        from heuristics.errors import DiagnoseError

        stated = {"regime": regime, "cause": cause, "roof": roof, "confidence": confidence, "workload": workload}
        merged = {**self.expected, **{name: value for name, value in stated.items() if value is not None}}
        workload = merged.pop("workload", None) or self._own_name()
        self.called = True
        try:
            found = judge(source, workload, options)
            failures = Expected(**merged).failures(found)
            if self.baseline is not None:
                failures += self._compared(found, workload, failed=bool(failures))
        except DiagnoseError as error:
            pytest.fail("\n".join([f"Error: {error}", *([f"Hint: {error.hint}"] if error.hint else [])]), pytrace=False)
        if failures:
            pytest.fail("\n".join([*failures, "", *found.report.rstrip().splitlines()]), pytrace=False)
        return found

    def _own_name(self) -> str:
        """The test's, by which its sessions are kept; two calls in it judge two jobs."""
        self.unnamed += 1
        return self.node if self.unnamed == 1 else f"{self.node} #{self.unnamed}"

    def _compared(self, found: Judged, workload: str, *, failed: bool) -> list[str]:
        from collectors.baseline.store import make
        from diagnose.expecting import compare

        assert self.baseline is not None
        if self.update:
            make(self.baseline)
        line, report, bad = compare(found, self.baseline, workload, add=self.update and not failed, strict=self.strict)
        self.tell(line)
        return [report.rstrip(), ""] if bad else []


@pytest.fixture
def diagnose(request: pytest.FixtureRequest) -> Iterator[Diagnosing]:
    """Judge a step function, dumps or a live pid, and compare with the baseline; see the marker of the same name."""
    marker = request.node.get_closest_marker(NAME)

    def tell(line: str) -> None:
        request.node.user_properties.append((NAME, line))

    found = Diagnosing(
        expected=dict(marker.kwargs) if marker is not None else {},
        baseline=_folder(request.config),
        update=bool(request.config.getoption("--diagnose-update")),
        strict=bool(request.config.getoption("--diagnose-strict")),
        node=request.node.nodeid,
        tell=tell,
    )
    yield found
    if marker is not None and not found.called:
        pytest.fail(f"the marker {NAME} asks for a verdict, and the test judged nothing: diagnose(...)", pytrace=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A marker that could never be held against anything is an error, before any test runs."""
    for item in items:
        for marker in item.iter_markers(NAME):
            from diagnose.expecting import unknown

            wrong = "it takes keywords only, such as regime='memory'" if marker.args else unknown(marker.kwargs)
            if wrong is None and NAME not in getattr(item, "fixturenames", ()):
                wrong = f"the test does not use the fixture {NAME}"
            if wrong is not None:
                raise pytest.UsageError(f"{item.nodeid}: the marker {NAME}: {wrong}")


def _folder(config: pytest.Config) -> str | None:
    """Of the baseline, where one is named."""
    folder = config.getoption("--diagnose-baseline")
    stated = str(config.getini("diagnose_baseline"))
    return folder or (str(config.rootpath / stated) if stated else None)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A line for each comparison with a baseline. It travels in the report's properties, also from other processes."""
    lines = [
        f"{report.nodeid}: {value}"
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in getattr(report, "user_properties", ())
        if name == NAME
    ]
    if lines:
        terminalreporter.section("compared with the baseline")
        for line in lines:
            terminalreporter.line(line)
