"""Owner: which sessions end together, and how many one client may have.

A session is owned by the process that leads where it was cloned, a shell or what stands for the
connection of a client, and so are the sessions of this host that it reserves. With that process they
end; those that were detached are owned by their user, and are bounded all the same. `Turn` is how work
that never waits gives way to others. What a session is, is not known here.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from nsh.errors import Elimit

if TYPE_CHECKING:
    from taskfs.session import Session

MAXSESSIONS = 8192
"""Most sessions that one connection, or one shell, may have here, reserved ones included; and most
detached ones of a user. With all their files open they fit into the fids of a connection."""
ATONCE = 64
"""Sessions that are released without giving way to others."""
SLICE = 0.001
"""Seconds of work after which others have their turn."""


class Turn:
    """Work that may be long and never waits calls `give` between its steps, so that others run, too.

    Several tasks may share one: all of them together do not take longer at a time than `SLICE`.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._until = time.monotonic() + SLICE

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._until

    async def give(self) -> None:
        """Let others run if it is time to."""
        if not self.over:
            return
        async with self._lock:
            if self.over:
                await asyncio.sleep(0)
                self._until = time.monotonic() + SLICE


class Owner:
    """The sessions of one process, or the detached ones of one user."""

    def __init__(self) -> None:
        self._sessions: dict[Session, None] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def check_room(self, n: int) -> None:
        """Raise `Elimit` unless there may be ``n`` sessions more."""
        if len(self._sessions) + n > MAXSESSIONS:
            raise Elimit(f"too many sessions: {len(self._sessions) + n}, at most {MAXSESSIONS} together")

    def add(self, session: Session) -> None:
        self._sessions[session] = None

    def discard(self, session: Session) -> None:
        self._sessions.pop(session, None)

    def first(self) -> Session:
        """One of the sessions that are left, of which there must be one."""
        return next(iter(self._sessions))
