"""A message as one line of text, worded as plan9port's programs word it under -D.

``<-`` stands before requests and ``->`` before replies. The text is for people and for tests that
compare; it is not read back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nsh.errors import Ebadstat

from . import const, msg
from .msg import Buffer, Message
from .stat import Dir, Qid

_SHOWN = 64
"""Bytes of data that a line shows."""


def line(message: Message) -> str:
    """The message after the arrow of its direction."""
    return f"{'->' if msg.NUMBER[type(message)] & 1 else '<-'} {text(message)}"


def text(message: Message) -> str:
    """The message alone: ``Topen tag 1 fid 2 mode 0``. What cannot be printed is escaped."""
    whole = f"{type(message).__name__} tag {message.tag}{_texts[type(message)](message)}"
    if whole.isprintable():
        return whole
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in whole)


def dir_text(d: Dir) -> str:
    """A directory entry: name, uid, gid, muid, qid, mode, times, length, type and dev."""
    return (
        f"'{d.name}' '{d.uid}' '{d.gid}' '{d.muid}' q {qid_text(d.qid)} m {_octal(d.mode)}"
        f" at {d.atime} mt {d.mtime} l {_signed(d.length, 64)} t {d.type} d {_signed(d.dev, 32)}"
    )


def qid_text(qid: Qid) -> str:
    """``(path version type)``: path in hexadecimal, type as letters."""
    letters = "".join(c for bit, c in _QIDLETTERS if qid.type & bit)
    return f"({qid.path:016x} {qid.vers} {letters})"


_QIDLETTERS = ((const.QTDIR, "d"), (const.QTAPPEND, "a"), (const.QTEXCL, "l"), (const.QTAUTH, "A"))
_RWX = ("---", "--x", "-w-", "-wx", "r--", "r-x", "rw-", "rwx")


def mode_text(mode: int) -> str:
    """Permissions as ``ls -l`` shows them: ``d-rwxr-xr-x``."""
    kinds = ((const.DMDIR, "d"), (const.DMAPPEND, "a"), (const.DMAUTH, "A"))
    kind = next((c for bit, c in kinds if mode & bit), "-")
    lock = "l" if mode & const.DMEXCL else "-"
    return kind + lock + _RWX[mode >> 6 & 7] + _RWX[mode >> 3 & 7] + _RWX[mode & 7]


def _octal(mode: int) -> str:
    return f"0{mode:o}" if mode else "0"


def _signed(number: int, bits: int) -> int:
    """As C prints it with %d: NOFID is -1."""
    return number - (1 << bits) if number >> (bits - 1) else number


def _fid(number: int) -> int:
    return _signed(number, 32)


def _data(data: Buffer) -> str:
    """The first bytes: as they are if all can be printed, else in hexadecimal, four by four."""
    head = bytes(data[:_SHOWN])
    if all(c == 0 or 32 <= c < 128 for c in head):
        return "'" + head.decode("ascii").replace("\0", "\\0") + "'"
    return "'" + " ".join(head[i : i + 4].hex() for i in range(0, len(head), 4)) + "'"


def _stat(packed: bytes) -> str:
    try:
        return f" stat {dir_text(Dir.unpack(packed))}"
    except Ebadstat:
        return f" stat({len(packed)} bytes)"


def _nothing(m: Any) -> str:
    return ""


_texts: dict[type[Message], Callable[[Any], str]] = {
    msg.Tversion: lambda m: f" msize {m.msize} version '{m.version}'",
    msg.Rversion: lambda m: f" msize {m.msize} version '{m.version}'",
    msg.Tauth: lambda m: f" afid {_fid(m.afid)} uname {m.uname} aname {m.aname}",
    msg.Rauth: lambda m: f" qid {qid_text(m.aqid)}",
    msg.Tattach: lambda m: f" fid {_fid(m.fid)} afid {_fid(m.afid)} uname {m.uname} aname {m.aname}",
    msg.Rattach: lambda m: f" qid {qid_text(m.qid)}",
    msg.Rerror: lambda m: f" ename {m.ename}",
    msg.Tflush: lambda m: f" oldtag {m.oldtag}",
    msg.Rflush: _nothing,
    msg.Twalk: lambda m: (
        f" fid {_fid(m.fid)} newfid {_fid(m.newfid)} nwname {len(m.wname)} "
        + "".join(f"{i}:{name} " for i, name in enumerate(m.wname))
    ),
    msg.Rwalk: lambda m: (
        f" nwqid {len(m.wqid)} " + "".join(f"{i}:{qid_text(qid)} " for i, qid in enumerate(m.wqid))
    ),
    msg.Topen: lambda m: f" fid {m.fid} mode {m.mode}",
    msg.Ropen: lambda m: f" qid {qid_text(m.qid)} iounit {m.iounit}",
    msg.Tcreate: lambda m: f" fid {m.fid} name {m.name} perm {mode_text(m.perm)} mode {m.mode}",
    msg.Rcreate: lambda m: f" qid {qid_text(m.qid)} iounit {m.iounit} ",
    msg.Tread: lambda m: f" fid {_fid(m.fid)} offset {_signed(m.offset, 64)} count {m.count}",
    msg.Rread: lambda m: f" count {len(m.data)} {_data(m.data)}",
    msg.Twrite: lambda m: (
        f" fid {_fid(m.fid)} offset {_signed(m.offset, 64)} count {len(m.data)} {_data(m.data)}"
    ),
    msg.Rwrite: lambda m: f" count {m.count}",
    msg.Tclunk: lambda m: f" fid {m.fid}",
    msg.Rclunk: _nothing,
    msg.Tremove: lambda m: f" fid {m.fid}",
    msg.Rremove: _nothing,
    msg.Tstat: lambda m: f" fid {m.fid}",
    msg.Rstat: lambda m: f" {_stat(m.stat)}",
    msg.Twstat: lambda m: f" fid {m.fid}{_stat(m.stat)}",
    msg.Rwstat: _nothing,
}
