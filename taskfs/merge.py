"""The output of many children as one: child after child, or as it arrives, and in what pieces.

Who reads child after child (`InOrder`) has a way of his own through them. What is read as it arrives is put
together once, for all readers (`Merge`), so that each of them sees the same order, whenever he comes. A label
in front of each line is put there, too. Which children there are, and who reads, is `gather`'s business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set
from typing import Any, Protocol

from nsh import errors
from nsh.kern.chan import Chan, Maybe, must_wait, settle
from nsh.net.step import begun
from nsh.p9.const import OREAD
from taskfs.child import Child
from taskfs.many import TOGETHER, Lost, looked_at
from taskfs.owner import Budget, Turn
from taskfs.spool import Spool

LINEMAX = 1 << 20
"""Bytes without a newline after which a line is passed on in pieces."""
PIECE = 64 << 10
"""Bytes that are asked of a child at a time, when its output is put together with that of others."""


class Source:
    """The output ``name`` of one child, for one reader.

    An open file of a child is one reader's way through its output, too: where that reader is decides what
    the child may give up. So the one that is held open is lent to one reader at a time (``lent`` says
    which are), and a second reader opens one of its own. ``over``: the reader has come to the end.
    """

    def __init__(self, child: Child, name: str, lent: set[tuple[Child, str]]) -> None:
        self.child = child
        self._name = name
        self._lent = lent
        self._borrowed = (child, name) not in lent
        if self._borrowed:
            lent.add((child, name))
        self._own: asyncio.Task[Chan] | None = None
        self.over = False

    def read(self, count: int, offset: int) -> Maybe[bytes]:
        """The bytes at ``offset``, as `Child.read`."""
        return self.child.read(self._name, count, offset) if self._borrowed else self._read(count, offset)

    async def first(self, count: int) -> bytes:
        """The first bytes; what goes wrong, too, is found when that is waited for."""
        return await settle(self.read(count, 0))

    async def _read(self, count: int, offset: int) -> bytes:
        if self._own is None:
            self._own = asyncio.get_running_loop().create_task(self.child.open(self._name, OREAD))
            self._own.add_done_callback(looked_at)
        c = await asyncio.shield(self._own)
        return await self.child.host.ask(c.dev.read(c, count, offset))

    def close(self) -> None:
        """Nothing more is read."""
        if self._borrowed:
            self._lent.discard((self.child, self._name))
            if not self.over:
                self.child.leave(self._name)
        elif self._own is not None and self._own.done():
            _close(self._own)
        elif self._own is not None:
            self._own.add_done_callback(_close)  # not cancelled: what is being opened must be closed


def _close(opened: asyncio.Task[Chan]) -> None:
    if not opened.cancelled() and opened.exception() is None:
        opened.result().close()


class Cursor(Protocol):
    """One reader's way through the merged output of some children."""

    @property
    def begun(self) -> bool:
        """Has he got any bytes?"""
        ...

    @property
    def cut(self) -> bool:
        """Were some of the children ended before their end?"""
        ...

    async def read(self, count: int, offset: int) -> bytes:
        """At most ``count`` bytes; empty at the end of all children.

        Errors: `Eseek`; those of the children, each once, behind what has come before it.
        """
        ...

    def end(self, children: Set[Child]) -> None:
        """Ask these children no more; who waits for them finds their end."""

    def close(self) -> None:
        """Ask no more; a read that waits finds the end."""


class InOrder:
    """Child after child, in rank order. The ones that follow are asked before it is their turn."""

    def __init__(self, sources: list[Source], prefixes: list[bytes]) -> None:
        self.cut = False
        self._sources = sources
        self._prefixes = prefixes
        self._lock = asyncio.Lock()
        self._position = 0
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._ended: set[int] = set()
        self._failures: list[OSError] = []
        self._turn = 0
        self._ahead = 0  # those before it were asked
        self._offset = 0
        self._left = b""
        self._lines: Lines | None = None
        self._next_child()

    @property
    def begun(self) -> bool:
        return self._position > 0

    async def read(self, count: int, offset: int) -> bytes:
        """The next bytes; a child of which something went wrong has ended then."""
        async with self._lock:
            if offset != self._position:
                raise errors.Eseek()
            data = b"" if self._failures else await self._gather(count)
            if not data and self._failures:
                raise self._failures.pop(0)
            self._position += len(data)
            return data

    async def _gather(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            # what is there is not kept back until more comes
            if not self._left and not await self._more(count, wait=not data):
                break
            take = count - len(data)
            data += self._left[:take]
            self._left = self._left[take:]
        return bytes(data)

    async def _more(self, count: int, wait: bool) -> bool:
        """Get the next piece of output; False if there is none, or none without what ``wait`` forbids."""
        while self._turn < len(self._sources) and not self._left and not self._failures:
            self._look_ahead(count)
            data = self._ask(self._turn, count, self._offset)
            if data is not None:
                self._take(data)
            elif wait:
                await asyncio.wait((self._asked[self._turn],))
            else:
                break
        return bool(self._left)

    def _take(self, data: bytes) -> None:
        """The child whose turn it is has given ``data``; none is its end."""
        self._offset += len(data)
        self._left = data if self._lines is None else self._lines.feed(data)
        if not data:
            self._turn += 1
            self._offset = 0
            self._next_child()

    def _next_child(self) -> None:
        """It is another child's turn."""
        prefix = self._prefixes[self._turn] if self._turn < len(self._prefixes) else b""
        self._lines = Lines(prefix) if prefix else None

    def _look_ahead(self, count: int) -> None:
        end = min(self._turn + TOGETHER, len(self._sources))
        for i in range(max(self._ahead, self._turn + 1), end):
            if not self._sources[i].child.here and i not in self._ended:
                self._asked[i] = _begin(self._sources[i].first(count))
        self._ahead = end

    def _ask(self, i: int, count: int, offset: int) -> bytes | None:
        """Child ``i``'s bytes at ``offset``, if they are there at once; else they are being asked for."""
        if i in self._ended:
            return b""
        try:
            data = self._asked_for(i, count, offset)
            self._sources[i].over = data == b""
            return data
        except (Lost, errors.Ehungup):
            return b""  # a child that is lost, or was removed, has come to its end
        except OSError as e:
            self._failures.append(e)
            return b""

    def _asked_for(self, i: int, count: int, offset: int) -> bytes | None:
        asked = self._asked.get(i)
        if asked is None:
            result = self._sources[i].read(count, offset)
            if not must_wait(result):
                return result
            asked = self._asked[i] = _begin(result)
        if not asked.done():
            return None
        del self._asked[i]
        return asked.result()

    def end(self, children: Set[Child]) -> None:
        for i, source in enumerate(self._sources):
            if source.child in children and i not in self._ended:
                self.cut = True
                self._ended.add(i)
                if i in self._asked:
                    self._asked[i].cancel()
                source.close()

    def close(self) -> None:
        self.end({source.child for source in self._sources})


def _begin(reading: Any) -> asyncio.Future[bytes]:
    """Let a child be asked while its answer is not needed yet."""
    task: asyncio.Future[bytes] = begun(reading)
    task.add_done_callback(looked_at)
    return task


class Merge:
    """The output of some children as it arrives, put together once for all who read it.

    It is whole lines, with a prefix for each child in front, or, if there are no ``prefixes``, bytes. It is
    kept as the output of one task is, beside what is kept of each child: the order cannot be found out again.
    A line that a child has not ended is ended when one of another follows.
    """

    def __init__(self, sources: Sequence[Source], prefixes: list[bytes] | None, budget: Budget) -> None:
        self.spool = Spool(budget=budget)
        self.failures: list[tuple[int, OSError]] = []  # where in the output, and what went wrong with a child
        self.stale = False  # some children were ended: nobody begins to read this any more
        self.readers = 0
        self._turn = Turn()
        self._putting = asyncio.Lock()
        self._unended: Source | None = None  # whose line is the last, if that has no end
        loop = asyncio.get_running_loop()
        every = [None] * len(sources) if prefixes is None else [Lines(prefix) for prefix in prefixes]
        self._following = {
            source: loop.create_task(self._follow(source, lines))
            for source, lines in zip(sources, every, strict=True)
        }
        self._finish_if_over()

    async def _follow(self, source: Source, lines: Lines | None) -> None:
        """Put in what a child gives, up to its end."""
        at = 0
        try:
            while not self.spool.eof and (data := await settle(source.read(PIECE, at))):
                at += len(data)
                await (self.spool.put(data) if lines is None else self._put(source, lines.feed(data)))
                await self._turn.give()
            source.over = not self.spool.eof
        except (Lost, errors.Ehungup):
            pass  # a child that is lost, or was removed, has come to its end
        except OSError as e:
            self.failures.append((self.spool.end, e))
        if lines is not None:
            await self._put(source, lines.feed(b""))
        self._end(source)

    async def _put(self, source: Source, lines: bytes) -> None:
        """Put in lines, of which the last may have no end."""
        if not lines:
            return
        async with self._putting:  # who waits for room knows what will be before him
            missing = b"\n" if self._unended not in (None, source) else b""
            await self.spool.put(missing + lines)
            self._unended = None if lines.endswith(b"\n") else source

    def _end(self, source: Source) -> None:
        source.close()
        del self._following[source]
        self._finish_if_over()

    def _finish_if_over(self) -> None:
        if not self._following:
            self.spool.finish()

    def end(self, children: Set[Child]) -> None:
        """Ask these children no more: they come to their end."""
        for source, task in list(self._following.items()):
            if source.child in children:
                task.cancel()
                self._end(source)
        self.stale = True
        self.close_if_unread()

    def close_if_unread(self) -> None:
        """Let go of what is kept, if nobody will read it."""
        if self.stale and not self.readers:
            self.end_all()
            self.spool.close()

    def end_all(self) -> None:
        """Ask nobody any more."""
        for source, task in list(self._following.items()):
            task.cancel()
            self._end(source)


class Arriving:
    """One reader of a `Merge`, from the start of what is kept of it."""

    def __init__(self, merge: Merge) -> None:
        self._merge = merge
        self._spool = merge.spool
        self._start = self._spool.start
        self._told = 0
        self.begun = False
        merge.readers += 1
        self._spool.advance(self, self._start)

    @property
    def cut(self) -> bool:
        return self._merge.stale

    async def read(self, count: int, offset: int) -> bytes:
        """The bytes at ``offset``, once they are there."""
        at = self._start + offset
        while (data := self._now(count, at)) is None:
            await self._spool.more()
        self._spool.advance(self, at + len(data))
        self.begun = self.begun or bool(data)
        return data

    def _now(self, count: int, at: int) -> bytes | None:
        failures = self._merge.failures
        if self._told < len(failures):
            where, error = failures[self._told]
            if at >= where:
                self._told += 1
                raise error.with_traceback(None)
            count = min(count, where - at)
        return self._spool.read(count, at)

    def end(self, children: Set[Child]) -> None:
        """The whole merge is told."""

    def close(self) -> None:
        self._spool.forget(self)
        self._merge.readers -= 1
        self._merge.close_if_unread()


class Lines:
    """Passes on whole lines only, each with a prefix; at the end also what was no line.

    With a prefix it is a line then, too: what another child prints must begin at the start of one.
    """

    def __init__(self, prefix: bytes) -> None:
        self._prefix = prefix
        self._partial = bytearray()

    def feed(self, data: bytes) -> bytes:
        """The lines that ``data`` completes; no data: the end."""
        end = data.rfind(b"\n") + 1
        if data and not end and len(self._partial) < LINEMAX:
            self._partial += data
            return b""
        end = end or len(data)
        whole = bytes(self._partial) + data[:end]
        self._partial = bytearray(data[end:])
        return b"".join(self._prefix + line for line in _split(whole)) if self._prefix else whole


def _split(text: bytes) -> list[bytes]:
    """The lines of ``text``, each with a newline; no other character ends a line."""
    *lines, last = text.split(b"\n")
    return [line + b"\n" for line in ([*lines, last] if last else lines)]
