"""Microseconds as traces write them, to exact integer nanoseconds.

A float of microseconds since the epoch resolves only a quarter of one, so floats arrive here as their text.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from heuristics.arrays import Ns

NOT_A_TIME = np.iinfo(np.int64).min + 1

FARTHEST_NS = 1 << 62
FARTHEST_DIGITS = 16
"""No clock in microseconds has more digits before its point; Decimal would write out any exponent."""


def nanoseconds(microseconds: Any) -> int:
    """Exact nanoseconds of an int, or of a float's text.

    Raises:
        ValueError: not a number, or one beyond any clock.
    """
    if type(microseconds) is int:
        found = microseconds * 1000
    elif type(microseconds) is str:
        try:
            exact = Decimal(microseconds)
        except InvalidOperation as error:
            raise ValueError(f"not a time: {microseconds[:40]}") from error
        if not exact.is_finite() or exact.adjusted() > FARTHEST_DIGITS:
            raise ValueError(f"beyond any clock: {microseconds[:40]}")
        found = int(exact * 1000)
    else:
        raise ValueError(f"not a time but {type(microseconds).__name__}")
    if abs(found) > FARTHEST_NS:
        raise ValueError("beyond any clock")
    return found


def all_nanoseconds(microseconds: list[Any]) -> Ns:
    """Exact nanoseconds of many times, shape (times,); those that are no time become ``NOT_A_TIME``.

    Ints and floats of up to three decimals are converted together.
    """
    try:
        whole, nanos = _parted(microseconds)
        if max(int(whole.max()), -int(whole.min())) < FARTHEST_NS // 1000:
            converted: Ns = whole * 1000 + nanos
            return converted
    except (ValueError, OverflowError):
        pass
    return np.array([_or_not_a_time(m) for m in microseconds], np.int64)


def _parted(microseconds: list[Any]) -> tuple[Ns, Ns | int]:
    """(whole microseconds, nanoseconds).

    Raises:
        ValueError: one is not written as digits, or as digits, a point and up to three digits.
        OverflowError: one exceeds machine integers.
    """
    kinds = set(map(type, microseconds))
    if kinds == {int}:
        return np.array(microseconds, np.int64), 0
    if kinds == {str}:
        return _parts(microseconds)
    if kinds == {int, str}:
        return _parts([f"{m}.0" if type(m) is int else m for m in microseconds])
    raise ValueError("not numbers")


def _parts(numbers: list[str]) -> tuple[Ns, Ns]:
    """(whole microseconds, nanoseconds) of the texts of floats.

    Raises:
        ValueError: one is not written as digits, a point and up to three digits.
    """
    lines = "\n".join(numbers)
    parts = lines.replace(".", "\n").split("\n")
    decimals = set(map(len, parts[1::2]))
    as_expected = len(parts) == 2 * len(numbers) and lines.count("\n") == len(numbers) - 1
    if not as_expected or "-" in lines or max(decimals) > 3:
        raise ValueError("not written alike")
    if len(decimals) > 1:
        parts[1::2] = [part.ljust(3, "0") for part in parts[1::2]]
        decimals = {3}
    found = np.array(parts, np.int64)
    return found[0::2], found[1::2] * 10 ** (3 - decimals.pop())


def _or_not_a_time(microseconds: Any) -> int:
    try:
        return nanoseconds(microseconds)
    except ValueError:
        return NOT_A_TIME
