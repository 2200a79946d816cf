"""A server for the tests of the mount device that answers when, and as, the test likes.

It has one file, at every name, whose bytes are in `Rogue.data`. Requests that `Rogue.held` accepts wait until
`Rogue.answer` is called, and `Rogue.twist` may put another reply in the place of the right one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from nsh import errors
from nsh.kern.chan import Chan, settle
from nsh.kern.mnt import MCREATE, MREPL
from nsh.kern.proc import Proc
from nsh.p9 import msg
from nsh.p9.const import ORDWR, QTDIR
from nsh.p9.frame import Framer
from nsh.p9.stat import Dir, Qid
from tests.kern.world import world
from tests.net.peers import quiet

ROOT = Qid(QTDIR, 0, 0)


class Rogue:
    """A server at the end of a pipe, and `p`, which has mounted it on /mnt/a."""

    def __init__(self, p: Proc, data: bytes, msize: int) -> None:
        self.p = p
        self.data = bytearray(data)
        self.qid = Qid(0, 1, 1)
        self.length: int | None = None  # what stat says, if not the truth
        self.msize = msize
        self._reading = asyncio.Event()
        self._reading.set()
        self.asked: list[msg.Message] = []
        self.waiting: list[msg.Message] = []
        self.held: Callable[[msg.Message], bool] = lambda m: False
        self.twist: Callable[[msg.Message, msg.Message], msg.Message] = lambda m, r: r

    @classmethod
    async def start(cls, data: bytes = b"", msize: int = 1 << 20, flag: int = 0) -> Rogue:
        p = await world("a/")
        rogue = cls(p, data, msize)
        await rogue.mount(await rogue.dial(), flag)
        return rogue

    async def mount(self, conn: Chan, flag: int = 0) -> None:
        fd = self.p.fgrp.new(conn)
        await self.p.mount(fd, "/mnt/a", MREPL | MCREATE | flag)
        self.p.close(fd)

    async def dial(self) -> Chan:
        """A new connection to the server; the one before is gone."""
        mine, self._end = await self.p.system.pipe()
        self.waiting = []
        self._task = asyncio.create_task(self._serve())
        return mine

    async def open(self, mode: int = ORDWR) -> int:
        return await self.p.open("/mnt/a/f", mode)

    def pause(self) -> None:
        """Read nothing of what is sent."""
        self._reading.clear()

    def resume(self) -> None:
        self._reading.set()

    async def stop(self) -> None:
        self.p.exit()
        await self.hangup()

    def count(self, kind: type[msg.Message]) -> int:
        """How many requests of a kind have come."""
        return sum(isinstance(m, kind) for m in self.asked)

    async def answer(self, which: int = 0) -> None:
        """Answer a request that is held: the oldest, or another."""
        await self._reply(self.waiting.pop(which))
        await asyncio.sleep(0)

    async def hangup(self) -> None:
        """Go, without a word."""
        self._task.cancel()
        await asyncio.wait([self._task])
        self._end.close()
        await quiet()

    async def _serve(self) -> None:
        framer = Framer(1 << 21)
        with contextlib.suppress(errors.Ewclosed):
            while data := await settle(self._end.dev.read(self._end, 65536, 0)):
                await self._reading.wait()
                for frame in framer.feed(data):
                    await self._request(msg.decode(frame))

    async def _request(self, m: msg.Message) -> None:
        self.asked.append(m)
        if isinstance(m, msg.Tflush):
            self.waiting = [w for w in self.waiting if w.tag != m.oldtag]
        if self.held(m):
            self.waiting.append(m)
        else:
            await self._reply(m)

    async def _reply(self, m: msg.Message) -> None:
        reply = self.twist(m, self.right(m))
        await settle(self._end.dev.write(self._end, msg.encode(reply), 0))

    def right(self, m: msg.Message) -> msg.Message:
        """What a good server answers."""
        match m:
            case msg.Tversion():
                return msg.Rversion(m.tag, min(m.msize, self.msize), "9P2000")
            case msg.Tattach():
                return msg.Rattach(m.tag, ROOT)
            case msg.Twalk():
                return msg.Rwalk(m.tag, tuple(self.qid for _ in m.wname))
            case msg.Topen():
                return msg.Ropen(m.tag, self.qid, 0)
            case msg.Tread():
                return msg.Rread(m.tag, bytes(self.data[m.offset : m.offset + m.count]))
            case msg.Twrite():
                if m.data and len(self.data) < m.offset:
                    self.data.extend(bytes(m.offset - len(self.data)))
                self.data[m.offset : m.offset + len(m.data)] = m.data
                return msg.Rwrite(m.tag, len(m.data))
            case msg.Tstat():
                length = len(self.data) if self.length is None else self.length
                return msg.Rstat(m.tag, Dir(0, 0, self.qid, 0o666, 0, 0, length, "f", "u", "g", "m").pack())
            case msg.Tflush():
                return msg.Rflush(m.tag)
            case msg.Tclunk():
                return msg.Rclunk(m.tag)
        return msg.Rerror(m.tag, "not here")
