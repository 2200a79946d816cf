"""Door: a socket of this host at which tasks call, to come to the session that runs them.

Whoever knows the name of the socket may call, and nobody finds it out who is not told: it is made in a
directory that is ours alone, and under another name than the one that it has in the end, so that Linux,
which shows all names under which sockets were made (/proc/net/unix), does not show this one. Who answers
is `post`'s business.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from nsh.net.address import Address
from nsh.net.conn import Conn
from nsh.net.dial import BACKLOG, Listener

if TYPE_CHECKING:
    from nsh.kern.proc import System

MAXCALLS = 512
"""Calls at one door that are answered at a time; more wait."""


class Door:
    """A door in ``directory``; each call is given to ``answer``. ``address``: what a caller dials."""

    def __init__(self, system: System, directory: str, answer: Callable[[Conn], None]) -> None:
        """Errors: those of the host."""
        made = f"{directory}/{os.urandom(4).hex()}"
        self._path = f"{directory}/{os.urandom(16).hex()}"
        self.address = f"unix!{self._path}"
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.bind(made)
            os.chmod(made, 0o600)
            os.rename(made, self._path)
            sock.listen(BACKLOG)
        except BaseException:
            sock.close()
            raise
        self._listener = Listener(system, sock, Address("unix", self._path, ""), self._remove)
        self._answer = answer
        self._room = asyncio.Semaphore(MAXCALLS)
        self._taking = asyncio.get_running_loop().create_task(self._take())

    async def _take(self) -> None:
        while True:
            await self._room.acquire()
            conn = await self._listener.take()
            conn.at_end = self._room.release
            self._answer(conn)

    def close(self) -> None:
        """Nobody can call here any more. The calls that were answered go on."""
        self._taking.cancel()
        self._listener.close()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):  # somebody has tidied up
            os.unlink(self._path)
