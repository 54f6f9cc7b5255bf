"""Arguments of the probe, checked and brought to what the measuring wants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any

from diagnose.given import Spelling, model_named, scaled
from heuristics.errors import DiagnoseError
from heuristics.model_shape import ModelShape
from heuristics.operations import Phase

if TYPE_CHECKING:
    from collectors.probe.rounds import Plan

INSTALL = "pip install 'diagnose-inference[probe]'"
EXAMPLE = "probe(step, batches=(1, 2, 4, 8)), where step(8) runs one step of eight sequences"
DEVICES = "device='cpu', or device='cuda'"
LARGEST_BATCH = 1 << 24
FEWEST_ROUNDS, MOST_ROUNDS, LONGEST_S = 3, 1000, 3600.0

Amount = float | Mapping[int, float] | Callable[[int], float] | None
"""FLOPs or bytes of one step: the same at each batch, or by batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What is known of the model: its shape, or the torch module whose parameters are its weights."""

    shape: ModelShape | None = None
    module: Any = None

    @property
    def name(self) -> str | None:
        """What to call it."""
        if self.shape is not None:
            return self.shape.name
        return type(self.module).__name__ if self.module is not None else None


def torch_itself() -> Any:
    """torch.

    Raises:
        DiagnoseError: it is not installed, or cannot be imported.
    """
    try:
        return import_module("torch")
    except ImportError as error:
        raise DiagnoseError(f"the probe needs torch: {error}", hint=INSTALL) from error


def batches_of(batches: Any, batch: int | None) -> tuple[tuple[int, ...], int]:
    """Batches in ascending order, and the one the result is about."""
    if isinstance(batches, str) or not isinstance(batches, Iterable):
        raise DiagnoseError(f"batches must be several whole numbers, not {batches!r}", hint=EXAMPLE)
    listed = [*batches, *(() if batch is None else (batch,))]
    if not listed:
        raise DiagnoseError("no batch to measure at", hint=EXAMPLE)
    for each in listed:
        if not _whole(each, 1, LARGEST_BATCH):
            raise DiagnoseError(f"a batch must be a whole number of sequences, not {each!r}", hint=EXAMPLE)
    found = tuple(sorted({int(b) for b in listed}))
    return found, found[-1] if batch is None else int(batch)


def context_of(context_tokens: Any) -> float | None:
    """Tokens each sequence has cached; none at all may be stated."""
    if isinstance(context_tokens, int | float) and context_tokens == 0:
        return 0.0
    return _stated("context_tokens", context_tokens, "1024")


def phase_of(name: str) -> Phase:
    """The phase of that name."""
    try:
        return Phase(str(name).lower())
    except ValueError as error:
        raise DiagnoseError(f"no phase named {name!r}", hint="phase='decode', or phase='prefill'") from error


def model_of(model: Any) -> Model:
    """A shape, a path or id to read one from, or a torch module."""
    if model is None or isinstance(model, ModelShape):
        return Model(shape=model)
    if isinstance(model, str | PathLike):
        return Model(shape=model_named(model))
    if not hasattr(model, "parameters"):
        raise DiagnoseError(
            "model is no torch module, no shape and no path", hint="model=the torch module, or its config.json"
        )
    return Model(module=model)


def plan_of(phase: Phase, warmup: int | None, seconds: float, repeats: int, graph: bool) -> Plan:
    """How to measure."""
    from collectors.probe.rounds import Plan

    length = _stated("seconds", seconds, "0.5")
    if length is None:
        raise DiagnoseError("seconds must be a number, not None", hint=Spelling.KEYWORD.example("seconds", "0.5"))
    if not _whole(repeats, FEWEST_ROUNDS, MOST_ROUNDS):
        raise DiagnoseError(
            f"repeats must be a whole number from {FEWEST_ROUNDS} to {MOST_ROUNDS}, not {repeats!r}", hint="repeats=9"
        )
    if warmup is not None and not _whole(warmup, 1, LARGEST_BATCH):
        raise DiagnoseError(f"warmup must be a number of steps, not {warmup!r}", hint="warmup=10, or leave it out")
    return Plan(
        phase=phase,
        rounds=int(repeats),
        seconds=min(LONGEST_S, length),
        warm_up=None if warmup is None else int(warmup),
        graph=graph,
    )


def amount_at(amount: Amount, batch: int, name: str) -> float | None:
    """FLOPs or bytes of one step at a batch."""
    if amount is None:
        return None
    if callable(amount):
        return _stated(name, amount(batch), "1e9")
    if isinstance(amount, Mapping):
        if batch not in amount:
            raise DiagnoseError(f"{name} are not stated for batch {batch}", hint=f"{name}=lambda batch: ...")
        return _stated(name, amount[batch], "1e9")
    return _stated(name, amount, "1e9")


def _stated(name: str, value: Any, example: str) -> float | None:
    return scaled(name, value, 1.0, example=example, spelling=Spelling.KEYWORD)


def _whole(value: Any, least: int, most: int) -> bool:
    """Whether it is a whole number within the limits; a bool is none, nor is a text."""
    if isinstance(value, bool | str):
        return False
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return least <= number <= most and number.is_integer()


def cuda_index(torch: Any, device: Any, module: Any, inputs: Any, result: Callable[[], object]) -> int | None:
    """The CUDA device in use; None for the processors.

    Where it is not stated: the module's, else the inputs', else that of what ``result`` returns, else one that holds
    this process's memory.
    """
    if device is not None:
        try:
            named = torch.device(device)
        except (RuntimeError, TypeError, ValueError) as error:
            raise DiagnoseError(f"torch knows no device {device!r}", hint=DEVICES) from error
        return _index(torch, named)
    for tensor in _tensors(torch, (module, inputs)):
        return _index(torch, tensor.device)
    for tensor in _tensors(torch, (result(),)):
        return _index(torch, tensor.device)
    if torch.cuda.is_available() and torch.cuda.is_initialized() and torch.cuda.memory_allocated():
        return int(torch.cuda.current_device())
    return None


def _index(torch: Any, device: Any) -> int | None:
    if device.type == "cpu":
        return None
    if device.type != "cuda":
        raise DiagnoseError(f"the probe cannot measure on {device.type}", hint=DEVICES)
    if not torch.cuda.is_available():
        raise DiagnoseError("torch finds no CUDA device", hint="nvidia-smi, and a torch that is built with CUDA")
    return int(torch.cuda.current_device() if device.index is None else device.index)


def _tensors(torch: Any, values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, Mapping):
            yield from _tensors(torch, value.values())
        elif isinstance(value, list | tuple):
            yield from _tensors(torch, value)
        elif hasattr(value, "parameters"):
            yield from value.parameters()
