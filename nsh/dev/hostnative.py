"""`#U` for programs of Linux: all that the host knows of its files, and 9P does not (`nsh.kern.native`).

Here a symbolic link is itself: whoever asks follows it on his own, through the tree that he sees. And what
a 9P client may not do to the host, whose user it is not, the programs of this user may: give files to
others, set every bit of a mode, make links and special files. The host decides.

Every shell has this device and few show it to Linux, so `nsh.kern.native` is imported where it is used.
"""

from __future__ import annotations

import os
import stat as unix
import time
from typing import TYPE_CHECKING

from nsh import errors
from nsh.dev.host import HostDevice, HostFile, check_own, plan9_errors
from nsh.dev.hostid import Node
from nsh.dev.openfile import OpenFile
from nsh.kern.chan import Chan
from nsh.kern.dev import AWRITE
from nsh.p9.stat import Qid

if TYPE_CHECKING:
    from nsh.kern.native import Change, Entry, Known, Native


class NativeHostDevice(HostDevice):
    """`#U` and `#U*`, which is a `Native`."""

    @property
    def native(self) -> Native:
        return self

    def _itself(self, c: Chan) -> tuple[os.stat_result, Qid]:
        """The state and the qid of what is open, or has the name of ``c``, if that is still its file.

        A symbolic link is of no other file than its name. Errors: `Enonexist`.
        """
        host: HostFile = c.aux
        if host.file is not None:
            status = host.file.status()
            return status, self._qids.qid(status, host.file.fd)
        self._mounts.refresh()
        self._mounts.check(host.node)
        path = host.node.path
        status = os.lstat(path)
        qid = self._qids.qid(status, path)
        if host.node.gone or not (unix.S_ISLNK(status.st_mode) or self._same(c, status, qid)):
            raise errors.Enonexist()
        return status, qid

    def _new(self, directory: Chan, name: str) -> str:
        """The whole name of a file that is about to be called ``name`` in ``directory``."""
        self._there(directory)
        return self._name_in(directory.aux.node, name)

    def _name_in(self, node: Node, name: str) -> str:
        path = node.path
        check_own(self._status(node, path), AWRITE)
        if name in self._mounts.names:
            self._mounts.check(self._nodes.child(node, name))
        return os.path.join(path, name)

    # --- what describes a file -----------------------------------------------------------------

    @plan9_errors
    def known(self, c: Chan, follow: bool) -> Known:
        from nsh.kern.native import Known

        host: HostFile = c.aux
        status, qid = self._there(c) if follow and host.file is None else self._itself(c)
        number = self._qids.number(status.st_dev, status.st_ino)
        d = self._dir(host.node.name, status, qid)
        if status.st_rdev and os.statvfs(host.target).f_flag & os.ST_NODEV:
            return Known(d, number)  # it must not become a device by being shown elsewhere
        return Known(d, number, status)

    @plan9_errors
    def listing(self, c: Chan) -> list[Entry]:
        from nsh.kern.native import Entry

        file: OpenFile = c.aux.file
        device = file.status().st_dev
        with os.scandir(file.fd) as entries:
            return [Entry(e.name, self._qids.number(device, e.inode()), _kind(e)) for e in entries]

    @plan9_errors
    def statvfs(self, c: Chan) -> os.statvfs_result:
        status, _ = self._itself(c)
        host: HostFile = c.aux
        return os.statvfs(os.path.dirname(host.node.path) if unix.S_ISLNK(status.st_mode) else host.target)

    @plan9_errors
    def access(self, c: Chan, mask: int) -> bool:
        status, _ = self._itself(c)
        return unix.S_ISLNK(status.st_mode) or os.access(c.aux.node.path, mask, effective_ids=True)

    @plan9_errors
    def readlink(self, c: Chan) -> str:
        self._itself(c)
        host: HostFile = c.aux
        return os.readlink(host.node.path)

    @plan9_errors
    def change(self, c: Chan, change: Change) -> None:
        from nsh.kern.native import NOW

        status, _ = self._itself(c)
        target: str | int = c.aux.target
        follow = isinstance(target, int)  # of a descriptor Python wants to be told so
        if change.uid is not None or change.gid is not None:
            owner = (-1 if number is None else number for number in (change.uid, change.gid))
            os.chown(target, *owner, follow_symlinks=follow)
        if change.mode is not None:
            os.chmod(target, change.mode)
        if change.atime == change.mtime == NOW:
            os.utime(target, follow_symlinks=follow)
        elif change.atime is not None or change.mtime is not None:
            atime = _time(change.atime, status.st_atime_ns)
            os.utime(target, ns=(atime, _time(change.mtime, status.st_mtime_ns)), follow_symlinks=follow)
        if change.mtime is not None:
            self._qids.changed(c.qid.path)

    # --- names ---------------------------------------------------------------------------------

    @plan9_errors
    def symlink(self, directory: Chan, name: str, target: str) -> None:
        os.symlink(target, self._new(directory, name))

    @plan9_errors
    def link(self, c: Chan, directory: Chan, name: str) -> None:
        self._itself(c)
        os.link(c.aux.node.path, self._new(directory, name), follow_symlinks=False)

    @plan9_errors
    def mknod(self, directory: Chan, name: str, mode: int, device: int) -> None:
        os.mknod(self._new(directory, name), mode, device)

    @plan9_errors
    def rename(self, c: Chan, directory: Chan | None, name: str, replace: bool) -> None:
        self._itself(c)
        node: Node = c.aux.node
        if node.parent is None:
            raise errors.Efilename()
        check_own(self._status(node.parent, node.parent.path), AWRITE)
        old = node.path
        new = self._name_in(node.parent, name) if directory is None else self._new(directory, name)
        if not replace and os.path.lexists(new):
            raise errors.Eexist()
        os.rename(old, new)
        if not os.path.lexists(old):  # two names of one file are left as they are
            self._nodes.move(node, name, None if directory is None else directory.aux.node)


def _kind(entry: os.DirEntry[str]) -> int:
    """The type of what is a directory or a plain file. Else it may be a mount point, and something else."""
    if entry.is_dir(follow_symlinks=False):
        return unix.S_IFDIR
    return unix.S_IFREG if entry.is_file(follow_symlinks=False) else 0


def _time(time_: int | None, before: int) -> int:
    if time_ is None:
        return before
    from nsh.kern.native import NOW

    return time.time_ns() if time_ == NOW else time_
