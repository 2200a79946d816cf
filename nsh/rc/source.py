"""How commands are read while they run: the next one, from lines that come when they are asked for.

Those of a script may come from a descriptor that its commands read, too. So no more is taken from there than
the line that is wanted: what follows it belongs to whoever reads next.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal

from nsh.rc.parse import END, MORE, Parser, RcSyntaxError, Signal

if TYPE_CHECKING:
    from nsh.kern.proc import Proc
    from nsh.rc.tree import Node

BLOCK = 8192

Read = Callable[[bool], Awaitable[str]]
"""Gives the next line, '' at the end; it is told whether that line is to go on with a command."""


async def command(parser: Parser, read: Read) -> Node | Literal[Signal.END]:
    """The next command, for which as many lines are read as it takes, or END.

    Errors: `RcSyntaxError`, after which one may go on; those of reading.
    """
    while (found := parser.next()) is MORE:
        line = await read(parser.inside)
        parser.feed(line) if line else parser.eof()
    return found


async def typed(parser: Parser, read: Read) -> list[Node]:
    """The commands of what somebody types: a line, and the further lines that it takes; none at the end.

    All of it is read before any of it is run, and its lines are numbered from 1. Errors: `RcSyntaxError`, and
    then nothing of it is left.
    """
    parser.renumber()
    found: list[Node] = []
    while True:
        try:
            node = parser.next()
        except RcSyntaxError:
            parser.drop()
            raise
        if node is END or (node is MORE and found and not parser.inside):
            return found
        if node is MORE:
            line = await read(parser.inside)
            parser.feed(line) if line else parser.eof()
        else:
            found.append(node)


class Lines:
    """The lines that can be read from descriptor ``fd`` of a process."""

    def __init__(self, p: Proc, fd: int = 0) -> None:
        self._proc = p
        self._fd = fd
        c = p.fgrp.get(fd)
        host = c.dev.fileno(c)
        self._seekable = host if c.dev.seekable(c) else None
        # a terminal hands out a line at a time by itself
        self._block = BLOCK if self._seekable is not None or (host is not None and os.isatty(host)) else 1

    async def next(self, inside: bool = False) -> str:
        """The next line with its newline; '' at the end. A `Read`. Errors: those of reading."""
        parts = []
        while True:
            data = await self._proc.read(self._fd, self._block)
            if self._seekable is not None:
                whole = data.find(b"\n") + 1
                if whole:
                    os.lseek(self._seekable, whole - len(data), os.SEEK_CUR)
                    data = data[:whole]
            parts.append(data)
            if not data or data.endswith(b"\n"):
                return b"".join(parts).decode("utf-8", "surrogateescape")
