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
from contextlib import suppress
from typing import TYPE_CHECKING

from nsh.dev.mntio import FRESH, failure
from nsh.errors import Ehungup, Enotopen, P9Error
from nsh.p9 import msg
from nsh.p9.msg import Rmsg

if TYPE_CHECKING:
    from nsh.dev.mntlink import Call, Link

SIZE = 8 << 10
"""Bytes that are asked for at a time: most programs print less."""
MORE = 1
"""How often more is asked for, behind what has come, before somebody reads that: at least the end."""


class Ahead:
    """The start of the file that ``fid`` stands for, which need not be open yet.

    Its server may give up what was read, and takes the offset of a request for what has been. So nothing is
    asked for behind the first bytes before somebody reads those, or waits for them.
    """

    __slots__ = (
        "_arrived",
        "_at",
        "_call",
        "_changes",
        "_data",
        "_error",
        "_fid",
        "_link",
        "_more",
        "_over",
        "_read",
    )

    def __init__(self, link: Link, fid: int) -> None:
        """Ask for the first bytes; that is sent with what else is asked for in this turn of the loop.

        Errors: `Ehungup`.
        """
        self._link = link
        self._fid = fid
        self._at = 0  # where a reader goes on
        self._data = b""  # what has come from there
        self._over = False  # and behind that is the end
        self._error: P9Error | None = None  # or this
        self._arrived = 0.0
        self._changes = 0
        self._read = False  # somebody reads
        self._more = MORE
        self._call: Call | None = None
        self._ask()

    def _ask(self) -> None:
        at = self._at + len(self._data)
        self._call = self._link.ask(msg.Tread(0, self._fid, at, SIZE))
        self._call.answer.add_done_callback(self._came)
        self._link.push_soon()

    def _ask_more(self) -> None:
        if self._read and self._more and not (self._call or self._over or self._error):
            self._more -= 1
            with suppress(Ehungup):
                self._ask()

    def _came(self, answer: asyncio.Future[Rmsg]) -> None:
        if self._call is None:
            return
        self._call = None
        if answer.exception() is not None:
            return  # who reads is told
        reply = answer.result()
        if not self._data:
            self._arrived, self._changes = answer.get_loop().time(), self._link.changes
        if isinstance(reply, msg.Rread) and len(reply.data) <= SIZE:
            self._data += reply.data
            self._over = not reply.data
            self._ask_more()
            return
        error = failure(reply)
        if not isinstance(error, Enotopen):  # it came before the open
            self._error = error

    def take(self, count: int, offset: int) -> bytes | None:
        """At most ``count`` of the bytes at ``offset``, empty at the end; all is told once.

        None if they are not here, be they `coming` or not. Errors: the server's.
        """
        if offset != self._at:
            return None
        if self._error is not None and not self._data:
            error, self._error = self._error, None
            raise error
        if not (self._data or self._over) or self._stale():
            return None
        data, self._data = self._data[:count], self._data[count:]
        self._at += len(data)
        self._over = self._over and bool(data)
        self._read = bool(data)
        self._ask_more()
        return data

    def _stale(self) -> bool:
        late = asyncio.get_running_loop().time() - self._arrived > FRESH
        return not self._at and (late or self._changes != self._link.changes)

    def coming(self, offset: int) -> asyncio.Future[Rmsg] | None:
        """What ends when the bytes at ``offset`` are here, if they are under way; who asks waits for them."""
        if self._call is None or offset != self._at or self._data:
            return None
        self._read = True
        return self._call.answer

    def drop(self) -> None:
        """Forget what has come, and flush what is under way."""
        call, self._call = self._call, None
        self._at = -1
        if call is not None:
            self._link.abandon(call)
