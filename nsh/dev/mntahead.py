"""The start of an open file, asked for before anybody reads it.

`nsh.dev.mntio` asks in advance for plain files only. Who has started a program on another host knows more:
somebody will read what it prints, and then its end. With an `Ahead` the first piece travels with the request
that starts the program, the next is asked for as soon as that is there, and whoever reads finds them here.

What comes out is what reads would have got: each byte once, in order. What has come is forgotten when
somebody reads elsewhere, `nsh.dev.mntio.FRESH` seconds later, and when something is written to a file of the
same server, which may be what makes this one begin anew.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from nsh.dev.mntio import FRESH
from nsh.errors import Ehungup
from nsh.p9 import msg
from nsh.p9.msg import Rmsg

if TYPE_CHECKING:
    from nsh.dev.mntlink import Call, Link

SIZE = 8 << 10
"""Bytes that are asked for at a time."""
PIECES = 2
"""How often: most programs print little, and end."""


class Ahead:
    """The start of the file that ``fid`` stands for, which need not be open yet."""

    __slots__ = ("_arrived", "_at", "_call", "_changes", "_data", "_fid", "_left", "_link", "_over")

    def __init__(self, link: Link, fid: int) -> None:
        """Ask for the first piece; it is sent with what else is asked for in this turn of the loop.

        Errors: `Ehungup`.
        """
        self._link = link
        self._fid = fid
        self._at = 0  # where a reader goes on
        self._data = b""  # what has come from there
        self._over = False  # and behind that is the end
        self._arrived = 0.0
        self._changes = 0
        self._left = PIECES
        self._call: Call | None = None
        self._ask()

    def _ask(self) -> None:
        self._left -= 1
        at = self._at + len(self._data)
        self._call = self._link.ask(msg.Tread(0, self._fid, at, SIZE))
        self._call.answer.add_done_callback(self._came)
        self._link.push_soon()

    def _came(self, answer: asyncio.Future[Rmsg]) -> None:
        if self._call is None:
            return
        self._call = None
        if answer.exception() is not None:
            return  # who reads is told
        reply = answer.result()
        if not isinstance(reply, msg.Rread) or len(reply.data) > SIZE:
            return
        if not self._data:
            self._arrived, self._changes = answer.get_loop().time(), self._link.changes
        self._data += reply.data
        self._over = not reply.data
        if reply.data and self._left:
            with suppress(Ehungup):
                self._ask()

    def take(self, count: int, offset: int) -> bytes | None:
        """At most ``count`` of the bytes at ``offset``, empty at the end, which is told once.

        None if they are not here, be they `coming` or not.
        """
        if offset != self._at or not (self._data or self._over) or self._stale():
            return None
        data, self._data = self._data[:count], self._data[count:]
        self._at += len(data)
        self._over = self._over and bool(data)
        return data

    def _stale(self) -> bool:
        late = asyncio.get_running_loop().time() - self._arrived > FRESH
        return late or self._changes != self._link.changes

    def coming(self, offset: int) -> asyncio.Future[Rmsg] | None:
        """What ends when the bytes at ``offset`` are here, if they are under way."""
        return self._call.answer if self._call is not None and offset == self._at and not self._data else None

    def drop(self) -> None:
        """Forget what has come, and flush what is under way."""
        call, self._call = self._call, None
        self._data, self._over = b"", False
        if call is not None:
            self._link.abandon(call)
