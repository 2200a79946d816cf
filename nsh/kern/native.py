"""What Linux can be told of a file and 9P has no words for: links, blocks, nanoseconds, special files.

A device whose files are the host's own is a `Native`, too. Who shows them to Linux without 9P in between
(`nsh.kern.tree`) uses it beside the device's usual members. Only the interface is here.
"""

from __future__ import annotations

import os
from typing import NamedTuple, Protocol

from nsh.kern.chan import Chan, Maybe
from nsh.p9.stat import Dir


class Known(NamedTuple):
    """What is known of a file.

    ``dir``: as 9P tells it; ``number``: which file it is, where Linux wants an inode number; ``host``: what
    stat(2) of the host says, if the file is one of the host's. Of a symbolic link, all of this is about the
    link.
    """

    dir: Dir
    number: int
    host: os.stat_result | None = None


class Entry(NamedTuple):
    """What a directory says of a file: its name, its number as in `Known`, and the type bits of its mode.

    ``kind`` is 0 where only the file itself tells.
    """

    name: str
    number: int
    kind: int


class Change(NamedTuple):
    """What to change of a file, as Linux has it; None: nothing. Times are in nanoseconds since 1970."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    atime: int | None = None
    mtime: int | None = None


NOW = -1 << 63
"""The time at which a change is made, which also those may set who may only write."""


class Native(Protocol):
    """A device, as far as it can do more than 9P. Everything may have to be waited for.

    Names are the host's, also where 9P is shown others. Errors: those of the device.
    """

    def known(self, c: Chan, follow: bool) -> Maybe[Known]:
        """What is known of a file, open or not; of what a symbolic link leads to, with ``follow``."""

    def listing(self, c: Chan) -> Maybe[list[Entry]]:
        """What is in the open directory, but for ``.`` and ``..``."""

    def statvfs(self, c: Chan) -> Maybe[os.statvfs_result]:
        """The file system that a file is on."""

    def access(self, c: Chan, mask: int) -> Maybe[bool]:
        """Would access(2) of the host permit us ``mask``? A symbolic link nobody is kept from following."""

    def readlink(self, c: Chan) -> Maybe[str]:
        """What a symbolic link says."""

    def symlink(self, directory: Chan, name: str, target: str) -> Maybe[None]:
        """Make a symbolic link."""

    def link(self, c: Chan, directory: Chan, name: str) -> Maybe[None]:
        """Give a file another name; a symbolic link, itself."""

    def mknod(self, directory: Chan, name: str, mode: int, device: int) -> Maybe[None]:
        """Make a FIFO, a socket or a device."""

    def rename(self, c: Chan, directory: Chan | None, name: str, replace: bool) -> Maybe[None]:
        """Give a file another name in ``directory``, or where it is; a symbolic link, itself.

        Errors: `Eexist` if the name is taken and it may not ``replace`` what has it.
        """

    def change(self, c: Chan, change: Change) -> Maybe[None]:
        """Change what describes a file; of a symbolic link, itself."""
