"""``diagnose attach``: the verdict on a live job."""

from __future__ import annotations

import click

from diagnose.commands.interrupt import first_judges
from diagnose.commands.options import live_options, roof_options
from diagnose.commands.output import emit, output_options


@click.command(name="attach", epilog="Example: diagnose attach $(pgrep -of 'vllm serve')")
@click.argument("pid")
@live_options
@roof_options
@click.option("--watch", is_flag=True, help="Go on, with a verdict every 2 s over the last SECONDS.")
@click.option("--record", metavar="FILE", help="Keep the raw observations, for `diagnose analyze FILE`.")
@output_options
def command(
    pid: str,
    for_: str | None,
    interval: str | None,
    url: str | None,
    api_key_env: str | None,
    model: str | None,
    gpu: str | None,
    dtype: str | None,
    bandwidth_gb_s: str | None,
    tflops: str | None,
    tensor_parallel: str | None,
    watch: bool,
    record: str | None,
    format_: str,
    output: str | None,
    no_color: bool,
) -> None:
    """Watch a live job from outside and say whether it is memory-, compute- or latency-bound.

    PID is any process of the job; the engine, its devices, its model and its metrics are found from it. Nothing is
    restarted, instrumented, signalled or slowed. Ctrl-C ends the watching and judges what was seen.
    """
    from diagnose import api

    options = {
        "for_": for_,
        "interval": interval,
        "url": url,
        "api_key_env": api_key_env,
        "model": model,
        "gpu": gpu,
        "dtype": dtype,
        "bandwidth_gb_s": bandwidth_gb_s,
        "tflops": tflops,
        "tensor_parallel": tensor_parallel,
        "record": record,
    }
    with first_judges() as interrupt:
        if watch:
            from diagnose.commands.view import show

            show(api.watch(pid, interrupt=interrupt, **options), format_=format_, output=output, no_color=no_color)
            return
        from diagnose.commands.progress import Countdown

        with Countdown(for_):
            result = api.attach(pid, interrupt=interrupt, **options)
    emit(result, format_=format_, output=output, no_color=no_color)
