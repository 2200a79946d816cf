"""Which of many names a few typed letters mean.

The names that begin with them; if there are none, those that do in another case, then those that have them
somewhere, then those that have these letters in this order. Only the first of these kinds that is not empty
counts: who types the beginning of a name should not have to look through lists of others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def best(typed: str, names: Iterable[T], name: Callable[[T], str]) -> list[T]:
    """Those of ``names`` that are meant, sorted; ``name`` gives the text that is compared."""
    every = sorted(names, key=name)
    for fits in _ways(typed):
        found = [one for one in every if fits(name(one))]
        if found:
            return found
    return []


def _ways(typed: str) -> Iterator[Callable[[str], object]]:
    """How a name can be meant, the surest first."""
    lower = typed.lower()
    yield lambda name: name.startswith(typed)
    yield lambda name: name.lower().startswith(lower)
    yield lambda name: lower in name.lower()
    yield re.compile(".*?".join(map(re.escape, lower)), re.IGNORECASE | re.DOTALL).search
