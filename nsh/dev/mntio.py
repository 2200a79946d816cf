"""Reading and writing an open file of a server with many requests under way.

A `Transfer` belongs to one open Chan of the mount device. As long as it knows nothing about the file, each
read is one Tread and a write is sent piece by piece. Who reads on and on makes it ask for the length; if
the file has one, it is a plain file and holds still, and then the pieces that will be read next are asked
for in advance. A write that is longer than a message is sent likewise.

What is never done to a file without a length (a clone file, a control file, the output of a program), to
one that can only be appended to, and to a directory: ask for what nobody has read yet, or write a piece
before the one in front of it was taken.

A read gets what the server had at most `FRESH` seconds before. What was asked in advance is forgotten when
the reader goes elsewhere, when a piece comes out shorter than the file was said to be, when a piece
cannot be read, and when the file is changed over the same connection; requests that are still under way
are flushed then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from nsh.dev.mntlink import Call, Link
from nsh.errors import Ebadstat, Emountrpc, P9Error, from_text
from nsh.kern.chan import Maybe, settle
from nsh.p9 import msg
from nsh.p9.const import QTTMP
from nsh.p9.msg import Rmsg
from nsh.p9.stat import Dir, Qid

if TYPE_CHECKING:
    from nsh.dev.mntahead import Ahead

PIECE = (1 << 18) - 11
"""Bytes of a request made in advance, if the reader does not ask for more at a time."""
WINDOW = 1 << 21
"""Bytes that are under way at most for one open file, or have arrived and not been read."""
MANY = 64
"""Requests that are under way at most for one open file."""
AHEAD = 1 << 25
"""Bytes that all files of one connection may have asked for in advance, together."""
ENOUGH = 1 << 16
"""Bytes (or one message) that must have been read in a row before the length is asked for."""
FRESH = 1.0
"""Seconds after which a piece that nobody has read is not believed any more."""


class Piece:
    """A part of a file that was asked for: by whom it is wanted, and when it came."""

    __slots__ = ("arrived", "call", "count", "offset", "wanted")

    def __init__(self, offset: int, count: int, call: Call) -> None:
        self.offset = offset
        self.count = count
        self.call = call
        self.wanted = 1  # reads that wait for it, and one for being in the window
        self.arrived = 0.0  # by the loop's clock
        call.answer.add_done_callback(self._came)

    def _came(self, answer: asyncio.Future[Rmsg]) -> None:
        self.arrived = answer.get_loop().time()
        _seen(answer)

    @property
    def end(self) -> int:
        return self.offset + self.count

    def data(self) -> memoryview:
        """What has arrived. Errors: the server's, and `Emountrpc`."""
        reply = self.call.answer.result()
        if isinstance(reply, msg.Rread) and len(reply.data) <= self.count:
            return memoryview(reply.data)
        raise failure(reply)


class Transfer:
    """How one open file is read and written. ``iounit``: bytes that one message moves."""

    __slots__ = (
        "__weakref__",
        "_ahead",
        "_asked",
        "_fid",
        "_iounit",
        "_length",
        "_link",
        "_next",
        "_path",
        "_pieces",
        "_plain",
        "_run",
        "_still",
        "_window",
    )

    def __init__(self, link: Link, fid: int, qid: Qid, iounit: int) -> None:
        self._link = link
        self._fid = fid
        self._path = qid.path
        self._iounit = iounit
        self._still = not qid.type & ~QTTMP  # may it be a plain file? not a directory, not append-only ...
        self._plain = False  # is it known to be one?
        self._length = 0  # of the file, when it was asked for; 0 when not known
        self._asked: Call | None = None  # the Tstat that is under way
        self._next = 0  # where a reader would read on
        self._run = 0  # bytes that were read in a row
        self._pieces: deque[Piece] = deque()
        self._window = 0
        self._ahead: Ahead | None = None

    # --- reading -------------------------------------------------------------------------------

    def read(self, count: int, offset: int) -> Maybe[bytes]:
        """At most ``count`` bytes from ``offset``; less at the end, or where no more can be had at once."""
        if self._ahead is not None:
            found = self._find(self._ahead, count, offset)
            if found is not None:
                return found
        if not self._still:
            return self._read_one(count, offset)
        if offset != self._next or self._stale():
            self.drop()
        if offset >= self._length or count <= 0:
            return self._read_first(count, offset)
        parts = self._take(count, offset)
        if all(piece.call.answer.done() for piece, _, _ in parts) and (data := self._collect(parts)):
            return data
        return self._read_later(parts, count, offset)

    def expect(self, ahead: Ahead) -> None:
        """Somebody has asked for the start of the file already."""
        self._ahead = ahead

    def _find(self, ahead: Ahead, count: int, offset: int) -> Maybe[bytes] | None:
        """What was asked for, if that is what is read; else, and if nothing is wanted, do without it."""
        if count > 0:
            if (data := ahead.take(count, offset)) is not None:
                return data
            if (coming := ahead.coming(offset)) is not None:
                return self._read_when_there(coming, count, offset)
        self._drop_ahead()
        return None

    async def _read_when_there(self, coming: asyncio.Future[Rmsg], count: int, offset: int) -> bytes:
        await asyncio.wait([coming])
        return await settle(self.read(count, offset))

    def _drop_ahead(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.drop()

    async def _read_one(self, count: int, offset: int) -> bytes:
        return await self._link.run(self._link.client.read(self._fid, min(count, self._iounit), offset))

    async def _read_first(self, count: int, offset: int) -> bytes:
        """One read of a file of which no length is known, or behind the length that was known."""
        count = min(count, self._iounit)
        self._next = offset + count
        data = await self._read_one(count, offset)
        if self._next == offset + count:
            self._next = offset + len(data)
            self._run = self._run + count if len(data) == count else 0
            if self._run >= min(ENOUGH, self._iounit) and self._asked is None:
                self._ask_length()
        return data

    def _ask_length(self) -> None:
        """Find out whether this is a plain file. Nobody waits for it."""
        self._asked = self._link.ask(msg.Tstat(0, self._fid))
        self._asked.answer.add_done_callback(self._described)
        self._link.push()

    def _described(self, answer: asyncio.Future[Rmsg]) -> None:
        if _seen(answer) and self._asked is not None and self._asked.answer is answer:
            self._asked = None
            self._length = _length(answer.result(), self._path)
            self._still = self._plain = self._length > 0

    # --- the window ----------------------------------------------------------------------------

    def _take(self, count: int, offset: int) -> list[tuple[Piece, int, int]]:
        """The parts of pieces that a read is made of; more pieces are asked for, to come after them."""
        size = self._size(count)
        end = min(offset + count, self._length)
        self._fill(offset, end, size)
        self._next = end
        parts = []
        for piece in list(self._pieces):
            if piece.offset >= end:
                break
            parts.append((piece, max(offset - piece.offset, 0), min(end - piece.offset, piece.count)))
            piece.wanted += 1
            if piece.end <= end:
                self._forget(self._pieces.popleft())
        return parts

    def _size(self, count: int) -> int:
        """Bytes of a piece: whole reads of ``count`` bytes, if possible."""
        most = min(PIECE, self._iounit)
        return min(count, self._iounit) if count >= most else most

    def _fill(self, offset: int, end: int, size: int) -> None:
        """Ask for all up to ``end``, and for what lies behind it as far as the window is open."""
        if not self._window:
            self._link.reads(self._path, self)
        at = self._pieces[-1].end if self._pieces else offset
        self._window = min(self._window * 2 or 2 * size, WINDOW, MANY * size)
        until = min(max(end, offset + self._window), self._length)
        while at < end or (at < until and self._link.ahead + size <= AHEAD):
            count = min(size, self._length - at)
            self._pieces.append(Piece(at, count, self._link.ask(msg.Tread(0, self._fid, at, count))))
            self._link.ahead += count
            at += count
        self._link.push()

    def _stale(self) -> bool:
        """Did the next piece arrive so long ago that the file may have become another?"""
        if not self._pieces or not self._pieces[0].arrived:
            return False
        piece = self._pieces[0]
        return piece.call.answer.get_loop().time() - piece.arrived > FRESH

    def _forget(self, piece: Piece) -> None:
        """A piece is not in the window any more."""
        self._link.ahead -= piece.count
        self._release(piece)

    def _release(self, piece: Piece) -> None:
        piece.wanted -= 1
        if not piece.wanted and not piece.call.answer.done():
            self._link.abandon(piece.call)

    def drop(self) -> None:
        """Forget what was read in advance, flush what is under way, and begin anew."""
        self._drop_ahead()
        if self._window:
            self._link.reads_no_more(self._path, self)
        self._run = self._window = self._length = 0
        asked, self._asked = self._asked, None
        if asked is not None:
            self._link.abandon(asked)
        while self._pieces:
            self._forget(self._pieces.popleft())
        self._link.push()

    async def _read_later(self, parts: list[tuple[Piece, int, int]], count: int, offset: int) -> bytes:
        try:
            for piece, _, _ in parts:
                if not piece.call.answer.done():
                    # another read may want the same piece, and is not to be cancelled with this one
                    await asyncio.wait([piece.call.answer])
        except asyncio.CancelledError:
            for piece, _, _ in parts:
                self._release(piece)
            self.drop()
            raise
        data = self._collect(parts)
        if not data and parts[0][1]:
            # the piece ended before us, when another read had its beginning: that need not be the end
            return await self._read_first(count, offset)
        return data

    def _collect(self, parts: list[tuple[Piece, int, int]]) -> bytes:
        """The bytes of a read, up to the first piece that is short or could not be read."""
        found: list[memoryview] = []
        planned = parts[0][0].offset + parts[0][1]
        whole = False
        try:
            for piece, begin, end in parts:
                try:
                    data = piece.data()
                except P9Error:
                    if not found:
                        raise
                    break
                found.append(data[begin:end])
                if len(data) < piece.count:
                    break
            else:
                whole = True
        finally:
            for piece, _, _ in parts:
                self._release(piece)
            if not whole:
                self.drop()
                self._next = planned + sum(map(len, found))
        return bytes(found[0]) if len(found) == 1 else b"".join(found)

    # --- writing -------------------------------------------------------------------------------

    async def write(self, data: bytes, offset: int) -> int:
        """Write ``data``; returns how many bytes were taken, up to the first piece that was taken in part.

        If a piece is refused its error is raised; what was under way behind it may have been written.
        """
        self._link.changed(self._path)
        try:
            await self._link.room()
            return await self._write(memoryview(data), offset)
        finally:
            self._link.changed(self._path)

    async def _write(self, data: memoryview, offset: int) -> int:
        link, iounit = self._link, self._iounit
        first = data
        if self._still and len(data) > iounit:
            if self._plain:
                return await self._write_pieces(data, offset)
            first = data[:iounit]
        done = await link.run(link.client.write(self._fid, first, offset))
        if done < len(first) or len(first) == len(data):
            return done
        if await self._holds(offset + done):
            return done + await self._write_pieces(data[done:], offset + done)
        return done + await link.run(link.client.write(self._fid, data[done:], offset + done))

    async def _holds(self, length: int) -> bool:
        """Has the file become as long as what was written to it? Then it is a plain one."""
        try:
            d = await self._link.run(self._link.client.stat(self._fid))
        except P9Error:
            return False
        self._still = self._plain = d.length >= length and d.qid.path == self._path
        return self._plain

    async def _write_pieces(self, data: memoryview, offset: int) -> int:
        """Write to a plain file: many pieces are under way, and all have come to an end afterwards."""
        calls: deque[tuple[Call, int]] = deque()
        most = max(1, min(MANY, WINDOW // self._iounit))
        sent = done = 0
        try:
            while calls or sent < len(data):
                while sent < len(data) and len(calls) < most:
                    piece = data[sent : sent + self._iounit]
                    calls.append((self._link.ask(msg.Twrite(0, self._fid, offset + sent, piece)), len(piece)))
                    sent += len(piece)
                self._link.push()
                call, count = calls[0]
                taken = _taken(await call.answer, count)
                calls.popleft()
                done += taken
                if taken < count:
                    break
        except P9Error:
            await self._settle(calls)
            raise
        except asyncio.CancelledError:
            for call, _ in calls:
                self._link.abandon(call)
            self._link.push()
            raise
        await self._settle(calls)
        return done

    async def _settle(self, calls: deque[tuple[Call, int]]) -> None:
        """Wait for the writes behind one that failed, so that none can be done after what comes next."""
        try:
            if calls:
                await asyncio.wait([call.answer for call, _ in calls])
        finally:
            for call, _ in calls:
                self._link.abandon(call)
                _seen(call.answer)
            self._link.push()


def _seen(answer: asyncio.Future[Rmsg]) -> bool:
    """Has a reply come? An error in its place is nothing that asyncio should report."""
    return answer.done() and not answer.cancelled() and answer.exception() is None


def _taken(reply: Rmsg, count: int) -> int:
    """How much of a Twrite of ``count`` bytes was taken. Errors: the server's, and `Emountrpc`."""
    if isinstance(reply, msg.Rwrite) and reply.count <= count:
        return reply.count
    raise failure(reply)


def _length(reply: Rmsg, path: int) -> int:
    """The length in the answer to a Tstat; 0 if it has none for the file with this qid.path."""
    if not isinstance(reply, msg.Rstat):
        return 0
    try:
        d = Dir.unpack(reply.stat)
    except Ebadstat:
        return 0
    return d.length if d.qid.path == path else 0


def failure(reply: Rmsg) -> P9Error:
    """What a reply that is not the one that was expected means."""
    return from_text(reply.ename) if isinstance(reply, msg.Rerror) else Emountrpc()
