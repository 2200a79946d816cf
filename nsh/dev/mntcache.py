"""The data of files that were read before, for mounts that keep it (mount -C).

A `Cache` belongs to one mount. What it holds of a file belongs to one version of it: the qid that a server
sends when a file is opened says whether it is still that one. A file is held as a row of blocks, each from
its beginning; the blocks that were not used for longest give way. A file lives as long as one of its blocks,
or somebody who has it open.

Only plain files can be held: those with a length, and with a qid.vers other than 0, which servers give to
files whose changes they do not count. Who asks the server for what is missing is `nsh.dev.mnt`.
"""

from __future__ import annotations

from collections import OrderedDict
from weakref import WeakValueDictionary

from nsh.p9.const import QTTMP
from nsh.p9.stat import Dir, Qid

BLOCK = 1 << 16
"""Bytes of a block."""
MOST = 1 << 26
"""Bytes that a mount holds at most, with what it takes to hold them."""
MOSTFILE = 1 << 23
"""Bytes at the beginning of a file that are held at most, so that one long file does not drive out all."""
FILE, EACH = 1024, 512
"""What a file, and each of its blocks, takes beside the data: bytes, generously."""


def cacheable(qid: Qid) -> bool:
    """Can the data of a file with this qid be told from that of its other versions?"""
    return qid.vers != 0 and not qid.type & ~QTTMP


class Cache:
    """What is held of the files of one mount."""

    def __init__(self) -> None:
        # by qid.path; who holds them is the keys of the blocks, and open fids
        self._files: WeakValueDictionary[int, CachedFile] = WeakValueDictionary()
        self._blocks: OrderedDict[tuple[CachedFile, int], bytes] = OrderedDict()
        self._size = 0

    def find(self, qid: Qid) -> CachedFile | None:
        """What is held of this version of the file. What is held of another one is forgotten."""
        file = self._files.get(qid.path)
        if file is not None and file.qid != qid:
            self.forget(qid.path)
            return None
        return file

    def enter(self, qid: Qid, d: Dir) -> CachedFile | None:
        """Hold the data of the file from now on, if ``d`` is of the version ``qid`` and has a length."""
        if d.qid != qid or d.length == 0:
            return None
        self.forget(qid.path)
        file = self._files[qid.path] = CachedFile(self, qid, d.length)
        return file

    def forget(self, path: int) -> None:
        """The file with this qid.path has changed."""
        file = self._files.pop(path, None)
        if file is not None:
            file.valid = False
            for n in list(file.blocks):
                self._drop(file, n)

    def block(self, file: CachedFile, n: int) -> bytes:
        """The beginning of a block, as far as it is held."""
        data = self._blocks.get((file, n), b"")
        if data:
            self._blocks.move_to_end((file, n))
        return data

    def store(self, file: CachedFile, n: int, data: bytes) -> None:
        """Hold ``data`` in the place of what was held of a block."""
        if n in file.blocks:
            self._drop(file, n)
        self._size += len(data) + EACH + (0 if file.blocks else FILE)
        self._blocks[file, n] = data
        file.blocks.add(n)
        while self._size > MOST:
            self._drop(*next(iter(self._blocks)))

    def _drop(self, file: CachedFile, n: int) -> None:
        """Hold a block no more."""
        data = self._blocks.pop((file, n))
        file.blocks.remove(n)
        self._size -= len(data) + EACH + (0 if file.blocks else FILE)


class CachedFile:
    """One version of a file. ``valid``: is it not known to have changed?"""

    __slots__ = ("__weakref__", "_cache", "_length", "blocks", "qid", "valid")

    def __init__(self, cache: Cache, qid: Qid, length: int) -> None:
        self.qid = qid
        self.valid = True
        self.blocks: set[int] = set()
        self._cache = cache
        self._length = length

    def get(self, count: int, offset: int) -> bytes | None:
        """The answer to a read, if all of it is held. The end of the file is the server's to tell."""
        end = min(offset + count, self._length)
        if not self.valid or offset >= end:
            return None
        parts = []
        while offset < end:
            n, skip = divmod(offset, BLOCK)
            part = self._cache.block(self, n)[skip : skip + end - offset]
            if len(part) < min(BLOCK - skip, end - offset):
                return None
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def put(self, data: bytes, offset: int) -> None:
        """Take in what the server has sent; data behind the end means that the file has grown."""
        if not self.valid:
            return
        if offset + len(data) > self._length:
            self._cache.forget(self.qid.path)
            return
        at = 0
        while at < len(data) and offset + at < MOSTFILE:
            n, skip = divmod(offset + at, BLOCK)
            part = data[at : at + BLOCK - skip]
            held = self._cache.block(self, n)
            if skip <= len(held) < skip + len(part):
                self._cache.store(self, n, held[:skip] + part)
            at += len(part)
