"""Which argument comes next: the words of a command that is being typed, held against its usage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nsh.rc.line.manual import Argument, Usage

COMMANDS = frozenset(("command", "cmd", "c"))
"""What arguments are called that are commands, with their own arguments behind them."""

_NOTHING = Argument()


class Next(NamedTuple):
    """What may come next. ``inner``: where among the words another command begins, or 0."""

    argument: Argument
    inner: int = 0


def following(usages: Iterable[Usage], words: Sequence[str | None]) -> Next:
    """What may follow ``words``, of which the first is the command; by any of its usages that fits them."""
    found = [next for usage in usages if (next := _following(usage, words)) is not None]
    inner = max((next.inner for next in found), default=0)
    return Next(_joined(next.argument for next in found), inner)


def _following(usage: Usage, words: Sequence[str | None]) -> Next | None:
    """What may follow by this usage; None if the words do not fit it."""
    places, options, due = _reachable(usage, {0}), True, ""
    for position, word in enumerate(words[1:], 1):
        if due:
            due = ""
        elif options and word is not None and word.startswith("-") and len(word) > 1:
            options = word != "--"
            due = usage.options.get(word) or usage.options.get(f"-{word[-1]}", "")
        else:
            fitting = {at for at in places if _fits(usage.args[at], word)}
            if any(is_command(usage.args[at]) for at in fitting):
                return Next(_NOTHING, position)
            if not fitting:
                return None
            places = _reachable(usage, {at + 1 for at in fitting})
    if due:
        return Next(Argument((), (due,)))
    return Next(_joined(usage.args[at] for at in sorted(places)))


def _reachable(usage: Usage, places: set[int]) -> set[int]:
    """The arguments that can be at these places, those that may be missing left out or not."""
    last = len(usage.args) - 1
    found = {last if at > last and usage.repeats else at for at in places}
    for at, argument in enumerate(usage.args):
        if at in found and argument.optional:
            found.add(at + 1)
    return {at for at in found if 0 <= at <= last}


def _fits(argument: Argument, word: str | None) -> bool:
    return bool(argument.kinds) or word in argument.literals


def _joined(arguments: Iterable[Argument]) -> Argument:
    """An argument that may be any of these."""
    found = list(arguments)
    literals = dict.fromkeys(literal for argument in found for literal in argument.literals)
    kinds = dict.fromkeys(kind for argument in found for kind in argument.kinds)
    return Argument(tuple(literals), tuple(kinds))


def is_command(argument: Argument) -> bool:
    return bool(argument.kinds) and COMMANDS.issuperset(argument.kinds)
