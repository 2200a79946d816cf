"""Words into lists of strings: variables, concatenation, subscripts, command output, file names.

Most words need nothing but the tables of the shell, and are evaluated in one call (`plain`). Only what
runs a command or reads a directory is a coroutine.

Words are evaluated from the last to the first, as rc does it; that shows where commands in them have effects.

While a word is evaluated its active pattern characters carry marks (`nsh.rc.glob`). `arguments` replaces
patterns by the file names that they match; `patterns` leaves them as they are, for ``~`` and case.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nsh.rc import glob, tree
from nsh.rc.fault import CommandError, RcError
from nsh.rc.glob import MARK
from nsh.rc.var import number

if TYPE_CHECKING:
    from nsh.rc.run import Shell


def plain(sh: Shell, nodes: Sequence[tree.Node]) -> list[str] | None:
    """The words of a command, if nothing has to be waited for; else None, and `arguments` has them."""
    values = []
    for node in reversed(nodes):
        words = _at_once(sh, node)
        if words is None:
            return None
        values.append(words)
    found = [word for words in reversed(values) for word in words]
    return None if MARK in "".join(found) else found


async def arguments(sh: Shell, nodes: Sequence[tree.Node]) -> list[str]:
    """The words of a command, patterns expanded."""
    found: list[str] = []
    for word in await patterns(sh, nodes):
        if MARK in word:
            found += await _files(sh, word)
        else:
            found.append(word)
    return found


async def patterns(sh: Shell, nodes: Sequence[tree.Node]) -> list[str]:
    """The words as patterns for `glob.match`."""
    values = []
    for node in reversed(nodes):
        words = _at_once(sh, node)
        values.append(await _value(sh, node) if words is None else words)
    return [word for words in reversed(values) for word in words]


async def strings(sh: Shell, node: tree.Node) -> list[str]:
    """The words of one node, patterns taken as they are written."""
    return [glob.unmark(word) for word in await patterns(sh, (node,))]


async def single(sh: Shell, node: tree.Node, what: str) -> str:
    """The one word that ``node`` must be. Errors: `RcError` with ``what``."""
    if isinstance(node, tree.Word):
        return node.text
    words = await strings(sh, node)
    if len(words) != 1:
        raise RcError(what)
    return words[0]


_DIGITS = "0123456789"

NOT_SINGLE = "variable name not singleton!"


def _at_once(sh: Shell, node: tree.Node) -> list[str] | None:
    """The value of a node that no command has to be run for, else None."""
    kind = type(node)
    if kind is tree.Word:
        assert isinstance(node, tree.Word)
        return [node.value]
    if kind is tree.Var:
        assert isinstance(node, tree.Var)
        name = node.name
        return sh.var.get(name.text) if isinstance(name, tree.Word) else None
    if kind is tree.Concat:
        assert isinstance(node, tree.Concat)
        right = _at_once(sh, node.right)
        left = None if right is None else _at_once(sh, node.left)
        return None if left is None or right is None else concatenate(left, right)
    if kind is tree.List:
        assert isinstance(node, tree.List)
        found: list[str] = []
        for item in node.items:
            words = _at_once(sh, item)
            if words is None:
                return None
            found += words
        return found
    return None


async def _value(sh: Shell, node: tree.Node) -> list[str]:
    """The value of any node, its patterns marked."""
    words = _at_once(sh, node)
    if words is not None:
        return words
    match node:
        case tree.List():
            return await patterns(sh, node.items)
        case tree.Concat():
            right = await _value(sh, node.right)
            return concatenate(await _value(sh, node.left), right)
        case tree.Count():
            return [str(len(await _variable(sh, node.name)))]
        case tree.Flat():
            return [" ".join(await _variable(sh, node.name))]
        case tree.Var():
            return await _variable(sh, node.name)
        case tree.Sub():
            indexes = [glob.unmark(index) for index in await patterns(sh, node.index)]
            return select(await _variable(sh, node.name), indexes)
        case tree.Backquote():
            return await _output(sh, node)
        case tree.ProcSub():
            return await sh.substitute(node.arrow, node.body)
    raise AssertionError(node)


async def _variable(sh: Shell, name: tree.Node) -> list[str]:
    """The value of the variable whose name is the value of ``name``."""
    return sh.var.get(await single(sh, name, NOT_SINGLE))


def concatenate(left: list[str], right: list[str]) -> list[str]:
    """``left^right``: element by element, or one with all. Errors: `CommandError`, `RcError`."""
    if len(left) == len(right):
        return [a + b for a, b in zip(left, right, strict=True)]
    if not left or not right:
        raise CommandError("null list in concatenation")
    if len(left) == 1:
        return [left[0] + b for b in right]
    if len(right) == 1:
        return [a + right[0] for a in left]
    raise RcError("mismatched list lengths in concatenation")


def select(words: list[str], indexes: list[str]) -> list[str]:
    """``$words(indexes)``: elements counted from 1, and ranges of them; what is out of range is nothing."""
    found: list[str] = []
    for index in indexes:
        low, high = _range(index)
        first = number(low)
        if first > 0:
            found += words[first - 1 : first if high is None else number(high) if high else len(words)]
    return found


def _range(index: str) -> tuple[str, str | None]:
    """The numbers of ``m``, ``m-n`` or ``m-``. They end before the first character that is no digit."""
    rest = index.lstrip(_DIGITS)
    low = index[: len(index) - len(rest)]
    if not rest.startswith("-"):
        return low, None
    high = rest[1:]
    return low, high[: len(high) - len(high.lstrip(_DIGITS))] or ("0" if high else "")


async def _output(sh: Shell, node: tree.Backquote) -> list[str]:
    """What a command prints, in pieces: split at the characters of the first of the separators."""
    separators = sh.var.get("ifs") if node.split is None else await strings(sh, node.split)
    return split(await sh.capture(node.body), "".join(separators[:1]))


def split(text: str, separators: str) -> list[str]:
    """The pieces of ``text`` between runs of ``separators``, none of them empty; all of it without any."""
    if not separators:
        return [text] if text else []
    first = separators[0]
    for other in separators[1:]:
        text = text.replace(other, first)
    return [piece for piece in text.split(first) if piece]


async def _files(sh: Shell, word: str) -> list[str]:
    """The names of the files that a marked word matches in the name space."""
    p = sh.proc
    await sh.store()  # the directory may be /env

    async def readdir(path: str) -> list[str]:
        return [entry.name for entry in await p.readdir(path)]

    async def exists(path: str) -> bool:
        try:
            await p.stat(path)
        except OSError:
            return False
        return True

    return await glob.expand(word, readdir, exists)
