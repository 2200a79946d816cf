"""A connection with a 9P server at its other end, as the mount device uses it.

A `Link` puts requests on the wire, lets each caller wait for its own reply, and tells all of them when the
connection is lost. A `Fid` is the server's handle for a file; when the last reference to it has gone, the
server is told in the background. When no Fid is left, nothing of the server can be seen any more and
the connection is given back.

The rules of the messages are in `nsh.p9.client`; what the messages are for is known to `nsh.dev.mnt` and
`nsh.dev.mntio`. A request that is cancelled is flushed (flush(5)) and not waited for: tags and fids stay
safe until the server has answered, and a dead server can hold nobody up.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from weakref import WeakSet

from nsh import errors
from nsh.errors import P9Error, ProtocolError
from nsh.kern.chan import Chan
from nsh.kern.stream import stream
from nsh.p9 import msg
from nsh.p9.client import Client, Op
from nsh.p9.const import MAXMSIZE
from nsh.p9.msg import Rmsg, Tmsg

if TYPE_CHECKING:
    from nsh.dev.mntcache import Cache, CachedFile
    from nsh.dev.mntio import Transfer

T = TypeVar("T")

log = logging.getLogger("nsh.mnt")


BACKLOG = 4 << 20
"""Bytes that a server may leave lying before no more is sent to it."""
LINGER = 0.001
"""Seconds for which a Tclunk, which nobody waits for, may stay here to travel with another message."""


class Call(NamedTuple):
    """A request that was sent, and the future of its reply. Give it up with `Link.abandon`."""

    tag: int
    message: Tmsg
    answer: asyncio.Future[Rmsg]


class Begun(NamedTuple, Generic[T]):
    """An operation whose first message was sent."""

    op: Op[T]
    call: Call


class Link:
    """A connection that speaks 9P to the server at its end."""

    def __init__(self, conn: Chan, ended: Callable[[], None]) -> None:
        """``conn``: an open Chan, a reference of which is taken over; ``ended``: called when it is lost."""
        self.client = Client(MAXMSIZE)
        self.caches: dict[int, Cache] = {}  # of the mounts that have one, by their instance
        self.changes = 0  # how often something was written from here, as far as it may change other files
        self.ahead = 0  # bytes that were asked for before anybody wanted them (`nsh.dev.mntio`)
        self._ended = ended
        self._conn = conn
        self._stream = stream(conn)
        self._waiting: dict[int, Call] = {}
        self._reading: dict[int, WeakSet[Transfer]] = {}  # who reads ahead in which file
        self._fids = 0
        self._held = True  # we have a reference to the connection
        self._dead = False
        self._broken = ""  # what was wrong with the server's message
        self._unused: deque[int] = deque()
        self._lingering = False  # a Tclunk is about to be sent
        self._gathering = False  # so are requests
        self.at_hangup: list[Callable[[], None]] = []
        self.at_unmount: list[Callable[[], None]] = []
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._stream.start(self)

    @property
    def address(self) -> str:
        """Who is at the other end: a network address, or the name of a file."""
        return self._stream.address

    @property
    def connection(self) -> Chan:
        """The open Chan at whose other end the server is."""
        return self._conn

    async def version(self) -> None:
        """Agree on the protocol. Errors: section 8 of the name space rules has their texts."""
        try:
            await self.run(self.client.version())
        except errors.Emountrpc:
            if self._broken:
                raise P9Error("bad fversion conversion on reply") from None
            if self._dead:
                raise P9Error("EOF receiving fversion reply") from None
            raise P9Error("unexpected reply type in fversion") from None

    async def run(self, op: Op[T], call: Call | None = None) -> T:
        """Do an operation of the client: send its messages, and give it the replies.

        ``call``: its first message, if that was sent.
        """
        try:
            message = next(op) if call is None else call.message
            while True:
                try:
                    reply = await (self._rpc(message) if call is None else self._reply(call))
                except BaseException as e:
                    message = op.throw(e)
                else:
                    message = op.send(reply)
                call = None
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def begin(self, op: Op[T]) -> Begun[T]:
        """Send the first message of an operation, with others that are begun; `finish` does the rest.

        Errors: `Ehungup`.
        """
        call = self.ask(next(op))
        self.push_soon()
        return Begun(op, call)

    async def finish(self, begun: Begun[T]) -> T:
        """As `run`, for an operation that was begun."""
        return await self.run(begun.op, begun.call)

    def give_up(self, begun: Iterable[Begun[Any]]) -> None:
        """Nobody waits for these any more."""
        for one in begun:
            self.abandon(one.call)
        self.push()

    async def _rpc(self, message: Tmsg) -> Rmsg:
        """One request and its reply. Errors: `Emountrpc` when the reply was lost, `Ehungup` later."""
        await self.room()
        call = self.ask(message)
        self._push_together()
        return await self._reply(call)

    async def _reply(self, call: Call) -> Rmsg:
        try:
            return await call.answer
        except asyncio.CancelledError:
            self.abandon(call)
            self.push()
            raise

    def ask(self, message: Tmsg) -> Call:
        """Make a request; `push` sends it. Errors: `Ehungup`; the answer's: `Emountrpc`."""
        tag = self.client.send(message)
        call = self._waiting[tag] = Call(tag, message, self._loop.create_future())
        return call

    async def room(self) -> None:
        """Wait until the server has taken what was sent to it, if that is much."""
        if self._stream.backlog() > BACKLOG and not self._dead:
            await self._stream.drain()

    def push(self) -> None:
        """Send what was asked, in one write."""
        if parts := self.client.take():
            self._stream.write(parts)

    def _push_together(self) -> None:
        """Send what was asked, together with what others may ask in this turn of the loop if any are about:
        each write wakes the server, which may then take the processor.
        """
        if len(self._waiting) == 1:
            self.push()
        else:
            self.push_soon()

    def push_soon(self) -> None:
        """Send it at the end of this turn of the loop."""
        if not self._gathering:
            self._gathering = True
            self._loop.call_soon(self._push_gathered)

    def _push_gathered(self) -> None:
        self._gathering = False
        if not self._dead:
            self.push()

    def abandon(self, call: Call) -> None:
        """Nobody waits for this reply any more: flush the request, or undo what it has done."""
        answer = call.answer
        if self._waiting.get(call.tag) is call:
            del self._waiting[call.tag]
            self.client.flush(call.tag)
            answer.cancel()
        elif answer.done() and not answer.cancelled() and answer.exception() is None:
            self._undo(call.message, answer.result())

    def _undo(self, message: Tmsg, reply: Rmsg) -> None:
        """The reply came, and at the same moment its caller was cancelled: give back the fid it made."""
        match message, reply:
            case msg.Twalk(fid=fid, newfid=made, wname=names), msg.Rwalk(wqid=qids):
                if fid != made and len(names) == len(qids):
                    self.client.release(made)
            case msg.Tattach(fid=made), msg.Rattach():
                self.client.release(made)

    # --- what the stream calls -----------------------------------------------------------------

    def received(self, data: bytes) -> None:
        if self._dead:
            return
        try:
            replies = self.client.feed(data)
        except ProtocolError as e:
            self._broken = str(e)
            log.warning("%s: %s; connection closed", self._stream.address, e)
            self.hangup()
            return
        for tag, reply in replies:
            _, message, answer = self._waiting.pop(tag)
            if answer.done():  # cancelled, and its caller has not run since
                self._undo(message, reply)
            else:
                answer.set_result(reply)
        self._linger()

    def lost(self, reason: Exception | None) -> None:
        """The connection is gone: everybody who waits is told, once."""
        if self._dead:
            return
        self._dead = True
        self._ended()
        self.client.close()
        waiting, self._waiting = self._waiting, {}
        for lost in waiting.values():
            if not lost.answer.done():
                lost.answer.set_exception(errors.Emountrpc())
        _call(self.at_hangup)

    def unmounted(self) -> None:
        """The server is not mounted any more."""
        _call(self.at_unmount)

    def hangup(self) -> None:
        """End the connection, whoever still uses it."""
        self._stream.close()
        self.lost(None)

    # --- who reads ahead -----------------------------------------------------------------------

    def reads(self, path: int, transfer: Transfer) -> None:
        """``transfer`` has read on in the file with this qid.path; `changed` will tell it."""
        self._reading.setdefault(path, WeakSet()).add(transfer)

    def reads_no_more(self, path: int, transfer: Transfer) -> None:
        transfers = self._reading.get(path)
        if transfers is not None:
            transfers.discard(transfer)
            if not transfers:
                del self._reading[path]

    def changed(self, path: int) -> None:
        """The file with this qid.path was changed from here: nobody may see what was read before that."""
        self.changes += 1
        for transfer in list(self._reading.get(path, ())):
            transfer.drop()
        for cache in self.caches.values():
            cache.forget(path)

    # --- fids ----------------------------------------------------------------------------------

    def hold(self) -> None:
        """A Fid more."""
        self._fids += 1
        if not self._held:
            self._held = True
            self._conn.incref()

    def drop(self, number: int | None) -> None:
        """A Fid less; ``number`` is to be clunked. May be called while anything else is going on."""
        # the collector runs where it likes: in the middle of a send, or in another thread
        self._unused.append(-1 if number is None else number)
        if len(self._unused) == 1 and not self._loop.is_closed():
            if threading.get_ident() == self._thread:
                self._loop.call_soon(self.clear)
            else:
                self._loop.call_soon_threadsafe(self.clear)

    def clear(self) -> None:
        """Clunk what is not used any more; with the last Fid, give the connection back."""
        while self._unused:
            number = self._unused.popleft()
            self._fids -= 1
            if number >= 0:
                self.client.release(number)
        if self._dead:
            return
        if self._fids == 0:
            self.push()
            self.idle()
        else:
            self._linger()

    def _linger(self) -> None:
        """What is to be sent, and is all Tclunks, is sent soon."""
        if self.client.ready and not self._lingering:
            self._lingering = True
            self._loop.call_later(LINGER, self._leave)

    def _leave(self) -> None:
        """Send what has lingered."""
        self._lingering = False
        if not self._dead:
            self.push()

    def collect(self) -> None:
        """Let go of Fids that nobody uses: an error that was raised knows where, and what was there."""
        if self._fids and not self._dead:
            gc.collect()

    def idle(self) -> None:
        """Nothing is attached. Hang up, unless somebody has the connection open and may mount it again."""
        if self._fids == 0 and self._held and not self._dead:
            self._held = False
            if self._conn.ref == 1:
                self.hangup()
            else:
                self._conn.close()


def _call(calls: list[Callable[[], None]]) -> None:
    """Call all of them, once."""
    todo = list(calls)
    calls.clear()
    for call in todo:
        call()


class Fid:
    """The server's handle for one file; clunked when the last reference to this object is gone.

    ``io``: how an open file is read and written; ``cached``: what is held of its data.
    """

    __slots__ = ("_number", "cached", "io", "link")

    def __init__(self, link: Link, number: int) -> None:
        self.link = link
        self._number: int | None = number
        self.io: Transfer | None = None
        self.cached: CachedFile | None = None
        link.hold()

    @property
    def number(self) -> int:
        """Errors: `Ehungup` when the file was removed or closed."""
        if self._number is None:
            raise errors.Ehungup()
        return self._number

    def clunk(self) -> None:
        """Give the handle back now."""
        number, self._number = self._number, None
        if number is not None:
            self.link.drop(number)

    def gone(self) -> int:
        """The number, for the message that ends it."""
        number = self.number
        self._number = None
        self.link.drop(None)
        return number

    def __del__(self) -> None:
        if self._number is not None:
            self.link.drop(self._number)
