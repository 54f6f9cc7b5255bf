"""Which engine a process belongs to, and what its command line states of the model and the parallelism."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from collectors.engines.shapes import SHAPES, SWITCHES, Flag, Shape

_INTERPRETERS = re.compile(r"(?:python|pypy)[\d.]*|uv|ld-linux.*|prte|orted")
_VALUED = frozenset({"-W", "-X", "--check-hash-based-pycs"})
"""Options of the interpreter that take the next word."""
_RUN = re.compile(r"-[bBdEhiIOPqRsStuvx]*([mc])(.*)", re.DOTALL)
"""Options of the interpreter that end in what it runs: ``-m``, ``-Im``, ``-mvllm``."""
_ALONE = re.compile(r"--(?:(?:enable|disable|no|trust)[-_]|(?:headless|async[-_]scheduling)$)")
"""Options of engines that never take a value."""
_NUMBER = re.compile(r"\d{1,9}")

LONGEST_VALUE = 4096


def command(arguments: Sequence[str]) -> list[str]:
    """A command line without its interpreter and without folders: ``vllm serve M``, ``-m sglang.launch_server ...``."""
    words = list(arguments)
    if words and _INTERPRETERS.fullmatch(_base(words[0])):
        words = words[1:]
        while words and words[0].startswith("-"):
            if run := _RUN.fullmatch(words[0]):
                return [f"-{run[1]}", *([run[2]] if run[2] else []), *words[1:]]
            words = words[2:] if words[0] in _VALUED else words[1:]
    return [_base(words[0]), *words[1:]] if words else []


def shape_of(arguments: Sequence[str]) -> Shape | None:
    """The engine whose command line or title this is."""
    said = " ".join(command(arguments))
    return next((shape for shape in SHAPES if shape.commands.match(said)), None)


def shape_of_libraries(files: frozenset[str]) -> Shape | None:
    """The engine whose libraries a process has mapped."""
    return next((s for s in SHAPES if any(part in file for part in s.libraries for file in files)), None)


def flags(shape: Shape, arguments: Sequence[str], environment: Mapping[str, str]) -> dict[Flag, str]:
    """What the command line, and where it is silent the environment, state; nothing but what is asked for.

    Of an option given twice the last counts, as it does for the engines.
    """
    found: dict[Flag, str] = {}
    names = {name: flag for flag, known in shape.flags.items() for name in known}
    words = list(arguments)
    for place, word in enumerate(words):
        name, joined, value = word.partition("=")
        flag = names.get(name) or names.get(name.replace("_", "-"))
        if flag is None:
            continue
        following = words[place + 1] if place + 1 < len(words) else ""
        if flag in SWITCHES or (flag is Flag.EXPERT_PARALLEL and not _NUMBER.fullmatch(value or following)):
            found[flag] = "on"
        elif joined or (following and not following.startswith("--")):
            found[flag] = (value if joined else following)[:LONGEST_VALUE]
    if Flag.MODEL not in found and (positional := _positional(shape, words)):
        found[Flag.MODEL] = positional
    for flag, variable in shape.environment.items():
        if environment.get(variable):
            found.setdefault(flag, environment[variable][:LONGEST_VALUE])
    return found


def _positional(shape: Shape, arguments: Sequence[str]) -> str | None:
    """A model given without an option: the first word behind the command that is no option's value."""
    words = command(arguments)
    begun = shape.model_after.match(" ".join(words)) if shape.model_after is not None else None
    if begun is None:
        return None
    switches = {name for flag in SWITCHES for name in shape.flags.get(flag, ())}
    before = ""
    for word in words[len(begun[0].split()) :]:
        valued = "=" not in before and before not in switches and not _ALONE.match(before)
        taken = before.startswith("-") and valued
        if not word.startswith("-") and not taken:
            return word
        before = word
    return None


def _base(word: str) -> str:
    return word.rsplit("/", 1)[-1]
