"""Door: a socket of this host at which tasks call, to come to the session that runs them.

Whoever knows the name of the socket may call, and nobody finds it out who is not told: it is made in a
directory that is ours alone, and under another name than the one that it has in the end, so that Linux,
which shows all names under which sockets were made (/proc/net/unix), does not show this one. No door is used
twice. Who answers is `post`'s business.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from nsh.net.address import Address
from nsh.net.conn import Conn
from nsh.net.dial import BACKLOG, Listener

if TYPE_CHECKING:
    from nsh.kern.proc import System
    from taskfs.guard import Guard

MAXCALLS = 512
"""Calls at one door that are answered at a time; more wait."""


class Doors:
    """The doors in the directory of ``guard``.

    The first task of a session waits for its door, and to make one takes a third of the time of a task. So
    one is made ahead, when another is closed and nobody waits.
    """

    def __init__(self, system: System, guard: Guard) -> None:
        self._system = system
        self._guard = guard
        self._spare: Door | None = None
        guard.leaving.append(self._close_spare)

    def open(self, answer: Callable[[Conn], None]) -> Door:
        """A door; each call is given to ``answer``. Errors: those of the host."""
        directory = self._guard.directory()  # which is to stay, whoever made it
        door, self._spare = self._spare, None
        if door is not None and not door.there:
            door.close()  # somebody has tidied up
            door = None
        if door is None:
            door = Door(self._system, directory)
        door.open(answer)
        return door

    def close(self, door: Door) -> None:
        """Nobody can call at ``door`` any more. The calls that were answered go on."""
        door.close()
        asyncio.get_running_loop().call_soon(self._make_ahead)

    def _make_ahead(self) -> None:
        if self._spare is None and (place := self._guard.place):
            with contextlib.suppress(OSError):  # who needs one will be told why there is none
                self._spare = Door(self._system, place)

    def _close_spare(self) -> None:
        if self._spare is not None:
            self._spare.close()
            self._spare = None


class Door:
    """A door in ``directory``, closed at first. ``address``: what a caller dials."""

    def __init__(self, system: System, directory: str) -> None:
        """Errors: those of the host."""
        names = os.urandom(20).hex()
        made, self._path = f"{directory}/{names[:8]}", f"{directory}/{names[8:]}"
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
        self._number = sock.fileno()
        self._listener = Listener(system, sock, Address("unix", self._path, ""), partial(_remove, self._path))
        self._taking: asyncio.Task[None] | None = None

    @property
    def there(self) -> bool:
        """Can it be found?"""
        return os.path.exists(self._path)

    def open(self, answer: Callable[[Conn], None]) -> None:
        """Give each call to ``answer``."""
        asyncio.get_running_loop().add_reader(self._number, self._called, answer)

    def _called(self, answer: Callable[[Conn], None]) -> None:
        """Somebody calls, for the first time: at most doors nobody ever does."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._number)
        self._taking = loop.create_task(_take(self._listener, answer))

    def close(self) -> None:
        """Nobody can call here any more."""
        if self._taking is not None:
            self._taking.cancel()
        self._listener.close()


async def _take(listener: Listener, answer: Callable[[Conn], None]) -> None:
    room = asyncio.Semaphore(MAXCALLS)
    while True:
        await room.acquire()
        conn = await listener.take()
        conn.at_end = room.release
        answer(conn)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):  # somebody has tidied up
        os.unlink(path)
