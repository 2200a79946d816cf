"""Where the lines of a script come from when it is read while it runs: a descriptor.

A command of the script may read the same descriptor. So no more is taken than the line that is wanted: what
follows it belongs to whoever reads next.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nsh.kern.proc import Proc

BLOCK = 8192


class Lines:
    """The lines that can be read from descriptor ``fd`` of a process."""

    def __init__(self, p: Proc, fd: int = 0) -> None:
        self._proc = p
        self._fd = fd
        c = p.fgrp.get(fd)
        host = c.dev.fileno(c)
        self._seekable = host if host is not None and stat.S_ISREG(os.fstat(host).st_mode) else None
        # a terminal hands out a line at a time by itself
        self._block = BLOCK if self._seekable is not None or (host is not None and os.isatty(host)) else 1

    async def next(self) -> str:
        """The next line with its newline; '' at the end. Errors: those of reading."""
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
