"""Neighbours: the input that the tasks of a session give each other, and when it ends.

A task that writes to the standard input of another is a writer who may come again: that it closes the file
does not mean that the other one has got all. So the input of a task ends when nobody has it open any more,
and nobody is left who would come: the session's own input has ended; or, if it had such writers, all the
other tasks have ended, or all that are left only wait for their own input (`rest`). An output that was
connected to it (xsplice) is a writer who does not come again. What is written goes through the file of the
child that the session itself holds open (`child`): in whose name it comes, nobody there needs to know.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from nsh import errors
from nsh.kern.chan import settle
from taskfs.child import Child
from taskfs.many import each
from taskfs.spool import Bell

SOON, LATE = 0.05, 1.0
"""Seconds until tasks are asked whether they all wait, after something has happened, and at most."""
PIECE = 32 << 10
"""Bytes on their way to one child at a time; what is for all children of a host may have to wait there."""


class Neighbours:
    """The children of a team as those who write to each other.

    ``fed`` tells whether somebody else may write to them, and what they print to each other is on its way.
    """

    def __init__(self, fed: Callable[[], bool]) -> None:
        self._others_write = fed
        self._starting: set[Child] = set()
        self._running: set[Child] = set()  # those that start, too
        self._writers: Counter[Child] = Counter()
        self._met: set[Child] = set()  # those that had writers
        self._over = False
        self._fed: set[Child] = set()  # those to whom all was given that was to be
        self._bell = Bell()
        self._turns: dict[Child, asyncio.Lock] = {}
        self._watching: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Future[None]] = set()
        self._ended: set[Child] = set()  # those who were told that their input has ended
        self._stirred = 0  # how often something has happened that may wake a task
        self._asking: asyncio.Task[None] | None = None

    # --- what becomes of the tasks -------------------------------------------------------------

    def expect(self, children: Sequence[Child]) -> None:
        """These are to get new tasks."""
        self._starting = set(children)
        self._running.update(children)
        self._met.clear()
        self._fed.clear()
        self._ended.clear()
        self._over = False
        self._stirred += 1
        self._stop_watching()

    def settled(self, children: Sequence[Child]) -> None:
        """These have started, or have failed to."""
        self._starting.difference_update(children)
        self._running.difference_update(child for child in children if not child.started)
        self._bell.ring()

    def let_go(self, children: Sequence[Child]) -> list[Child]:
        """The session's own input has ended; those of ``children`` are returned for whom this is the end."""
        self._over = True
        return [child for child in children if not self._writers[child]]

    def close(self) -> None:
        """The session is freed."""
        self._stop_watching()
        for task in self._ending:
            task.cancel()

    # --- what a writer does --------------------------------------------------------------------

    def came(self, child: Child) -> None:
        """A task has opened the input of ``child``."""
        self._writers[child] += 1
        self._met.add(child)
        self._stirred += 1
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    def left(self, child: Child) -> None:
        """It has closed it."""
        self._writers[child] -= 1
        self._stirred += 1
        self._end_if_last(child)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._ask())

    def fed(self, child: Child, last: bool) -> None:
        """An output that was connected to the input of ``child`` has ended; ``last``: and nobody else is
        expected to write.
        """
        if last:
            self._fed.add(child)
        self.left(child)

    async def write(self, child: Child, data: bytes) -> None:
        """Give ``data`` to the task of ``child``, in one piece. Errors: `Ewclosed`, as of `Child.write`."""
        while child in self._starting:
            await self._bell.wait()
        if not child.started:
            raise errors.Ewclosed()
        async with self._turns.setdefault(child, asyncio.Lock()):
            for at in range(0, len(data), PIECE):
                await settle(child.write("stdin", data[at : at + PIECE]))

    # --- the end -------------------------------------------------------------------------------

    def _stop_watching(self) -> None:
        for task in (self._watching, self._asking):
            if task is not None:
                task.cancel()
        self._watching = self._asking = None

    async def _watch(self) -> None:
        """Find out who has ended."""
        while self._starting:
            await self._bell.wait()
        await each(list(self._running), self._wait)

    async def _wait(self, child: Child) -> None:
        await child.wait()
        self._running.discard(child)
        if len(self._running) == 1:
            self._end_if_last(*self._running)

    def _end_if_last(self, child: Child) -> None:
        """Let the task of ``child`` see the end of its input, if nobody will write to it any more."""
        alone = child in self._met and self._running <= {child}
        if not self._writers[child] and (self._over or alone or child in self._fed):
            self._end(child)

    def _end(self, child: Child) -> None:
        self._ended.add(child)
        ending = asyncio.ensure_future(_end(child))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    def _waiting(self) -> list[Child]:
        """Those to whom somebody has written, and nobody does now; it may have been the last one."""
        open_ended = (self._met & self._running) - self._ended
        return [child for child in open_ended if not self._writers[child]]

    async def _ask(self) -> None:
        """End these inputs when all tasks that are left wait."""
        pause, seen = SOON, 0
        while self._waiting():
            await asyncio.sleep(pause)
            pause = SOON if seen != self._stirred else min(2 * pause, LATE)
            seen = self._stirred
            if await self._all_rest() and seen == self._stirred:
                for child in self._waiting():
                    self._end(child)

    async def _all_rest(self) -> bool:
        if self._starting or self._others_write():
            return False
        answers = await each(list(self._running), lambda child: child.command("resting"))
        return not any(isinstance(answer, OSError) for answer in answers) and not self._others_write()


async def _end(child: Child) -> None:
    try:
        await settle(child.write("stdin", b""))
    except OSError:
        pass  # it has ended, or its host is lost
