"""A job's counters, and the page that serves them in Prometheus' text format under ``diagnose_demo:``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

PREFIX = "diagnose_demo:"
BLOCK_TOKENS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Totals since the start and the state after the last step. Replaced as a whole: a reader sees one step."""

    running: int = 0
    waiting: int = 0
    cached_tokens: int = 0
    prompt_tokens: int = 0
    generation_tokens: int = 0
    requests: int = 0
    steps: int = 0
    step_tokens: int = 0


def exposition(counters: Counters, *, model: str, capacity_tokens: int) -> str:
    """The page: names are those of vLLM behind a prefix of their own."""
    label = f'{{model_name="{model}"}}'
    c = counters
    lines: list[str] = []
    for name, kind, value in (
        ("num_requests_running", "gauge", c.running),
        ("num_requests_waiting", "gauge", c.waiting),
        ("kv_cache_usage_perc", "gauge", c.cached_tokens / capacity_tokens),
        ("prompt_tokens_total", "counter", c.prompt_tokens),
        ("generation_tokens_total", "counter", c.generation_tokens),
        ("request_success_total", "counter", c.requests),
    ):
        lines += [f"# TYPE {PREFIX}{name} {kind}", f"{PREFIX}{name}{label} {value}"]
    blocks = -(-capacity_tokens // BLOCK_TOKENS)
    lines += [
        f"# TYPE {PREFIX}iteration_tokens_total histogram",
        f'{PREFIX}iteration_tokens_total_bucket{{le="+Inf",model_name="{model}"}} {c.steps}',
        f"{PREFIX}iteration_tokens_total_count{label} {c.steps}",
        f"{PREFIX}iteration_tokens_total_sum{label} {c.step_tokens}",
        f"# TYPE {PREFIX}cache_config_info gauge",
        f'{PREFIX}cache_config_info{{block_size="{BLOCK_TOKENS}",num_gpu_blocks="{blocks}",'
        f'kv_cache_size_tokens="{capacity_tokens}"}} 1',
    ]
    return "\n".join(lines) + "\n"


def serve(page: Callable[[], str]) -> ThreadingHTTPServer:
    """Serve the page at ``/metrics`` of a free port of the loopback, from threads of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path.split("?")[0] == "/metrics"
            content = page().encode() if known else b"only /metrics is here\n"
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    return server
