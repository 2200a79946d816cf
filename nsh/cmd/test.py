"""test: say by the exit status whether something is true, of files, strings or numbers."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Awaitable, Callable

from nsh.cmd import complain
from nsh.dev.hostfd import HostFd
from nsh.errors import P9Error
from nsh.kern.proc import Proc
from nsh.p9.const import DMAPPEND, DMDIR, DMEXCL, DMTMP, OREAD, OWRITE
from nsh.p9.stat import Dir

Condition = Callable[[], Awaitable[bool]]

_INTEGER = re.compile(r"-?\d+")
_AGE = re.compile(r"(?:\d+[yMdhms])*\d*")
_SECONDS = {"y": 31104000, "M": 2592000, "d": 86400, "h": 3600, "m": 60, "s": 1, "": 1}
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "-eq": int.__eq__,
    "-ne": int.__ne__,
    "-gt": int.__gt__,
    "-lt": int.__lt__,
    "-ge": int.__ge__,
    "-le": int.__le__,
}
_MODES = {"-A": DMAPPEND, "-L": DMEXCL, "-T": DMTMP, "-d": DMDIR}


class BadSyntax(Exception):
    """The expression cannot be read; the text says why."""


async def main(p: Proc, argv: list[str]) -> str:
    if not argv[1:]:
        return "usage"
    try:
        condition = Expression(p, argv[1:]).whole()
    except BadSyntax as e:
        await complain(p, f"test: bad syntax: {e}")
        return "bad syntax"
    return "" if await condition() else "false"


class Expression:
    """Reads an expression; what comes out is asked afterwards, and only as far as it must be.

    ``-o`` binds weaker than ``-a``, and that weaker than ``!``.
    """

    def __init__(self, p: Proc, words: list[str]) -> None:
        self._words = words
        self._files = Files(p)

    def whole(self) -> Condition:
        """The condition that all words together are. Raises `BadSyntax`."""
        condition = self._either()
        if self._words:
            raise BadSyntax(f"unexpected {self._words[0]}")
        return condition

    def _next(self) -> str:
        if not self._words:
            raise BadSyntax("argument expected")
        return self._words.pop(0)

    def _taken(self, word: str) -> bool:
        """Is ``word`` next? Then it is passed over."""
        if self._words[:1] != [word]:
            return False
        del self._words[0]
        return True

    def _either(self) -> Condition:
        left = self._both()
        if not self._taken("-o"):
            return left
        right = self._either()

        async def either() -> bool:
            return await left() or await right()

        return either

    def _both(self) -> Condition:
        left = self._not()
        if not self._taken("-a"):
            return left
        right = self._both()

        async def both() -> bool:
            return await left() and await right()

        return both

    def _not(self) -> Condition:
        if not self._taken("!"):
            return self._primary()
        condition = self._not()

        async def negated() -> bool:
            return not await condition()

        return negated

    def _primary(self) -> Condition:
        word = self._next()
        if word == "(":
            condition = self._either()
            if self._next() != ")":
                raise BadSyntax(") expected")
            return condition
        if word in _UNARY:
            ask, operand = _UNARY[word], self._next()
            return lambda: ask(self._files, operand)
        if word == "-t":
            fd = int(self._words.pop(0)) if self._words and self._words[0].isdecimal() else 1
            return lambda: self._files.terminal(fd)
        if word in ("-n", "-z"):
            return _known((self._next() != "") == (word == "-n"))
        if not self._words or self._words[0] in ("-a", "-o", ")"):
            return _known(word != "")
        return self._binary(word, self._next())

    def _binary(self, left: str, operator: str) -> Condition:
        if operator in ("=", "!="):
            return _known((self._next() == left) == (operator == "="))
        if operator == "-older":
            age = seconds(self._next())
            return lambda: self._files.older(left, age)
        if operator in ("-ot", "-nt"):
            right, sign = self._next(), -1 if operator == "-ot" else 1
            return lambda: self._files.order(left, right, sign)
        if operator not in _COMPARE or not _INTEGER.fullmatch(left):
            raise BadSyntax(f"unknown operator {operator}")
        other = self._next()
        if not _INTEGER.fullmatch(other):
            raise BadSyntax(f"{other} is no number")
        return _known(_COMPARE[operator](int(left), int(other)))


def _known(answer: bool) -> Condition:
    """A condition for which no file has to be asked."""

    async def known() -> bool:
        return answer

    return known


def seconds(age: str) -> int:
    """How long ``2d12h`` is; a month has 30 days and a year 12 months. Raises `BadSyntax`."""
    if not age or not _AGE.fullmatch(age):
        raise BadSyntax(f"bad time syntax, {age}")
    return sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"(\d+)(\D?)", age))


class Files:
    """What can be asked of files. One that is not there is nothing at all."""

    def __init__(self, p: Proc) -> None:
        self._p = p

    async def exists(self, name: str) -> bool:
        return await self._stat(name) is not None

    async def plain(self, name: str) -> bool:
        d = await self._stat(name)
        return d is not None and not d.isdir

    async def filled(self, name: str) -> bool:
        d = await self._stat(name)
        return d is not None and d.length > 0

    async def readable(self, name: str) -> bool:
        return await self._opened(name, OREAD) is not None

    async def writable(self, name: str) -> bool:
        return await self._opened(name, OWRITE) is not None

    async def runnable(self, name: str) -> bool:
        d = await self._opened(name, OREAD)
        return d is not None and d.mode & 0o111 != 0

    async def has_mode(self, name: str, bit: int) -> bool:
        d = await self._stat(name)
        return d is not None and d.mode & bit != 0

    async def terminal(self, fd: int) -> bool:
        """Is the descriptor the console?"""
        try:
            c = self._p.fgrp.get(fd)
        except P9Error:
            return False
        if isinstance(c.aux, HostFd):
            return not c.dev.seekable(c) and os.isatty(c.aux.fd)
        return str(c.path) == "#c/cons" or str(c.path).endswith("/dev/cons")

    async def older(self, name: str, age: int) -> bool:
        d = await self._stat(name)
        return d is not None and d.mtime + age < time.time()

    async def order(self, left: str, right: str, sign: int) -> bool:
        """Was ``left`` changed after ``right`` (``sign`` 1), or before it (-1)?"""
        a, b = await self._stat(left), await self._stat(right)
        return a is not None and b is not None and (a.mtime - b.mtime) * sign > 0

    async def _stat(self, name: str) -> Dir | None:
        try:
            return await self._p.stat(name)
        except OSError:
            return None

    async def _opened(self, name: str, mode: int) -> Dir | None:
        """The stat record of a file that can be opened so; None: it cannot."""
        try:
            fd = await self._p.open(name, mode)
        except OSError:
            return None
        try:
            return await self._p.fstat(fd)
        finally:
            self._p.close(fd)


def _mode_test(bit: int) -> Callable[[Files, str], Awaitable[bool]]:
    return lambda files, name: files.has_mode(name, bit)


_UNARY: dict[str, Callable[[Files, str], Awaitable[bool]]] = {
    "-e": Files.exists,
    "-f": Files.plain,
    "-r": Files.readable,
    "-s": Files.filled,
    "-w": Files.writable,
    "-x": Files.runnable,
    **{option: _mode_test(bit) for option, bit in _MODES.items()},
}
