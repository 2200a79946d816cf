"""Owner: which sessions end together, and how many one client may have.

A session is owned by the process that leads where it was cloned, a shell or what stands for the
connection of a client, and so are the sessions of this host that it reserves. With that process they
end; those that were detached are owned by their user, and are bounded all the same. `Turn` is how work
that never waits gives way to others. What a session is, is not known here.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

from nsh.errors import Elimit

if TYPE_CHECKING:
    from taskfs.session import Session

MAXSESSIONS = 8192
"""Most sessions that one connection, or one shell, may have here, reserved ones included; and most
detached ones of a user. With all their files open they fit into the fids of a connection."""
MAXMEMORY = 256 << 20
"""Bytes of output that may be kept in memory for one owner; what comes later goes to the disk."""
MAXDISK = 16 << 30
"""Bytes of output that may be kept on the disk for one owner; then tasks are held back."""
MAXSETTINGS = 256 << 20
"""Most bytes in args, env and ns of all sessions of one owner."""
ATONCE = 64
"""Sessions that are released without giving way to others."""
SLICE = 0.001
"""Seconds of work after which others have their turn."""
AFEW = 8
"""Tasks that go on in the same turn; if there were more, most would find that it is over."""


class Turn:
    """Work that may be long and never waits calls `give` between its steps, so that others run, too.

    Several tasks may share one: all of them together do not take longer than `SLICE` in a turn of the loop.
    """

    def __init__(self) -> None:
        self._until = 0.0  # when it is over, 0: nothing was done yet in this turn of the loop
        self._next: asyncio.Handle | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    def over(self) -> bool:
        """Have others been kept waiting for long enough?"""
        now = time.monotonic()
        if not self._until:
            self._until = now + SLICE
            self._see_to_next()
        return now >= self._until

    async def give(self) -> None:
        """Let others run if it is time to."""
        while self.over():
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter

    def _see_to_next(self) -> None:
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """It is our turn again."""
        self._next = None
        self._until = 0.0
        for _ in range(min(AFEW, len(self._waiting))):
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
        if self._waiting:
            self._see_to_next()


class Budget:
    """How much is kept of what the tasks of one owner print: bytes in ``memory``, and bytes on ``disk``."""

    __slots__ = ("disk", "memory")

    def __init__(self) -> None:
        self.memory = 0
        self.disk = 0

    @property
    def full(self) -> bool:
        """Is there room for no more?"""
        return self.memory >= MAXMEMORY and self.disk >= MAXDISK


class Owner:
    """The sessions of one process, or the detached ones of one user."""

    def __init__(self) -> None:
        self.budget = Budget()
        self.settings = 0
        self._sessions: dict[Session, None] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def check_room(self, n: int) -> None:
        """Raise `Elimit` unless there may be ``n`` sessions more."""
        if len(self._sessions) + n > MAXSESSIONS:
            raise Elimit(f"too many sessions: {len(self._sessions) + n}, at most {MAXSESSIONS} together")

    def add(self, session: Session) -> None:
        """The session is one of these from now on."""
        self._sessions[session] = None
        self.settings += session.settings

    def discard(self, session: Session) -> None:
        """It is not one of these any more."""
        if session in self._sessions:
            del self._sessions[session]
            self.settings -= session.settings

    def check_settings(self, more: int) -> None:
        """Raise `Elimit` unless args, env and ns of these sessions may have so many bytes ``more``."""
        if self.settings + more > MAXSETTINGS:
            raise Elimit(f"too much in args, env and ns: at most {MAXSETTINGS} bytes together")

    def first(self) -> Session:
        """One of the sessions that are left, of which there must be one."""
        return next(iter(self._sessions))
