"""Team: what a session with children does. Many children are made to look like one task.

Commands and input go out to all children at once; output and reports come back merged. The children
are files (`nsh.kern.chan.Chan`) wherever they run: nothing here knows whether one is a session of this
process or of another machine. Which hosts there are is `hosts`' business.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

from nsh import errors
from nsh.errors import P9Error
from nsh.kern.chan import Chan, Maybe
from nsh.kern.namec import quote
from nsh.p9.const import OREAD
from taskfs import status
from taskfs.child import Child
from taskfs.many import TOGETHER, Lost, each, looked_at
from taskfs.spool import Bell, Feed

if TYPE_CHECKING:
    from taskfs.ctl import Options

ASKED = 512
"""Children that are asked for their status at a time: many, since those of hosts that hang all take long."""
LINEMAX = 1 << 20
"""Bytes without a newline after which a line is passed on in pieces."""


class Team:
    """The children of a session, in rank order, as one. ``early``: input from before the first exec."""

    def __init__(self, options: Options, early: Feed) -> None:
        self.children: list[Child] = []
        self._options = options
        self._early = early
        self._closein = False
        self._pouring: asyncio.Task[None] | None = None
        self._cursors: dict[Chan, Cursor] = {}
        self._run = 0
        self._bell = Bell()
        self._freed = False
        self._partial = b""
        self._next = 0
        self._judges: dict[Child, asyncio.Task[None]] = {}
        self._lent: set[tuple[Child, str]] = set()

    @property
    def used(self) -> bool:
        return self._run > 0

    # --- commands ------------------------------------------------------------------------------

    async def exec(self, argv: list[str]) -> None:
        """Start a task on every child; returns when each has started, or has failed to.

        Errors: `P9Error`, which names the ranks that failed and says why. The others run on.
        """
        results = await each(self.children, lambda child: self._start(child, argv))
        begun = [child for child, e in zip(self.children, results, strict=True) if e is None]
        if begun:
            self._begin(begun)
        failed = {rank: _why(self.children[rank], e) for rank, e in enumerate(results) if e is not None}
        if failed:
            raise P9Error(status.failures(failed))

    def _begin(self, begun: list[Child]) -> None:
        """These children have a new task. Those that refused it still have what they had before."""
        for cursor in self._cursors.values():
            cursor.end(begun)  # who reads on finds the end of what was; who begins anew sees the new tasks
        if not self._run:
            self._pouring = asyncio.get_running_loop().create_task(self._pour())
        self._run += 1
        self._bell.ring()
        if self._options.onfail == "stop":
            loop = asyncio.get_running_loop()
            for child in begun:
                self._judges[child] = loop.create_task(self._judge(child))

    async def _start(self, child: Child, argv: list[str]) -> None:
        options = self._options
        if options.args:
            await child.put("args", " ".join(map(quote, options.args)).encode())
        if options.env:
            lines = "".join(f"{name}={value}\n" for name, value in options.env.items())
            await child.put("env", lines.encode("utf-8", "surrogateescape"))
        words = [substitute(arg, child.rank, len(self.children), child.host.name) for arg in argv]
        await child.start("\n".join([*options.settings(), "exec " + " ".join(map(quote, words))]))
        child.arg0 = words[0]
        child.started = True

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

    def read(self, c: Chan, name: str, count: int, offset: int) -> Maybe[bytes]:
        """The merged output ``name`` (stdout, stderr) for the open file ``c``.

        A reader goes on where it was, or back to 0. Errors: `Eseek`.
        """
        return self._read(c, name, count, offset)

    async def _read(self, c: Chan, name: str, count: int, offset: int) -> bytes:
        while not self._run:
            await self._bell.wait()
            if self._freed:
                raise errors.Ehungup()
        cursor = self._cursors.get(c)
        if cursor is None or (offset == 0 and (cursor.position or cursor.cut)):
            if cursor is not None:
                cursor.close()
            sources = [self.source(child, name) for child in self.children if child.started]
            make = InOrder if self._options.outmode == "child" else Arriving
            cursor = self._cursors[c] = make(sources, self._options)
        async with cursor.lock:
            if offset != cursor.position:
                raise errors.Eseek()
            data = await cursor.read(count)
            cursor.position += len(data)
            return data

    def source(self, child: Child, name: str) -> Source:
        """The output ``name`` of a child, for a reader that closes it in the end."""
        return Source(child, name, self._lent)

    def forget(self, c: Chan) -> None:
        """The open file ``c``, on which output was read, is closed."""
        cursor = self._cursors.pop(c, None)
        if cursor is not None:
            cursor.close()

    # --- input ---------------------------------------------------------------------------------

    def write(self, data: bytes) -> Maybe[int]:
        """Give ``data`` to the children, as inmode says; before exec it is queued, as far as there is room.

        Errors: `Ewclosed` when no child takes any.
        """
        if self._run:
            return self._write(data)
        return len(data) if self._early.write(data) else self._write_later(len(data))

    async def _write_later(self, count: int) -> int:
        await self._early.wait()
        return count

    async def _write(self, data: bytes) -> int:
        await self._poured()
        await self._hand_out(data)
        return len(data)

    async def _hand_out(self, data: bytes) -> None:
        if self._options.inmode == "lines":
            await self._deal(data)
        else:
            await self._broadcast(data)

    async def _pour(self) -> None:
        """Give the children what was written before there was a task, and its end."""
        try:
            for data in self._early.take():
                await self._hand_out(data)
        except errors.Ewclosed:
            pass  # none of them wants it
        if self._closein:
            await self._end_all()
        elif self._early.ended:
            await self._leave_all()

    async def _poured(self) -> None:
        """Let what was written before exec go first."""
        if self._pouring is not None and not self._pouring.done():
            await asyncio.wait((self._pouring,))

    async def _broadcast(self, data: bytes) -> None:
        started = [child for child in self.children if child.started]
        results = await each(started, lambda child: _give(child, data))
        if not any(isinstance(n, int) for n in results):
            raise errors.Ewclosed()

    async def _deal(self, data: bytes) -> None:
        """Give each whole line to the next child that has room; keep what is no line yet."""
        whole, newline, rest = (self._partial + data).rpartition(b"\n")
        self._partial = rest
        lines = [line + b"\n" for line in (whole + newline).split(b"\n")[:-1]]
        await self._deal_lines(lines)

    async def _deal_lines(self, lines: list[bytes]) -> None:
        busy: dict[asyncio.Task[int], tuple[Child, bytes]] = {}
        takers = [child for child in self.children if child.started]
        todo = lines[::-1]
        try:
            while todo or busy:
                occupied = [child for child, _ in busy.values()]
                free = [child for child in takers if child not in occupied]
                if todo and free:
                    child = free[self._next % len(free)]
                    self._next += 1
                    line = todo.pop()
                    busy[asyncio.ensure_future(_give(child, line))] = child, line
                    continue
                if todo and not takers:
                    raise errors.Ewclosed()
                done, _ = await asyncio.wait(busy, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    child, line = busy.pop(task)
                    if task.exception() is not None:
                        takers.remove(child)
                        todo.append(line)
        finally:
            for task in busy:
                task.cancel()

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
        await self._deal_rest()
        await self.command("closein")

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
        await self._deal_rest()
        await each([child for child in self.children if child.started], lambda child: _give(child, b""))

    async def _deal_rest(self) -> None:
        """The last line may have no newline."""
        if self._partial:
            rest, self._partial = self._partial, b""
            await self._deal_lines([rest])

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
        started = [child for child in self.children if child.started]
        lines = await each(started, lambda child: child.wait())
        return "".join(
            status.prefixed(line, f"{child.rank} {child.host.name} ")
            for child, line in zip(started, lines, strict=True)
            if isinstance(line, str)
        )

    def free(self) -> None:
        """Wake who waits, and stop what goes on. The children are given back by the session."""
        self._freed = True
        self._run = max(self._run, 1)
        for cursor in self._cursors.values():
            cursor.close()
        for judge in self._judges.values():
            judge.cancel()
        self._early.close()
        if self._pouring is not None:
            self._pouring.cancel()
        self._bell.ring()


def substitute(arg: str, rank: int, count: int, host: str) -> str:
    """``%r %n %h`` in an argument of exec: rank, count, host."""
    if "%" not in arg:
        return arg
    return arg.replace("%r", str(rank)).replace("%n", str(count)).replace("%h", host)


def _why(child: Child, e: object) -> str:
    """Why a child could not start; a host that is at fault is named."""
    return f"{child.host.name}: {e}" if isinstance(e, ConnectionError) else str(e)


async def _give(child: Child, data: bytes) -> int:
    """Write to a child's standard input."""
    result = child.write("stdin", data)
    return await result if inspect.isawaitable(result) else result


class Source:
    """The output ``name`` of one child, for one reader.

    An open file of a child is one reader's way through its output, too: where that reader is decides what
    the child may give up. So the one that is held open is lent to one reader at a time (``lent`` says
    which are), and a second reader opens one of its own.
    """

    def __init__(self, child: Child, name: str, lent: set[tuple[Child, str]]) -> None:
        self.child = child
        self._name = name
        self._lent = lent
        self._borrowed = (child, name) not in lent
        if self._borrowed:
            lent.add((child, name))
        self._own: asyncio.Task[Chan] | None = None

    def read(self, count: int, offset: int) -> Maybe[bytes]:
        """The bytes at ``offset``, as `Child.read`."""
        return self.child.read(self._name, count, offset) if self._borrowed else self._read(count, offset)

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
        elif self._own is not None and self._own.done():
            _close(self._own)
        elif self._own is not None:
            self._own.add_done_callback(_close)  # not cancelled: what is being opened must be closed


def _close(opened: asyncio.Task[Chan]) -> None:
    if not opened.cancelled() and opened.exception() is None:
        opened.result().close()


class Cursor:
    """One reader's way through the merged output of some children. ``cut``: some were ended by `end`."""

    def __init__(self, sources: list[Source], options: Options) -> None:
        self.position = 0
        self.lock = asyncio.Lock()
        self._sources = sources
        self._label = options.label
        self._asked: dict[int, asyncio.Task[bytes]] = {}
        self._ended: set[int] = set()
        self._failures: list[OSError] = []

    async def read(self, count: int) -> bytes:
        """The next bytes, at most ``count``; empty at the end of all children.

        Errors: those of the children, each once, behind what has come before it; that child has ended then.
        """
        data = b"" if self._failures else await self._gather(count)
        if not data and self._failures:
            raise self._failures.pop(0)
        return data

    async def _gather(self, count: int) -> bytes:
        """Wait for bytes, a failure, or the end of all children; the bytes before the first failure."""
        raise NotImplementedError

    def end(self, children: list[Child]) -> None:
        """Ask these children no more; who waits for them finds their end."""
        for i, source in enumerate(self._sources):
            if source.child in children and i not in self._ended:
                self._ended.add(i)
                if i in self._asked:
                    self._asked[i].cancel()
                source.close()

    @property
    def cut(self) -> bool:
        return bool(self._ended)

    def close(self) -> None:
        """Ask no more; a read that waits finds the end."""
        self.end([source.child for source in self._sources])

    def _ask(self, i: int, count: int, offset: int) -> bytes | None:
        """Child ``i``'s bytes at ``offset``, if they are there at once; else they are being asked for."""
        if i in self._ended:
            return b""
        try:
            task = self._asked.get(i)
            if task is None:
                result = self._sources[i].read(count, offset)
                if not inspect.isawaitable(result):
                    return result
                self._asked[i] = _begin(result)
                return None
            if not task.done():
                return None
            del self._asked[i]
            return task.result()
        except (Lost, errors.Ehungup):
            return b""  # a child that is lost, or was removed, has come to its end
        except OSError as e:
            self._failures.append(e)
            return b""

    def prefix(self, i: int) -> bytes:
        """What ``label`` puts in front of the lines of child ``i``."""
        if self._label == "none":
            return b""
        child = self._sources[i].child
        return f"{child.rank if self._label == 'rank' else child.host.name}: ".encode()


def _begin(reading: Any) -> asyncio.Task[bytes]:
    """Let a child be asked while its answer is not needed yet."""
    task: asyncio.Task[bytes] = asyncio.get_running_loop().create_task(reading)
    task.add_done_callback(looked_at)
    return task


class InOrder(Cursor):
    """Child after child, in rank order. The ones that follow are asked before it is their turn."""

    def __init__(self, sources: list[Source], options: Options) -> None:
        super().__init__(sources, options)
        self._turn = 0
        self._offset = 0
        self._left = b""
        self._lines: Lines | None = None
        self._next_child()

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
        labelled = self._label != "none" and self._turn < len(self._sources)
        self._lines = Lines(self.prefix(self._turn)) if labelled else None

    def _look_ahead(self, count: int) -> None:
        for i in range(self._turn + 1, min(self._turn + TOGETHER, len(self._sources))):
            if i not in self._asked and not self._sources[i].child.here:
                self._ask(i, count, 0)


class Arriving(Cursor):
    """Whole lines, or bytes, of all children as they arrive."""

    def __init__(self, sources: list[Source], options: Options) -> None:
        super().__init__(sources, options)
        self._offsets = [0] * len(sources)
        self._open = dict.fromkeys(range(len(sources)))
        raw = options.outmode == "raw" and options.label == "none"
        self._lines = [None if raw else Lines(self.prefix(i)) for i in range(len(sources))]
        self._ready = bytearray()

    async def _gather(self, count: int) -> bytes:
        while not self._ready and self._open and not self._failures:
            for i in list(self._open):
                self._take(i, self._ask(i, count, self._offsets[i]))
            if not self._ready and self._open:
                waiting = [task for i, task in self._asked.items() if i in self._open]
                if waiting:
                    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        data = bytes(self._ready[:count])
        del self._ready[:count]
        return data

    def _take(self, i: int, data: bytes | None) -> None:
        """Child ``i`` has given ``data``: nothing yet, its end, or some bytes."""
        if data is None:
            return
        self._offsets[i] += len(data)
        lines = self._lines[i]
        self._ready += data if lines is None else lines.feed(data)
        if not data:
            del self._open[i]


class Lines:
    """Passes on whole lines only, each with a prefix; at the end also what was no line."""

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
    """The lines of ``text``, with their newlines; no other character ends a line."""
    *lines, last = text.split(b"\n")
    return [line + b"\n" for line in lines] + ([last] if last else [])
