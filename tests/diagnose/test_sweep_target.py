"""What is meant by the target of a sweep: a process, an address, and whose process answers there."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from collectors.load.address import address_of
from collectors.load.listener import pid_at
from collectors.process.proc import Proc
from diagnose import DiagnoseError, NoSuchProcess
from diagnose.elsewhere import shape_of_owner
from diagnose.sweep_target import check_consent, target_of
from tests.make.stand_ins import JOBS, running


def test_a_process_and_its_address_are_one_target(tmp_path: Path) -> None:
    with running(JOBS["vLLM"], tmp_path) as job:
        by_pid = target_of(str(job.pid))
        by_address = target_of(f"http://127.0.0.1:{job.port}/v1")
        assert job.requests() == [], "nothing was asked"
    assert by_pid.address == by_address.address
    assert by_address.pid in job.pids
    check_consent(by_pid, yes=False)
    check_consent(by_address, yes=False)


def test_our_own_socket_is_nobodys() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert pid_at(address_of(f"127.0.0.1:{listener.getsockname()[1]}"), Proc()) is None
    assert pid_at(address_of("http://192.0.2.1:80"), Proc()) is None


def test_what_is_no_target() -> None:
    for text, kind in (("0", DiagnoseError), ("99999999", NoSuchProcess), ("not a thing", DiagnoseError)):
        with pytest.raises(kind):
            target_of(text)


def test_engines_name_themselves_as_owners() -> None:
    found = {owner: shape.engine for owner in ("vllm", "llamacpp", "sglang") if (shape := shape_of_owner(owner))}
    assert found == {"vllm": "vLLM", "llamacpp": "llama.cpp", "sglang": "SGLang"}
    assert shape_of_owner("organization-owner") is None
    assert shape_of_owner(None) is None
