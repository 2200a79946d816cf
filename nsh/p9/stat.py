"""Qid and Dir: what identifies a file and what describes it, and their form on the wire (stat(5)).

A directory entry is the same bytes in Rstat, in Twstat and in the data read from a directory, so its
packing stands here, apart from the messages. Strings are ``str``; what is not UTF-8 on the wire
survives as surrogate escapes, as in Python's file names. No message and no file lives here.
"""

from __future__ import annotations

from struct import Struct, error
from typing import NamedTuple

from nsh.errors import Ebadstat, Etoobig

from .const import DMDIR, QTDIR, STATFIXLEN, STATMAX

_fixed = Struct("<HHIBIQIIIQ")  # size type dev qid(type vers path) mode atime mtime length
_count = Struct("<H")

_NONE16, _NONE32, _NONE64 = 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF


class Qid(NamedTuple):
    """The server's name for a file (intro(5)): two files are the same if their type bits and path are.

    ``vers`` changes whenever the file's content does.

        >>> nsh.Qid(type=0x80, vers=0, path=1)
        Qid(type=128, vers=0, path=1)
    """

    type: int
    vers: int
    path: int


class Dir(NamedTuple):
    """A directory entry (stat(5)): all that a server tells about a file.

    ``type`` and ``dev`` are for the kernel, not for the wire's other side. Times are whole seconds
    since 1970 UTC; ``length`` is in bytes, 0 for directories and most devices.

        >>> async with nsh.Namespace() as ns:
        ...     d = await ns.stat("/dev/null")
        ...     print(d.name, f"{d.mode:o}", d.isdir, d.length, nsh.Dir.unpack(d.pack()) == d)
        null 666 False 0 True
    """

    type: int
    dev: int
    qid: Qid
    mode: int
    atime: int
    mtime: int
    length: int
    name: str
    uid: str
    gid: str
    muid: str

    @classmethod
    def dont_touch(
        cls,
        *,
        mode: int = _NONE32,
        atime: int = _NONE32,
        mtime: int = _NONE32,
        length: int = _NONE64,
        name: str = "",
        uid: str = "",
        gid: str = "",
        muid: str = "",
    ) -> Dir:
        """The entry for a wstat that changes only what is given; with nothing given it changes nothing."""
        nowhere = Qid(0xFF, _NONE32, _NONE64)
        return cls(_NONE16, _NONE32, nowhere, mode, atime, mtime, length, name, uid, gid, muid)

    def touched(self) -> frozenset[str]:
        """The names of the fields that a wstat with this entry asks to change."""
        return frozenset(f for f, mine, none in zip(self._fields, self, _blank, strict=True) if mine != none)

    @property
    def isdir(self) -> bool:
        return bool(self.mode & DMDIR or self.qid.type & QTDIR)

    def pack(self) -> bytes:
        """The entry as it travels, its leading size[2] included. Raises `Etoobig` past 65535 bytes."""
        type_, dev, qid, mode, atime, mtime, length, name, uid, gid, muid = self
        n = name.encode("utf-8", "surrogateescape")
        u = uid.encode("utf-8", "surrogateescape")
        g = gid.encode("utf-8", "surrogateescape")
        m = muid.encode("utf-8", "surrogateescape")
        size = STATFIXLEN + len(n) + len(u) + len(g) + len(m)
        if size > STATMAX:
            raise Etoobig("directory entry too large")
        count = _count.pack
        return b"".join(
            (
                _fixed.pack(size - 2, type_, dev, *qid, mode, atime, mtime, length),
                *(count(len(n)), n, count(len(u)), u, count(len(g)), g, count(len(m)), m),
            )
        )

    @classmethod
    def unpack(cls, buf: bytes | memoryview) -> Dir:
        """The entry that ``buf`` holds, no byte more or less. Raises `Ebadstat`."""
        entry, end = _unpack_at(bytes(buf), 0)
        if end != len(buf):
            raise Ebadstat
        return entry


def unpack_dirs(data: bytes | memoryview) -> list[Dir]:
    """The entries in what a read of a directory returned. Raises `Ebadstat` when one is broken or cut."""
    data = bytes(data)
    entries = []
    at = 0
    while at < len(data):
        entry, at = _unpack_at(data, at)
        entries.append(entry)
    return entries


def _unpack_at(buf: bytes, at: int) -> tuple[Dir, int]:
    """The entry that begins at ``buf[at]``, and where it ends."""
    try:
        size, type_, dev, qtype, vers, path, mode, atime, mtime, length = _fixed.unpack_from(buf, at)
        end = at + 2 + size
        at += _fixed.size
        strings = []
        for _ in range(4):
            n = at + 2 + _count.unpack_from(buf, at)[0]
            strings.append(buf[at + 2 : n].decode("utf-8", "surrogateescape"))
            at = n
    except error:
        raise Ebadstat from None
    if at != end or end > len(buf):
        raise Ebadstat
    name, uid, gid, muid = strings
    return Dir(type_, dev, Qid(qtype, vers, path), mode, atime, mtime, length, name, uid, gid, muid), end


_blank = Dir.dont_touch()
