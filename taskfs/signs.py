"""Signs: what stands for the place of a task in the arguments of exec, and how that is put in."""

from __future__ import annotations

import re

_SIGNS = re.compile(r"(%+)([rnh])")


def substitute(arg: str, rank: int, count: int, host: str) -> str:
    """``%r %n %h`` in an argument of exec: rank, count, host. A ``%`` that is to stay there is doubled."""
    if "%" not in arg:
        return arg
    values = {"r": str(rank), "n": str(count), "h": host}

    def value(found: re.Match[str]) -> str:
        stay, sign = divmod(len(found[1]), 2)
        return "%" * stay + (values[found[2]] if sign else found[2])

    return _SIGNS.sub(value, arg)


def literal(arg: str) -> str:
    """What `substitute` makes ``arg`` of: a session does so with the words that it is given."""
    return _SIGNS.sub(r"\1\1\2", arg) if "%" in arg else arg
