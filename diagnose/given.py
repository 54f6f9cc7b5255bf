"""What a user states beside the evidence: options as typed, checked, and brought to SI units."""

from __future__ import annotations

from os import PathLike, fspath

from heuristics.assemble import Given
from heuristics.errors import DiagnoseError, UnusableModel
from heuristics.gpus import part_named
from heuristics.model_shape import ModelShape
from heuristics.vocabulary import Dtype

Path = str | PathLike[str]


def given_by(
    gpu: str | None,
    dtype: str | None,
    bandwidth_gb_s: float | str | None,
    tflops: float | str | None,
    tensor_parallel: int | str | None,
    model: ModelShape | None = None,
) -> Given:
    """What the user states of the device and the model."""
    return Given(
        part=None if gpu is None else part_named(gpu),
        model=model,
        dtype=dtype_named(dtype),
        bandwidth_bytes_per_s=scaled("bandwidth_gb_s", bandwidth_gb_s, 1e9),
        flops_per_s=scaled("tflops", tflops, 1e12),
        tensor_parallel=whole("tensor_parallel", tensor_parallel),
    )


def model_named(path: Path | None) -> ModelShape | None:
    """A model that the user names.

    Raises:
        UnusableModel: it cannot be read.
    """
    if path is None:
        return None
    from collectors.model_files.read import Unread, read_given
    from collectors.model_files.record import shape_from_record

    found = read_given(fspath(path))
    if isinstance(found, Unread):
        raise UnusableModel(found.reason, hint=found.unlock)
    return shape_from_record(found)


def dtype_named(name: str | None) -> Dtype | None:
    """The arithmetic type of that name; DiagnoseError where there is none."""
    if name is None:
        return None
    try:
        return Dtype(name.lower())
    except ValueError as error:
        known = ", ".join(d.value for d in Dtype)
        raise DiagnoseError(f"no arithmetic type named {name!r}", hint=f"one of {known}") from error


def whole(name: str, value: float | str | None) -> int:
    """A number of things: whole and positive, one where it is not stated."""
    number = scaled(name, value, 1.0) or 1.0
    if not number.is_integer():
        raise DiagnoseError(f"{name} must be a whole number, not {value}", hint=f"--{option(name)} 2, for example")
    return int(number)


def scaled(name: str, value: float | str | None, factor: float, *, example: str = "10") -> float | None:
    """An option's number in SI; it must be finite and positive."""
    if value is None:
        return None
    hint = f"--{option(name)} {example}, for example"
    try:
        number = float(value)
    except ValueError as error:
        raise DiagnoseError(f"{option(name)} must be a number, not {value!r}", hint=hint) from error
    if not 0.0 < number < float("inf"):
        raise DiagnoseError(f"{option(name)} must be positive, not {value}", hint=hint)
    return number * factor


def option(name: str) -> str:
    """A keyword as its option is typed."""
    return name.replace("_", "-")
