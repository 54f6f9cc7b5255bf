"""What watching costs: a tree of 200 threads at 20 Hz, and a scrape a second of a page of 2,000 lines.

    python -m tests.benchmarks.watching [--seconds 20] [--threads 200] [--lines 2000] [--busy 1]

A child process makes the threads (``--busy`` of them never sleep) and serves the page. Processor time of the
sampling threads alone is counted, and the memory of the whole process after it, less nothing.
"""

from __future__ import annotations

import argparse
import http.server
import subprocess
import sys
import threading
import time

from collectors.engines.source import EngineSource
from collectors.follow import Follower
from collectors.host.source import HostSource
from collectors.job import find
from collectors.process.proc import Proc
from collectors.record import Record
from collectors.watch import Watch
from tests.make import engines
from tests.make.prometheus import page


def body(lines: int) -> bytes:
    """A page of vLLM's, made up to so many lines with buckets of a histogram that nobody asks for."""
    text = page(engines.vllm(engines.State()))
    bucket = 'vllm:e2e_request_latency_seconds_bucket{engine="0",le="%d.0",model_name="m"} %d\n'
    more = max(0, lines - text.count("\n"))
    return (text + "".join(bucket % (n, n) for n in range(more))).encode()


def serve(threads: int, lines: int, busy: int) -> None:
    """The child: threads, and a server of the page, until its input ends."""
    content = body(lines)

    class Page(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for place in range(threads - 3):
        work = _spin if place < busy else _doze
        threading.Thread(target=work, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


def _spin() -> None:
    while True:
        pass


def _doze() -> None:
    while True:
        time.sleep(0.2)


def measure(seconds: float, threads: int, lines: int, busy: int) -> Record:
    """The overhead's record after so many seconds."""
    command = [sys.executable, "-m", __spec__.name, "--serve", "--threads", str(threads), "--lines", str(lines)]
    child = subprocess.Popen([*command, "--busy", str(busy)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        port = int(child.stdout.readline())
        proc = Proc()
        job = find(child.pid, proc)
        records: list[Record] = []
        follower = Follower(job, proc)
        sources = [
            EngineSource(job, proc, url=f"http://127.0.0.1:{port}/metrics"),
            HostSource(follower.pids, job.root.pid, proc),
            follower,
        ]
        watch = Watch(sources, records.append)
        watch.start()
        time.sleep(seconds)
        watch.stop()
        scrapes = sum(r["what"] == "scrape" for r in records)
        seen = max((r["threads"] for r in records if r["what"] == "host"), default=0)
        return {**watch.overhead(), "scrapes": scrapes, "threads": seen}
    finally:
        child.kill()
        child.wait()


def main() -> None:
    """Print the figures of one run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--threads", type=int, default=200)
    parser.add_argument("--lines", type=int, default=2000)
    parser.add_argument("--busy", type=int, default=1)
    parser.add_argument("--serve", action="store_true")
    given = parser.parse_args()
    if given.serve:
        serve(given.threads, given.lines, given.busy)
        return
    found = measure(given.seconds, given.threads, given.lines, given.busy)
    print(f"{found['threads']} threads at 20 Hz, {found['scrapes']} scrapes of {given.lines:,} lines")
    print(f"sampling  {found['cpu_s'] / found['wall_s']:.2%} of one core")
    print(f"starting  {found['start_cpu_s'] * 1e3:.0f} ms of processor time, once")
    print(f"memory    {found['rss_bytes'] / 1e6:.0f} MB, the interpreter and all imports included")


if __name__ == "__main__":
    main()
