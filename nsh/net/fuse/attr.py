"""What describes a file, as FUSE tells and changes it: out of what 9P says, or all that the host knows.

9P2000 knows no link counts, no blocks and no size of a directory. A file seems to have one name, as many
blocks as it needs, and a directory, which is as long as it likes, one block, as a small one has on most
disks; one link of a directory means to Linux that nobody counts. Times are whole seconds.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from errno import EPERM
from typing import Any, Protocol

from nsh.kern.native import NOW, Change, Known
from nsh.net.fuse import abi
from nsh.p9.const import DMDIR
from nsh.p9.stat import Dir

BLOCK = 4096
"""Bytes of a block, as stat and statfs tell it."""
SECTOR = 512
"""Bytes that stat(2) counts in."""
SECOND = 10**9
"""Nanoseconds; 9P counts time in seconds."""
_M64 = (1 << 64) - 1


class Numbers(Protocol):
    """Who a file belongs to, in numbers."""

    def numbers(self, d: Dir) -> tuple[int, int]:
        """The uid and the gid."""

    def seen(self, uid: int, gid: int, mode: int) -> tuple[int, int]:
        """The same for the numbers that the host has."""

    def group(self, gid: int) -> str:
        """The name of a group."""


def kind(known: Known) -> int:
    """The type bits of a file's mode."""
    if known.host is not None:
        return stat.S_IFMT(known.host.st_mode)
    return stat.S_IFDIR if known.dir.mode & DMDIR else stat.S_IFREG


def attr(known: Known, owners: Numbers) -> bytes:
    """What the kernel wants to know of a file."""
    if known.host is not None:
        return _of_host(known.number, known.host, owners)
    d = known.dir
    size = d.length or (BLOCK if d.mode & DMDIR else 0)
    blocks = (size + BLOCK - 1) // BLOCK * (BLOCK // SECTOR)
    return abi.ATTR.pack(
        *(known.number, size, blocks, d.atime, d.mtime, d.mtime, 0, 0, 0),
        *(kind(known) | d.mode & 0o777, 1, *owners.numbers(d), 0, BLOCK, 0),
    )


def _of_host(number: int, s: os.stat_result, owners: Numbers) -> bytes:
    times = [divmod(ns, SECOND) for ns in (s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns)]
    return abi.ATTR.pack(
        *(number, s.st_size, s.st_blocks, *(seconds & _M64 for seconds, _ in times)),
        *(rest for _, rest in times),
        *(s.st_mode, s.st_nlink, *owners.seen(s.st_uid, s.st_gid, s.st_mode)),
        *(abi.device_out(s.st_rdev), s.st_blksize, 0),
    )


def granted(known: Known, superuser: bool) -> int:
    """What access(2) is told of a server's file: those of R_OK, W_OK and X_OK that its mode gives anybody.

    Who is who the server decides, when the file is opened; the superuser is used to need no bit, but to
    execute a file.
    """
    mode = known.dir.mode
    anybody = (mode | mode >> 3 | mode >> 6) & 7
    if superuser:
        anybody |= os.R_OK | os.W_OK | (os.X_OK if mode & DMDIR else 0)
    return anybody


def keepable(mode: int) -> int:
    """The permissions in a mode, which has the type bits, too. Errors: EPERM if 9P cannot keep it.

    9P has no set-id and sticky bits, and who asks for one should not think that it is there. But it is a
    rule that what is made in a directory gets the directory's group (open(5)), so set-group-ID is granted
    there, though not shown; and what a bit does not mean anything for, may lose it.
    """
    if mode & (stat.S_ISVTX if stat.S_ISDIR(mode) else stat.S_ISUID | stat.S_ISGID):
        raise OSError(EPERM, os.strerror(EPERM))
    return mode & 0o777


def by_wstat(values: Sequence[int], known: Known, owners: Numbers) -> Dir:
    """The wstat for a SETATTR of a file. Errors: EPERM for what 9P cannot change."""
    valid, _, _, size, _, atime, mtime, _, _, _, _, mode, _, uid, gid, _ = values
    d = known.dir
    now = int(time.time())
    new: dict[str, Any] = {}
    if valid & abi.FATTR_MODE:
        new["mode"] = d.mode & ~0o777 | keepable(kind(known) | mode & 0o7777)
    if valid & abi.FATTR_SIZE:
        new["length"] = size
    if valid & abi.FATTR_ATIME:
        new["atime"] = now if valid & abi.FATTR_ATIME_NOW else _seconds(atime)
    if valid & abi.FATTR_MTIME:
        new["mtime"] = now if valid & abi.FATTR_MTIME_NOW else _seconds(mtime)
    owner, group = owners.numbers(d)
    if valid & abi.FATTR_UID and uid != owner:
        raise OSError(EPERM, os.strerror(EPERM))
    if valid & abi.FATTR_GID and gid != group:
        new["gid"] = owners.group(gid)
    return Dir.dont_touch(**new)


def length(values: Sequence[int]) -> Dir:
    """The wstat for what a SETATTR changes of a file's length, if it does."""
    return Dir.dont_touch(length=values[3]) if values[0] & abi.FATTR_SIZE else Dir.dont_touch()


def by_host(values: Sequence[int]) -> Change:
    """What a SETATTR changes of a file that the host knows, all but its length."""
    valid, _, _, _, _, atime, mtime, _, atimensec, mtimensec, _, mode, _, uid, gid, _ = values
    return Change(
        mode=mode & 0o7777 if valid & abi.FATTR_MODE else None,
        uid=uid if valid & abi.FATTR_UID else None,
        gid=gid if valid & abi.FATTR_GID else None,
        atime=_time(valid, abi.FATTR_ATIME, abi.FATTR_ATIME_NOW, atime, atimensec),
        mtime=_time(valid, abi.FATTR_MTIME, abi.FATTR_MTIME_NOW, mtime, mtimensec),
    )


def _time(valid: int, given: int, now: int, seconds: int, nanoseconds: int) -> int | None:
    if not valid & given:
        return None
    return NOW if valid & now else _signed(seconds) * SECOND + nanoseconds


def _signed(seconds: int) -> int:
    """A time of Linux, 64 bits with a sign."""
    return seconds - (seconds >> 63 << 64)


def _seconds(seconds: int) -> int:
    """A time of Linux as 9P can tell it: from 1970 to 2106."""
    return min(max(_signed(seconds), 0), 0xFFFFFFFE)  # one more would mean "as it is"


def statfs(found: os.statvfs_result | None) -> bytes:
    """What is known of a file system; of a server nothing, which df(1) shows as such."""
    if found is None:
        return abi.STATFS_OUT.pack(0, 0, 0, 0, 0, BLOCK, 255, BLOCK, 0)
    s = found
    return abi.STATFS_OUT.pack(
        *(s.f_blocks, s.f_bfree, s.f_bavail, s.f_files, s.f_ffree, s.f_bsize, s.f_namemax, s.f_frsize, 0)
    )
