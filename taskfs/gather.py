"""Team: what a session with children does. Many children are made to look like one task.

Commands and input go out to all children at once; output and reports come back merged. Nothing here knows
whether a child is a session of this process or of another machine; which hosts there are is `hosts`'
business.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nsh import errors
from nsh.errors import P9Error
from nsh.kern.chan import Maybe, settle
from nsh.kern.namec import quote
from taskfs import status
from taskfs.child import Child, Order
from taskfs.deal import Dealer
from taskfs.many import Lost, each
from taskfs.merge import Arriving, Cursor, InOrder, Merge, Source
from taskfs.neighbours import Neighbours
from taskfs.signs import substitute
from taskfs.spool import Bell, Feed

if TYPE_CHECKING:
    from taskfs.session import Session

SOON = 1.0
"""Seconds in which somebody comes who reads what tasks print, as most do."""
ASKED = 512
"""Children that are asked for their status at a time: many, since those of hosts that hang all take long."""


class Team:
    """The children of a session, in rank order, as one. ``early``: input from before the first exec.

    ``neighbours``: they as those who write to each other.
    """

    def __init__(self, session: Session, early: Feed) -> None:
        self.children: list[Child] = []
        self.neighbours = Neighbours(lambda: session.astir, session.background)
        self._session = session
        self._options = session.options
        self._early = early
        self._closein = False
        self._pouring: asyncio.Task[None] | None = None
        self._cursors: dict[object, Cursor] = {}
        self._merges: dict[tuple[str, bool, str], Merge] = {}
        self._run = 0
        self._starting = 0
        self._bell = Bell()
        self._freed = False
        self._dealer = Dealer()
        self._judges: dict[Child, asyncio.Task[None]] = {}
        self._lent: set[tuple[Child, str]] = set()
        self._unread: asyncio.TimerHandle | None = None

    @property
    def used(self) -> bool:
        return self._run > 0

    # --- commands ------------------------------------------------------------------------------

    def expect(self) -> None:
        """An `exec` is about to come: who begins to read from now on reads what that starts, once it has."""
        self._starting += 1

    def expected(self) -> None:
        """It has come to its end."""
        self._starting -= 1
        self._bell.ring()

    async def exec(self, argv: list[str]) -> None:
        """Start a task on every child; returns when each has started, or has failed to.

        Errors: `P9Error`, which names the ranks that failed and says why. The others run on.
        """
        self.neighbours.expect(self.children)
        order = self._order()
        try:
            results = await each(self.children, lambda child: self._start(child, order, argv))
        finally:
            self.neighbours.settled(self.children)
        begun = [child for child, e in zip(self.children, results, strict=True) if e is None]
        if begun:
            self._begin(begun)
        failed = {rank: _why(self.children[rank], e) for rank, e in enumerate(results) if e is not None}
        if failed:
            raise P9Error(status.failures(failed))

    def _begin(self, begun: list[Child]) -> None:
        """These children have a new task. Those that refused it still have what they had before."""
        # who reads on finds the end of what was; who begins anew sees the new tasks
        ended = set(begun)
        for cursor in self._cursors.values():
            cursor.end(ended)
        self._end_merges(ended)
        if not self._run:
            self._pouring = asyncio.get_running_loop().create_task(self._pour())
        self._run += 1
        loop = asyncio.get_running_loop()
        if any(child.foreseen for child in begun):
            self._unread = loop.call_later(SOON, self._leave_unread, begun)
        if self._options.onfail == "stop":
            for child in begun:
                self._judges[child] = loop.create_task(self._judge(child))

    def _leave_unread(self, children: list[Child]) -> None:
        """Nobody has come to read what these print: they need not wait for him."""
        for child in children:
            if child.foreseen and (child, "stdout") not in self._lent:
                child.leave("stdout")

    def _order(self) -> Order:
        options = self._options
        lines = "".join(f"{name}={value}\n" for name, value in options.env.items())
        files = {
            "args": " ".join(map(quote, options.args)).encode("utf-8", "surrogateescape"),
            "env": lines.encode("utf-8", "surrogateescape"),
            "ns": options.ns,
        }
        return Order(self._session, len(self.children), files, options.settings(), self._session.fed)

    async def _start(self, child: Child, order: Order, argv: list[str]) -> None:
        if not order.fed and self.neighbours.writes_to(child):
            order = order._replace(fed=True)
        await child.exec(order, argv)
        child.arg0 = substitute(argv[0], child.rank, order.size, child.host.name)
        child.started = True
        self.neighbours.settled([child])

    async def _judge(self, child: Child) -> None:
        """Wait for the end of a child's task; if it has failed, kill the others."""
        lines = await child.wait()
        if any(not line.endswith(" ''") for line in status.each_line(lines)):
            await self.command("kill")

    async def command(self, text: str) -> None:
        """Send a control message to every child that can be reached. Errors: of those that refuse it."""
        results = await each(self.children, lambda child: child.command(text))
        failed = {rank: str(e) for rank, e in enumerate(results) if e is not None and not isinstance(e, Lost)}
        if failed:
            raise P9Error(status.failures(failed))

    # --- output --------------------------------------------------------------------------------

    def read(self, reader: object, name: str, count: int, offset: int) -> Maybe[bytes]:
        """The merged output ``name`` (stdout, stderr) for ``reader``.

        He goes on where it was, or back to 0. Errors: `Eseek`.
        """
        return self._read(reader, name, count, offset)

    async def _read(self, reader: object, name: str, count: int, offset: int) -> bytes:
        while not self._run or (self._starting and self._begins(reader, offset)):
            await self._bell.wait()
            if self._freed:
                raise errors.Ehungup()
        cursor = self._cursors.get(reader)
        if cursor is None or self._begins(reader, offset):
            if cursor is not None:
                cursor.close()
            cursor = self._cursors[reader] = self._cursor(name)
        return await cursor.read(count, offset)

    def _begins(self, reader: object, offset: int) -> bool:
        """Does he begin to read, for the first time or anew?"""
        cursor = self._cursors.get(reader)
        return cursor is None or (offset == 0 and (cursor.begun or cursor.cut))

    def _cursor(self, name: str) -> Cursor:
        """A way through the output ``name`` of the tasks that there are, as outmode and label say."""
        outmode, label = self._options.outmode, self._options.label
        if outmode == "child":
            return InOrder(*self._sources(name, label))
        key = name, outmode == "raw" and label == "none", label
        merge = self._merges.get(key)
        if merge is None:
            sources, prefixes = self._sources(name, label)
            budget = self._session.owner.budget
            merge = self._merges[key] = Merge(sources, None if key[1] else prefixes, budget)
        return Arriving(merge)

    def _sources(self, name: str, label: str) -> tuple[list[Source], list[bytes]]:
        """The output ``name`` of each task, and what ``label`` puts in front of its lines."""
        started = self._started()
        prefixes = {
            "none": lambda child: b"",
            "rank": lambda child: f"{child.rank}: ".encode(),
            "host": lambda child: f"{child.host.name}: ".encode(),
        }
        return [self.source(child, name) for child in started], list(map(prefixes[label], started))

    def _end_merges(self, children: set[Child]) -> None:
        merges, self._merges = self._merges, {}
        for merge in merges.values():
            merge.end(children)

    def source(self, child: Child, name: str) -> Source:
        """The output ``name`` of a child, for a reader that closes it in the end."""
        return Source(child, name, self._lent)

    def forget(self, reader: object) -> None:
        """``reader``, who may have read output, has gone."""
        cursor = self._cursors.pop(reader, None)
        if cursor is not None:
            cursor.close()

    def claim(self) -> None:
        """Let the children know that somebody may write to their standard input."""
        for child in self._started():
            self._session.background(child.claim())

    # --- input ---------------------------------------------------------------------------------

    def write(self, data: bytes, writer: object = None) -> Maybe[int]:
        """Give ``data`` to the children, as inmode says; before exec it is queued, as far as there is room.

        ``writer``: who ends his own lines. Errors: `Ewclosed` when no child takes any.
        """
        if self._run:
            return self._write(data, writer)
        return len(data) if self._early.write(data) else self._write_later(len(data))

    async def _write_later(self, count: int) -> int:
        await self._early.wait()
        return count

    async def _write(self, data: bytes, writer: object) -> int:
        await self._poured()
        await self._hand_out(data, writer)
        return len(data)

    async def _hand_out(self, data: bytes, writer: object) -> None:
        if self._options.inmode == "lines":
            await self._dealer.deal(writer, data, self._started())
        else:
            await self._broadcast(data)

    async def _pour(self) -> None:
        """Give the children what was written before there was a task, and its end."""
        try:
            for data in self._early.take():
                await self._hand_out(data, self._early)
        except errors.Ewclosed:
            pass  # none of them wants it
        self._dealer.leave(self._early)
        if self._closein:
            await self._end_all()
        elif self._early.ended:
            await self._leave_all()

    async def _poured(self) -> None:
        """Let what was written before exec go first."""
        if self._pouring is not None and not self._pouring.done():
            await asyncio.wait((self._pouring,))

    async def _broadcast(self, data: bytes) -> None:
        started = self._started()
        results = await each(started, lambda child: settle(child.write("stdin", data)))
        if not any(isinstance(n, int) for n in results):
            raise errors.Ewclosed()

    def _started(self) -> list[Child]:
        return [child for child in self.children if child.started]

    def close_input(self) -> Maybe[None]:
        """End of file on the standard input of every child."""
        if self._run:
            return self._end_input()
        self._early.end()
        self._closein = True
        return None

    async def _end_input(self) -> None:
        await self._poured()
        await self._end_all()

    async def _end_all(self) -> None:
        await self._dealer.finish(self._started())
        await self.command("closein")

    def writer_left(self, writer: object) -> None:
        """He writes no more; others may."""
        self._dealer.leave(writer)

    def last_writer_left(self) -> Maybe[None]:
        """Be no writer of the children's input any more; it ends if nobody else is."""
        if self._run:
            return self._stop_writing()
        self._early.end()
        return None

    async def _stop_writing(self) -> None:
        await self._poured()
        await self._leave_all()

    async def _leave_all(self) -> None:
        await self._dealer.finish(self._started())
        started = self._started()
        await each(self.neighbours.let_go(started), lambda child: settle(child.write("stdin", b"")))

    # --- reports -------------------------------------------------------------------------------

    async def status(self) -> str:
        """The children's lines, in rank order."""
        lines = await each(self.children, lambda child: child.status(), ASKED)
        return "".join(line for line in lines if isinstance(line, str))

    async def wait(self) -> str:
        """The children's lines in rank order, rank and host in front, when all have ended."""
        while not self._run:
            await self._bell.wait()
            if self._freed:
                raise errors.Ehungup()
        return await self._waits(self._started())

    async def _waits(self, children: list[Child]) -> str:
        lines = await each(children, lambda child: child.wait())
        return "".join(
            status.prefixed(line, f"{child.rank} {child.host.name} ")
            for child, line in zip(children, lines, strict=True)
            if isinstance(line, str)
        )

    async def exits(self) -> str:
        """The lines of `wait` of those children whose tasks have ended."""
        started = self._started()
        ended = await each(started, lambda child: child.has_ended(), ASKED)
        return await self._waits([child for child, over in zip(started, ended, strict=True) if over is True])

    def free(self) -> None:
        """Wake who waits, and stop what goes on. The children are given back by the session."""
        self._freed = True
        self._run = max(self._run, 1)
        cursors, self._cursors = self._cursors, {}
        for cursor in cursors.values():
            cursor.close()
        self._end_merges(set(self.children))
        for judge in self._judges.values():
            judge.cancel()
        if self._unread is not None:
            self._unread.cancel()
        self._early.close()
        self.neighbours.close()
        if self._pouring is not None:
            self._pouring.cancel()
        self._bell.ring()


def _why(child: Child, e: object) -> str:
    """Why a child could not start; a host that is at fault is named."""
    return f"{child.host.name}: {e}" if isinstance(e, ConnectionError) else str(e)
