"""`#R`, memfs(4): files that live in memory.

Every attach of `#R` makes a new, empty tree, which lives as long as somebody refers to it; `#Rname`
is the tree of that name, the same one every time. memfs(1) mounts such a tree.

A tree keeps the rules of stat(5), open(5) and walk(5) in full, those that Inferno's memfs leaves out
too. Where the manual leaves a choice it has Inferno's habits: the root has
qid.path 0 and new files have 1, 2, 3, ..., a directory lists its newest entry first, and space is counted
in blocks of 512 bytes, holes included. What is in a hole takes no memory.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable

from nsh import errors
from nsh.kern.chan import Chan, Maybe, Path
from nsh.kern.dev import AEXEC, AWRITE, Device, Directory, File, check_permission, up
from nsh.kern.proc import System
from nsh.p9.const import DMAPPEND, DMDIR, DMEXCL, DMTMP, OEXEC, ORCLOSE, OREAD, OTRUNC, QTFILE
from nsh.p9.stat import Dir, Qid

BLOCK = 512
"""Bytes of a block, by which space is counted. Every file takes one block more than it fills."""
CHUNK = 1 << 18
"""Bytes that are stored in one piece."""
LIMIT = 0x7FFFFFFF
"""Bytes that a tree may hold if nobody says otherwise."""
NAMEMAX = 1024
"""Most bytes of a name."""
_CONNECTION = (1 << 48) - 1  # a qid.path that no file gets


class Tree:
    """One file system: its root, and what it may still take in.

    ``instance``: the number that tells it from the other trees of the device; ``free``: blocks.
    """

    def __init__(self, instance: int, owner: str, limit: int = LIMIT) -> None:
        self.instance = instance
        self.free = limit // BLOCK
        self._paths = itertools.count()
        self.root = RamDirectory(self, "memfs", 0o755, owner, owner)
        self.root.parent = self.root

    def newpath(self) -> int:
        """The qid.path of the next file."""
        return next(self._paths)

    def take(self, blocks: int) -> None:
        """Use up ``blocks`` more, or give back so many if negative. Errors: `Enospace`."""
        if blocks > self.free:
            raise errors.Enospace()
        self.free -= blocks


class Content:
    """The bytes of a file, in chunks that exist only where something was written."""

    __slots__ = ("_chunks", "length")

    def __init__(self) -> None:
        self.length = 0
        self._chunks: dict[int, bytearray] = {}

    def read(self, count: int, offset: int) -> bytes:
        end = min(offset + count, self.length)
        number, at = divmod(offset, CHUNK)
        chunk = self._chunks.get(number)
        if chunk is not None and offset < end and at + end - offset <= len(chunk):
            return bytes(memoryview(chunk)[at : at + end - offset])  # in one chunk, as most reads are
        pieces = [self._piece(at, min(end, at - at % CHUNK + CHUNK)) for at in self._starts(offset, end)]
        return b"".join(pieces)

    def _starts(self, offset: int, end: int) -> Iterable[int]:
        """``offset``, and every beginning of a chunk from there to ``end``."""
        if offset >= end:
            return ()
        return (offset, *range(offset - offset % CHUNK + CHUNK, end, CHUNK))

    def _piece(self, start: int, end: int) -> bytes | memoryview:
        """The bytes of one chunk; what was never written there is zero."""
        number, at = divmod(start, CHUNK)
        count = end - start
        chunk = self._chunks.get(number)
        if chunk is None:
            return bytes(count)
        if at + count <= len(chunk):
            return memoryview(chunk)[at : at + count]
        return bytes(chunk[at : at + count]).ljust(count, b"\0")

    def write(self, data: bytes, offset: int) -> None:
        end = offset + len(data)
        view = memoryview(data)
        for start in self._starts(offset, end):
            number, at = divmod(start, CHUNK)
            count = min(end - start, CHUNK - at)
            chunk = self._chunks.setdefault(number, bytearray())
            if len(chunk) < at:
                chunk.extend(bytes(at - len(chunk)))
            piece = view[start - offset : start - offset + count]
            there = min(len(chunk) - at, count)
            memoryview(chunk)[at : at + there] = piece[:there]  # a bytearray would copy it twice
            chunk += piece[there:]
        if data:
            self.length = max(self.length, end)

    def truncate(self, length: int) -> None:
        """Make the file ``length`` bytes long; what is added is zero."""
        if length < self.length:
            number, at = divmod(length, CHUNK)
            self._chunks = {n: chunk for n, chunk in self._chunks.items() if n <= number}
            if number in self._chunks:
                del self._chunks[number][at:]
        self.length = length


class RamFile(File):
    """A file of a tree, and what files and directories have in common."""

    parent: RamDirectory | None

    def __init__(self, tree: Tree, name: str, perm: int, uid: str, gid: str) -> None:
        # not super(): that is Directory for a RamDirectory, whose arguments are others
        File.__init__(self, name, perm, uid=uid, gid=gid, path=tree.newpath())
        self.tree = tree
        self.muid = uid
        self.atime = self.mtime = int(time.time())
        self.opens = 0
        self.content = Content()
        self._packed = b""  # the stat record, until something in it changes
        self._above = 0  # with what it was packed

    @property
    def gone(self) -> bool:
        """Was the file removed? Those who have it open may still use it."""
        return self.parent is None

    def length(self) -> int:
        return self.content.length

    def stat(self, dev: Device) -> Dir:
        mode = self.perm | (DMDIR if self.directory else 0)
        where = (ord(dev.letter), self.tree.instance)
        times = (self.atime, self.mtime)
        return Dir(*where, self.qid, mode, *times, self.length(), self.name, self.uid, self.gid, self.muid)

    def packed(self, dev: Device, above: int = 0) -> bytes:
        if not self._packed or self._above != above:
            self._packed, self._above = super().packed(dev, above), above
        return self._packed

    def _accessed(self) -> None:
        """The content was read; of a directory, or searched."""
        now = int(time.time())
        if now != self.atime:
            self.atime = now
            self._packed = b""

    def modified(self) -> None:
        """The content is another one now."""
        self._packed = b""
        self.atime = self.mtime = int(time.time())
        self.muid = up().user
        self.qid = Qid(self.qid.type, (self.qid.vers + 1) & 0xFFFFFFFF, self.qid.path)

    # --- open files ----------------------------------------------------------------------------

    def open(self, c: Chan, mode: int) -> None:
        if self.perm & DMEXCL and self.opens:
            raise errors.Elocked()
        if mode & ORCLOSE:
            self._check_parent()
        if mode & OTRUNC and not self.perm & DMAPPEND:
            self._resize(0)
            self.modified()
        self.opens += 1
        c.qid = self.qid  # the version may be another than when it was walked to

    def close(self, c: Chan) -> None:
        self.opens -= 1
        if c.mode & ORCLOSE and not self.gone and self.is_empty():
            self._unlink()
        self._free()

    def read(self, c: Chan, count: int, offset: int) -> bytes:
        self._accessed()
        return self.content.read(count, offset)

    def write(self, c: Chan, data: bytes, offset: int) -> int:
        if self.perm & DMAPPEND:
            offset = self.content.length
        if data and offset + len(data) > self.content.length:
            self.tree.take(_blocks(offset + len(data)) - _blocks(self.content.length))
        self.content.write(data, offset)
        self.modified()
        return len(data)

    def _resize(self, length: int) -> None:
        self.tree.take(_blocks(length) - _blocks(self.content.length))
        self.content.truncate(length)

    # --- removal -------------------------------------------------------------------------------

    def is_empty(self) -> bool:
        """May it be removed? Not a directory with something in it."""
        return True

    def remove(self, c: Chan) -> None:
        self._check_parent()
        if not self.is_empty():
            raise errors.Enotempty()
        if self.parent is self:
            raise errors.P9Error("root directory")
        self._unlink()
        self._free()

    def _check_parent(self) -> None:
        if self.parent is None:
            raise errors.Enonexist()
        self.parent.check(AWRITE)

    def _unlink(self) -> None:
        assert self.parent is not None
        self.parent.discard(self.name)
        self.parent.modified()
        self.parent = None

    def _free(self) -> None:
        """Give back the space of a removed file that nobody has open any more."""
        if self.gone and not self.opens:
            self.tree.take(-_blocks(self.content.length))

    def check(self, want: int) -> None:
        """Raise `Eperm` unless the current process has the permissions ``want``."""
        check_permission(up().user, self.uid, self.gid, self.perm, want)

    # --- wstat ---------------------------------------------------------------------------------

    def wstat(self, c: Chan, d: Dir) -> None:
        """Everything is checked before anything is changed."""
        old = self.stat(c.dev)
        changes = {field for field in d.touched() if getattr(d, field) != getattr(old, field)}
        if changes & {"type", "dev", "qid", "uid", "muid"}:
            raise errors.Eperm()
        if changes & {"mode", "mtime", "atime", "gid"}:
            self._check_owner(d.gid if "gid" in changes else "")
        if "mode" in changes:
            if (d.mode ^ old.mode) & DMDIR:
                raise errors.Eperm()
            _check_mode(d.mode)
        if "length" in changes:
            self._check_length(d.length)
        if "name" in changes:
            self._check_name(d.name)
        self._change(d, changes)

    def _change(self, d: Dir, changes: set[str]) -> None:
        self._packed = b""
        if "length" in changes:
            self._resize(d.length)
            self.modified()
        if "name" in changes:
            assert self.parent is not None
            self.parent.discard(self.name)
            self.name = d.name
            self.parent.add(self)
        if "mode" in changes:
            self.perm = d.mode & ~DMDIR
            self.qid = Qid(d.mode >> 24, self.qid.vers, self.qid.path)
        for field in changes & {"mtime", "atime", "gid"}:
            setattr(self, field, getattr(d, field))
        if changes and self.parent is not None:
            self.parent.modified()

    def _check_owner(self, gid: str) -> None:
        """The owner may change things; to give the file to a group one must be in it."""
        user = up().user
        if user not in (self.uid, self.gid) or gid not in ("", user):
            raise errors.Eperm()

    def _check_length(self, length: int) -> None:
        if self.directory:
            raise errors.Eperm()
        self.check(AWRITE)
        if _blocks(length) - _blocks(self.content.length) > self.tree.free:
            raise errors.Enospace()

    def _check_name(self, name: str) -> None:
        self._check_parent()
        if self.parent is self:
            raise errors.Eperm()
        assert self.parent is not None
        self.parent.check_new(name)


class RamDirectory(RamFile, Directory):
    """A directory of a tree."""

    directory = True

    def __init__(self, tree: Tree, name: str, perm: int, uid: str, gid: str) -> None:
        super().__init__(tree, name, perm, uid, gid)
        self._entries: dict[str, File] = {}

    def entries(self) -> Iterable[File]:
        """The newest first; a file keeps its place when it is renamed."""
        self._accessed()
        return sorted(self._entries.values(), key=_path, reverse=True)

    def is_empty(self) -> bool:
        return not self._entries

    def lookup(self, name: str) -> Maybe[File]:
        """walk(5) takes the permission to search the directory."""
        if not self.perm & 0o001:
            self.check(AEXEC)
        self._accessed()
        return super().lookup(name)

    def check_new(self, name: str) -> None:
        """Raise unless a file may come to be called ``name`` here."""
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise errors.Efilename()
        if len(name.encode("utf-8", "surrogateescape")) > NAMEMAX:
            raise errors.Enametoolong()
        if name in self._entries:
            raise errors.Eexist()

    def create(self, c: Chan, name: str, mode: int, perm: int) -> File:
        """Make a file; of its permissions only those remain that the directory has, as open(5) says."""
        if self.gone:
            raise errors.Enonexist()
        self.check_new(name)
        _check_mode(perm)
        user = up().user
        made: RamFile
        if perm & DMDIR:
            if mode & ~ORCLOSE not in (OREAD, OEXEC):
                raise errors.Eperm()
            self.tree.take(_blocks(0))
            made = RamDirectory(self.tree, name, perm & ~DMDIR & (~0o777 | self.perm), user, self.gid)
        else:
            self.tree.take(_blocks(0))
            made = RamFile(self.tree, name, perm & (~0o666 | self.perm), user, self.gid)
        self.add(made)
        self.modified()
        return made


class RamDevice(Device):
    """`#R`: every attach makes a tree, `#Rname` shares one."""

    letter, name = "R", "ram"
    fresh = any_buffer = True

    def __init__(self, system: System) -> None:
        super().__init__(system)
        self._count = itertools.count(1)
        self._named: dict[str, Tree] = {}

    def new(self, limit: int = LIMIT) -> Tree:
        """An empty tree for ``limit`` bytes, owned by the current process."""
        return Tree(next(self._count), up().user, limit)

    def attach(self, spec: str) -> Chan:
        if not spec:
            return self.chan(self.new(), self.rootpath())
        tree = self._named.get(spec) or self._named.setdefault(spec, self.new())
        return self.chan(tree, self.rootpath(spec))

    def chan(self, tree: Tree, path: Path) -> Chan:
        """The root of ``tree``, as reached by ``path``."""
        return Chan(self, tree.root.qid, path, tree.root, tree.instance)

    def served(self, tree: Tree) -> Chan:
        """The root of ``tree`` as that of a mounted server, as which ns(1) lists it.

        Inferno's memfs serves 9P over a pipe. Here nothing is between the mount and the tree; the
        connection exists in name only.
        """
        root = self.chan(tree, Path(None, "#M"))
        connection = Path(Path(None, "#|"), "data")
        root.mchan = Chan(self, Qid(QTFILE, 0, _CONNECTION), connection, None, tree.instance)
        return root

    def walk(self, c: Chan, names: list[str]) -> tuple[Chan | None, list[Qid]]:
        _check_there(c)
        walked = super().walk(c, names)
        assert isinstance(walked, tuple)
        return walked

    def check(self, node: File, mode: int) -> None:
        if isinstance(node, RamFile) and node.gone:
            raise errors.Enonexist()
        super().check(node, mode)

    def stat(self, c: Chan) -> Dir:
        _check_there(c)
        node: RamFile = c.aux
        return node.stat(self)

    def wstat(self, c: Chan, d: Dir) -> None:
        _check_there(c)
        c.aux.wstat(c, d)


def _path(node: File) -> int:
    return node.qid.path


def _check_there(c: Chan) -> None:
    """Raise `Enonexist` for a file that was removed, unless it is open."""
    if c.aux.gone and not c.opened:
        raise errors.Enonexist()


def _check_mode(mode: int) -> None:
    """Raise `Eperm` for bits that mean nothing here: a client must not think that they are kept."""
    known = 0o777 | DMTMP | (DMDIR if mode & DMDIR else DMAPPEND | DMEXCL)
    if mode & ~known:
        raise errors.Eperm()


def _blocks(length: int) -> int:
    """The blocks that a file of ``length`` bytes takes."""
    return length // BLOCK + 1
