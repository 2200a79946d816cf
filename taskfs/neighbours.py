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
import contextlib
from collections import Counter
from collections.abc import Callable, Sequence

from nsh import errors
from nsh.kern.chan import Maybe, settle
from taskfs.child import Child
from taskfs.many import Lost, each
from taskfs.spool import Bell

SOON, LATE = 0.05, 1.0
"""Seconds until tasks are asked whether they all wait, after something has happened, and at most."""
SHARE = 4
"""How many times as long as it takes to ask them it is left alone."""


class Neighbours:
    """The children of a team as those who write to each other.

    ``astir`` tells whether somebody else may write to them, or what they print to each other is on its way;
    ``background`` sees to it that something is done.
    """

    def __init__(self, astir: Callable[[], bool], background: Callable[[Maybe[None]], None]) -> None:
        self._others_write = astir
        self._background = background
        self._starting: set[Child] = set()
        self._running: set[Child] = set()  # those that start, too
        self._begun: set[Child] = set()  # those of which something may be left when they have ended, too
        self._writers: Counter[Child] = Counter()
        self._met: set[Child] = set()  # those that had writers
        self._over = False
        self._fed: set[Child] = set()  # those to whom all was given that was to be
        self._bell = Bell()
        self._watching: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Future[None]] = set()
        self._ended: set[Child] = set()  # those who were told that their input has ended
        self._stirred = 0  # how often something has happened that may wake a task
        self._asking: asyncio.Task[None] | None = None
        self._awake: set[Child] = set()  # of those who were asked last
        self._hurry = asyncio.Event()
        self._closed = False

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
        failed = {child for child in children if not child.started}
        self._running -= failed
        self._begun.update(children)
        self._begun -= failed
        self._bell.ring()

    def let_go(self, children: Sequence[Child]) -> list[Child]:
        """The session's own input has ended; those of ``children`` are returned for whom this is the end."""
        self._over = True
        return [child for child in children if not self._writers[child]]

    def close(self) -> None:
        """The session is freed."""
        self._closed = True
        self._stop_watching()
        for task in self._ending:
            task.cancel()

    def writes_to(self, child: Child) -> bool:
        """Has somebody the input of ``child`` open?"""
        return self._writers[child] > 0

    # --- what a writer does --------------------------------------------------------------------

    def came(self, child: Child) -> None:
        """A task has opened the input of ``child``."""
        self._writers[child] += 1
        self._met.add(child)
        self._stirred += 1
        self._background(child.claim())
        if self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    def left(self, child: Child) -> None:
        """It has closed it."""
        self._writers[child] -= 1
        self._stirred += 1
        self._end_if_last(child)
        self._ask_soon()

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
        self._stirred += 1
        try:
            await settle(child.feed(data))
        finally:
            self._stirred += 1

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
        await each(list(self._running), self._wait, len(self._running))

    async def _wait(self, child: Child) -> None:
        await child.wait()
        self._running.discard(child)
        self._stirred += 1
        self._ask_soon()

    def _end_if_last(self, child: Child) -> None:
        """Let the task of ``child`` see the end of its input, if it is known that nobody will write to it."""
        if not self._writers[child] and (self._over or child in self._fed):
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

    def _ask_soon(self) -> None:
        """Find out whether that was the last writer of somebody."""
        if self._closed:
            return
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().create_task(self._ask())
        else:
            self._hurry.set()

    async def _ask(self) -> None:
        """End the inputs to which nobody is left who would write."""
        pause, time = SOON, asyncio.get_running_loop().time
        while self._waiting():
            self._hurry.clear()
            seen, began = self._stirred, time()
            last = await self._last_for()
            if seen == self._stirred:
                for child in last:
                    self._end(child)
            await asyncio.sleep(SHARE * (time() - began))
            if seen != self._stirred:
                pause = SOON
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._hurry.wait()
            pause = min(2 * pause, LATE)

    async def _last_for(self) -> list[Child]:
        """Those who wait, and whom nobody will write to any more if nothing happens while they are all asked.

        That is so of all of them if all rest, and of one if nothing is left of the others, if there were any.
        """
        if self._starting or self._others_write():
            return []
        before, self._awake = self._awake, set()
        await each(sorted(self._begun, key=before.__contains__, reverse=True), self._look)
        awake = self._awake
        if self._others_write() or len(awake) > 1 or (awake and self._running - awake):
            return []
        if awake and len(self._begun) == 1:
            return []  # it is alone: whom it has heard was itself
        return [child for child in self._waiting() if not awake or child in awake]

    async def _look(self, child: Child) -> None:
        """Is ``child`` awake? When two are, no more need be known."""
        if len(self._awake) > 1:
            return
        try:
            await child.command("resting")
        except Lost:
            pass  # nobody is there who could write
        except OSError:
            self._awake.add(child)


async def _end(child: Child) -> None:
    try:
        await settle(child.write("stdin", b""))
    except OSError:
        pass  # it has ended, or its host is lost
