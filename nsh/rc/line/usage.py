"""Which argument comes next: the words of a command that is being typed, held against its usage."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from nsh.rc.line.manual import Argument, Usage

COMMANDS = frozenset(("command", "cmd", "c"))
"""What arguments are called that are commands, with their own arguments behind them."""

Known = Mapping[str, Container[str]]

_NOTHING = Argument()
_EXPRESSION = frozenset("[@")
"""With one of these a word may stand for several things."""


class Next(NamedTuple):
    """What may come next. ``inner``: where among the words another command begins, or 0."""

    argument: Argument
    inner: int = 0


def following(
    usages: Iterable[Usage], words: Sequence[str | None], known: Known = MappingProxyType({})
) -> Next:
    """What may follow ``words``, of which the first is the command; by any of its usages that fits them.

    ``known``: for some kinds of arguments all that they can be.
    """
    found = [next for usage in usages if (next := _following(usage, words, known)) is not None]
    inner = max((next.inner for next in found), default=0)
    return Next(_joined(next.argument for next in found), inner)


def _following(usage: Usage, words: Sequence[str | None], known: Known) -> Next | None:
    """What may follow by this usage; None if the words do not fit it."""
    places, options, due = _reachable(usage, {0}), True, ""
    for position, word in enumerate(words[1:], 1):
        if due:
            due = ""
        elif options and word is not None and word.startswith("-") and len(word) > 1:
            options = word != "--"
            due = usage.options.get(word) or usage.options.get(f"-{word[-1]}", "")
        else:
            fitting = {at for at in places if _fits(usage.args[at], word, known)}
            arguments = {at for at in fitting if not is_command(usage.args[at])}
            if not arguments:
                return Next(_NOTHING, position) if fitting else None
            again = {at for at in arguments if usage.args[at].repeats}
            places = _reachable(usage, again | {at + 1 for at in arguments})
    if due:
        return Next(Argument((), (due,)))
    return Next(_joined(usage.args[at] for at in sorted(places)))


def _reachable(usage: Usage, places: set[int]) -> set[int]:
    """The arguments that may come at these places, those that may be missing left out or not."""
    found = set(places)
    for at, argument in enumerate(usage.args):
        if at in found and argument.optional:
            found.add(at + 1)
    return {at for at in found if at < len(usage.args)}


def _fits(argument: Argument, word: str | None, known: Known) -> bool:
    if word is None or word in argument.literals or not _EXPRESSION.isdisjoint(word):
        return bool(argument.kinds or argument.literals)
    return any(kind not in known or word in known[kind] for kind in argument.kinds)


def _joined(arguments: Iterable[Argument]) -> Argument:
    """An argument that may be any of these."""
    found = list(arguments)
    literals = dict.fromkeys(literal for argument in found for literal in argument.literals)
    kinds = dict.fromkeys(kind for argument in found for kind in argument.kinds)
    return Argument(tuple(literals), tuple(kinds))


def is_command(argument: Argument) -> bool:
    return bool(argument.kinds) and COMMANDS.issuperset(argument.kinds)
