"""Binary reports are printed by ncu itself, where it is on the PATH."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from collectors.dump import Dump
from collectors.ncu import report
from collectors.readers import read, reader_of
from heuristics.errors import UnreadableDump
from tests.make import ncu
from tests.make.ncu import Attributes, Kernel

CONTENT = b"NVR\x00\x01\x02 nothing that we could read"


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A report whose name holds a space and a leading dash."""
    path = tmp_path / "-run 1.ncu-rep"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where an executable named ncu is looked for first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder / "ncu"


def install(tool: Path, script: str) -> None:
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)


def print_page(tool: Path, text: str) -> None:
    """An ncu that prints a page when, and only when, it is asked as it should be."""
    page = tool.with_name("page.csv")
    page.write_text(text)
    asked = '[ "$#" = 5 ] && [ "$1" = --import ] && [ -f "$2" ] && [ "$3 $4 $5" = "--csv --page raw" ]'
    install(tool, f'{asked} || exit 3\ncase "$2" in /*) ;; *) exit 4 ;; esac\nexec cat "{page}"')


def test_report_is_read_through_ncu(tool: Path, given: Path) -> None:
    text = ncu.raw([Kernel(), Kernel(name="second")], attributes=[Attributes()])
    print_page(tool, ncu.after(["==PROF== reading"], text))
    dump = Dump(path=str(given))
    contents = read(dump)
    dump.close()
    assert ncu.launches(contents) == ncu.launches(ncu.read(text))
    assert [o.source for o in contents.observations] == [str(given)]


def test_report_under_a_relative_path_is_given_to_ncu_as_an_absolute_one(
    tool: Path, given: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    print_page(tool, ncu.raw([Kernel()]))
    monkeypatch.chdir(given.parent)
    dump = Dump(path=given.name)
    assert len(ncu.launches(report.read(dump))) == 1
    dump.close()


def test_report_longer_than_a_pipe_holds_is_read_to_its_end(tool: Path, given: Path) -> None:
    print_page(tool, ncu.raw(3000 * [Kernel()]))
    dump = Dump(path=str(given))
    assert len(ncu.launches(read(dump))) == 3000
    dump.close()


def refused(path: Path) -> UnreadableDump:
    dump = Dump(path=str(path))
    assert reader_of(dump) is report
    with pytest.raises(UnreadableDump) as raised:
        report.read(dump)
    dump.close()
    return raised.value


def test_without_ncu_the_command_to_run_elsewhere_is_named(
    given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    error = refused(given)
    assert error.reason == "a binary report needs ncu to be read, and ncu is not on the PATH"
    assert error.hint == f"ncu --import {given} --csv --page raw > kernels.csv, and give kernels.csv"


def test_ncu_that_prints_nothing_is_named(tool: Path, given: Path) -> None:
    install(tool, "echo 'cannot open' >&2; exit 1")
    assert refused(given).reason == f"{tool} printed nothing for this report"


def test_ncu_that_does_not_run_is_named(tool: Path, given: Path) -> None:
    tool.write_bytes(b"\x7fELF of another machine")
    tool.chmod(0o755)
    error = refused(given)
    assert error.reason.startswith(f"{tool} does not run: ")
    assert error.hint is not None


def test_error_that_ncu_prints_is_repeated(tool: Path, given: Path) -> None:
    install(tool, "echo '==ERROR== The report is of a later version.'")
    assert refused(given).reason == "ncu reports: The report is of a later version."


def test_report_from_a_pipe_asks_for_its_path(tool: Path) -> None:
    print_page(tool, ncu.raw([Kernel()]))
    dump = Dump(path="-", stream=io.BytesIO(CONTENT))
    with pytest.raises(UnreadableDump, match="from a pipe") as raised:
        read(dump)
    assert raised.value.hint == "give the report's path"


def test_binary_file_is_known_by_its_suffix_too() -> None:
    assert report.recognises(ncu.dump_of(b"XYZ\x00\x01", "run.ncu-rep"))
    assert not report.recognises(ncu.dump_of(b"XYZ\x00\x01", "run.bin"))
    assert not report.recognises(ncu.dump_of(ncu.raw([Kernel()]), "printed.ncu-rep"))
