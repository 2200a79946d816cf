"""A connection to a 9P server that is dialled again when it is lost: mount -P, styxpersist(2).

`keep` puts a Chan of its own in front of a connection. The mount device speaks 9P over it as over any other;
here the messages are looked at on their way, so that it is known which file each fid stands for, whether it
is open, and which requests have no answer. When the connection is lost the address is dialled again, with
pauses that grow, and every fid is walked to again by its names, and opened if it was open. Meanwhile requests
wait; they can be interrupted.

Nobody is told what did not happen. A request that changes something (write, create, remove, wstat, an open
that truncates) and had no answer may have been done or not: it fails with `Emountrpc`, and is not sent
twice. A file that is not there any more, or is another one, or was open and has no length (a clone file,
the output of a program: what it stood for went with the connection), fails with `Ehungup` until it is
closed. A file that is not open is found by its name, whatever is there. A directory that was being read is
read again up to where its reader was; if no entry ends there any more, it fails likewise.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from nsh import errors
from nsh.errors import P9Error, ProtocolError
from nsh.kern.chan import Chan
from nsh.kern.dev import Device
from nsh.kern.proc import Proc
from nsh.kern.stream import ChanStream, Receiver, Stream
from nsh.p9 import msg
from nsh.p9.const import (
    IOHDRSZ,
    MAXMSIZE,
    MAXWELEM,
    NOFID,
    NOTAG,
    OEXCL,
    ORCLOSE,
    ORDWR,
    OTRUNC,
    QTDIR,
    VERSION,
)
from nsh.p9.frame import Framer
from nsh.p9.msg import Rmsg, Tmsg
from nsh.p9.stat import Dir, Qid

log = logging.getLogger("nsh.mnt")

FIRST, LAST = 0.1, 30.0
"""Seconds between two attempts to connect: the first pause, and the longest one."""
PATIENCE = 30.0
"""Seconds in which a server must have given back all files, or another attempt is made."""
AT_ONCE = 64
"""Requests that are under way at a time while fids are walked to again."""

_SCRATCH = NOFID - 1
"""The fids of the roots, while others are walked to from them, count downwards from here."""

Dial = Callable[[], Awaitable[Chan]]


def keep(p: Proc, conn: Chan, dial: Dial) -> Chan:
    """The open connection ``conn``, to be mounted, as one that lasts: ``dial`` makes it anew.

    It ends when it is closed, and with the first process of the system.
    """
    kept = Chan(KeptDevice(p.system), conn.qid, conn.path)
    kept.mode = ORDWR
    kept.aux = Persistent(kept, conn, dial)
    if conn in p.system.dialled:
        made = p.system.dialled[conn]
        p.system.dialled[kept] = made._replace(options=made.options + "P")
    kept.aux.forget = (p.system.find(1) or p.leader).atexit(kept.aux.close)
    return kept


class KeptDevice(Device):
    """The device of a Chan that `keep` makes. It has no letter, and nothing else can be done with it."""

    name = "persist"

    def stream(self, c: Chan) -> Stream:
        stream: Persistent = c.aux
        return stream

    def close(self, c: Chan) -> None:
        c.aux.close()

    def redial(self, c: Chan) -> tuple[str, str] | None:
        stream: Persistent = c.aux
        if stream.again is None:
            return None
        options, address = stream.again
        return options + "P", address

    def away(self, c: Chan) -> bool:
        stream: Persistent = c.aux
        return stream.away

    def read(self, c: Chan, count: int, offset: int) -> bytes:
        raise errors.Ebadusefd()

    def write(self, c: Chan, data: bytes, offset: int) -> int:
        raise errors.Ebadusefd()

    def stat(self, c: Chan) -> Dir:
        raise errors.Ebadusefd()


class _File:
    """What a fid stands for. ``mode``: as it was opened, or None; ``lost``: could not be had again.

    ``offset``: up to where it was read, if it is a directory.
    """

    __slots__ = ("lost", "mode", "names", "offset", "qid", "root")

    def __init__(self, root: tuple[str, str], names: tuple[str, ...], qid: Qid) -> None:
        self.root = root  # user and tree of its Tattach
        self.names = names
        self.qid = qid
        self.mode: int | None = None
        self.offset = 0
        self.lost = False


class _Wire:
    """One connection: it has the replies taken by those who restore the fids, later by `Persistent`."""

    def __init__(
        self, stream: Stream, replied: Callable[[list[bytes]], None], lost: Callable[[], None]
    ) -> None:
        self.stream = stream
        self.restoring = False
        self._replied, self._lost = replied, lost
        self._framer = Framer(MAXMSIZE)
        self._answers: dict[int, asyncio.Future[Rmsg]] = {}
        self.gone = False

    def received(self, data: bytes) -> None:
        try:
            frames = list(self._framer.feed(data))
            if not self.restoring:
                self._replied(frames)
                return
            for frame in frames:
                reply = msg.decode(frame)
                answer = self._answers.pop(reply.tag, None)
                if answer is not None and not answer.done() and not isinstance(reply, Tmsg):
                    answer.set_result(reply)
        except ProtocolError as e:
            log.warning("%s: %s; connection closed", self.stream.address, e)
            self.stream.close()

    def lost(self, reason: Exception | None) -> None:
        self.gone = True
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(errors.Emountrpc())
                answer.exception()  # one of them is enough for who waits for them
        self._answers.clear()
        if not self.restoring:
            self._lost()

    async def ask(self, requests: Sequence[Tmsg]) -> list[Rmsg]:
        """The replies to some requests. Errors: `Emountrpc` when the connection is lost."""
        replies: list[Rmsg] = []
        for i in range(0, len(requests), AT_ONCE):
            replies += await self._ask_some(requests[i : i + AT_ONCE])
        return replies

    async def _ask_some(self, requests: Sequence[Tmsg]) -> list[Rmsg]:
        if self.gone:
            raise errors.Emountrpc()
        loop = asyncio.get_running_loop()
        answers = []
        for tag, request in enumerate(requests):
            tag = NOTAG if isinstance(request, msg.Tversion) else tag
            self._answers[tag] = loop.create_future()
            answers.append(self._answers[tag])
            self.stream.write([msg.encode(request._replace(tag=tag))])
        await asyncio.wait(answers)
        return [answer.result() for answer in answers]


class Persistent:
    """The Stream of a kept connection."""

    def __init__(self, chan: Chan, conn: Chan, dial: Dial) -> None:
        self.again = conn.dev.redial(conn)
        self.forget: Callable[[], None] = lambda: None  # takes back what was asked for with atexit
        self._chan = chan
        self._dial = dial
        self._receiver: Receiver | None = None
        self._requests = Framer(MAXMSIZE)
        self._pending: dict[int, Tmsg] = {}  # without answer, in the order in which they came
        self._files: dict[int, _File] = {}
        self._msize = 0
        self._closed = False
        self._redialling: asyncio.Task[None] | None = None
        self._wire: _Wire | None = self._over(conn)
        self.address = self._wire.stream.address if self._wire else ""

    def _over(self, conn: Chan) -> _Wire:
        return _Wire(conn.dev.stream(conn) or ChanStream(conn), self._replied, self._lost)

    # --- the Stream ----------------------------------------------------------------------------

    def start(self, receiver: Receiver) -> None:
        self._receiver = receiver
        if self._wire is not None:
            self._wire.stream.start(self._wire)

    def write(self, parts: Sequence[bytes | memoryview]) -> None:
        for frame in self._requests.feed(b"".join(parts)):
            request = msg.decode(frame)
            if isinstance(request, Tmsg):
                self._request(request, frame)

    def backlog(self) -> int:
        return self._wire.stream.backlog() if self._wire else 0

    def pause(self) -> None:
        if self._wire:
            self._wire.stream.pause()

    def resume(self) -> None:
        if self._wire:
            self._wire.stream.resume()

    async def drain(self) -> None:
        if self._wire:
            await self._wire.stream.drain()

    def close(self) -> None:
        """Give the connection up, or the attempts to have it again."""
        if self._closed:
            return
        self._closed = True
        if self._redialling is not None:
            self._redialling.cancel()
        if self._wire is not None:
            self._wire.stream.close()
        if self._wire is None or self._receiver is None:
            self._end()

    @property
    def away(self) -> bool:
        """Is there no connection, for now?"""
        return self._wire is None and not self._closed

    def _end(self) -> None:
        receiver, self._receiver = self._receiver, None
        self._closed = True
        self.forget()
        if receiver is not None:
            receiver.lost(None)
            self._chan.close()

    # --- what passes ---------------------------------------------------------------------------

    def _request(self, request: Tmsg, frame: bytes) -> None:
        """Pass a request on, keep it until there is a connection, or answer it here."""
        file = self._files.get(getattr(request, "fid", NOFID))
        if (file is not None and file.lost) or (self._wire is None and _at_once(request)):
            self._answer(request)
            return
        self._pending[request.tag] = request
        if self._wire is not None:
            self._wire.stream.write([frame])

    def _answer(self, request: Tmsg) -> None:
        """Answer in the place of the server, which is away or does not know the file."""
        reply: Rmsg
        if isinstance(request, msg.Tclunk):
            reply = msg.Rclunk(request.tag)
        elif isinstance(request, msg.Tflush):
            self._pending.pop(request.oldtag, None)
            reply = msg.Rflush(request.tag)
        else:
            file = self._files.get(getattr(request, "fid", NOFID))
            known = file is not None and file.lost
            reply = msg.Rerror(request.tag, (errors.Ehungup if known else errors.Emountrpc).text)
        self._track(request, reply)
        # not now: who asked is perhaps not done with asking
        asyncio.get_running_loop().call_soon(self._deliver, [msg.encode(reply)])

    def _replied(self, frames: list[bytes]) -> None:
        for frame in frames:
            reply = msg.decode(frame)
            request = self._pending.pop(reply.tag, None)
            if request is not None and not isinstance(reply, Tmsg):
                self._track(request, reply)
        self._deliver(frames)

    def _deliver(self, frames: list[bytes]) -> None:
        if self._receiver is not None and frames:
            self._receiver.received(b"".join(frames))

    def _track(self, request: Tmsg, reply: Rmsg) -> None:
        """See what a reply makes of the fids."""
        files = self._files
        match request, reply:
            case msg.Tversion(), msg.Rversion(msize=msize):
                self._msize = msize
            case msg.Tattach(fid=fid, uname=uname, aname=aname), msg.Rattach(qid=qid):
                files[fid] = _File((uname, aname), (), qid)
            case msg.Twalk(fid=fid, newfid=made, wname=names), msg.Rwalk(wqid=qids):
                if len(names) == len(qids) and fid in files:
                    source = files[fid]
                    files[made] = _File(
                        source.root, _below(source.names, names), qids[-1] if qids else source.qid
                    )
            case msg.Topen(fid=fid, mode=mode), msg.Ropen(qid=qid) if fid in files:
                files[fid].mode, files[fid].qid = mode & ~OTRUNC, qid
            case msg.Tcreate(fid=fid, name=name, mode=mode), msg.Rcreate(qid=qid) if fid in files:
                file = files[fid]
                file.names, file.mode, file.qid = (*file.names, name), mode & ~(OTRUNC | OEXCL), qid
            case msg.Tread(fid=fid, offset=offset), msg.Rread(data=data) if fid in files:
                if files[fid].qid.type & QTDIR:
                    files[fid].offset = offset + len(data)
            case msg.Tclunk(fid=fid) | msg.Tremove(fid=fid), _:
                files.pop(fid, None)
            case msg.Twstat(fid=fid, stat=stat), msg.Rwstat() if fid in files:
                self._rename(files[fid].names, Dir.unpack(stat).name)
            case msg.Tflush(oldtag=oldtag), msg.Rflush():
                self._pending.pop(oldtag, None)

    def _rename(self, old: tuple[str, ...], name: str) -> None:
        """The file ``old`` has a new name now, and what is below it another way."""
        if not name or not old:
            return
        for file in self._files.values():
            if file.names[: len(old)] == old:
                file.names = (*old[:-1], name, *file.names[len(old) :])

    # --- when the connection is lost -----------------------------------------------------------

    def _lost(self) -> None:
        self._wire = None
        if self._closed or not self._files:
            self._end()
            return
        log.info("%s: connection lost; dialling again", self.address)
        for request in list(self._pending.values()):
            if request.tag in self._pending and (_at_once(request) or _changes(request)):
                del self._pending[request.tag]
                self._answer(request)
        self._redialling = asyncio.get_running_loop().create_task(self._redial())

    async def _redial(self) -> None:
        pause = FIRST
        while True:
            try:
                await self._restored(await self._dial())
                return
            except (OSError, ProtocolError):
                await asyncio.sleep(pause)
                pause = min(2 * pause, LAST)

    async def _restored(self, conn: Chan) -> None:
        """Use a new connection, once all files are there. Errors: `P9Error`, and `TimeoutError`."""
        wire = self._over(conn)
        wire.restoring = True
        wire.stream.start(wire)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._restore(wire)
            if wire.gone:
                raise errors.Emountrpc()
        except BaseException:
            wire.stream.close()
            raise
        wire.restoring = False
        self._wire, self._redialling = wire, None
        self._chan.path = conn.path
        log.info("%s: connected again", self.address)
        waiting, self._pending = self._pending, {}
        for request in waiting.values():
            self._request(request, msg.encode(request))

    async def _restore(self, wire: _Wire) -> None:
        """Make the server know every fid again; those that it cannot know are lost. Errors: `P9Error`."""
        [version] = await wire.ask([msg.Tversion(NOTAG, self._msize, VERSION)])
        if not isinstance(version, msg.Rversion) or version[1:] != (self._msize, VERSION):
            raise P9Error("the server does not agree to what it agreed to before")
        files = {fid: file for fid, file in self._files.items() if not (file.lost and file.mode is not None)}
        roots = {root: _SCRATCH - i for i, root in enumerate({file.root for file in files.values()})}
        attached = await wire.ask([msg.Tattach(0, fid, NOFID, *root) for root, fid in roots.items()])
        qids = {}
        for root, reply in zip(roots, attached, strict=True):
            if not isinstance(reply, msg.Rattach):
                raise P9Error("the server does not let us attach again")
            qids[root] = reply.qid
        found = await self._walk(wire, files, roots, qids)
        good = found - await self._reopen(wire, {fid: files[fid] for fid in found})
        for fid, file in files.items():
            file.lost = fid not in good
        gone = {*roots.values(), *(found - good)}
        while gone:
            await wire.ask([msg.Tclunk(0, fid) for fid in gone])
            gone = good - self._files.keys()  # meanwhile these were clunked, and answered for here
            good -= gone

    async def _walk(
        self,
        wire: _Wire,
        files: dict[int, _File],
        roots: dict[tuple[str, str], int],
        qids: dict[tuple[str, str], Qid],
    ) -> set[int]:
        """Walk to the files, up to 16 names at a time; returns the fids that are there again."""
        arrived: dict[int, Qid] = {}
        steps = {fid: _steps(file.names) for fid, file in files.items()}
        for n in range(max(map(len, steps.values()), default=0)):
            going = [fid for fid, names in steps.items() if len(names) > n and (n == 0 or fid in arrived)]
            replies = await wire.ask(
                [msg.Twalk(0, fid if n else roots[files[fid].root], fid, steps[fid][n]) for fid in going]
            )
            unfinished = []
            for fid, reply in zip(going, replies, strict=True):
                if isinstance(reply, msg.Rwalk) and len(reply.wqid) == len(steps[fid][n]):
                    arrived[fid] = reply.wqid[-1] if reply.wqid else qids[files[fid].root]
                elif fid in arrived:
                    unfinished.append(fid)
            for fid in unfinished:
                del arrived[fid]
            await wire.ask([msg.Tclunk(0, fid) for fid in unfinished])
        # what is not open is looked up again by its name; its server may number its files anew
        others = [fid for fid, qid in arrived.items() if qid.type != files[fid].qid.type]
        await wire.ask([msg.Tclunk(0, fid) for fid in others])
        return set(arrived) - set(others)

    async def _reopen(self, wire: _Wire, files: dict[int, _File]) -> set[int]:
        """Open again what was open; returns the fids of the files that are not what they were."""
        fids = [fid for fid, file in files.items() if file.mode is not None]
        described = await wire.ask([msg.Tstat(0, fid) for fid in fids])
        lasting = [fid for fid, reply in zip(fids, described, strict=True) if _lasts(reply)]
        opened = await wire.ask([msg.Topen(0, fid, files[fid].mode or 0) for fid in lasting])
        good = {
            fid
            for fid, reply in zip(lasting, opened, strict=True)
            if isinstance(reply, msg.Ropen) and _same(reply.qid, files[fid].qid)
        }
        await self._read_on(wire, {fid: files[fid].offset for fid in good if files[fid].offset}, good)
        return set(fids) - good

    async def _read_on(self, wire: _Wire, ends: dict[int, int], good: set[int]) -> None:
        """Read directories from their beginning up to ``ends``; where that cannot be, they are not ``good``.

        A directory can be read from its beginning, or from where the last read ended, and nowhere else.
        """
        at = dict.fromkeys(ends, 0)
        while at:
            most = self._msize - IOHDRSZ
            reads = [msg.Tread(0, fid, here, min(most, ends[fid] - here)) for fid, here in at.items()]
            for read, reply in zip(reads, await wire.ask(reads), strict=True):
                got = len(reply.data) if isinstance(reply, msg.Rread) else 0
                at[read.fid] += got
                if not 0 < got <= read.count:
                    good.discard(read.fid)
                if read.fid not in good or at[read.fid] == ends[read.fid]:
                    del at[read.fid]


def _steps(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """A way in portions that one Twalk can have."""
    return [names[i : i + MAXWELEM] for i in range(0, len(names), MAXWELEM)] or [()]


def _below(names: tuple[str, ...], more: Sequence[str]) -> tuple[str, ...]:
    """The way to a file from the root, without ``..``."""
    way = list(names)
    for name in more:
        if name != "..":
            way.append(name)
        elif way:
            way.pop()
    return tuple(way)


def _same(one: Qid, other: Qid) -> bool:
    return (one.type, one.path) == (other.type, other.path)


def _lasts(reply: Rmsg) -> bool:
    """Is this a file that outlives a connection: a directory, or one with a length?"""
    if not isinstance(reply, msg.Rstat):
        return False
    d = Dir.unpack(reply.stat)
    return bool(d.qid.type & QTDIR) or d.length > 0


def _at_once(request: Tmsg) -> bool:
    """Can this be answered without the server, when there is none?"""
    return isinstance(request, msg.Tclunk | msg.Tflush)


def _changes(request: Tmsg) -> bool:
    """Would it matter if this were done twice?"""
    if isinstance(request, msg.Topen):
        return bool(request.mode & (OTRUNC | ORCLOSE))
    return isinstance(request, msg.Twrite | msg.Tcreate | msg.Tremove | msg.Twstat)
