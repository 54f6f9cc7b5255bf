"""What a user states beside the evidence: options as typed, checked, and brought to SI units."""

from __future__ import annotations

from enum import Enum, auto
from os import PathLike, fspath

from heuristics.assemble import Given
from heuristics.errors import DiagnoseError, UnusableModel
from heuristics.gpus import part_named
from heuristics.model_shape import ModelShape
from heuristics.regression.metrics import METRICS, Metric, metric_named
from heuristics.vocabulary import Dtype

Path = str | PathLike[str]

LEAST, MOST = 1e-18, 1e18
"""Of every number that is typed: products of several stay finite and above zero."""


class Spelling(Enum):
    """How numbers are named and given: on the command line, or in Python."""

    OPTION = auto()
    KEYWORD = auto()

    def named(self, keyword: str) -> str:
        """The number's name."""
        return keyword if self is Spelling.KEYWORD else option(keyword)

    def example(self, keyword: str, value: str) -> str:
        """How to give it."""
        given = f"{keyword}={value}" if self is Spelling.KEYWORD else f"--{option(keyword)} {value}"
        return f"{given}, for example"


def given_by(
    gpu: str | None,
    dtype: str | None,
    bandwidth_gb_s: float | str | None,
    tflops: float | str | None,
    tensor_parallel: int | str | None,
    model: ModelShape | None = None,
    *,
    spelling: Spelling = Spelling.OPTION,
) -> Given:
    """What the user states of the device and the model."""
    return Given(
        part=None if gpu is None else part_named(str(gpu)),
        model=model,
        dtype=dtype_named(dtype),
        bandwidth_bytes_per_s=scaled("bandwidth_gb_s", bandwidth_gb_s, 1e9, spelling=spelling),
        flops_per_s=scaled("tflops", tflops, 1e12, spelling=spelling),
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
        return Dtype(str(name).lower())
    except ValueError as error:
        known = ", ".join(d.value for d in Dtype)
        raise DiagnoseError(f"no arithmetic type named {name!r}", hint=f"one of {known}") from error


def metric_asked(name: str) -> Metric:
    """The metric of that name; DiagnoseError where there is none."""
    found = metric_named(name)
    if found is None:
        raise DiagnoseError(f"no metric named {name!r}", hint=f"one of {', '.join(m.name for m in METRICS)}")
    return found


def whole(name: str, value: float | str | None) -> int:
    """A number of things: whole and positive, one where it is not stated."""
    number = scaled(name, value, 1.0, example="2") or 1.0
    if not number.is_integer():
        raise DiagnoseError(
            f"{option(name)} must be a whole number, not {value}", hint=Spelling.OPTION.example(name, "2")
        )
    return int(number)


def scaled(
    name: str,
    value: float | str | None,
    factor: float,
    *,
    example: str = "10",
    spelling: Spelling = Spelling.OPTION,
) -> float | None:
    """A number in SI; what is typed must lie between ``LEAST`` and ``MOST``."""
    if value is None:
        return None
    told, hint = spelling.named(name), spelling.example(name, example)
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    except (TypeError, ValueError) as error:
        raise DiagnoseError(f"{told} must be a number, not {value!r}", hint=hint) from error
    if not number > 0.0:
        raise DiagnoseError(f"{told} must be positive, not {number:g}", hint=hint)
    if not LEAST <= number <= MOST:
        wrong = f"{told} must be between {LEAST:.0e} and {MOST:.0e}, not {number:g}"
        raise DiagnoseError(wrong, hint=hint)
    return number * factor


def option(name: str) -> str:
    """A keyword as its option is typed."""
    return name.replace("_", "-")
