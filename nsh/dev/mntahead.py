"""The start of an open file, asked for before anybody reads it.

`nsh.dev.mntio` asks in advance for plain files only. Who has started a program on another host knows more:
somebody will read what it prints. With an `Ahead` its first bytes are asked for in the message that starts
the program, and whoever reads finds them here.

What comes out is what reads would have got: each byte once, in order, and an error as well. As long as
nobody has read any of it, it is forgotten `nsh.dev.mntio.FRESH` seconds later, and when something is written
to a file of the same server, which may be what makes this one begin anew; later, when somebody reads
elsewhere.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nsh.dev.mntio import FRESH
from nsh.errors import Emountrpc, Enotopen, P9Error, from_text
from nsh.p9 import msg
from nsh.p9.msg import Rmsg

if TYPE_CHECKING:
    from nsh.dev.mntlink import Link

SIZE = 8 << 10
"""Bytes that are asked for: most programs print less."""


class Ahead:
    """The first bytes of the file that ``fid`` stands for, which need not be open yet."""

    __slots__ = ("_arrived", "_at", "_call", "_changes", "_data", "_error", "_here", "_link")

    def __init__(self, link: Link, fid: int) -> None:
        """Ask for them; that is sent with what else is asked for in this turn of the loop.

        Errors: `Ehungup`.
        """
        self._link = link
        self._at = 0  # where a reader goes on
        self._data: bytes | None = None  # what has come from there, nothing being the end
        self._error: P9Error | None = None  # what has come instead
        self._here = False
        self._arrived = 0.0
        self._changes = 0
        self._call = link.ask(msg.Tread(0, fid, 0, SIZE))
        self._call.answer.add_done_callback(self._came)
        link.push_soon()

    def _came(self, answer: asyncio.Future[Rmsg]) -> None:
        self._here = True
        if answer.cancelled() or answer.exception() is not None:
            return  # who reads is told
        reply = answer.result()
        self._arrived, self._changes = answer.get_loop().time(), self._link.changes
        if isinstance(reply, msg.Rread) and len(reply.data) <= SIZE:
            self._data = bytes(reply.data)
            return
        error = from_text(reply.ename) if isinstance(reply, msg.Rerror) else Emountrpc()
        if not isinstance(error, Enotopen):  # it came before the open
            self._error = error

    def take(self, count: int, offset: int) -> bytes | None:
        """At most ``count`` of the bytes at ``offset``, empty at the end; all is told once.

        None if they are not here, be they `coming` or not. Errors: the server's.
        """
        if offset != self._at:
            return None
        error, self._error = self._error, None
        if error is not None:
            raise error
        if self._data is None or self._stale():
            return None
        data, left = self._data[:count], self._data[count:]
        self._data = left or None
        self._at += len(data)
        return data

    def _stale(self) -> bool:
        late = asyncio.get_running_loop().time() - self._arrived > FRESH
        return not self._at and (late or self._changes != self._link.changes)

    def coming(self, offset: int) -> asyncio.Future[Rmsg] | None:
        """What ends when the bytes at ``offset`` are here, if they are under way."""
        return None if offset or self._here else self._call.answer

    def drop(self) -> None:
        """Forget what has come, and flush what is under way."""
        self._at = -1
        self._link.abandon(self._call)
