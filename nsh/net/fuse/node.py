"""What a FUSE session remembers: files by nodeid, open files by fh; and the two sides' words for the same.

`nsh.net.fuse.session` uses all of it. Nothing is asked of any file here.
"""

from __future__ import annotations

import os
import stat
from errno import EINVAL
from typing import Generic

from nsh.p9.const import ORDWR, OREAD, OTRUNC, OWRITE, QTDIR
from nsh.p9.files import F
from nsh.p9.stat import Dir, Qid

_MODES = {os.O_RDONLY: OREAD, os.O_WRONLY: OWRITE, os.O_RDWR: ORDWR}


class Node(Generic[F]):
    """A file that the kernel knows: ``number`` is its nodeid, ``key`` its directory's and its name."""

    __slots__ = ("busy", "file", "handles", "key", "lookups", "number", "walked")

    def __init__(self, number: int, file: F, key: tuple[int, str]) -> None:
        self.number = number
        self.file = file
        self.key = key
        self.lookups = 0  # references that the kernel has
        self.busy = 0  # requests that wait and use ``file``
        self.handles: dict[int, Handle[F]] = {}
        self.walked = 0.0  # when its name was walked


class Handle(Generic[F]):
    """An open file; ``entries``: of a directory, as they were when its reading began."""

    __slots__ = ("entries", "file", "node")

    def __init__(self, file: F, node: Node[F]) -> None:
        self.file = file
        self.node = node
        self.entries: list[tuple[int, int, bytes]] | None = None


def same(a: Qid, b: Qid) -> bool:
    return a.path == b.path and not (a.type ^ b.type) & QTDIR


def inode(qid: Qid) -> int:
    """A file's number; 0 would mean that there is no file."""
    return qid.path or 1 << 62


def file_type(qid: Qid) -> int:
    return stat.S_IFDIR if qid.type & QTDIR else stat.S_IFREG


def open_mode(flags: int) -> int:
    """How 9P opens a file that Linux opens with ``flags``."""
    try:
        mode = _MODES[flags & os.O_ACCMODE]
    except KeyError:
        raise OSError(EINVAL, os.strerror(EINVAL)) from None
    return mode | OTRUNC if flags & os.O_TRUNC else mode


def truncated_already(change: Dir, d: Dir) -> bool:
    """Is it only asked that a file have no content, and has it none? Control files refuse such a wstat."""
    return change.touched() == {"length"} and change.length == d.length == 0
