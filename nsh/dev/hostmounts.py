"""Which parts of the host's file tree may keep one waiting, as its table of mounts tells.

What is on a disk or in the kernel answers at once, or as good as. A file system that asks another machine
or a program does so when that pleases, and the program may be one that asks this very process: there calls
are made with patience (`nsh.dev.patience`). The table, /proc/self/mountinfo, says where such file systems
are without asking any of them; and asking the kernel whether the table has changed costs a tenth of stat(2).

A name leads into such a place by its text, once all symbolic links in it are replaced. That is found out
element by element (`Mounts.resolve`), and remembered by the `Node` of a name with no links in it.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
from collections.abc import Callable

from nsh.dev.hostid import Node
from nsh.dev.mountinfo import TABLE, Mount, mounts
from nsh.dev.patience import Patience, Place, here, may_wait

SLOW = (
    *("9p", "afs", "autofs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse", "gfs", "glusterfs", "gpfs"),
    *("lustre", "ncp", "nfs", "ocfs", "orangefs", "panfs", "prl_fs", "pvfs", "smb", "vboxsf", "virtiofs"),
    *("vmhgfs",),
)
"""How the names of file systems begin that ask another machine, or a program."""
_QUICK = ("fusectl", "nfsd")
"""Those that begin so, too, and ask nobody."""

_LINKS = 40
"""Most symbolic links in one name, as in Linux."""
_SURE = 1000
"""Directories of which is remembered that they are at hand."""


def is_slow(mount: Mount) -> bool:
    """May this file system keep one waiting?"""
    return mount.kind.startswith(SLOW) and mount.kind not in _QUICK


class Mounts:
    """The slow places of the host, as they are at this moment.

    ``places``: by the names of their roots; ``names``: the last elements of these names. ``token``: another
    object since something has changed, by which a `Node` knows whether what it remembers still holds.
    """

    def __init__(self, changed: Callable[[], object] = lambda: None) -> None:
        """``changed`` is called when there are other slow places than before."""
        self._tell = changed
        self.places: dict[str, Place] = {}
        self.names: frozenset[str] = frozenset()
        self.mixed = Place("several file systems")
        self.token = object()
        self._others: set[str] = set()
        self._sure: set[str] = set()  # directories that are in no slow place, and no links lead to them
        self._table = -1
        self._epoll = select.epoll(1)
        with contextlib.suppress(OSError):  # a host without /proc: then nothing is known, and nothing changes
            self._table = os.open(TABLE, os.O_RDONLY | os.O_CLOEXEC)
            self._epoll.register(self._table, select.EPOLLPRI)
        self._changed = self._epoll.poll
        self._read()

    def close(self) -> None:
        """Notice nothing any more."""
        self._epoll.close()
        if self._table >= 0:
            os.close(self._table)
        self._table = -1

    __del__ = close

    def refresh(self) -> None:
        """Notice what has been mounted or unmounted. It is for the event loop, and takes no time."""
        if here.job is None and self._changed(0):
            self._read()

    def add(self, point: str) -> None:
        """Let a directory be a slow place that the table does not show as one."""
        self._others.add(point)
        self._read()

    def discard(self, point: str) -> None:
        """Let it be what the table shows it as."""
        self._others.discard(point)
        self._read()

    def _read(self) -> None:
        points = {mount.point for mount in mounts() if is_slow(mount)} | self._others
        if points != self.places.keys():
            self.places = {point: self.places.get(point) or Place(point) for point in points}
            self.names = frozenset(point.rpartition("/")[2] for point in points)
            self.token = object()
            self._sure.clear()
            self._tell()

    # --- what leads there ----------------------------------------------------------------------

    def check(self, node: Node) -> None:
        """Raise `Patience` if even the name ``node`` is in a slow place, or of one, and this is the loop.

        What it leads to, if it is a link, is another question.
        """
        if node.sure is self.token or may_wait():
            return
        above = node.parent.path if node.parent is not None else "/"
        real, place = self.resolve(above)
        if place is None and node.parent is not None:
            place = self.places.get(f"{real.rstrip('/')}/{node.name}")
        if place is not None:
            raise Patience(place)
        if real == above:  # without links, which may lead elsewhere the next time
            node.sure = self.token

    def check_path(self, path: str) -> None:
        """Raise `Patience` if ``path`` leads into a slow place, and this is the loop."""
        if not may_wait():
            _, place = self.resolve(path)
            if place is not None:
                raise Patience(place)

    def holds_slow(self, path: str) -> bool:
        """Is there the root of a slow place in the directory ``path``?"""
        real = self.resolve(path)[0].rstrip("/")
        return any(point.rpartition("/")[0] == real for point in self.places)

    def resolve(self, path: str) -> tuple[str, Place | None]:
        """The name without links of what the whole name ``path`` leads to, and the slow place that it is in.

        It ends where a slow place begins, which is not touched, or where nothing is.
        """
        places = self.places
        if "/" in places:
            return "/", places["/"]
        above, _, last = path.rpartition("/")
        real, left = (above, [last]) if above in self._sure else ("", path.split("/")[::-1])
        links = 0
        while left:
            name = left.pop()
            if name in ("", "."):
                continue
            if name == "..":
                real = real.rpartition("/")[0]
                continue
            real = f"{real}/{name}"
            if real in places:
                return real, places[real]
            try:
                if stat.S_ISLNK(os.lstat(real).st_mode):
                    links += 1
                    target = os.readlink(real)
                    real = "" if target.startswith("/") else real.rpartition("/")[0]
                    left += target.split("/")[::-1]
            except (OSError, ValueError):  # nothing is there, or can have such a name
                return real, None
            if links > _LINKS:
                return real, None
        if real == path and len(self._sure) < _SURE:
            self._sure.add(above)
        return real or "/", None

    def of_descriptor(self, fd: int) -> Place | None:
        """The slow place in which an open file is, if it is in one; the file is not asked."""
        mount = _mount_of(fd)
        if mount is None:
            return self.mixed
        return self.places.get(mount.point, self.mixed) if is_slow(mount) else None


def may_be_slow(fd: int) -> bool:
    """Is this open file one of a slow file system, or of one that only others see? It is not asked itself."""
    mount = _mount_of(fd)
    return mount is None or is_slow(mount)


def _mount_of(fd: int) -> Mount | None:
    try:
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as info:
            number = next((line.split()[1] for line in info if line.startswith("mnt_id:")), "")
    except OSError:
        return None
    return next((mount for mount in mounts() if mount.number == number), None)
