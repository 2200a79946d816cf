"""The rules that a 9P2000 server keeps, for one connection, without knowing any file or any socket.

A `Session` owns what intro(5) to wstat(5) say about versions, tags, fids, counts and offsets: it is
fed bytes and hands out the replies. What the files are, who may use them and what they contain is
decided by a `Files`, the object that it calls. Permissions therefore are checked there, not here.

How a request goes: ``_begin_X`` checks the rules and calls the `Files`; its value goes to ``_end_X``,
which packs the reply. When the value is a coroutine, a `_Waiting` stands under the request's tag until
the driver reports its end. The session, not the coroutine, owns the reply: each request is answered
exactly once or, when a Tflush came first and won, never (flush(5)).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from types import CoroutineType
from typing import Any, Generic, Protocol

from nsh.errors import (
    Eauth,
    Ebadchar,
    Ebadmode,
    Ecountbig,
    Edirseek,
    Edupltag,
    Efidinuse,
    Efidopen,
    Efilename,
    Eintr,
    Eio,
    Elimit,
    Enegoffset,
    Enonexist,
    Enotag,
    Enotdir,
    Enotopen,
    Enoversion,
    Eperm,
    Esmallmsize,
    Eunknownfid,
    Ewalkopen,
    ProtocolError,
    from_os,
)

from . import msg
from .const import (
    DEFMSIZE,
    DMDIR,
    IOHDRSZ,
    MAXMSIZE,
    MINMSIZE,
    NOFID,
    NOTAG,
    OEXEC,
    ORCLOSE,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    QIDSZ,
    QTAPPEND,
    QTDIR,
    VERSION,
)
from .files import F, Files, Soon
from .frame import Framer
from .msg import Buffer, Message
from .stat import Dir, Qid


class Handle(Protocol):
    """A coroutine under way; an `asyncio.Task` is one."""

    def cancel(self) -> object:
        """Ask it to end. ``done`` is called all the same, later, with what came of it."""


Done = Callable[[Any, BaseException | None], None]
"""Takes the coroutine's value, or the exception that ended it. One that is not an `Exception` means
that it was cancelled."""
Start = Callable[[Coroutine[Any, Any, Any], Done], Handle | None]
"""Steps a coroutine. If that finishes it, calls Done before it returns, and returns None; if not, sees
to the rest and returns its handle; then Done is called exactly once, later, whatever happens."""
Send = Callable[[list[Buffer]], None]
"""Takes replies that became ready outside of `Session.feed`."""

MAXFIDS = 65536
MAXREQUESTS = 8192
MAXHELD = 4 << 20
"""Bytes of requests that may wait, or one message if that is longer; what would exceed it is refused.

Not held back, which would let the client wait too: what ends the waiting, a Tflush or a read of the same
pipe, may stand behind it.
"""
MAXOWED = 64 << 20
"""Bytes that waiting Treads may ask for. All may come at once, and to a client that takes nothing. When more
are asked for, a Tread gets at most `SHORT` (read(5): "the count may be less"), which refuses nobody."""
SHORT = 8192
MAXQUEUED = 4 << 20
"""Bytes of replies after which `Session.feed` stops and wants to be called again."""

_READ, _WRITE, _OPENING = 1, 2, 4
_access = {OREAD: _READ, OWRITE: _WRITE, ORDWR: _READ | _WRITE, OEXEC: _READ}
_MODEBITS = 3 | OTRUNC | ORCLOSE
_MAXOFFSET = (1 << 63) - 1


class _Fid(Generic[F]):
    """One F that the session holds, usually under a fid number. It is clunked when nothing uses it."""

    __slots__ = ("access", "busy", "dropped", "file", "isdir", "next")

    def __init__(self, file: F, access: int = 0) -> None:
        self.file = file
        self.access = access  # how it is open; 0: not
        self.isdir = access != 0 and file.qid.type & QTDIR != 0
        self.next = 0  # of an open directory: the only offset but 0 that may be read
        self.busy = 0  # requests that wait and use it
        self.dropped = False  # to be clunked as soon as it is not busy


class _Waiting:
    """A request whose coroutine is under way."""

    __slots__ = ("end", "fid", "flushes", "handle", "live", "message", "session", "size")

    def __init__(
        self, session: Session[Any], message: Any, size: int, fid: _Fid[Any] | None, end: _End
    ) -> None:
        self.session = session
        self.message = message
        self.size = size  # of the message, in bytes
        self.fid = fid
        self.end = end
        self.handle: Handle | None = None
        self.flushes: dict[int, None] = {}  # tags of the Tflushes to answer when this has ended, in order
        self.live = True  # False when a new session or a hang-up has made its reply pointless

    def done(self, value: Any, error: BaseException | None) -> None:
        self.session._finished(self, value, error)

    def cancel(self) -> None:
        if self.handle is not None:
            self.handle.cancel()


_End = Callable[[Any, Any, Any, Any], None]


class Session(Generic[F]):
    """One connection's server side: ``feed`` what arrives, send what it returns.

    Neither `feed` nor `close` waits. Replies to requests that had to wait go to ``send`` when they are
    ready. All callbacks must come in the thread that feeds.
    """

    def __init__(self, files: Files[F], start: Start, send: Send, *, msize: int = MAXMSIZE) -> None:
        """``msize``: the longest message to agree to, in bytes."""
        self._files = files
        self._start = start
        self._send = send
        self._maxmsize = msize
        self._framer = Framer(min(msize, DEFMSIZE))
        self._fids: dict[int, _Fid[F]] = {}
        self._reserved: set[int] = set()  # fid numbers that a waiting request is about to fill or to free
        self._pending: dict[int, _Waiting] = {}  # by tag; under a Tflush's tag, what it waits for
        self._room = max(MAXHELD, msize)  # bytes of requests that may still come to wait
        self._owed = 0  # bytes that the waiting Treads ask for
        self._out: list[Buffer] = []
        self._queued = 0
        self._feeding = False
        self._versioned = False
        self._closed = False
        self._fault: ProtocolError | None = None
        self._iounit = 0

    @property
    def msize(self) -> int:
        """The longest message that either side may send now, in bytes."""
        return self._framer.msize

    @property
    def outstanding(self) -> int:
        """How many requests wait."""
        return len(self._pending)

    # --- what the driver calls ---

    stalled = False
    """True when `feed` stopped early, since enough replies were ready: call ``feed(b"")`` once they are
    sent, and do not read from the connection until this is False."""

    def feed(self, data: bytes) -> list[Buffer]:
        """The replies to what has arrived, in order. Raises `ProtocolError`: close the connection then.

        ``data`` must be immutable; large writes are not copied from it.
        """
        if self._fault is not None:
            raise self._fault
        if self._closed:
            return []
        self._feeding, self._queued, self.stalled = True, 0, False
        try:
            for frame in self._framer.feed(data):
                self._request(msg.decode(frame), len(frame))
                if self._queued >= MAXQUEUED:
                    self.stalled = True
                    break
        except ProtocolError as fault:
            if not self._out:
                raise
            self._fault, self.stalled = fault, True  # the replies first
        finally:
            self._feeding = False
        out, self._out = self._out, []
        return out

    def close(self) -> None:
        """The connection is gone: end what waits and give every file back."""
        self._closed = True
        self._reset()

    # --- one request ---

    def _request(self, message: Message, size: int) -> None:
        kind = type(message)
        tag = message.tag
        steps = _steps.get(kind)
        if steps is None:
            self._special(message)
        elif tag in self._pending or tag == NOTAG:
            self._fail(tag, Enotag() if tag == NOTAG else Edupltag())
        elif not self._versioned:
            self._fail(tag, Enoversion())
        else:
            begin, end = steps
            try:
                if size > self._room or len(self._pending) >= MAXREQUESTS:
                    self._refuse(message)
                fid, value = begin(self, message)
                if type(value) is CoroutineType:
                    self._wait(message, size, fid, value, end)
                else:
                    end(self, message, fid, value)
            except Exception as e:
                self._fail(tag, e)

    def _special(self, message: Message) -> None:
        """The requests that touch no file, and what is no request."""
        if isinstance(message, msg.Tflush):
            self._flush(message)
        elif isinstance(message, msg.Tversion):
            self._version(message)
        elif isinstance(message, msg.Tauth):
            self._fail(message.tag, Eauth())
        else:
            raise ProtocolError(f"{type(message).__name__} from a client")

    def _fail(self, tag: int, error: Exception) -> None:
        """Answer Rerror, with a text that fits."""
        if isinstance(error, OSError):
            text = str(from_os(error))
        else:
            _log(error)
            text = Eio.text
        limit = min(self._framer.msize - 9, 0xFFFF)
        raw = text.encode("utf-8", "surrogateescape")
        if len(raw) > limit:
            text = raw[:limit].decode("utf-8", "ignore")
        self._out.append(msg.rerror(tag, text or Eio.text))

    # --- requests that wait, and their end ---

    def _refuse(self, message: Message) -> None:
        """Raise `Elimit`, since too much waits, for any request that might wait too.

        That is before the `Files` is called: a coroutine cannot be thrown away unseen, for it may have
        another in it.
        """
        if type(message) is msg.Tclunk:
            return
        if type(message) is msg.Tremove:
            fid = self._fids.pop(message.fid, None)
            if fid is not None:
                self._drop(fid)
        raise Elimit(None if len(self._pending) >= MAXREQUESTS else "too much data waits on this connection")

    def _wait(
        self, message: Message, size: int, fid: _Fid[F] | None, work: Coroutine[Any, Any, Any], end: _End
    ) -> None:
        waiting = _Waiting(self, message, size, fid, end)
        self._pending[message.tag] = waiting
        self._room -= size
        if type(message) is msg.Tread:
            self._owed += message.count
        if fid is not None:
            fid.busy += 1
        self._hold(message, fid)
        waiting.handle = self._start(work, waiting.done)

    def _hold(self, message: Message, fid: _Fid[F] | None) -> None:
        """Keep others from the fid number or the state that a waiting request will change."""
        match message:
            case msg.Tattach(fid=number):
                self._reserved.add(number)
            case msg.Twalk(fid=source, newfid=number) if number != source:
                self._reserved.add(number)
            case msg.Tremove(fid=number):
                del self._fids[number]
                self._reserved.add(number)
            case msg.Topen() | msg.Tcreate() if fid is not None:
                fid.access = _OPENING

    def _release(self, message: Message, fid: _Fid[F] | None, happened: bool) -> None:
        """Undo `_hold`; a Tremove that did not happen leaves its fid as it was."""
        match message:
            case msg.Tattach(fid=number):
                self._reserved.discard(number)
            case msg.Twalk(fid=source, newfid=number) if number != source:
                self._reserved.discard(number)
            case msg.Tremove(fid=number) if fid is not None:
                self._reserved.discard(number)
                if not happened:
                    self._fids[number] = fid
            case msg.Topen() | msg.Tcreate() if fid is not None:
                fid.access = 0

    def _finished(self, waiting: _Waiting, value: Any, error: BaseException | None) -> None:
        message, fid = waiting.message, waiting.fid
        self._room += waiting.size
        if type(message) is msg.Tread:
            self._owed -= message.count
        if waiting.live:
            self._answer(waiting, value, error)
        elif error is None:
            self._discard(message, fid, value)
        if fid is not None:
            fid.busy -= 1
            if fid.dropped and not fid.busy:
                self._clunk(fid.file)
        if not self._feeding and self._out:
            out, self._out = self._out, []
            self._send(out)

    def _answer(self, waiting: _Waiting, value: Any, error: BaseException | None) -> None:
        """The reply of a request that has waited, then those of its Tflushes (flush(5)).

        What has happened in spite of the flush is reported; the client must honour it. Only what was cut
        short gets no reply: for the client it was never sent.
        """
        message, fid = waiting.message, waiting.fid
        tag = message.tag
        del self._pending[tag]
        cancelled = error is not None and not isinstance(error, Exception)
        unsent = cancelled and bool(waiting.flushes)
        self._release(message, fid, happened=not unsent)
        if error is None:
            try:
                waiting.end(self, message, fid, value)
            except Exception as e:
                self._fail(tag, e)
        elif not unsent:
            if type(message) is msg.Tremove and fid is not None:
                self._drop(fid)
            self._fail(tag, error if isinstance(error, Exception) else Eintr())
        for flush in waiting.flushes:
            if self._pending.get(flush) is waiting:  # not a request whose tag the flush should not have had
                del self._pending[flush]
            self._out.append(msg.rflush(flush))

    def _flush(self, m: msg.Tflush) -> None:
        """flush(5): an unknown tag is answered at once, a waiting one when it has ended.

        Flushes of one request, and flushes of its flushes, stand in one queue in the order they came.
        """
        waiting = self._pending.get(m.oldtag)
        if waiting is None:
            self._out.append(msg.rflush(m.tag))
            return
        first = not waiting.flushes
        waiting.flushes[m.tag] = None
        self._pending.setdefault(m.tag, waiting)
        if first:
            waiting.cancel()

    # --- the connection ---

    def _version(self, m: msg.Tversion) -> None:
        """version(5). Only an agreement ends the session that was."""
        msize = min(m.msize, self._maxmsize)
        if not _understood(m.version):
            self._out.append(msg.rversion(m.tag, msize, "unknown"))
        elif msize < MINMSIZE:
            self._fail(m.tag, Esmallmsize())
        else:
            self._reset()
            self._versioned = True
            self._framer.msize = msize
            self._iounit = msize - IOHDRSZ
            self._out.append(msg.rversion(m.tag, msize, VERSION))

    def _reset(self) -> None:
        """Abort all requests and forget all fids."""
        pending, self._pending = self._pending, {}
        fids, self._fids = self._fids, {}
        self._reserved = set()
        waiting = [w for tag, w in pending.items() if tag == w.message.tag]
        for w in waiting:
            w.live = False
            if type(w.message) is msg.Tremove and w.fid is not None:
                self._drop(w.fid)
        for fid in fids.values():
            self._drop(fid)
        for w in waiting:
            w.cancel()

    # --- fids ---

    def _fid(self, number: int) -> _Fid[F]:
        fid = self._fids.get(number)
        if fid is None:
            raise Eunknownfid
        return fid

    def _check_free(self, number: int) -> None:
        if number in self._fids or number in self._reserved:
            raise Efidinuse
        if number == NOFID:
            raise Eunknownfid
        if len(self._fids) + len(self._reserved) >= MAXFIDS:
            raise Elimit("too many fids on this connection")

    def _drop(self, fid: _Fid[F]) -> None:
        """The session holds ``fid`` no more; its file goes back when no request uses it."""
        if fid.busy:
            fid.dropped = True
        else:
            self._clunk(fid.file)

    def _clunk(self, file: F) -> None:
        try:
            self._files.clunk(file)
        except Exception as e:
            _log(e)

    def _discard(self, message: Message, fid: _Fid[F] | None, value: Any) -> None:
        """Give back the file that a request made and nobody will use."""
        match message:
            case msg.Tattach():
                self._clunk(value)
            case msg.Twalk():
                if value[0] is not None:
                    self._clunk(value[0])
            case msg.Topen() | msg.Tcreate():
                if fid is not None and value is not fid.file:
                    self._clunk(value)

    # --- the requests: attach and walk ---

    def _begin_attach(self, m: msg.Tattach) -> tuple[None, Soon[F]]:
        self._check_free(m.fid)
        if m.afid != NOFID:
            raise Eunknownfid  # no Tauth ever succeeds
        if "\0" in m.uname or "\0" in m.aname:
            raise Ebadchar
        return None, self._files.attach(m.uname, m.aname)

    def _end_attach(self, m: msg.Tattach, fid: None, root: F) -> None:
        self._fids[m.fid] = _Fid(root)
        self._out.append(msg.rattach(m.tag, root.qid))

    def _begin_walk(self, m: msg.Twalk) -> tuple[_Fid[F], Soon[tuple[F | None, Sequence[Qid]]]]:
        _, number, newfid, names = m
        fid = self._fid(number)
        if fid.access:
            raise Ewalkopen
        if newfid != number:
            self._check_free(newfid)
        if names:
            if not fid.file.qid.type & QTDIR:
                raise Enotdir
            if 9 + QIDSZ * len(names) > self._framer.msize:
                raise Esmallmsize
            names = _possible(names)
        return fid, self._files.walk(fid.file, names)

    def _end_walk(self, m: msg.Twalk, fid: _Fid[F], found: tuple[F | None, Sequence[Qid]]) -> None:
        tag, number, newfid, names = m
        file, qids = found
        if file is not None:
            if len(qids) != len(names):  # walked to where an impossible name came
                self._clunk(file)
            elif newfid != number:
                self._fids[newfid] = _Fid(file)
            else:
                self._replace(number, fid, _Fid(file))
        self._out.append(msg.rwalk(tag, qids))

    def _replace(self, number: int, old: _Fid[F], new: _Fid[F]) -> None:
        """Let ``number`` stand for ``new``, unless it was clunked while the request waited."""
        if self._fids.get(number) is not old:
            self._clunk(new.file)
            raise Eunknownfid
        self._fids[number] = new
        self._drop(old)

    # --- open and create ---

    def _begin_open(self, m: msg.Topen) -> tuple[_Fid[F], Soon[F]]:
        fid = self._fid(m.fid)
        if fid.access:
            raise Efidopen
        if m.mode & ~_MODEBITS:
            raise Ebadmode
        if m.mode != OREAD and fid.file.qid.type & QTDIR:
            raise Eperm
        return fid, self._files.open(fid.file, m.mode)

    def _end_open(self, m: msg.Topen, fid: _Fid[F], file: F) -> None:
        self._opened(m.fid, m.mode, fid, file)
        self._out.append(msg.ropen(m.tag, file.qid, self._io(file)))

    def _begin_create(self, m: msg.Tcreate) -> tuple[_Fid[F], Soon[F]]:
        fid = self._fid(m.fid)
        if fid.access:
            raise Efidopen
        if not fid.file.qid.type & QTDIR:
            raise Enotdir
        _check_name(m.name)
        if m.mode & ~_MODEBITS:
            raise Ebadmode
        if m.perm & DMDIR and m.mode != OREAD:
            raise Eperm
        return fid, self._files.create(fid.file, m.name, m.perm, m.mode)

    def _end_create(self, m: msg.Tcreate, fid: _Fid[F], file: F) -> None:
        self._opened(m.fid, m.mode, fid, file)
        self._out.append(msg.rcreate(m.tag, file.qid, self._io(file)))

    def _opened(self, number: int, mode: int, fid: _Fid[F], file: F) -> None:
        access = _access[mode & 3]
        if file is not fid.file:
            self._replace(number, fid, _Fid(file, access))
        elif self._fids.get(number) is fid:
            fid.access = access
            fid.isdir = file.qid.type & QTDIR != 0
        else:
            raise Eunknownfid

    def _io(self, file: F) -> int:
        return min(file.iounit or self._iounit, self._iounit)

    # --- read and write ---

    def _begin_read(self, m: msg.Tread) -> tuple[_Fid[F], Soon[Buffer | bytearray]]:
        _, number, offset, count = m
        fid = self._fid(number)
        if not fid.access & _READ:
            raise Enotopen
        if count > self._iounit:
            raise Ecountbig
        if fid.isdir:
            if offset not in (0, fid.next):
                raise Edirseek
        elif offset > _MAXOFFSET:
            raise Enegoffset
        if self._owed + count > MAXOWED:
            count = min(count, SHORT)
        return fid, self._files.read(fid.file, count, offset)

    def _end_read(self, m: msg.Tread, fid: _Fid[F], data: Buffer) -> None:
        n = len(data)
        if n > m.count:
            raise RuntimeError(f"read of {m.count} bytes returned {n}")
        if fid.isdir:
            fid.next = m.offset + n
        self._queued += n
        self._out.append(msg.rread_head(m.tag, n))
        self._out.append(data)

    def _begin_write(self, m: msg.Twrite) -> tuple[_Fid[F], Soon[int]]:
        _, number, offset, data = m
        fid = self._fid(number)
        if not fid.access & _WRITE:
            raise Enotopen
        if len(data) > self._iounit:
            raise Ecountbig
        if offset > _MAXOFFSET and not fid.file.qid.type & QTAPPEND:
            raise Enegoffset
        return fid, self._files.write(fid.file, memoryview(data), offset)

    def _end_write(self, m: msg.Twrite, fid: _Fid[F], count: int) -> None:
        if not 0 <= count <= len(m.data):
            raise RuntimeError(f"write of {len(m.data)} bytes returned {count}")
        self._out.append(msg.rwrite(m.tag, count))

    # --- stat, wstat, remove, clunk ---

    def _begin_stat(self, m: msg.Tstat) -> tuple[_Fid[F], Soon[Dir]]:
        fid = self._fid(m.fid)
        return fid, self._files.stat(fid.file)

    def _end_stat(self, m: msg.Tstat, fid: _Fid[F], entry: Dir) -> None:
        reply = msg.rstat(m.tag, entry.pack())
        if len(reply) > self._framer.msize:
            raise Esmallmsize
        self._queued += len(reply)
        self._out.append(reply)

    def _begin_wstat(self, m: msg.Twstat) -> tuple[_Fid[F], Soon[None]]:
        fid = self._fid(m.fid)
        entry = Dir.unpack(m.stat)
        if entry.name not in ("", "/"):  # the root's name is "/"
            _check_name(entry.name)
        return fid, self._files.wstat(fid.file, entry)

    def _end_wstat(self, m: msg.Twstat, fid: _Fid[F], nothing: None) -> None:
        self._out.append(msg.rwstat(m.tag))

    def _begin_remove(self, m: msg.Tremove) -> tuple[_Fid[F], Soon[None]]:
        fid = self._fid(m.fid)
        try:
            return fid, self._files.remove(fid.file)
        except Exception:
            del self._fids[m.fid]
            self._drop(fid)
            raise

    def _end_remove(self, m: msg.Tremove, fid: _Fid[F], nothing: None) -> None:
        self._fids.pop(m.fid, None)
        self._drop(fid)
        self._out.append(msg.rremove(m.tag))

    def _begin_clunk(self, m: msg.Tclunk) -> tuple[_Fid[F], None]:
        fid = self._fid(m.fid)
        del self._fids[m.fid]
        self._drop(fid)
        return fid, None

    def _end_clunk(self, m: msg.Tclunk, fid: _Fid[F], nothing: None) -> None:
        self._out.append(msg.rclunk(m.tag))


_steps: dict[type[Message], tuple[Callable[[Any, Any], tuple[Any, Any]], _End]] = {
    msg.Tattach: (Session._begin_attach, Session._end_attach),
    msg.Twalk: (Session._begin_walk, Session._end_walk),
    msg.Topen: (Session._begin_open, Session._end_open),
    msg.Tcreate: (Session._begin_create, Session._end_create),
    msg.Tread: (Session._begin_read, Session._end_read),
    msg.Twrite: (Session._begin_write, Session._end_write),
    msg.Tclunk: (Session._begin_clunk, Session._end_clunk),
    msg.Tremove: (Session._begin_remove, Session._end_remove),
    msg.Tstat: (Session._begin_stat, Session._end_stat),
    msg.Twstat: (Session._begin_wstat, Session._end_wstat),
}
"""For each request about a file: the check and the call, and the reply."""


def _understood(version: str) -> bool:
    """version(5): ``9P2000`` or later; what follows a period does not matter."""
    level = version.partition(".")[0]
    digits = level[2:]
    return (
        level[:2] == "9P" and digits.isascii() and digits.isdigit() and (len(digits), digits) >= (4, "2000")
    )


def _possible(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names up to the first that no file can have; walk(5) counts that one as missing."""
    for i, name in enumerate(names):
        if name in ("", ".") or "/" in name or "\0" in name:
            if i == 0:
                raise Enonexist
            return names[:i]
    return names


def _check_name(name: str) -> None:
    """open(5), stat(5): what a file cannot be called."""
    if name in ("", ".", ".."):
        raise Efilename
    if "/" in name or "\0" in name:
        raise Ebadchar


def _log(error: Exception) -> None:
    """One line about a fault of a `Files`; the connection and its client go on."""
    import logging

    log = logging.getLogger(__name__)
    log.error("a file's code failed: %s", repr(error), exc_info=log.isEnabledFor(logging.DEBUG))
