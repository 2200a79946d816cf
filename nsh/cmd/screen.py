"""A terminal that a command writes to: is there one, and a line at its bottom. No command itself.

What is shown there is for others to know.
"""

from __future__ import annotations

import asyncio
import os
import stat

from nsh.errors import Ebadfd
from nsh.kern.proc import Proc

_RESET = b"\r\x1b[m\x1b[K"
"""To the start of the line, in no colour that somebody has left behind, and the rest of it is gone."""


def terminal(p: Proc, fd: int) -> int | None:
    """The host's descriptor of the terminal at ``fd``, if one is there that we may draw on."""
    host = _host(p, fd)
    if host is None or not p.noteg.front or not os.isatty(host):
        return None
    return host if _variable(p, "TERM") not in (b"", b"dumb") else None


def withheld(p: Proc, fd: int) -> bool:
    """Is a terminal at ``fd`` that stops who reads it, since he is in the background?"""
    host = _host(p, fd)
    return host is not None and p.noteg.control and not p.noteg.front and os.isatty(host)


def coloured(p: Proc, fd: int) -> bool:
    """May there be colours at ``fd``? (https://no-color.org)"""
    return terminal(p, fd) is not None and not _variable(p, "NO_COLOR")


def _variable(p: Proc, name: str) -> bytes:
    return (p.egrp.get(name) or b"").rstrip(b"\0")


def _host(p: Proc, fd: int) -> int | None:
    try:
        c = p.fgrp.get(fd)
    except Ebadfd:
        return None
    return c.dev.fileno(c)


def size(host: int) -> tuple[int, int]:
    """Columns and lines of a terminal; it may have changed since the last time."""
    columns, lines = os.get_terminal_size(host)
    return columns or 80, lines or 24


def cut(text: str, width: int) -> str:
    """As much of a line as fits."""
    return text if len(text) <= width else text[: max(width - 3, 0)] + "..."


class Bottom:
    """The descriptors 1 and 2 of a command, and a line below what is written there.

    What is written must end with a newline where the line is shown, or the line would overwrite it.
    ``width``: of that line, 0 if there is no place for it: where error is no terminal, or where output is a
    pipe, whose reader may write to the terminal, too; and in the background, where others write below.
    """

    def __init__(self, p: Proc) -> None:
        self._p = p
        self._terminal = terminal(p, 2) if not _piped(p, 1) else None
        self._shared = [fd for fd in (1, 2) if terminal(p, fd) is not None]
        self._lock = asyncio.Lock()
        self._line = b""

    @property
    def width(self) -> int:
        if self._terminal is None or not self._p.noteg.front:
            return 0
        return size(self._terminal)[0] - 1

    async def write(self, fd: int, data: bytes) -> None:
        """Write to 1 or 2. Errors: of the write."""
        async with self._lock:
            if not self._p.noteg.front:
                self._line = b""
            if not self._line or fd not in self._shared:
                await self._p.write(fd, data)
                return
            await self._p.write(2, _RESET)
            await self._p.write(fd, data)
            await self._p.write(2, self._line)

    async def leave(self) -> None:
        """Begin a new line after what the terminal itself has shown: the ^C that was typed."""
        if not self._line and self._shared:
            await self.write(self._shared[-1], b"\n")

    async def show(self, text: str) -> None:
        """Have ``text`` as the line; none if it is empty."""
        async with self._lock:
            line = cut(text, self.width).encode("utf-8", "replace")
            if line != self._line and self._p.noteg.front:
                self._line = line
                await self._p.write(2, _RESET + line)


def _piped(p: Proc, fd: int) -> bool:
    host = _host(p, fd)
    return host is not None and stat.S_IFMT(os.fstat(host).st_mode) in (stat.S_IFIFO, stat.S_IFSOCK)
