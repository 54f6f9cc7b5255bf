"""What a stand-in runs: one process of a tree that looks like a serving engine's. Standard library only.

The plan is a JSON file named by ``STAND_IN_PLAN``; ``STAND_IN_PLACE`` says which process of it this is. Requests
and signals are appended to the plan's log. The process ends when its standard input does.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, Any

Plan = dict[str, Any]

_GROWING = re.compile(r"@(i?)(-?[\d.e+]+)~(-?[\d.e+]+)@")
"""``@100~50@``: 100 at the start, 50 more a second; ``@i100~50@`` in whole numbers."""

_FIELDS_BEFORE = 2
_ARGUMENTS = slice(47, 49)
"""Fields 48 and 49 of ``/proc/self/stat``: where the command line begins and ends in memory."""

_SET_NAME = 15


class Clock:
    """Time with work: it stands still while the stand-in is frozen."""

    def __init__(self) -> None:
        self._worked_s, self._since_s = 0.0, time.monotonic()
        self.going, self.idle = True, False

    def worked_s(self) -> float:
        return self._worked_s + (time.monotonic() - self._since_s if self.going else 0.0)

    def go(self, going: bool) -> None:
        self._worked_s, self._since_s, self.going = self.worked_s(), time.monotonic(), going


def grown(text: str, worked_s: float) -> str:
    """A page with its counters as of now."""

    def value(found: re.Match[str]) -> str:
        now = float(found[2]) + float(found[3]) * worked_s
        return str(int(now)) if found[1] else repr(now)

    return _GROWING.sub(value, text)


class Log:
    """Appends one JSON line at a time, whoever writes."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def __call__(self, **said: Any) -> None:
        os.write(self._descriptor, json.dumps({"pid": os.getpid(), **said}).encode() + b"\n")


def retitle(arguments: list[bytes]) -> None:
    """Lay other words over the command line, empty strings behind them, as setproctitle leaves it."""
    with open("/proc/self/stat", encoding="ascii", errors="replace") as stream:
        fields = stream.read().rsplit(")", 1)[1].split()
    begin, end = (int(field) for field in ([""] * _FIELDS_BEFORE + fields)[_ARGUMENTS])
    words = b"\0".join(arguments) + b"\0"
    if len(words) > end - begin:
        sys.exit("the stand-in's command line is too short to hold its title")
    ctypes.memmove(begin, words.ljust(end - begin, b"\0"), end - begin)


def rename(name: str) -> None:
    """The name in ``/proc/PID/comm``."""
    ctypes.CDLL(None).prctl(_SET_NAME, name.encode(), 0, 0, 0)


def served(plan: Plan, log: Callable[..., None], clock: Clock) -> type[BaseHTTPRequestHandler]:
    """A handler that answers the plan's pages and writes down every request."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60
        wbufsize = 1 << 16

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            log(
                method=self.command,
                path=self.path,
                headers=dict(self.headers.items()),
                body_bytes=length or ("Transfer-Encoding" in self.headers),
            )
            self.rfile.read(length)
            page = plan["pages"].get(self.path.split("?", 1)[0], {"status": 404, "body": "no"})
            text = page.get("idle", page["body"]) if clock.idle else page["body"]
            body = grown(text, clock.worked_s()).encode()
            self.send_response(page.get("status", 200))
            self.send_header("Content-Type", page.get("type", "text/plain"))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing to standard error."""

    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    return Handler


def works(part: float) -> None:
    """Keep a core busy for that part of the time."""
    while True:
        begun = time.perf_counter()
        while time.perf_counter() - begun < 0.01 * part:
            pass
        time.sleep(0.01 * (1.0 - part))


def catch_all(log: Log) -> None:
    """Write down every signal that can be caught."""
    for number in sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}):
        with suppress(OSError, ValueError):
            signal.signal(number, lambda n, _: log(signal=n))


def started(count: int, place: str) -> list[IO[bytes]]:
    """Children; each ends when what is returned for it is closed."""
    found = []
    for index in range(count):
        command = [sys.executable, "-I", "-S", os.path.abspath(__file__), "." * 2048]
        environment = os.environ | {"STAND_IN_PLACE": f"{place} {index}"}
        child = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
        threading.Thread(target=child.wait, daemon=True).start()
        assert child.stdin is not None
        found.append(child.stdin)
    return found


def dressed(plan: Plan) -> list[mmap.mmap]:
    """Take on the title and the name; files that stay mapped as long as what is returned."""
    if plan.get("title"):
        retitle([word.encode("utf-8", "surrogateescape") for word in plan["title"]])
    if plan.get("name"):
        rename(plan["name"])
    held = []
    for file in plan.get("maps", ()):
        with open(file, "rb") as stream:
            held.append(mmap.mmap(stream.fileno(), 0, prot=mmap.PROT_READ))
    return held


def busied(plan: Plan) -> None:
    """Threads with names of their own, and one that works."""

    def rest(name: str) -> None:
        rename(name)
        time.sleep(3600.0)

    for name in plan.get("threads", ()):
        threading.Thread(target=rest, args=(name,), daemon=True).start()
    if plan.get("works"):
        threading.Thread(target=works, args=(plan["works"],), daemon=True).start()


def main() -> None:
    """Be the process that the plan describes, with its children, until standard input ends."""
    place = os.environ.get("STAND_IN_PLACE", "")
    with open(os.environ["STAND_IN_PLAN"], encoding="utf-8") as stream:
        whole: Plan = json.load(stream)
    plan = whole["tree"]
    for index in place.split():
        plan = plan["children"][int(index)]
    log, clock = Log(whole["log"]), Clock()
    catch_all(log)
    children = started(len(plan["children"]), place)
    held = dressed(plan)
    if "pages" in plan:
        server = ThreadingHTTPServer(("127.0.0.1", plan["port"]), served(plan, log, clock))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    busied(plan)
    log(place=place.strip(), ready=True, maps=len(held))
    if plan.get("runs"):
        with open(plan["output"], "wb") as output:
            log(ran=subprocess.run(plan["runs"], stdout=output, stderr=output, check=False).returncode)
    for line in sys.stdin.buffer:
        word = line.strip().decode()
        if word == "end":
            break
        clock.go(word == "go")
        clock.idle = word == "idle"
        log(told=word)
        for child in children:
            child.write(line)
            child.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
