"""Names of hosts, many written as one expression: ``host[1-3,07],gpu1``; taken apart and put together.

A bracket holds numbers and ranges, which are as wide as their first number is written: ``n[08-10]`` is n08
n09 n10. Several brackets stand for every combination. What the names are names of is not known here.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable

MOST = 10_000
"""Most names that one expression may stand for."""

_ITEM = r"(?:[^][,]|\[[^][]*\])+"
_ITEMS = re.compile(f"{_ITEM}(?:,{_ITEM})*")
_PARTS = re.compile(r"\[([^][]*)\]|([^][]+)")
_LONGEST = 9
"""Digits of the longest number that is counted with."""
_NUMBER = re.compile(rf"(?<![0-9])([0-9]{{1,{_LONGEST}}})(?![0-9])")


def expand(expression: str) -> list[str]:
    """The names that an expression stands for, as they come; one twice if it is there twice.

    Errors: ValueError when it makes no sense, or stands for more than `MOST` names.
    """
    if not _ITEMS.fullmatch(expression):
        raise ValueError(expression)
    names: list[str] = []
    for item in re.findall(_ITEM, expression):
        choices = [[text] if text else _numbers(inside) for inside, text in _PARTS.findall(item)]
        if len(names) + math.prod(map(len, choices)) > MOST:
            raise ValueError(expression)
        names += map("".join, itertools.product(*choices))
    return names


def _numbers(inside: str) -> list[str]:
    """The numbers in a bracket. Errors: ValueError."""
    numbers: list[str] = []
    for part in inside.split(","):
        ends = re.fullmatch(rf"([0-9]{{1,{_LONGEST}}})(?:-([0-9]{{1,{_LONGEST}}}))?", part)
        if ends is None:
            raise ValueError(inside)
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if not first <= last < first + MOST - len(numbers):
            raise ValueError(inside)
        numbers += [str(n).zfill(len(ends[1])) for n in range(first, last + 1)]
    return numbers


def fold(names: Iterable[str]) -> str:
    """The names, each once and in order, as one expression, of which `expand` makes them again.

    A name with a bracket or a comma in it stays as it is, and is the exception to that.
    """
    shapes: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for name in sorted(set(names)):
        parts = _NUMBER.split(name)
        shapes.setdefault(tuple(parts[::2]), []).append(tuple(parts[1::2]))
    return ",".join(
        "".join(map("".join, itertools.zip_longest(texts, map(_bracket, box), fillvalue="")))
        for texts, numbers in shapes.items()
        for box in _boxes(numbers)
    )


Box = tuple[frozenset[str], ...]
"""A set of choices for each of the numbers in a name: it stands for all combinations."""


def _boxes(numbers: list[tuple[str, ...]]) -> list[Box]:
    """The combinations as few boxes; what differs in the last number only is put together first."""
    boxes: list[Box] = [tuple(frozenset((number,)) for number in numbers) for numbers in numbers]
    for axis in reversed(range(len(numbers[0]))):
        alike: dict[tuple[Box, Box], set[str]] = {}
        for box in boxes:
            alike.setdefault((box[:axis], box[axis + 1 :]), set()).update(box[axis])
        boxes = [(*before, frozenset(choices), *after) for (before, after), choices in alike.items()]
    return sorted(boxes, key=lambda box: [min(map(_order, choices)) for choices in box])


def _bracket(choices: frozenset[str]) -> str:
    return f"[{ranges(choices)}]" if len(choices) > 1 else min(choices)


def ranges(numbers: Iterable[str]) -> str:
    """``2,5-7,010-012``: numbers as they are written in a bracket, each once and in order."""
    runs: list[tuple[str, str]] = []
    for number in sorted(set(numbers), key=_order):
        if runs and number == str(int(runs[-1][1]) + 1).zfill(len(runs[-1][0])):
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return ",".join(first if first == last else f"{first}-{last}" for first, last in runs)


def _order(number: str) -> tuple[int, int]:
    """By width, then by value: padded numbers go on as others do only where the width grows."""
    return len(number), int(number)
