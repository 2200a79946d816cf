"""Which file of the host is which: the qids of `#U`, and the names by which its fids find their files.

A host knows a file by the number of its disk and its inode; some disks give the inode of a removed file
to a new one at once, so the time of birth is taken along where it says more. `HostQids` makes a qid of
that. A name says less: a file may be renamed, and another one get its name. `Nodes` are the names in
use, each once and each below that of its directory, so that a rename made by one fid moves what all
fids mean, down to the last file below a directory.

What is done with the files is no matter of this module. Threads use it beside the event loop, so each change
of a table here is one step.
"""

from __future__ import annotations

import functools
import itertools
import os
import stat as unix
import struct
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from nsh.dev.mountinfo import mounts
from nsh.p9.const import QTDIR, QTFILE
from nsh.p9.stat import Qid

_INO_BITS = 48
_SHORT_INO_BITS = 32
_BIRTHS = 4096
"""Files whose time of birth is remembered."""
_CHANGES = 4096
"""Files whose changes are counted."""
_TICK = 50 * 10**6
"""Nanoseconds in which two changes may have one time: a few ticks of Linux, which are 10 ms at most."""
_LONG_TICK = 2 * 10**9 + _TICK
"""The same on a disk that keeps whole seconds, or only even ones."""
_GOLDEN = 0x9E3779B97F4A7C15
_M64 = (1 << 64) - 1

_REUSING = frozenset(("ext2", "ext3", "ext4", "f2fs", "xfs", ""))
"""File systems that soon use an inode number again, and keep a time of birth that never changes; and the one
that we know nothing of, as is the root of who was put there by chroot(2).
"""
_FORGETFUL = ("exfat", "fuse", "msdos", "proc", "vfat")
"""How the names of file systems begin that may give a file another number when they have forgotten it."""

# statx(2), which Python does not have
_BTIME = 0x800
_EMPTY_PATH, _NO_FOLLOW, _CWD = 0x1000, 0x100, -100
_MASK_AT, _BTIME_AT = 0, 80
_SIZE = 256
_MASK = struct.Struct("=I")
_TIME = struct.Struct("=qI")


class _Disk(NamedTuple):
    """What is known of a disk: its small number, and how far its inode numbers can be trusted."""

    number: int
    births: bool
    lasting: bool


class HostQids:
    """Makes the qids of the host's files; remembers the disks, and what does not fit into a qid."""

    def __init__(self) -> None:
        self._disks: dict[int, _Disk] = {}
        self._numbers: dict[int, int] = {}
        self._large: dict[tuple[int, int, int], int] = {}
        self._births: dict[tuple[int, int], tuple[int, int]] = {}
        self._changes: dict[int, int] = {}  # by qid.path: the number of the last change
        self._next_change = itertools.count(1).__next__
        self._next_disk = itertools.count().__next__
        self._next_large = itertools.count().__next__

    def qid(self, status: os.stat_result, file: str | int, directory: int = _CWD) -> Qid:
        """The qid of the file in the state ``status``: a path, a name in ``directory``, or a descriptor.

        Its path is the disk's small number above 48 bits of the inode number; on a disk that uses inode
        numbers again, above 16 bits made of the time of birth and 32 of the inode number.

        Its version is made of the time of the last change, the length, and the number of our last change.
        As long as others could change the file once more without a trace in its time, it has another
        version than later: 0, which nobody keeps data under, if we have not changed it.
        """
        disk = self._disks.get(status.st_dev) or self._disk(status.st_dev)
        ino = status.st_ino
        birth = self._birth(status, file, directory) if disk.births else 0
        if ino >> (_SHORT_INO_BITS if disk.births else _INO_BITS):
            path = 1 << 63 | self._number_of_large((status.st_dev, ino, birth))
        else:
            path = disk.number << _INO_BITS | _scrambled(birth) << _SHORT_INO_BITS | ino
        mtime = status.st_mtime_ns
        vers = (mtime ^ mtime >> 32 ^ status.st_size) & 0xFFFFFFFF
        if unix.S_ISDIR(status.st_mode):
            return Qid(QTDIR, vers, path)
        change = self._changes.get(path, 0)
        if time.time_ns() - mtime < _LONG_TICK and _is_fresh(mtime):
            return Qid(QTFILE, ~vers & 0xFFFFFFFF ^ _spread(change) if change else 0, path)
        return Qid(QTFILE, vers ^ _spread(change) if change else vers, path)

    def number(self, device: int, ino: int) -> int:
        """Which file it is as Linux tells it: the inode number, with the disk's small number above it."""
        if ino >> _INO_BITS:
            return 1 << 63 | self._number_of_large((device, ino, 0))
        disk = self._disks.get(device) or self._disk(device)
        return disk.number << _INO_BITS | ino

    def changed(self, path: int) -> None:
        """The file with this qid.path is changed by us: its version is another from now on.

        The host's times do not tell two changes in one tick of its clock, or that somebody set them back.
        """
        self._changes.pop(path, None)
        if len(self._changes) >= _CHANGES:
            for oldest in list(self._changes)[: max(1, _CHANGES // 4)]:
                self._changes.pop(oldest, None)
        self._changes[path] = self._next_change()

    def _number_of_large(self, file: tuple[int, int, int]) -> int:
        number = self._large.get(file)
        return self._large.setdefault(file, self._next_large()) if number is None else number

    def _birth(self, status: os.stat_result, file: str | int, directory: int) -> int:
        """When a file was made; the host is asked again only when the file has changed since."""
        key = (status.st_dev, status.st_ino)
        changed, birth = self._births.get(key, (None, 0))
        if changed != status.st_ctime_ns:
            birth = _birth(status, file, directory)
            if len(self._births) >= _BIRTHS:
                self._births.clear()
            self._births[key] = status.st_ctime_ns, birth
        return birth

    def lasting(self, status: os.stat_result) -> bool:
        """Has a file on this disk the same inode number as long as it exists?"""
        return (self._disks.get(status.st_dev) or self._disk(status.st_dev)).lasting

    def _disk(self, dev: int) -> _Disk:
        disk = self._disks.get(dev)
        if disk is None:
            kind = _file_system(dev)
            number = self._numbers.get(dev)
            if number is None:
                number = self._numbers.setdefault(dev, self._next_disk())
            disk = self._disks[dev] = _Disk(number, kind in _REUSING, not kind.startswith(_FORGETFUL))
        return disk

    def look_again(self) -> None:
        """A disk may be of another kind by now: something else is mounted that has its number."""
        self._disks.clear()


def _is_fresh(mtime: int) -> bool:
    """Was a file changed at ``mtime``, in nanoseconds since 1970, and may be once more in the same tick?"""
    return time.time_ns() - mtime < (_TICK if mtime % 10**9 else _LONG_TICK)


def _spread(change: int) -> int:
    """32 bits that differ widely from one change to the next."""
    return (change * _GOLDEN & _M64) >> 32


def _scrambled(birth: int) -> int:
    """16 bits in which two times, near or far, hardly ever agree."""
    return (birth * _GOLDEN & _M64) >> 48


def _file_system(dev: int) -> str:
    """The kind of the file system on the disk ``dev``, "" if that is not known."""
    wanted = f"{os.major(dev)}:{os.minor(dev)}"
    return next((mount.kind for mount in mounts() if mount.device == wanted), "")


@functools.cache
def _statx() -> tuple[Callable[..., int], Callable[[], Any]] | None:
    """The C library's statx, and what makes a buffer for its answer; None where there is none."""
    import ctypes

    try:
        call = ctypes.CDLL(None).statx
    except AttributeError:
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p)
    return call, ctypes.c_char * _SIZE


def _birth(status: os.stat_result, file: str | int, directory: int) -> int:
    """When a file was made, in nanoseconds since 1970; 0 if nobody knows."""
    found = _statx()
    if found is None:
        return 0
    call, buffer = found[0], found[1]()
    if isinstance(file, int):
        failed = call(file, b"", _EMPTY_PATH, _BTIME, buffer)
    else:
        flags = _NO_FOLLOW if unix.S_ISLNK(status.st_mode) else 0
        failed = call(directory, os.fsencode(file), flags, _BTIME, buffer)
    if failed or not _MASK.unpack_from(buffer, _MASK_AT)[0] & _BTIME:
        return 0
    seconds, nanoseconds = _TIME.unpack_from(buffer, _BTIME_AT)
    return int(seconds * 10**9 + nanoseconds)


class Node:
    """A name in use: ``name`` in the directory ``parent``. ``gone``: its file is known to be removed.

    ``sure``: what was known of the host's mounts when it was found that the name can be looked at without
    waiting (`nsh.dev.hostmounts`), and that no link is on the way to it.
    """

    __slots__ = ("__weakref__", "gone", "name", "parent", "sure")

    def __init__(self, parent: Node | None, name: str) -> None:
        self.parent = parent
        self.name = name
        self.gone = False
        self.sure: object = None

    @property
    def path(self) -> str:
        """The whole name on the host, as it is now."""
        elements: list[str] = []
        node = self
        while node.parent is not None:
            elements.append(node.name)
            node = node.parent
        return "/" + "/".join(reversed(elements))


class Nodes:
    """The nodes that somebody holds: one for each name, so that whoever holds it sees it renamed."""

    def __init__(self) -> None:
        self.root = Node(None, "/")
        self._known: WeakValueDictionary[tuple[Node, str], Node] = WeakValueDictionary()
        self._lock = threading.Lock()  # is held for every change

    def child(self, parent: Node, name: str) -> Node:
        """The node of ``name`` in ``parent``; ``..`` is where ``parent`` is."""
        if name == "..":
            return parent.parent or parent
        node = self._known.get((parent, name))
        if node is None:
            with self._lock:
                node = self._known.get((parent, name))
                if node is None:
                    node = self._known[parent, name] = Node(parent, name)
        return node

    def new(self, parent: Node, name: str) -> Node:
        """The node of a file that has just been made; what had its name before is gone."""
        node = Node(parent, name)
        with self._lock:
            self._enter(parent, node)
        return node

    def move(self, node: Node, name: str, parent: Node | None = None) -> None:
        """The file of ``node`` is called ``name`` now, and is in ``parent``, if it was moved there."""
        assert node.parent is not None
        with self._lock:
            self._known.pop((node.parent, node.name), None)
            node.name, node.sure = name, None
            node.parent = parent or node.parent
            self._enter(node.parent, node)

    def remove(self, node: Node) -> None:
        """The file of ``node`` is gone."""
        node.gone = True
        if node.parent is not None:
            with self._lock:
                self._known.pop((node.parent, node.name), None)

    def _enter(self, parent: Node, node: Node) -> None:
        before = self._known.get((parent, node.name))
        if before is not None:
            before.gone = True
        self._known[parent, node.name] = node
