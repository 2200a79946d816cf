"""QidMap: qids that are unique across the files of many devices and servers.

What a name space shows comes from many trees, and each numbers its files for itself: two files may have
the same qid.path. Whoever sees them through one export, and cp, du, mv and FUSE do, must be able to tell
them apart. So qids are rewritten on their way out, the same way for every client and for as long as the
system runs.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from nsh.p9.stat import Dir, Qid

if TYPE_CHECKING:
    from nsh.kern.chan import Chan
    from nsh.kern.dev import Device

BITS = 48
"""Of a qid.path, those that its own server has; what stands above them says which tree it is of."""
_MASK = (1 << BITS) - 1
_TREES = 0xFFFF
_SIZE = struct.Struct("<H")
_PATH = struct.Struct("<Q")
_PATH_AT = 2 + 2 + 4 + 1 + 4  # where qid.path is in a packed stat record (stat(5))


class QidMap:
    """Unique qid.path values.

    A path is cut into its low 48 bits, in which nearly all servers number their files, and the rest. Each
    (tree, rest) that is met gets a number, which takes the place of the rest; the first one gets 0, so its
    paths stay what they are. A server that uses all 64 bits can use up these numbers; from then on a new
    (tree, rest, path) is hashed: nothing is remembered that a server could make without end, and that two
    files get the same path is as unlikely as two equal numbers of 48 bits.
    """

    def __init__(self) -> None:
        self._trees: dict[tuple[Device, int, int], int] = {}
        self._secret = int.from_bytes(os.urandom(8), "little")  # nobody can look for two paths that meet

    def path(self, c: Chan, path: int) -> int:
        """What stands for ``path`` of the tree that ``c`` is in."""
        number = self._number(c, path >> BITS)
        if number < _TREES:
            return number << BITS | path & _MASK
        hashed = hash((self._secret, ord(c.dev.letter), c.instance, path))
        return _TREES << BITS | hashed & _MASK

    def _number(self, c: Chan, rest: int) -> int:
        """The number of this part of a tree; `_TREES` when there is none left for it."""
        key = (c.dev, c.instance, rest)
        number = self._trees.get(key)
        if number is None:
            number = len(self._trees)
            if number < _TREES:
                self._trees[key] = number
        return number

    def qid(self, c: Chan) -> Qid:
        """The qid of ``c`` as others see it."""
        return self._unique(c, c.qid)

    def dir(self, c: Chan, d: Dir) -> Dir:
        """The stat record of ``c`` as others see it."""
        qid = self._unique(c, d.qid)
        return d if qid is d.qid else d._replace(qid=qid)

    def _unique(self, c: Chan, qid: Qid) -> Qid:
        if self._trees.get((c.dev, c.instance, qid.path >> BITS)) == 0:
            return qid
        return Qid(qid.type, qid.vers, self.path(c, qid.path))

    def prepare(self, c: Chan) -> None:
        """Have the entries of an open directory made with these qids, if its device can do that."""
        if c.dev.small_qids and (number := self._number(c, 0)) < _TREES:
            c.above = number

    def entries(self, c: Chan, data: bytes) -> bytes:
        """Packed directory entries that were read from ``c``, with their qids as others see them."""
        if c.dev.small_qids and getattr(c.dirpos, "above", 0) == self._number(c, 0):
            return data
        out = bytearray(data)
        at = 0
        while at < len(out):
            (path,) = _PATH.unpack_from(out, at + _PATH_AT)
            _PATH.pack_into(out, at + _PATH_AT, self.path(c, path))
            at += 2 + _SIZE.unpack_from(out, at)[0]
        return bytes(out)
