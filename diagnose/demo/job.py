"""One inference job in a process: ``python -m diagnose.demo.job --model DIR --batch N --context N``.

It decodes synthetic requests until it is ended, and serves its counters over HTTP. Its first line of output is
``{"port": N}``, once it has taken a step. Nothing in its options says which regime it was made for.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from diagnose.demo.counters import Counters, exposition, serve

if TYPE_CHECKING:
    from diagnose.demo.decoder import Stepper
    from diagnose.demo.requests import ClosedLoop

THREAD_POOLS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


@dataclass(slots=True, kw_only=True)
class Job:
    """A decoder, its requests, and what was counted so far."""

    decoder: Stepper
    requests: ClosedLoop
    counters: Counters = field(default_factory=Counters)

    def step(self) -> None:
        """One token of every sequence."""
        loop = self.requests
        batch = loop.tokens.size
        chosen = self.decoder.next_tokens(loop.tokens, loop.positions)
        prompts, generated, ended = loop.advance(chosen)
        c = self.counters
        self.counters = replace(
            c,
            running=batch,
            cached_tokens=int(loop.positions.sum()),
            prompt_tokens=c.prompt_tokens + prompts,
            generation_tokens=c.generation_tokens + generated,
            requests=c.requests + ended,
            steps=c.steps + 1,
            step_tokens=c.step_tokens + batch,
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until killed, interrupted, or, where so asked, until standard input closes."""
    parser = argparse.ArgumentParser(prog="python -m diagnose.demo.job", description="A small real inference job.")
    parser.add_argument("--model", required=True, help="folder of the config.json")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--context", type=int, default=128, help="tokens of a request, prompt and all")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds the host lets pass between steps")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--eager", action="store_true", help="on a GPU: launch kernel by kernel, without a graph")
    parser.add_argument("--cpus", help="numbers of the CPUs to run on, as 0,1,2; default: all that are usable")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when standard input closes")
    given = parser.parse_args(arguments)
    if given.end_with_stdin:
        Thread(target=_end_with_stdin, daemon=True).start()
    if given.cpus:
        os.sched_setaffinity(0, {int(cpu) for cpu in given.cpus.split(",")})
    os.environ.update(dict.fromkeys(THREAD_POOLS, str(len(os.sched_getaffinity(0)))))
    job = _job(given)
    job.step()
    capacity = given.batch * given.context
    name = Path(given.model).resolve().name
    server = serve(lambda: exposition(job.counters, model=name, capacity_tokens=capacity))
    print(json.dumps({"port": server.server_port}), flush=True)
    try:
        while True:
            job.step()
            if given.pause:
                time.sleep(given.pause)
    except KeyboardInterrupt:
        sys.exit(130)


def _job(given: argparse.Namespace) -> Job:
    """Numpy is imported here, after its number of threads was set."""
    from collectors.model_config import read
    from diagnose.demo.decoder import Decoder, random_weights
    from diagnose.demo.requests import ClosedLoop

    shape = read(given.model)
    decoder: Stepper
    if given.device == "cuda":
        from diagnose.demo.decoder_torch import TorchDecoder

        decoder = TorchDecoder(shape, batch=given.batch, context=given.context, graph=not given.eager)
    else:
        decoder = Decoder(shape, random_weights(shape), batch=given.batch, context=given.context)
    requests = ClosedLoop(batch=given.batch, context=given.context, vocabulary=shape.vocab_size)
    return Job(decoder=decoder, requests=requests)


def _end_with_stdin() -> None:
    """The starter's end of the pipe closes with it, however it ends."""
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
