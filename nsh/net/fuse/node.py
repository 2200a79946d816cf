"""What a FUSE session remembers: files by nodeid, open files by fh; and the two sides' words for the same.

`nsh.net.fuse.table` keeps them, `nsh.net.fuse.session` uses all of it. Nothing is asked of any file here.
"""

from __future__ import annotations

import os
from errno import EINVAL

from nsh.kern.export import File
from nsh.p9.const import ORDWR, OREAD, OTRUNC, OWRITE, QTDIR
from nsh.p9.stat import Dir, Qid

_MODES = {os.O_RDONLY: OREAD, os.O_WRONLY: OWRITE, os.O_RDWR: ORDWR}


class Node:
    """A file that the kernel knows: ``number`` is its nodeid, ``key`` its directory's and its name.

    ``kind``: the type bits of its mode; ``inode``: the inode number that the kernel was told last.
    """

    __slots__ = (
        "believed",
        "busy",
        "file",
        "handles",
        "inode",
        "key",
        "kind",
        "lookups",
        "named",
        "number",
        "walked",
    )

    def __init__(self, number: int, file: File, key: tuple[int, str], kind: int) -> None:
        self.number = number
        self.file = file
        self.key = key
        self.kind = kind
        self.inode = 0
        self.lookups = 0  # references that the kernel has
        self.busy = 0  # requests that wait and use ``file``
        self.handles: dict[int, Handle] = {}
        self.walked = 0.0  # when its name was walked
        self.named = False  # does the file itself say that this is its name? then it would say when it is not
        self.believed = 0.0  # until when the kernel uses its name without asking

    @property
    def any_handle(self) -> Handle:
        """One of its handles; there must be one."""
        return next(iter(self.handles.values()))


class Handle:
    """An open file; ``entries``: of a directory, as they were when its reading began."""

    __slots__ = ("entries", "file", "node")

    def __init__(self, file: File, node: Node) -> None:
        self.file = file
        self.node = node
        self.entries: list[tuple[int, int, bytes]] | None = None


def same(a: Qid, b: Qid) -> bool:
    return a.path == b.path and not (a.type ^ b.type) & QTDIR


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
