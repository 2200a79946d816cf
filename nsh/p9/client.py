"""The client's side of a 9P connection, without the connection: tags, fids, and the operations.

A `Client` gives each request its tag, knows which fids are taken, and matches replies to requests. An
operation (walk to a path, read a directory) is a generator: it yields T-messages, whose tags are
filled in later, and is sent the R-message for each, an Rerror included. One copy of it thus serves an
event loop, a blocking socket and a test; `drive` is the simplest of its drivers:

    tag = client.send(message)        # for what the operation yields; then write client.take()
    for tag, reply in client.feed(data): ...                  # op.send(reply), find the next message

No file name is interpreted here and nothing is cached; that is `nsh.dev.mnt`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from struct import error
from typing import TypeAlias, TypeVar

from nsh.errors import (
    Ehungup,
    Elimit,
    Emountrpc,
    Enametoolong,
    Enoend,
    Etoobig,
    P9Error,
    ProtocolError,
    from_text,
)

from . import const, msg
from .const import DEFMSIZE, IOHDRSZ, MAXWELEM, MINMSIZE, NOFID, NOTAG, VERSION
from .frame import Framer
from .msg import Buffer, Rmsg, Tmsg
from .stat import Dir, Qid, unpack_dirs

T = TypeVar("T")
R = TypeVar("R", bound=Rmsg)
Op: TypeAlias = Generator[Tmsg, Rmsg, T]
"""An operation that comes to a T. Throw an exception into it when there will be no reply."""

_WALKHDRSZ = 17

_INFERNO = 65536 + IOHDRSZ


class _Request:
    """A request without its reply, or one that must keep its tag for another reason."""

    __slots__ = ("answered", "flushed", "message", "reported")

    def __init__(self, message: Tmsg, reported: bool) -> None:
        self.message = message
        self.reported = reported  # somebody waits for the reply
        self.flushed = False  # a Tflush for it is under way, and the tag is taken until its Rflush
        self.answered = False  # only while flushed: the reply came all the same


class Client:
    """One connection: `send` requests, write what `take` returns, `feed` what arrives.

    Nothing here waits and nothing here is thread-safe. Fids are plain numbers: an operation that returns
    one hands it over, and whoever has it ends it with `clunk`, `remove` or `release`.
    """

    def __init__(self, msize: int = DEFMSIZE) -> None:
        """``msize``: the longest message to propose, in bytes."""
        self._framer = Framer(msize)
        self._pending: dict[int, _Request] = {}
        self._out: list[Buffer] = []
        self._freetags: list[int] = []
        self._nexttag = 1
        self._freefids: list[int] = []
        self._asked: set[int] = set()  # fids that were not made, of which something was asked all the same
        self._nextfid = 0
        self._closed = False

    @property
    def msize(self) -> int:
        """The longest message in bytes: what we propose, and after `version` what was agreed."""
        return self._framer.msize

    @property
    def iounit(self) -> int:
        """The most data that one Tread or Twrite can move, in bytes."""
        return self._framer.msize - IOHDRSZ

    # --- what a driver calls ---

    def send(self, message: Tmsg) -> int:
        """Queue a request, under a tag chosen here, and return the tag.

        Raises `Ehungup` after `close`, `Elimit` when no tag is free, `Etoobig` when the message is longer
        than msize or one of its strings longer than 65535 bytes.
        """
        return self._send(message, reported=True)

    @property
    def ready(self) -> bool:
        """Would `take` return something?"""
        return bool(self._out)

    def take(self) -> list[Buffer]:
        """What is to be written to the connection now; asked a second time, nothing."""
        out, self._out = self._out, []
        return out

    def feed(self, data: bytes) -> list[tuple[int, Rmsg]]:
        """The replies, with their tags, that ``data`` completes. Raises `ProtocolError`.

        Look at `take` afterwards: a late reply may have to be followed by a clunk.
        """
        replies = []
        for frame in self._framer.feed(data):
            reply = msg.decode(frame)
            if isinstance(reply, Tmsg):
                raise ProtocolError(f"{type(reply).__name__} from a server")
            if self._accept(reply):
                replies.append((reply.tag, reply))
        return replies

    def flush(self, tag: int) -> None:
        """Give up a request: its reply will not be reported, and its tag rests until it is safe (flush(5)).

        If it succeeds all the same, what it made is undone as far as fids go.
        """
        request = self._pending.get(tag)
        if request is None or request.flushed:
            return
        request.reported = False
        if isinstance(request.message, msg.Twrite):
            request.message = request.message._replace(data=b"")  # not to be kept until the server answers
        if not isinstance(request.message, msg.Tclunk | msg.Tversion):  # neither waits for anything
            request.flushed = True
            self._send(msg.Tflush(0, tag), reported=False)

    def release(self, fid: int) -> None:
        """Clunk ``fid`` in the background: nobody waits, and the number is used again once that is safe."""
        if not self._closed:
            self._send(msg.Tclunk(0, fid), reported=False)

    def close(self) -> list[int]:
        """The connection is gone. Returns the tags of the requests that somebody waits for, in vain."""
        self._closed = True
        lost = [tag for tag, request in self._pending.items() if request.reported]
        self._pending.clear()
        self._out.clear()
        return lost

    # --- tags and fids ---

    def _send(self, message: Tmsg, reported: bool) -> int:
        try:
            if self._closed:
                raise Ehungup
            tag = NOTAG if type(message) is msg.Tversion else self._tag()
            message = message._replace(tag=tag)
            parts = self._encode(message)
        except P9Error:
            self._settle(message, None, wanted=True)
            raise
        self._out.extend(parts)
        self._pending[tag] = _Request(message, reported)
        return tag

    def _encode(self, message: Tmsg) -> tuple[Buffer, ...]:
        try:
            parts = msg.encode_parts(message)
        except error:
            parts = ()  # a string that is too long even for its own count
        if not 0 < sum(map(len, parts)) <= self._framer.msize:
            self._freetags.append(message.tag)
            raise Etoobig
        return parts

    def _tag(self) -> int:
        if self._freetags:
            return self._freetags.pop()
        tag = self._nexttag
        if tag == NOTAG:
            raise Elimit
        self._nexttag = tag + 1
        return tag

    def _newfid(self) -> int:
        if self._freefids:
            return self._freefids.pop()
        fid = self._nextfid
        if fid == NOFID:
            raise Elimit("too many fids on this connection")
        self._nextfid = fid + 1
        return fid

    def _accept(self, reply: Rmsg) -> bool:
        """Take in one reply; True if somebody waits for it. A tag that is not in use is ignored."""
        tag = reply.tag
        request = self._pending.get(tag)
        if request is None or request.answered:
            return False
        message = request.message
        if request.flushed:
            request.answered = True
        else:
            self._free(tag)
            if type(message) is msg.Tflush:
                self._flushed(message.oldtag)
                return False
        self._settle(message, reply, request.reported)
        if self._asked:
            self._free_answered()
        return request.reported

    def _free_answered(self) -> None:
        for fid in [fid for fid in self._asked if not self._in_use(fid)]:
            self._asked.remove(fid)
            self._freefids.append(fid)

    def _flushed(self, oldtag: int) -> None:
        """The Rflush is here: without a reply before it, the request was never sent."""
        request = self._pending[oldtag]
        self._free(oldtag)
        if not request.answered:
            self._settle(request.message, None, wanted=False)

    def _free(self, tag: int) -> None:
        del self._pending[tag]
        if tag != NOTAG:
            self._freetags.append(tag)

    def _settle(self, message: Tmsg, reply: Rmsg | None, wanted: bool) -> None:
        """See what became of the fid that a request was to make or to end; None: it did not happen."""
        match message:
            case msg.Twalk(fid=fid, newfid=newfid, wname=names) if newfid != fid:
                made = isinstance(reply, msg.Rwalk) and len(reply.wqid) == len(names)
            case msg.Tattach(fid=newfid) | msg.Tauth(afid=newfid):
                made = isinstance(reply, msg.Rattach | msg.Rauth)
            case msg.Tclunk(fid=newfid) | msg.Tremove(fid=newfid):
                made = reply is None  # then it is still there
            case _:
                return
        if not made:
            # only of a copy of a fid something is asked at the same time as for it
            asked = type(message) is msg.Twalk and not message.wname and self._in_use(newfid)
            (self._asked.add if asked else self._freefids.append)(newfid)
        elif not wanted:
            self.release(newfid)

    def _in_use(self, fid: int) -> bool:
        """Is something that was asked of it unanswered? The server could take it to be about another file."""
        return any(getattr(request.message, "fid", NOFID) == fid for request in self._pending.values())

    # --- the operations, named as in section 5 of the manual ---

    def version(self) -> Op[None]:
        """Agree on the protocol and on msize. Raises `P9Error` when the server wants another.

        Inferno's export agrees to 65536 bytes of data and has no room for a stat then; it is asked again for
        what it can do.
        """
        asked = self._framer.msize
        yield from self._version(asked)
        if self._framer.msize == _INFERNO < asked:
            yield from self._version(_INFERNO - IOHDRSZ)

    def _version(self, asked: int) -> Op[None]:
        r = yield from _rpc(msg.Tversion(NOTAG, asked, VERSION), msg.Rversion)
        if r.version != VERSION:
            raise P9Error("bad 9P version returned from server")
        if r.msize > asked:
            raise P9Error("server tries to increase msize in fversion")
        if r.msize < MINMSIZE:
            raise P9Error("nonsense value of msize in fversion")
        self._framer.msize = r.msize

    def attach(self, uname: str, aname: str = "") -> Op[tuple[int, Qid]]:
        """A fid for the root of the tree ``aname``."""
        fid = self._newfid()
        r = yield from _rpc(msg.Tattach(0, fid, NOFID, uname, aname), msg.Rattach)
        return fid, r.qid

    def walk(self, fid: int, names: Sequence[str]) -> Op[tuple[int | None, list[Qid]]]:
        """A new fid for what lies at ``names`` below ``fid``, with the qids on the way.

        Any number of names goes, none being a clone. If a name after the first is missing, the fid is None
        and the qids are those that were found; if the first is, the server's error is raised.
        """
        steps = list(self._steps(names))
        newfid = self._newfid()
        qids: list[Qid] = []
        source = fid
        for step in steps:
            arrived = False
            try:
                r = yield msg.Twalk(0, source, newfid, step)
                if qids and isinstance(r, msg.Rerror):
                    return None, qids
                found = _expect(r, msg.Rwalk).wqid
                if len(found) > len(step):
                    raise Emountrpc
                qids += found
                arrived = len(found) == len(step)
            finally:
                if not arrived and source == newfid:
                    self.release(newfid)
            if not arrived:
                return None, qids
            source = newfid
        return newfid, qids

    def _steps(self, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """``names`` in portions that fit in one Twalk each."""
        step: list[str] = []
        room = self._framer.msize - _WALKHDRSZ
        for name in names:
            size = 2 + len(name.encode("utf-8", "surrogateescape"))
            if size > min(self._framer.msize - _WALKHDRSZ, 0xFFFF):
                raise Enametoolong
            if len(step) == MAXWELEM or size > room:
                yield tuple(step)
                step, room = [], self._framer.msize - _WALKHDRSZ
            step.append(name)
            room -= size
        yield tuple(step)

    def open(self, fid: int, mode: int) -> Op[tuple[Qid, int]]:
        """The qid, and how many bytes one read or write moves in one piece."""
        r = yield from _rpc(msg.Topen(0, fid, mode), msg.Ropen)
        return r.qid, self._unit(r.iounit)

    def create(self, fid: int, name: str, perm: int, mode: int) -> Op[tuple[Qid, int]]:
        """As `open`; ``fid``, a directory before, stands for the new file."""
        r = yield from _rpc(msg.Tcreate(0, fid, name, perm, mode), msg.Rcreate)
        return r.qid, self._unit(r.iounit)

    def _unit(self, iounit: int) -> int:
        return min(iounit or self.iounit, self.iounit)

    def read(self, fid: int, count: int, offset: int) -> Op[bytes]:
        """What one Tread returns: at most ``count`` bytes and at most `iounit`; none at the end."""
        count = min(count, self.iounit)
        r = yield from _rpc(msg.Tread(0, fid, offset, count), msg.Rread)
        if len(r.data) > count:
            raise Emountrpc
        return bytes(r.data)

    def readall(self, fid: int, offset: int = 0) -> Op[bytes]:
        """Everything from ``offset`` to the end, read one piece after the other."""
        pieces = []
        while piece := (yield from self.read(fid, self.iounit, offset)):
            pieces.append(piece)
            offset += len(piece)
        return b"".join(pieces)

    def readdir(self, fid: int) -> Op[list[Dir]]:
        """The entries of an open directory. Raises `Ebadstat`, and `Enoend` after `DIRMAX` bytes."""
        entries: list[Dir] = []
        size = 0
        while piece := (yield from self.read(fid, self.iounit, size)):
            entries += unpack_dirs(piece)
            size += len(piece)
            if size > const.DIRMAX:
                raise Enoend
        return entries

    def write(self, fid: int, data: Buffer, offset: int) -> Op[int]:
        """Write all of ``data``, in as many messages as it takes; fewer bytes if the server takes fewer.

        No data is one empty write, which a control file may well notice.
        """
        view = memoryview(data)
        done = 0
        while True:
            piece = view[done : done + self.iounit]
            r = yield from _rpc(msg.Twrite(0, fid, offset + done, piece), msg.Rwrite)
            if r.count > len(piece):
                raise Emountrpc
            done += r.count
            if r.count < len(piece) or done == len(view):
                return done

    def stat(self, fid: int) -> Op[Dir]:
        """Raises `Ebadstat` when the server's entry is broken."""
        r = yield from _rpc(msg.Tstat(0, fid), msg.Rstat)
        return Dir.unpack(r.stat)

    def wstat(self, fid: int, d: Dir) -> Op[None]:
        """Change what ``d`` names (see `Dir.dont_touch`)."""
        yield from _rpc(msg.Twstat(0, fid, d.pack()), msg.Rwstat)

    def remove(self, fid: int) -> Op[None]:
        """Remove the file. ``fid`` is gone afterwards, whatever the answer."""
        yield from _rpc(msg.Tremove(0, fid), msg.Rremove)

    def clunk(self, fid: int) -> Op[None]:
        """``fid`` is gone afterwards, whatever the answer."""
        yield from _rpc(msg.Tclunk(0, fid), msg.Rclunk)


def _rpc(message: Tmsg, want: type[R]) -> Op[R]:
    return _expect((yield message), want)


def _expect(reply: Rmsg, want: type[R]) -> R:
    """``reply`` if it is a ``want``; else raise the error that it carries, or `Emountrpc`."""
    if isinstance(reply, want):
        return reply
    if isinstance(reply, msg.Rerror):
        raise from_text(reply.ename)
    raise Emountrpc


def drive(op: Op[T], rpc: Callable[[Tmsg], Rmsg]) -> T:
    """Run an operation to its end. ``rpc`` fetches each reply; what it raises is raised in the operation."""
    try:
        message = next(op)
        while True:
            try:
                reply = rpc(message)
            except BaseException as e:
                message = op.throw(e)
            else:
                message = op.send(reply)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
