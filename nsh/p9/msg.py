"""The 9P2000 messages: one tuple class for each, and their exact form on the wire (intro(5)).

``decode`` turns one whole frame into a message, ``encode`` and ``encode_parts`` turn a message into
bytes. The functions that pack the replies (``rread``, ``rwalk``, ...) are public because a server
that answers 100,000 requests a second calls them with plain values and makes no tuple first. Only
the form of a message is judged here, strictly; what it means is for the server and the client.

The data of Tread's reply and of Twrite is never copied: it is a ``memoryview`` of the frame, good as
long as it is held (``bytes(data)`` to keep it without the frame).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct, error
from typing import Any, NamedTuple

from nsh.errors import ProtocolError

from . import const
from .const import HDRSZ, MAXWELEM, QIDSZ
from .stat import Qid

Buffer = bytes | memoryview
"""What can be written to a connection as it is."""


# --- the messages, in the order of their numbers; every one begins with its tag ----------------


class Tversion(NamedTuple):
    """version(5): begin a session; ``msize`` is the longest message in bytes."""

    tag: int
    msize: int
    version: str


class Rversion(NamedTuple):
    tag: int
    msize: int
    version: str


class Tauth(NamedTuple):
    """attach(5): ask for a file on which to authenticate."""

    tag: int
    afid: int
    uname: str
    aname: str


class Rauth(NamedTuple):
    tag: int
    aqid: Qid


class Tattach(NamedTuple):
    """attach(5): let ``fid`` stand for the root of the tree ``aname``, as user ``uname``."""

    tag: int
    fid: int
    afid: int
    uname: str
    aname: str


class Rattach(NamedTuple):
    tag: int
    qid: Qid


class Rerror(NamedTuple):
    """error(5): the request with this tag failed, and why."""

    tag: int
    ename: str


class Tflush(NamedTuple):
    """flush(5): forget the request ``oldtag``."""

    tag: int
    oldtag: int


class Rflush(NamedTuple):
    tag: int


class Twalk(NamedTuple):
    """walk(5): let ``newfid`` stand for what lies at ``wname`` below ``fid``; at most 16 names."""

    tag: int
    fid: int
    newfid: int
    wname: tuple[str, ...]


class Rwalk(NamedTuple):
    tag: int
    wqid: tuple[Qid, ...]


class Topen(NamedTuple):
    """open(5): prepare ``fid`` for reading and writing."""

    tag: int
    fid: int
    mode: int


class Ropen(NamedTuple):
    """``iounit`` is how many bytes move in one piece, 0 for "as many as msize allows"."""

    tag: int
    qid: Qid
    iounit: int


class Tcreate(NamedTuple):
    """open(5): make ``name`` in the directory ``fid`` and let ``fid`` stand for it, open."""

    tag: int
    fid: int
    name: str
    perm: int
    mode: int


class Rcreate(NamedTuple):
    tag: int
    qid: Qid
    iounit: int


class Tread(NamedTuple):
    """read(5): at most ``count`` bytes from ``offset``."""

    tag: int
    fid: int
    offset: int
    count: int  # type: ignore[assignment]  # the field, not tuple.count


class Rread(NamedTuple):
    tag: int
    data: Buffer


class Twrite(NamedTuple):
    """read(5): put ``data`` at ``offset``."""

    tag: int
    fid: int
    offset: int
    data: Buffer


class Rwrite(NamedTuple):
    tag: int
    count: int  # type: ignore[assignment]  # the field, not tuple.count


class Tclunk(NamedTuple):
    """clunk(5): ``fid`` is no longer needed."""

    tag: int
    fid: int


class Rclunk(NamedTuple):
    tag: int


class Tremove(NamedTuple):
    """remove(5): remove the file and clunk ``fid``, the latter even if the former fails."""

    tag: int
    fid: int


class Rremove(NamedTuple):
    tag: int


class Tstat(NamedTuple):
    """stat(5): describe the file."""

    tag: int
    fid: int


class Rstat(NamedTuple):
    """``stat`` is a packed `Dir`."""

    tag: int
    stat: bytes


class Twstat(NamedTuple):
    """stat(5): change what the packed `Dir` in ``stat`` does not leave as it is."""

    tag: int
    fid: int
    stat: bytes


class Rwstat(NamedTuple):
    tag: int


Tmsg = (
    Tversion | Tauth | Tattach | Tflush | Twalk | Topen | Tcreate | Tread | Twrite
    | Tclunk | Tremove | Tstat | Twstat
)  # fmt: skip
Rmsg = (
    Rversion | Rauth | Rattach | Rerror | Rflush | Rwalk | Ropen | Rcreate | Rread | Rwrite
    | Rclunk | Rremove | Rstat | Rwstat
)  # fmt: skip
Message = Tmsg | Rmsg

NUMBER: dict[type[Message], int] = {
    Tversion: const.TVERSION,
    Rversion: const.RVERSION,
    Tauth: const.TAUTH,
    Rauth: const.RAUTH,
    Tattach: const.TATTACH,
    Rattach: const.RATTACH,
    Rerror: const.RERROR,
    Tflush: const.TFLUSH,
    Rflush: const.RFLUSH,
    Twalk: const.TWALK,
    Rwalk: const.RWALK,
    Topen: const.TOPEN,
    Ropen: const.ROPEN,
    Tcreate: const.TCREATE,
    Rcreate: const.RCREATE,
    Tread: const.TREAD,
    Rread: const.RREAD,
    Twrite: const.TWRITE,
    Rwrite: const.RWRITE,
    Tclunk: const.TCLUNK,
    Rclunk: const.RCLUNK,
    Tremove: const.TREMOVE,
    Rremove: const.RREMOVE,
    Tstat: const.TSTAT,
    Rstat: const.RSTAT,
    Twstat: const.TWSTAT,
    Rwstat: const.RWSTAT,
}
"""The type byte of each message class."""


# --- packing ------------------------------------------------------------------------------------
# Each function takes the fields of its message, so that encode() is one table look-up. A value that
# its field cannot hold raises struct.error: a fault of the caller's, never of the peer's.

_head = Struct("<IBH")
_head_h = Struct("<IBHH")
_head_i = Struct("<IBHI")
_head_ii = Struct("<IBHII")
_head_ib = Struct("<IBHIB")
_head_iih = Struct("<IBHIIH")
_head_ih = Struct("<IBHIH")
_head_qid = Struct("<IBHBIQ")
_head_qid_i = Struct("<IBHBIQI")
_head_io = Struct("<IBHIQI")
_h = Struct("<H")
_ib = Struct("<IB")
_qid = Struct("<BIQ")


def _string(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogateescape")
    return _h.pack(len(raw)) + raw


def _tversion(number: int, tag: int, msize: int, version: str) -> bytes:
    tail = _string(version)
    return _head_i.pack(11 + len(tail), number, tag, msize) + tail


def rversion(tag: int, msize: int, version: str) -> bytes:
    return _tversion(const.RVERSION, tag, msize, version)


def _tauth(tag: int, afid: int, uname: str, aname: str) -> bytes:
    tail = _string(uname) + _string(aname)
    return _head_i.pack(11 + len(tail), const.TAUTH, tag, afid) + tail


def _rauth(tag: int, aqid: Qid) -> bytes:
    return _head_qid.pack(20, const.RAUTH, tag, *aqid)


def _tattach(tag: int, fid: int, afid: int, uname: str, aname: str) -> bytes:
    tail = _string(uname) + _string(aname)
    return _head_ii.pack(15 + len(tail), const.TATTACH, tag, fid, afid) + tail


def rattach(tag: int, qid: Qid) -> bytes:
    return _head_qid.pack(20, const.RATTACH, tag, *qid)


def rerror(tag: int, ename: str) -> bytes:
    tail = _string(ename)
    return _head.pack(7 + len(tail), const.RERROR, tag) + tail


def _tflush(tag: int, oldtag: int) -> bytes:
    return _head_h.pack(9, const.TFLUSH, tag, oldtag)


def _twalk(tag: int, fid: int, newfid: int, wname: tuple[str, ...]) -> bytes:
    if len(wname) > MAXWELEM:
        raise ValueError("more than 16 names in one Twalk")
    tail = b"".join(map(_string, wname))
    return _head_iih.pack(17 + len(tail), const.TWALK, tag, fid, newfid, len(wname)) + tail


def rwalk(tag: int, wqid: Sequence[Qid]) -> bytes:
    n = len(wqid)
    if n == 1:  # by far the most frequent
        return _head_h.pack(22, const.RWALK, tag, 1) + _qid.pack(*wqid[0])
    if n > MAXWELEM:
        raise ValueError("more than 16 qids in one Rwalk")
    return _head_h.pack(9 + n * QIDSZ, const.RWALK, tag, n) + b"".join(_qid.pack(*q) for q in wqid)


def _topen(tag: int, fid: int, mode: int) -> bytes:
    return _head_ib.pack(12, const.TOPEN, tag, fid, mode)


def ropen(tag: int, qid: Qid, iounit: int) -> bytes:
    return _head_qid_i.pack(24, const.ROPEN, tag, *qid, iounit)


def _tcreate(tag: int, fid: int, name: str, perm: int, mode: int) -> bytes:
    tail = _string(name) + _ib.pack(perm, mode)
    return _head_i.pack(11 + len(tail), const.TCREATE, tag, fid) + tail


def rcreate(tag: int, qid: Qid, iounit: int) -> bytes:
    return _head_qid_i.pack(24, const.RCREATE, tag, *qid, iounit)


def _tread(tag: int, fid: int, offset: int, count: int) -> bytes:
    return _head_io.pack(23, const.TREAD, tag, fid, offset, count)


def rread_head(tag: int, count: int) -> bytes:
    """What goes before the ``count`` bytes of an Rread."""
    return _head_i.pack(11 + count, const.RREAD, tag, count)


def _twrite_head(tag: int, fid: int, offset: int, count: int) -> bytes:
    return _head_io.pack(23 + count, const.TWRITE, tag, fid, offset, count)


def rwrite(tag: int, count: int) -> bytes:
    return _head_i.pack(11, const.RWRITE, tag, count)


def rstat(tag: int, stat: bytes) -> bytes:
    return _head_h.pack(9 + len(stat), const.RSTAT, tag, len(stat)) + stat


def _twstat(tag: int, fid: int, stat: bytes) -> bytes:
    return _head_ih.pack(13 + len(stat), const.TWSTAT, tag, fid, len(stat)) + stat


def _fid_only(number: int) -> Callable[[int, int], bytes]:
    return lambda tag, fid: _head_i.pack(11, number, tag, fid)


def tag_only(number: int) -> Callable[[int], bytes]:
    """The packing of a reply that says nothing but "done"."""
    return lambda tag: _head.pack(7, number, tag)


rflush = tag_only(const.RFLUSH)
rclunk = tag_only(const.RCLUNK)
rremove = tag_only(const.RREMOVE)
rwstat = tag_only(const.RWSTAT)

_packers: dict[type[Message], Callable[..., bytes]] = {
    Tversion: lambda tag, msize, version: _tversion(const.TVERSION, tag, msize, version),
    Rversion: rversion,
    Tauth: _tauth,
    Rauth: _rauth,
    Tattach: _tattach,
    Rattach: rattach,
    Rerror: rerror,
    Tflush: _tflush,
    Rflush: rflush,
    Twalk: _twalk,
    Rwalk: rwalk,
    Topen: _topen,
    Ropen: ropen,
    Tcreate: _tcreate,
    Rcreate: rcreate,
    Tread: _tread,
    Rread: lambda tag, data: b"".join((rread_head(tag, len(data)), data)),
    Twrite: lambda tag, fid, offset, data: b"".join((_twrite_head(tag, fid, offset, len(data)), data)),
    Rwrite: rwrite,
    Tclunk: _fid_only(const.TCLUNK),
    Rclunk: rclunk,
    Tremove: _fid_only(const.TREMOVE),
    Rremove: rremove,
    Tstat: _fid_only(const.TSTAT),
    Rstat: rstat,
    Twstat: _twstat,
    Rwstat: rwstat,
}


def encode(message: Message) -> bytes:
    """The whole frame. Raises `struct.error` or `ValueError` when a field cannot hold its value."""
    return _packers[type(message)](*message)


def encode_parts(message: Message) -> tuple[Buffer, ...]:
    """The frame in one or two buffers: the data of a Twrite or an Rread stands alone, uncopied."""
    if type(message) is Twrite:
        tag, fid, offset, data = message
        return _twrite_head(tag, fid, offset, len(data)), data
    if type(message) is Rread:
        return rread_head(message.tag, len(message.data)), message.data
    return (encode(message),)


# --- unpacking ----------------------------------------------------------------------------------
# Each reader takes a whole frame. The formats skip size and type (4xx), so one unpack of a message of
# fixed length also checks that length.

_Reader = Callable[[bytes], Message]


def _fixed(cls: type[Any], fields: str) -> _Reader:
    unpack, make = Struct("<4xx" + fields).unpack, cls._make
    return lambda frame: make(unpack(frame))


def _with_qid(cls: type[Any], fields: str) -> _Reader:
    """A message of fixed length whose second field is a qid."""
    unpack = Struct("<4xxHBIQ" + fields).unpack

    def read(frame: bytes) -> Message:
        tag, qtype, vers, path, *rest = unpack(frame)
        return cls(tag, Qid(qtype, vers, path), *rest)  # type: ignore[no-any-return]

    return read


def _with_strings(cls: type[Any], fields: str, count: int) -> _Reader:
    """A message that ends with ``count`` strings."""
    head = Struct("<4xx" + fields)
    size, unpack_from = head.size, head.unpack_from

    def read(frame: bytes) -> Message:
        strings, end = _read_strings(frame, size, count)
        if end != len(frame):
            raise ProtocolError("bytes after the last field")
        return cls(*unpack_from(frame), *strings)  # type: ignore[no-any-return]

    return read


def _read_strings(frame: bytes, at: int, count: int) -> tuple[list[str], int]:
    """``count`` strings from ``frame[at]`` on, and where they end."""
    strings = []
    for _ in range(count):
        end = at + 2 + _h.unpack_from(frame, at)[0]
        if end > len(frame):
            raise ProtocolError("string longer than its message")
        strings.append(frame[at + 2 : end].decode("utf-8", "surrogateescape"))
        at = end
    return strings, at


_unpack_twalk = Struct("<4xxHIIH").unpack_from
_unpack_tcreate = Struct("<4xxHI").unpack_from
_unpack_rwalk = Struct("<4xxHH").unpack_from
_unpack_rread = Struct("<4xxHI").unpack_from
_unpack_twrite = Struct("<4xxHIQI").unpack_from
_unpack_twstat = Struct("<4xxHIH").unpack_from


def _read_twalk(frame: bytes) -> Message:
    tag, fid, newfid, count = _unpack_twalk(frame)
    if count > MAXWELEM:
        raise ProtocolError(f"{count} names in one walk")
    names, end = _read_strings(frame, 17, count)
    if end != len(frame):
        raise ProtocolError("bytes after the last field")
    return Twalk(tag, fid, newfid, tuple(names))


def _read_rwalk(frame: bytes) -> Message:
    tag, count = _unpack_rwalk(frame)
    if count > MAXWELEM:
        raise ProtocolError(f"{count} qids in one walk")
    if len(frame) != 9 + count * QIDSZ:
        raise ProtocolError("count does not match the length")
    return Rwalk(tag, tuple(map(Qid._make, _qid.iter_unpack(frame[9:]))))


def _read_tcreate(frame: bytes) -> Message:
    tag, fid = _unpack_tcreate(frame)
    (name,), at = _read_strings(frame, 11, 1)
    perm, mode = _ib.unpack(frame[at:])
    return Tcreate(tag, fid, name, perm, mode)


def _read_rread(frame: bytes) -> Message:
    tag, count = _unpack_rread(frame)
    if len(frame) != 11 + count:
        raise ProtocolError("count does not match the length")
    return Rread(tag, memoryview(frame)[11:])


def _read_twrite(frame: bytes) -> Message:
    tag, fid, offset, count = _unpack_twrite(frame)
    if len(frame) != 23 + count:
        raise ProtocolError("count does not match the length")
    return Twrite(tag, fid, offset, memoryview(frame)[23:])


def _read_rstat(frame: bytes) -> Message:
    tag, count = _unpack_rwalk(frame)
    if len(frame) != 9 + count:
        raise ProtocolError("count does not match the length")
    return Rstat(tag, frame[9:])


def _read_twstat(frame: bytes) -> Message:
    tag, fid, count = _unpack_twstat(frame)
    if len(frame) != 13 + count:
        raise ProtocolError("count does not match the length")
    return Twstat(tag, fid, frame[13:])


_readers: dict[int, _Reader] = {
    const.TVERSION: _with_strings(Tversion, "HI", 1),
    const.RVERSION: _with_strings(Rversion, "HI", 1),
    const.TAUTH: _with_strings(Tauth, "HI", 2),
    const.RAUTH: _with_qid(Rauth, ""),
    const.TATTACH: _with_strings(Tattach, "HII", 2),
    const.RATTACH: _with_qid(Rattach, ""),
    const.RERROR: _with_strings(Rerror, "H", 1),
    const.TFLUSH: _fixed(Tflush, "HH"),
    const.RFLUSH: _fixed(Rflush, "H"),
    const.TWALK: _read_twalk,
    const.RWALK: _read_rwalk,
    const.TOPEN: _fixed(Topen, "HIB"),
    const.ROPEN: _with_qid(Ropen, "I"),
    const.TCREATE: _read_tcreate,
    const.RCREATE: _with_qid(Rcreate, "I"),
    const.TREAD: _fixed(Tread, "HIQI"),
    const.RREAD: _read_rread,
    const.TWRITE: _read_twrite,
    const.RWRITE: _fixed(Rwrite, "HI"),
    const.TCLUNK: _fixed(Tclunk, "HI"),
    const.RCLUNK: _fixed(Rclunk, "H"),
    const.TREMOVE: _fixed(Tremove, "HI"),
    const.RREMOVE: _fixed(Rremove, "H"),
    const.TSTAT: _fixed(Tstat, "HI"),
    const.RSTAT: _read_rstat,
    const.TWSTAT: _read_twstat,
    const.RWSTAT: _fixed(Rwstat, "H"),
}
_names = {number: cls.__name__ for cls, number in NUMBER.items()}
_unpack_head = Struct("<IB").unpack_from


def decode(frame: bytes) -> Message:
    """The message in ``frame``, its size[4] included. Raises `ProtocolError` for anything but a whole one."""
    if len(frame) < HDRSZ:
        raise ProtocolError(f"message of {len(frame)} bytes")
    size, number = _unpack_head(frame)
    if size != len(frame):
        raise ProtocolError(f"message of {len(frame)} bytes says that it has {size}")
    reader = _readers.get(number)
    if reader is None:
        raise ProtocolError(f"unknown message type {number}")
    try:
        return reader(frame)
    except error:
        raise ProtocolError(f"{_names[number]} of {size} bytes") from None
    except ProtocolError as e:
        raise ProtocolError(f"{_names[number]}: {e}") from None
