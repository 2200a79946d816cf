"""The kernel's FUSE protocol, as bytes: requests that are read from /dev/fuse and replies that go there.

The numbers and layouts are those of <linux/fuse.h>, protocol 7.31 and later, little-endian as on every
machine that Linux and Python run on together. Only the form is here. What a request means is known to
`nsh.net.fuse.session`, and the descriptor to `nsh.net.fuse.serve`.
"""

from __future__ import annotations

import os
from struct import Struct
from typing import Final, NamedTuple

MAJOR: Final = 7
MINOR: Final = 39
"""What we speak; the kernel keeps to the lower of its minor version and ours."""
OLDEST: Final = 31
"""The oldest minor version that has all that we rely on (Linux 5.4)."""

LOOKUP: Final = 1
FORGET: Final = 2
GETATTR: Final = 3
SETATTR: Final = 4
READLINK: Final = 5
SYMLINK: Final = 6
MKNOD: Final = 8
MKDIR: Final = 9
UNLINK: Final = 10
RMDIR: Final = 11
RENAME: Final = 12
LINK: Final = 13
OPEN: Final = 14
READ: Final = 15
WRITE: Final = 16
STATFS: Final = 17
RELEASE: Final = 18
FSYNC: Final = 20
INIT: Final = 26
OPENDIR: Final = 27
READDIR: Final = 28
RELEASEDIR: Final = 29
ACCESS: Final = 34
CREATE: Final = 35
INTERRUPT: Final = 36
DESTROY: Final = 38
BATCH_FORGET: Final = 42
RENAME2: Final = 45

NAMES: Final = {
    number: name.lower()
    for name, number in list(globals().items())
    if isinstance(number, int) and name not in ("MAJOR", "MINOR", "OLDEST")
}
"""What a request is called."""

# What INIT agrees on.
ASYNC_READ: Final = 1 << 0
ATOMIC_O_TRUNC: Final = 1 << 3
BIG_WRITES: Final = 1 << 5
PARALLEL_DIROPS: Final = 1 << 18
ABORT_ERROR: Final = 1 << 21
MAX_PAGES: Final = 1 << 22
INIT_EXT: Final = 1 << 30
DIRECT_IO_ALLOW_MMAP: Final = 1 << 36

# What SETATTR changes.
FATTR_MODE: Final = 1 << 0
FATTR_UID: Final = 1 << 1
FATTR_GID: Final = 1 << 2
FATTR_SIZE: Final = 1 << 3
FATTR_ATIME: Final = 1 << 4
FATTR_MTIME: Final = 1 << 5
FATTR_FH: Final = 1 << 6
FATTR_ATIME_NOW: Final = 1 << 7
FATTR_MTIME_NOW: Final = 1 << 8

GETATTR_FH: Final = 1 << 0
FOPEN_DIRECT_IO: Final = 1 << 0
FOPEN_PARALLEL_DIRECT_WRITES: Final = 1 << 6
RENAME_NOREPLACE: Final = 1 << 0

ROOT: Final = 1
"""The nodeid of what is mounted."""

HEADER: Final = Struct("<IIQQIIII")  # len opcode unique nodeid uid gid pid padding
REPLY: Final = Struct("<IiQ")  # len error unique
INIT_IN: Final = Struct("<IIIII")  # major minor max_readahead flags flags2
INIT_SHORT: Final = Struct("<IIII")  # the same from before INIT_EXT
INIT_OUT: Final = Struct("<IIIIHHIIHHIIH22x")
ATTR: Final = Struct("<QQQQQQIIIIIIIIII")
ENTRY: Final = Struct("<QQQQII")  # nodeid generation entry_valid attr_valid and their nanoseconds
ATTR_OUT: Final = Struct("<QII")  # attr_valid, its nanoseconds, padding
GETATTR_IN: Final = Struct("<IIQ")  # flags padding fh
SETATTR_IN: Final = Struct("<IIQQQQQQIIIIIIII")
OPEN_IN: Final = Struct("<II")  # flags open_flags
OPEN_OUT: Final = Struct("<QII")  # fh open_flags backing
CREATE_IN: Final = Struct("<IIII")  # flags mode umask open_flags
MKNOD_IN: Final = Struct("<IIII")  # mode rdev umask padding
MKDIR_IN: Final = Struct("<II")  # mode umask
RENAME_IN: Final = Struct("<Q")  # newdir
RENAME2_IN: Final = Struct("<QII")  # newdir flags padding
LINK_IN: Final = Struct("<Q")  # oldnodeid
READ_IN: Final = Struct("<QQIIQII")  # fh offset size read_flags lock_owner flags padding
WRITE_IN: Final = READ_IN  # the same members
WRITE_OUT: Final = Struct("<II")  # size padding
RELEASE_IN: Final = Struct("<QIIQ")  # fh flags release_flags lock_owner
FSYNC_IN: Final = Struct("<QII")  # fh fsync_flags padding
ACCESS_IN: Final = Struct("<II")  # mask padding
STATFS_OUT: Final = Struct("<QQQQQIIII24x")
INTERRUPT_IN: Final = Struct("<Q")  # unique
FORGET_IN: Final = Struct("<Q")  # nlookup
BATCH_FORGET_IN: Final = Struct("<II")  # count dummy
FORGET_ONE: Final = Struct("<QQ")  # nodeid nlookup
DIRENT: Final = Struct("<QQII")  # ino off namelen type

BODY: Final = HEADER.size
"""Where what follows the header begins."""


class Init(NamedTuple):
    """What the kernel offers."""

    major: int
    minor: int
    max_readahead: int
    flags: int


def init_in(request: memoryview) -> Init:
    """The kernel's INIT; ``flags`` has both halves."""
    major, minor, readahead, flags = INIT_SHORT.unpack_from(request, BODY)
    if flags & INIT_EXT and len(request) >= BODY + INIT_IN.size:
        flags |= INIT_IN.unpack_from(request, BODY)[4] << 32
    return Init(major, minor, readahead, flags)


def init_out(kernel: Init, flags: int, max_write: int, background: int, granularity: int) -> bytes:
    """Our answer. ``max_write``: bytes; ``granularity``: of times, in nanoseconds."""
    pages = max_write // 4096
    low, high = flags & 0xFFFFFFFF, flags >> 32
    congested = background * 3 // 4
    return INIT_OUT.pack(
        *(MAJOR, min(MINOR, kernel.minor), kernel.max_readahead, low, background, congested),
        *(max_write, granularity, pages, 0, high, 0, 0),
    )


def names_in(request: memoryview, at: int) -> list[str]:
    """The names, each ended by a NUL, that begin at ``at``."""
    return [part.decode("utf-8", "surrogateescape") for part in bytes(request[at:]).split(b"\0")[:-1]]


def device_out(device: int) -> int:
    """The number of a device, as it is in a `ATTR`."""
    major, minor = os.major(device), os.minor(device)
    return minor & 0xFF | major << 8 | (minor & ~0xFF) << 12


def device_in(number: int) -> int:
    """The same, back from a MKNOD."""
    return os.makedev(number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00)


def dirent(ino: int, cookie: int, kind: int, name: bytes) -> bytes:
    """One entry of a directory: ``cookie`` is where the next one is, ``kind`` the type bits of its mode."""
    return DIRENT.pack(ino, cookie, len(name), kind >> 12) + name + bytes(-len(name) % 8)
