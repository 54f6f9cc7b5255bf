"""What a user states beside the evidence: options as typed, checked, and brought to SI units."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike, fspath

from heuristics.assemble import Given
from heuristics.errors import DiagnoseError, UnusableModel
from heuristics.gpus import part_named
from heuristics.model_shape import ModelShape
from heuristics.vocabulary import Dtype

Path = str | PathLike[str]

LEAST, MOST = 1e-18, 1e18
"""Of every number that is typed: products of several stay finite and above zero."""


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


def as_option(name: str, example: str) -> str:
    """How a number is given on the command line."""
    return f"--{option(name)} {example}, for example"


def as_keyword(name: str, example: str) -> str:
    """How a number is given in Python."""
    return f"{name}={example}, for example"


def whole(name: str, value: float | str | None) -> int:
    """A number of things: whole and positive, one where it is not stated."""
    number = scaled(name, value, 1.0, example="2") or 1.0
    if not number.is_integer():
        raise DiagnoseError(f"{option(name)} must be a whole number, not {value}", hint=as_option(name, "2"))
    return int(number)


def scaled(
    name: str,
    value: float | str | None,
    factor: float,
    *,
    example: str = "10",
    hint: Callable[[str, str], str] = as_option,
) -> float | None:
    """A number in SI; what is typed must lie between ``LEAST`` and ``MOST``."""
    if value is None:
        return None
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    except (TypeError, ValueError) as error:
        raise DiagnoseError(f"{option(name)} must be a number, not {value!r}", hint=hint(name, example)) from error
    if not number > 0.0:
        raise DiagnoseError(f"{option(name)} must be positive, not {number:g}", hint=hint(name, example))
    if not LEAST <= number <= MOST:
        told = f"{option(name)} must be between {LEAST:.0e} and {MOST:.0e}, not {number:g}"
        raise DiagnoseError(told, hint=hint(name, example))
    return number * factor


def option(name: str) -> str:
    """A keyword as its option is typed."""
    return name.replace("_", "-")
